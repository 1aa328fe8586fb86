// The verbs that every adapter on Node has: crosscheck/probe/adapter.py for Node, where each may be asynchronous.

"use strict";

/** Thrown by an adapter when the loaded release lacks what a mode needs; the text says what is missing. */
class NotInRelease extends Error {}

/**
 * One class per runtime, exported by its `adapter.js`. The verbs mean what they mean in Python; a network has `graph`,
 * `weights`, `onnx`, `batch` and `scratch`. Numbers travel as {dtype, shape, data}, what `arrays.js` reads.
 */
class Adapter {
  /** `modes`: the runtime's table of modes, as its `adapter.py` declares it. */
  constructor(modes) {
    this.modes = modes;
  }

  /** Import the runtime. */
  load() {
    throw new Error("an adapter says how its runtime is loaded");
  }

  /** Make the network ready to be asked in `mode`; with `shares`, layers of the same weights are that model's own. */
  build(network, mode, shares) {
    throw new Error("an adapter says how a network is built");
  }

  /** The runtime's tensor with these numbers; a copy of them. */
  tensor(array) {
    return { ...array, data: array.data.slice() };
  }

  /** The numbers in the runtime's tensor, waiting for them if they are not there yet. */
  array(value) {
    return { ...value, data: value.data.slice() };
  }

  /** The documented way to predict. */
  predict(model, x) {
    throw new Error("an adapter says how its runtime predicts");
  }

  /** Carry out a mode that asks for a prediction. */
  forward(model, x, mode) {
    throw new Error(`${mode} asks for a prediction, which this adapter does not carry out`);
  }

  /** Carry out a mode that asks for d sum(output * cotangent) / d x; `between` is called after forward. */
  gradient(model, x, cotangent, mode, between) {
    throw new Error(`${mode} asks for a gradient, which this adapter does not carry out`);
  }

  /** Carry out a mode that asks for an export: write files to `folder`, read them back, return that. */
  export(model, mode, folder) {
    throw new Error(`${mode} asks for an export, which this adapter does not carry out`);
  }

  /** Every persistent tensor, hidden ones too, by name. */
  state(model) {
    return {};
  }

  /** What the runtime's public parameter view shows, under the same names. */
  parameters(model) {
    return {};
  }

  /** What each node puts out for x in a mode that asks for a prediction, under the graph's names of tensors. */
  layers(model, x, mode) {
    return {};
  }

  /** Wait for all asynchronous work of the runtime. */
  settle(model) {}

  /** The runtime's global mode flags, where it has any. */
  flags() {
    return {};
  }
}

module.exports = { Adapter, NotInRelease };
