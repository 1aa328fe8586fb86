// The verbs of runtimes whose networks and modes are texts: what crosscheck/probe/texts.py has beside its `Model`.

"use strict";

const fs = require("fs");
const path = require("path");

const { copied, dtypeOf, transposed } = require("./arrays");
const { Model, load } = require("./texts");

/** The verbs; a runtime's own `adapter.js` exports a class that extends this one. Each may be asynchronous. */
class TextAdapter {
  models = 0; // how many there are

  /** Import the runtime, and whatever else the program's sources import. */
  load(program) {
    Object.values(program.sources).forEach(load);
  }

  /** Execute the source; with `shares`, among a copy of that model's names, whose network is `net` until then. */
  async build(network, mode, shares) {
    const other = shares && shares.network.graph !== network.graph;
    const folder = provide(network, other ? "readout" : "files");
    const model = new Model(network, `network_${this.models++}`, folder, shares ? shares.names : {}, shares);
    model.names.weights = Object.fromEntries(
      Object.entries(network.weights).map(([name, value]) => [name, copied(value)]),
    );
    if (!shares) await model.run(model.source.imports, "imports");
    this.expressions = { tensor: model.source.tensor, array: model.source.array };
    this.imported = model; // whose names the expressions use; they are the same for all models
    await model.run(model.source.text, "network");
    return model;
  }

  /** The source's expression for a tensor, of a copy of the array. */
  tensor(array) {
    return this.imported.evaluate(this.expressions.tensor.replaceAll("{}", "value"), copied(array));
  }

  /** The source's expression for a tensor's numbers, copied. */
  async array(value) {
    const { shape, data } = await this.imported.evaluate(this.expressions.array.replaceAll("{}", "value"), value);
    return { dtype: dtypeOf(data), shape: [...shape], data: data.slice() };
  }

  /** The documented prediction, as an array; by a text of its own where the number of rows is another one. */
  async predict(model, x, rows) {
    const part = model.source.classify && rows !== model.network.batch ? "classify" : "predict";
    model.names.x = x;
    await model.run(model.source[part], part);
    return this.array(model.names.y);
  }

  /** A mode that asks for a prediction. */
  async forward(model, x, mode) {
    model.names.x = x;
    await this.ask(model, mode, () => {});
    return model.names.y;
  }

  /** A mode that asks for a gradient; `between` is called where the text has two parts. */
  async gradient(model, x, cotangent, mode, between) {
    Object.assign(model.names, { x, cotangent });
    await this.ask(model, mode, between);
    return model.names.dx;
  }

  /** Execute the texts of a mode, the first part only once a model. */
  async ask(model, mode, between) {
    const { once, forward, backward } = model.texts[mode];
    if (!model.once.has(mode)) {
      model.once.add(mode);
      await model.run(once, `${mode}_once`);
    }
    await model.run(forward, mode);
    if (backward) {
      await between();
      await model.run(backward, `${mode}_backward`);
    }
  }

  /** Execute an export's texts: what writes files, then what reads them back, among a copy of the names. */
  async export(model, mode) {
    const { once, forward, backward, predict } = model.texts[mode];
    model.names.x = await this.tensor(example(model.network));
    await model.run(once, `${mode}_once`);
    await model.run(forward, mode);
    if (!backward) return null;
    const source = { ...model.source, predict: predict || model.source.predict, classify: "" };
    const copy = new Model({ ...model.network, source }, `network_${this.models++}`, model.folder, model.names);
    await copy.run(backward, `${mode}_read_back`);
    return copy;
  }

  /** Every tensor that the source names, as an array in the graph's layout. */
  state(model) {
    return this.read(model, Object.entries(model.source.tensors));
  }

  /** Those that the runtime's public view of parameters shows, by the source. */
  parameters(model) {
    const { tensors, view, public: shown } = model.source;
    return this.read(model, [...shown.map((name) => [name, tensors[name]]), ...Object.entries(view)]);
  }

  /** The arrays of tensors by name, each of an expression and the order of its axes. */
  async read(model, tensors) {
    const arrays = {};
    for (const [name, [expression, axes]] of tensors) {
      const array = await this.array(await model.evaluate(expression));
      arrays[name] = axes ? transposed(array, axes) : array;
    }
    return arrays;
  }

  /** The source's text for what every node puts out, which sets `layers`, as arrays; nothing where it has none. */
  async layers(model, x, mode) {
    Object.assign(model.names, { x, layers: {} });
    await model.run(model.source.layers, "layers");
    const arrays = {};
    for (const [name, value] of Object.entries(model.names.layers)) arrays[name] = await this.array(value);
    return arrays;
  }

  /**
   * What calls left on the network that no prediction reads, as arrays by name: parameter gradients, hooks. Only what a
   * network that was just built does not have, and what the user's own lines did not set.
   */
  left(model) {
    return {};
  }

  /** Each layer whose mode flag is not what the user's own lines set it to, with the flag's value. */
  switched(model) {
    return {};
  }

  /** Wait for all asynchronous work of the runtime. */
  settle(model) {}

  /** The runtime's global mode flags, where it has any. */
  flags() {
    return {};
  }
}

/** Make a folder of the trial's own, where the files that the texts read lie under the names that they use. */
function provide({ scratch, source, onnx }, name) {
  const folder = path.join(scratch, name);
  fs.mkdirSync(folder, { recursive: true });
  for (const [file, form] of Object.entries(source.files)) {
    const link = path.join(folder, file);
    if (!fs.existsSync(link)) fs.symlinkSync(onnx[form], link);
  }
  return folder;
}

/** An input of the shape that the network is probed with, for exporters that trace: 0, 1/n, 2/n ... */
function example({ batch, graph }) {
  const shape = [batch, ...graph.inputs[0].shape.slice(1)];
  const count = shape.reduce((product, length) => product * length, 1);
  return { dtype: "<f4", shape, data: Float32Array.from({ length: count }, (_, at) => at / count) };
}

module.exports = TextAdapter;
