// The network in TensorFlow.js's own layers, as a `tf.model`; channels last, or first where a mode says so.
//
// What a layer cannot say it is not made to say: groups of a convolution, and convolutions over one axis, are refused.

"use strict";

/** Whether ONNX's pads, all beginnings and then all ends, are all zero. */
function unpadded(pads) {
  return pads.every((width) => width === 0);
}

/** ONNX's pads as [[top, bottom], [left, right]]. */
function sides([top, left, bottom, right]) {
  return [[top, bottom], [left, right]];
}

/** Layers that users write for themselves: pools with pads of any width, which the library's own do not take. */
function poolClasses(tf) {
  class PaddedPool extends tf.layers.Layer {
    constructor(config) {
      super(config);
      this.settings = config.settings;
    }

    computeOutputShape(shape) {
      const axes = this.settings.channelsFirst ? [2, 3] : [1, 2];
      const found = shape.slice();
      axes.forEach((axis, at) => {
        const [before, after] = sides(this.settings.pads)[at];
        const whole = shape[axis] + before + after - this.settings.kernel[at];
        found[axis] = Math.floor(whole / this.settings.strides[at]) + 1;
      });
      return found;
    }

    call(inputs) {
      return tf.tidy(() => {
        const x = Array.isArray(inputs) ? inputs[0] : inputs;
        if (!this.settings.channelsFirst) return this.pool(x);
        return tf.transpose(this.pool(tf.transpose(x, [0, 2, 3, 1])), [0, 3, 1, 2]);
      });
    }

    padded(x, value) {
      return tf.pad(x, [[0, 0], ...sides(this.settings.pads), [0, 0]], value);
    }

    getConfig() {
      return { ...super.getConfig(), settings: this.settings };
    }
  }

  class PaddedMaxPool extends PaddedPool {
    static get className() {
      return "PaddedMaxPool";
    }

    pool(x) {
      return tf.maxPool(this.padded(x, -Infinity), this.settings.kernel, this.settings.strides, "valid");
    }
  }

  class PaddedAveragePool extends PaddedPool {
    static get className() {
      return "PaddedAveragePool";
    }

    pool(x) {
      const pool = (value) => tf.avgPool(this.padded(value, 0), this.settings.kernel, this.settings.strides, "valid");
      // Where padding does not count, the share of real entries in each window is divided out.
      return this.settings.counted ? pool(x) : tf.div(pool(x), pool(tf.onesLike(x)));
    }
  }

  tf.serialization.registerClass(PaddedMaxPool);
  tf.serialization.registerClass(PaddedAveragePool);
  return { MaxPool: PaddedMaxPool, AveragePool: PaddedAveragePool };
}

/** Operator -> (tf, node, weights, first) -> the layer, or several one after the other. */
const LAYERS = {
  BatchNormalization: (tf, { attributes }, weights, first, rank) =>
    tf.layers.batchNormalization({
      axis: first || rank === 2 ? 1 : -1,
      momentum: attributes.momentum,
      epsilon: attributes.epsilon,
    }),
  Conv: convolution,
  Gemm: (tf, node, weights) => tf.layers.dense({ units: weights[node.inputs[1]].shape[0] }),
  Relu: (tf) => tf.layers.reLU(),
  Softmax: (tf) => tf.layers.softmax({ axis: -1 }),
  Add: (tf) => tf.layers.add(),
  Concat: (tf, { attributes }, weights, first, rank) =>
    tf.layers.concatenate({ axis: first || rank === 2 ? attributes.axis : [0, 3, 1, 2][attributes.axis] }),
};

function convolution(tf, { attributes, inputs }, weights, first) {
  if (attributes.kernel_shape.length !== 2) throw new Error("Conv over one axis is not among the layers made here");
  if (attributes.group !== 1) throw new Error("Conv with groups is not among the layers of TensorFlow.js");
  const dataFormat = first ? "channelsFirst" : "channelsLast";
  const own = tf.layers.conv2d({
    filters: weights[inputs[1]].shape[0],
    kernelSize: attributes.kernel_shape,
    strides: attributes.strides,
    dilationRate: attributes.dilations,
    padding: "valid",
    useBias: inputs.length > 2,
    dataFormat,
  });
  if (unpadded(attributes.pads)) return own;
  return [tf.layers.zeroPadding2d({ padding: sides(attributes.pads), dataFormat }), own];
}

