// TensorFlow.js on Node, with its CPU backend: one function a mode, in the words of its users.

"use strict";

const { Adapter } = require("crosscheck/probe/node/adapter");
const { build, graphLayout, poolClasses } = require("./layers");

/** Mode -> (tf, net, x, dy) -> dx. `net` is a `tf.LayersModel`. */
const GRADIENTS = {
  "apply.train.grad": (tf, net, x, dy) => tf.grad((x) => net.apply(x, { training: true }))(x, dy),
  "apply.eval.grad": (tf, net, x, dy) => tf.grad((x) => net.apply(x, { training: false }))(x, dy),
  "apply.grad": (tf, net, x, dy) => tf.grad((x) => net.apply(x))(x, dy),
  "predict.grad": (tf, net, x, dy) => tf.grad((x) => net.predict(x))(x, dy),
  "predict-on-batch.grad": (tf, net, x, dy) => tf.grad((x) => net.predictOnBatch(x))(x, dy),
  "tidy.apply.train.grad": (tf, net, x, dy) => tf.tidy(() => GRADIENTS["apply.train.grad"](tf, net, x, dy)),
  "tidy.apply.eval.grad": (tf, net, x, dy) => tf.tidy(() => GRADIENTS["apply.eval.grad"](tf, net, x, dy)),
  "apply.train.value-and-grad": (tf, net, x, dy) =>
    tf.valueAndGrad((x) => net.apply(x, { training: true }))(x, dy).grad,
  "apply.eval.value-and-grad": (tf, net, x, dy) =>
    tf.valueAndGrad((x) => net.apply(x, { training: false }))(x, dy).grad,
  "apply.train.variable-grads": (tf, net, x, dy) => variableGrads(tf, net, x, dy, true),
  "apply.eval.variable-grads": (tf, net, x, dy) => variableGrads(tf, net, x, dy, false),
  "not-trainable.apply.train.grad": (tf, net, x, dy) => {
    net.trainable = false;
    return GRADIENTS["apply.train.grad"](tf, net, x, dy);
  },
  "frozen.apply.train.grad": (tf, net, x, dy) => {
    for (const layer of net.layers) {
      if (layer.getClassName() === "BatchNormalization") layer.trainable = false;
    }
    return GRADIENTS["apply.train.grad"](tf, net, x, dy);
  },
};
GRADIENTS["channels-first.train.grad"] = GRADIENTS["apply.train.grad"];
GRADIENTS["channels-first.eval.grad"] = GRADIENTS["apply.eval.grad"];

/** The input as a variable, and the gradient of a scalar loss. */
function variableGrads(tf, net, x, dy, training) {
  const image = tf.variable(x);
  const { grads } = tf.variableGrads(() => tf.sum(tf.mul(net.apply(image, { training }), dy)), [image]);
  return grads[image.name];
}

/** Mode -> (net, x) -> y. */
const PREDICTIONS = {
  predict: (net, x) => net.predict(x),
  "predict-on-batch": (net, x) => net.predictOnBatch(x),
  "apply.train": (net, x) => net.apply(x, { training: true }),
  "apply.eval": (net, x) => net.apply(x, { training: false }),
  apply: (net, x) => net.apply(x),
};

const TO_LAST = [0, 2, 3, 1];
const TO_FIRST = [0, 3, 1, 2];

class TensorFlowJS extends Adapter {
  /** Import the runtime; it chooses its backend here, and allocates nothing. */
  async load() {
    // What `require("@tensorflow/tfjs")` gives, of the parts that are installed.
    this.tf = { ...require("@tensorflow/tfjs-core"), ...require("@tensorflow/tfjs-layers") };
    // 1.0.0 has its CPU backend in the core.
    if (!this.tf.version_core.startsWith("1.")) require("@tensorflow/tfjs-backend-cpu");
    this.tf.setBackend("cpu");
    if (this.tf.ready) await this.tf.ready();
    this.pools = poolClasses(this.tf);
  }

  build(network, mode, shares) {
    return { graph: network.graph, ...build(this.tf, this.pools, network, mode.startsWith("channels-first"), shares) };
  }

  tensor({ shape, data }) {
    return this.tf.tensor(data.slice(), shape);
  }

  array(value) {
    return { dtype: "<f4", shape: [...value.shape], data: Float32Array.from(value.dataSync()) };
  }

  /** A tensor in the network's layout, channels first, as the model takes it; and back. */
  given({ first }, value) {
    return first || value.shape.length !== 4 ? value : this.tf.transpose(value, TO_LAST);
  }

  returned({ first }, value) {
    return first || value.shape.length !== 4 ? value : this.tf.transpose(value, TO_FIRST);
  }

  predict(built, x) {
    return this.returned(built, built.model.predict(this.given(built, x)));
  }

  forward(built, x, mode) {
    return this.returned(built, PREDICTIONS[mode](built.model, this.given(built, x)));
  }

  /** `tf.grad` does forward and backward in one call. */
  gradient(built, x, cotangent, mode, between) {
    const dx = GRADIENTS[mode](this.tf, built.model, this.given(built, x), this.given(built, cotangent));
    return this.returned(built, dx);
  }

  /** `save` to a handler that keeps what it is given, and `loadLayersModel` from one that gives it back. */
  async export(built, mode, folder) {
    let kept;
    await built.model.save({
      save: async (artifacts) => {
        kept = artifacts;
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
      },
    });
    return { ...built, model: await this.tf.loadLayersModel({ load: async () => kept }) };
  }

  state(built) {
    return this.weights(built, ({ weights }) => weights);
  }

  /** What `trainableWeights` of the layers shows: no statistics, and nothing of a layer that is not trainable. */
  parameters(built) {
    return this.weights(built, ({ trainableWeights }) => trainableWeights);
  }

  weights({ layers }, view) {
    const found = {};
    for (const [key, made] of layers) {
      const owner = made.at(-1);
      const all = owner.weights;
      key.split(" ").forEach((name, at) => {
        if (view(owner).some(({ id }) => id === all[at].id)) {
          found[name] = graphLayout(this.tf, owner.getClassName(), all[at].read());
        }
      });
    }
    return found;
  }

  layers(built, x, mode) {
    const names = Object.keys(built.values);
    const exposed = this.tf.model({ inputs: built.model.inputs[0], outputs: names.map((name) => built.values[name]) });
    const outputs = [PREDICTIONS[mode](exposed, this.given(built, x))].flat();
    return Object.fromEntries(names.map((name, at) => [name, this.returned(built, outputs[at])]));
  }
}

module.exports = TensorFlowJS;
