// TensorFlow.js: what only code can do. Networks and modes are texts (network.py, modes.py).

"use strict";

const TextAdapter = require("crosscheck/probe/node/adapter");

class TensorFlowJS extends TextAdapter {
  /** What `trainableWeights` of the layers shows: no statistics, and nothing of a layer that is not trainable. */
  async parameters(model) {
    const shown = new Set(
      model.names.net.layers.flatMap(({ trainableWeights }) => trainableWeights.map((weight) => weight.read())),
    );
    const names = [];
    for (const [name, [expression]] of Object.entries(model.source.tensors)) {
      if (shown.has(await model.evaluate(expression))) names.push(name);
    }
    return this.read(model, names);
  }
}

module.exports = TensorFlowJS;
