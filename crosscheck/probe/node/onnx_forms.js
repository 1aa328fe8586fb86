// Runtimes on Node that read ONNX files: crosscheck/probe/onnx_forms.py for Node.

"use strict";

const { Adapter } = require("./adapter");

/** A mode is the form in which the network is written; an adapter says how a file is loaded, and how it is run. */
class FormAdapter extends Adapter {
  /** The form that `predict` uses where the mode's own form is not an inference form. */
  static inferenceForm = "";

  /** What runs the ONNX file at `path`. */
  session(path) {
    throw new Error("an adapter says how a file is loaded");
  }

  /** All outputs of the file, in its order, for inputs by name. */
  run(session, feeds) {
    throw new Error("an adapter says how a file is run");
  }

  /** Read the form's file. Two files have no tensor in common, so `shares` changes nothing. */
  async build(network, mode, shares) {
    const form = this.modes.find(({ name }) => name === mode);
    const fed = mode.includes("-fed") ? this.statistics(network) : {};
    const suffix = Object.keys(fed).length > 0 ? "-fed" : "";
    const asked = await this.session(network.onnx[mode]);
    let [predicts, inference] = [asked, asked];
    if (form.asks === "gradient" || form.intent === "training") {
      const plain = form.file ? "file" : this.constructor.inferenceForm + suffix;
      predicts = await this.session(network.onnx[plain]);
    }
    if (form.inference !== mode) {
      inference = form.inference === null ? null : await this.session(network.onnx[form.inference]);
    }
    return {
      asked,
      predicts,
      inference,
      exposed: network.onnx[`${mode}-exposed`],
      tensors: network.graph.nodes.map(({ outputs }) => outputs[0]),
      input: network.graph.inputs[0].name,
      cotangent: `${network.graph.outputs[0].name}.cotangent`,
      fed,
    };
  }

  /** Run the inference form. */
  async predict(model, x) {
    return (await this.run(model.predicts, { ...model.fed, [model.input]: x }))[0];
  }

  /** Run the form under test and keep its first output: new statistics are dropped, as by who only wants y. */
  async forward(model, x, mode) {
    return (await this.run(model.asked, { ...model.fed, [model.input]: x }))[0];
  }

  /** Run the file and keep its second output, the gradient; one call does forward and backward. */
  async gradient(model, x, cotangent, mode, between) {
    const session = mode.includes("-training") || mode.includes("-batch") ? model.asked : model.inference;
    return (await this.run(session, { ...model.fed, [model.input]: x, [model.cotangent]: cotangent }))[1];
  }

  /** Run the form whose every tensor is an output: the network's own comes first, the nodes' others last, in order. */
  async layers(model, x, mode) {
    const outputs = await this.run(await this.session(model.exposed), { ...model.fed, [model.input]: x });
    const [own, ...others] = [model.tensors.at(-1), ...model.tensors.slice(0, -1)];
    const inner = outputs.slice(outputs.length - others.length);
    return { [own]: outputs[0], ...Object.fromEntries(others.map((name, index) => [name, inner[index]])) };
  }

  /** The tensors that the user feeds: whatever a runtime does with them is there to see. */
  state(model) {
    return model.fed;
  }

  /** The moving statistics, in tensors of the user's own. */
  statistics(network) {
    const names = network.graph.nodes
      .filter(({ op }) => op === "BatchNormalization")
      .flatMap(({ inputs }) => inputs.slice(3));
    return Object.fromEntries(names.map((name) => [name, this.tensor(network.weights[name])]));
  }
}

module.exports = { FormAdapter };
