// The toy on Node: waiting, the flags, and what calls leave behind.

"use strict";

const TextAdapter = require("crosscheck/probe/node/adapter");

const toy = require("./toy");

class NodeToy extends TextAdapter {
  settle() {
    for (const work of toy.pending.splice(0)) work();
  }

  async left() {
    const arrays = {};
    for (const [name, value] of Object.entries(toy.gradients)) arrays[name] = await this.array(value);
    return arrays;
  }

  switched() {
    return { ...toy.switched };
  }

  flags() {
    return { ...toy.flags };
  }
}

module.exports = NodeToy;
