// The toy on Node: networks of one batch normalization over the second of two axes, and modes that do one thing wrong.

"use strict";

const fs = require("fs");
const path = require("path");

const { Adapter, NotInRelease } = require("crosscheck/probe/node/adapter");

const KEEP = 0.9;

class NodeToy extends Adapter {
  trainingFlag = false;

  load() {
    this.Tensor = require("onnxruntime-common").Tensor;
  }

  build(network, mode, shares) {
    const [node] = network.graph.nodes;
    const own = Object.fromEntries(
      Object.entries(network.weights).map(([name, value]) => [name, this.tensor(value)]),
    );
    const tensors = { ...own, ...(shares && shares.tensors) };
    const [gamma, beta, mean, variance] = node.inputs.slice(1).map((name) => tensors[name].data);
    return { tensors, gamma, beta, mean, variance, names: node.inputs, epsilon: node.attributes.epsilon, pending: [] };
  }

  tensor({ shape, data }) {
    return new this.Tensor("float32", data.slice(), shape);
  }

  async array(value) {
    const { dims, data } = await value;
    return { dtype: "<f4", shape: [...dims], data: data.slice() };
  }

  predict(model, x) {
    return this.normalise(model, x, model).y;
  }

  forward(model, x) {
    return this.predict(model, x);
  }

  /** The batch's own statistics, per channel. */
  statistics({ dims: [rows, channels], data }) {
    const mean = new Float64Array(channels);
    const variance = new Float64Array(channels);
    data.forEach((value, at) => (mean[at % channels] += value / rows));
    data.forEach((value, at) => (variance[at % channels] += (value - mean[at % channels]) ** 2 / rows));
    return { mean, variance };
  }

  normalise(model, { dims, data }, { mean, variance }) {
    const channels = dims[1];
    const scale = Float64Array.from(variance, (value) => 1 / Math.sqrt(value + model.epsilon));
    const normal = Float64Array.from(data, (value, at) => (value - mean[at % channels]) * scale[at % channels]);
    const y = Float32Array.from(normal, (value, at) => model.gamma[at % channels] * value + model.beta[at % channels]);
    return { scale, normal, y: new this.Tensor("float32", y, dims) };
  }

  update(model, x) {
    const batch = this.statistics(x);
    for (const name of ["mean", "variance"]) {
      batch[name].forEach((value, at) => (model[name][at] = KEEP * model[name][at] + (1 - KEEP) * value));
    }
  }

  async gradient(model, x, cotangent, mode, between) {
    if (mode === "leak-forward") this.update(model, x);
    await between();
    const [rows, channels] = x.dims;
    const training = mode !== "inference";
    const { scale, normal } = this.normalise(model, x, training ? this.statistics(x) : model);
    const [mean, along] = [new Float64Array(channels), new Float64Array(channels)];
    if (training) {
      cotangent.data.forEach((value, at) => (mean[at % channels] += value / rows));
      cotangent.data.forEach((value, at) => (along[at % channels] += (value * normal[at]) / rows));
    }
    const dx = Float32Array.from(cotangent.data, (value, at) => {
      const channel = at % channels;
      return model.gamma[channel] * scale[channel] * (value - mean[channel] - normal[at] * along[channel]);
    });
    await this.misbehave(model, x, mode);
    return new this.Tensor("float32", dx, x.dims);
  }

  misbehave(model, x, mode) {
    const ways = {
      "leak-backward": () => this.update(model, x),
      "leak-later": () => model.pending.push(() => this.update(model, x)),
      "input-written": () => x.data.fill(7),
      "mode-left-changed": () => (this.trainingFlag = true),
      refused: () => Promise.reject(new TypeError("the toy does not do that")),
      "lacks-something": () => Promise.reject(new NotInRelease("this release has no toy.something")),
      crash: () => {
        process.stderr.write("toy: about to crash\n");
        process.abort();
      },
      hang: () => {
        for (;;);
      },
      "eats-memory": () => {
        for (const eaten = []; ; ) eaten.push(Buffer.alloc(10 ** 7, 1));
      },
    };
    return ways[mode] && ways[mode]();
  }

  export(model, mode, folder) {
    const file = path.join(folder, "toy.json");
    const plain = Object.entries(model.tensors).map(([name, { dims, data }]) => [name, dims, [...data]]);
    fs.writeFileSync(file, JSON.stringify(plain));
    const read = JSON.parse(fs.readFileSync(file, "utf8"));
    const tensors = Object.fromEntries(
      read.map(([name, dims, data]) => [name, new this.Tensor("float32", Float32Array.from(data), dims)]),
    );
    const [gamma, beta, mean, variance] = model.names.slice(1).map((name) => tensors[name].data);
    return { ...model, tensors, gamma, beta, mean, variance };
  }

  state(model) {
    return model.tensors;
  }

  parameters(model) {
    const [, gamma, beta] = model.names;
    return { [gamma]: model.tensors[gamma], [beta]: model.tensors[beta] };
  }

  settle(model) {
    for (const work of model.pending.splice(0)) work();
  }

  flags() {
    return { training: this.trainingFlag };
  }
}

module.exports = NodeToy;