/** The layers of a node without weights whose shape or layout must be told. */
function shaped(tf, { op, attributes }, value, first, pools) {
  const channels = value.shape[first ? 1 : value.shape.length - 1];
  if (op === "Flatten") {
    if (value.shape.length !== 4) return [tf.layers.flatten()];
    return first ? [tf.layers.flatten()] : [tf.layers.permute({ dims: [3, 1, 2] }), tf.layers.flatten()];
  }
  const dataFormat = first ? "channelsFirst" : "channelsLast";
  if (op === "GlobalAveragePool") {
    const targetShape = first ? [channels, 1, 1] : [1, 1, channels];
    return [tf.layers.globalAveragePooling2d({ dataFormat }), tf.layers.reshape({ targetShape })];
  }
  const { kernel_shape: kernel, strides, pads } = attributes;
  if (kernel.length !== 2) throw new Error(`${op} over one axis is not among the layers made here`);
  if (unpadded(pads)) {
    const make = op === "MaxPool" ? tf.layers.maxPooling2d : tf.layers.averagePooling2d;
    return [make({ poolSize: kernel, strides, padding: "valid", dataFormat })];
  }
  const settings = { kernel, strides, pads, counted: Boolean(attributes.count_include_pad), channelsFirst: first };
  return [new pools[op]({ settings })];
}

/** A weight as the layer holds it: kernels (height, width, in, out), matrices (in, out). */
function ownLayout(tf, op, { shape, data }) {
  const value = tf.tensor(data.slice(), shape);
  if (op === "Conv" && shape.length === 4) return tf.transpose(value, [2, 3, 1, 0]);
  return op === "Gemm" && shape.length === 2 ? tf.transpose(value) : value;
}

/** A layer's weight as the graph has it. */
function graphLayout(tf, className, value) {
  if (className === "Conv2D" && value.shape.length === 4) return tf.transpose(value, [3, 2, 0, 1]);
  return className === "Dense" && value.shape.length === 2 ? tf.transpose(value) : value;
}

/**
 * The network as a model.
 *
 * `shares` gives layers by the names of their weights. Found: `model`; `layers`, likewise; `values`, the symbolic
 * tensor of each node by the graph's name of its output.
 */
function build(tf, pools, { graph, weights }, first, shares) {
  const layers = new Map(shares ? shares.layers : []);
  const [entry] = graph.inputs;
  const [channels, ...size] = entry.shape.slice(1);
  const input = tf.input({ shape: first ? [channels, ...size] : [...size, channels] });
  const values = { [entry.name]: input };
  for (const node of graph.nodes) {
    const names = node.inputs.filter((name) => name in weights);
    const inputs = node.inputs.filter((name) => name in values).map((name) => values[name]);
    const [value] = inputs;
    const key = names.join(" ");
    const made =
      names.length > 0 && layers.has(key)
        ? layers.get(key)
        : node.op in LAYERS
          ? [LAYERS[node.op](tf, node, weights, first, value.shape.length)].flat()
          : shaped(tf, node, value, first, pools);
    const found = made.reduce((last, layer) => layer.apply(last), inputs.length > 1 ? inputs : value);
    if (names.length > 0 && !layers.has(key)) {
      made.at(-1).setWeights(names.map((name) => ownLayout(tf, node.op, weights[name])));
      layers.set(key, made);
    }
    values[node.outputs[0]] = found;
  }
  const output = values[graph.outputs[0].name];
  delete values[entry.name];
  return { model: tf.model({ inputs: input, outputs: output }), layers, values, first };
}

module.exports = { build, graphLayout, poolClasses };
