// TensorFlow.js: what only code can do. Networks and modes are texts (network.py, modes.py).
//
// A gradient function returns all gradients that it computes: neither variables nor layers keep any, and they have no
// hooks but the one of `setCallHook`, which replaces the one before. So calls leave nothing of that kind (`left`). What a
// call can leave are `trainable` flags of layers and weights (`switched`), and the tape on (`flags`); there is no global
// learning phase. Tensors that nobody disposed of, which `tf.memory()` counts, are the caller's own.

"use strict";

const TextAdapter = require("crosscheck/probe/node/adapter");

class TensorFlowJS extends TextAdapter {
  built = new Map(); // model -> its flags, when it was built

  /** The network; which of its layers and weights are trainable is kept. */
  async build(network, mode, shares) {
    const model = await super.build(network, mode, shares);
    this.built.set(model, trainable(model));
    return model;
  }

  /** Layers and weights that are no longer trainable, or are by now, unless a text sets such flags itself. */
  switched(model) {
    const built = this.built.get(model);
    if (!built || model.says(".trainable =")) return {};
    return Object.fromEntries(Object.entries(trainable(model)).filter(([name, flag]) => flag !== built[name]));
  }

  /** Whether operations are recorded for a gradient, which release 1 names otherwise. */
  flags() {
    const { core } = this.imported.names;
    const engine = core.engine ? core.engine() : core.ENV.engine;
    return { tape: engine.isTapeOn ? engine.isTapeOn() : engine.shouldRecord() };
  }

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

/** The flag of each layer that has weights, and of each of its weights. */
function trainable({ names: { net } }) {
  return Object.fromEntries(
    net.layers
      .filter(({ weights }) => weights.length)
      .flatMap((layer) => [layer, ...layer.weights])
      .map(({ name, trainable }) => [name, trainable]),
  );
}

module.exports = TensorFlowJS;
