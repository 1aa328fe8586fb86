// TensorFlow.js: what only code can do. Networks and modes are texts (network.py, modes.py).

"use strict";

const TextAdapter = require("crosscheck/probe/node/adapter");

class TensorFlowJS extends TextAdapter {
  /** What `trainableWeights` of the layers shows: no statistics, and nothing of a layer that is not trainable. */
  async parameters(model) {
    const shown = new Set(
      model.names.net.layers.flatMap(({ trainableWeights }) => trainableWeights.map((weight) => weight.read())),
    );
    const tensors = [];
    for (const [name, [expression, axes]] of Object.entries(model.source.tensors)) {
      if (shown.has(await model.evaluate(expression))) tensors.push([name, [expression, axes]]);
    }
    return this.read(model, tensors);
  }
}

module.exports = TensorFlowJS;
