// The toy on Node: waiting, and the flags.

"use strict";

const TextAdapter = require("crosscheck/probe/node/adapter");

const toy = require("./toy");

class NodeToy extends TextAdapter {
  settle() {
    for (const work of toy.pending.splice(0)) work();
  }

  flags() {
    return { ...toy.flags };
  }
}

module.exports = NodeToy;
