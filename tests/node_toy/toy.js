// The toy: one batch normalization over the second of two axes, and functions that do one thing wrong.

"use strict";

const { Tensor } = require("onnxruntime-common");

const KEEP = 0.9;

/** Deferred work, done when the caller waits. */
const pending = [];

/** The runtime's global mode flags. */
const flags = { training: false };

/** Gradients of parameters that calls left, by name. */
const gradients = {};

/** Flags of layers that calls switched, by the layer's name. */
const switched = {};

function tensor({ shape, data }) {
  return new Tensor("float32", data, shape);
}

function array({ dims, data }) {
  return { shape: dims, data };
}

/** The batch's own statistics, per channel. */
function statistics({ dims: [rows, channels], data }) {
  const mean = new Float64Array(channels);
  const variance = new Float64Array(channels);
  data.forEach((value, at) => (mean[at % channels] += value / rows));
  data.forEach((value, at) => (variance[at % channels] += (value - mean[at % channels]) ** 2 / rows));
  return { mean, variance };
}

class BatchNormalization {
  /** Four tensors. */
  constructor({ gamma, beta, mean, variance, epsilon }) {
    Object.assign(this, { gamma, beta, mean, variance, epsilon });
  }

  predict(x) {
    return this.normalize(x, { mean: this.mean.data, variance: this.variance.data }).y;
  }

  normalize({ dims, data }, { mean, variance }) {
    const channels = dims[1];
    const [gamma, beta] = [this.gamma.data, this.beta.data];
    const scale = Float64Array.from(variance, (value) => 1 / Math.sqrt(value + this.epsilon));
    const normal = Float64Array.from(data, (value, at) => (value - mean[at % channels]) * scale[at % channels]);
    const y = Float32Array.from(normal, (value, at) => gamma[at % channels] * value + beta[at % channels]);
    return { scale, normal, y: new Tensor("float32", y, dims) };
  }

  /** Move the statistics towards the batch's. */
  update(x) {
    const batch = statistics(x);
    for (const name of ["mean", "variance"]) {
      const { data } = this[name];
      batch[name].forEach((value, at) => (data[at] = KEEP * data[at] + (1 - KEEP) * value));
    }
  }

  async gradient(x, cotangent, { training }) {
    const [rows, channels] = x.dims;
    const own = { mean: this.mean.data, variance: this.variance.data };
    const { scale, normal } = this.normalize(x, training ? statistics(x) : own);
    const [mean, along] = [new Float64Array(channels), new Float64Array(channels)];
    if (training) {
      cotangent.data.forEach((value, at) => (mean[at % channels] += value / rows));
      cotangent.data.forEach((value, at) => (along[at % channels] += (value * normal[at]) / rows));
    }
    const dx = Float32Array.from(cotangent.data, (value, at) => {
      const channel = at % channels;
      return this.gamma.data[channel] * scale[channel] * (value - mean[channel] - normal[at] * along[channel]);
    });
    return new Tensor("float32", dx, x.dims);
  }
}

/** The layer as JSON types, and back. */
function written(layer) {
  return Object.entries(layer).map(([name, value]) => [name, value.dims ? [value.dims, [...value.data]] : value]);
}

function restored(entries) {
  const values = entries.map(([name, value]) => [name, value.length ? tensor({ shape: value[0], data: value[1] }) : value]);
  return new BatchNormalization(Object.fromEntries(values));
}

function refuse() {
  throw new TypeError("the toy does not do that");
}

function crash() {
  process.stderr.write("toy: about to crash\n");
  process.abort();
}

function hang() {
  for (;;);
}

function eatMemory() {
  for (const eaten = []; ; ) eaten.push(Buffer.alloc(10 ** 7, 1));
}

module.exports = {
  BatchNormalization,
  array,
  crash,
  eatMemory,
  flags,
  gradients,
  hang,
  pending,
  refuse,
  restored,
  switched,
  tensor,
  written,
};
