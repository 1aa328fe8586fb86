"""Each way of asking, as users of TensorFlow.js write it: a call of the model, and a gradient function around it."""

from crosscheck.runtimes.family.keras import LEFT_OUT
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

TFJS = Modes(inference="apply.eval.grad", training="apply.train.grad")

#: Half -> intent, contract, arguments of `apply`.
HALVES: dict[str, tuple[str, Contract, str]] = {
    "train": ("training", contracts.TRAINING, "x, { training: true }"),
    "eval": ("inference", contracts.EVALUATION, "x, { training: false }"),
}
GRAD = "dx = tf.grad((x) => net.apply({}))(x, cotangent);\n"

for half, (intent, contract, arguments) in HALVES.items():
    TFJS.gradient(f"apply.{half}.grad", intent, contract, GRAD.format(arguments), default=True)
TFJS.gradient("apply.grad", "inference", contracts.EVALUATION, GRAD.format("x"))
TFJS.gradient(
    "predict.grad",
    "inference",
    contracts.PREDICT,
    "dx = tf.grad((x) => net.predict(x))(x, cotangent);\n",
    default=True,
)
TFJS.gradient(
    "predict-on-batch.grad",
    "inference",
    contracts.PREDICT_ON_BATCH,
    "dx = tf.grad((x) => net.predictOnBatch(x))(x, cotangent);\n",
)
for half, (intent, _, arguments) in HALVES.items():
    TFJS.gradient(
        f"tidy.apply.{half}.grad",
        intent,
        contracts.TIDY,
        f"dx = tf.tidy(() => tf.grad((x) => net.apply({arguments}))(x, cotangent));\n",
    )
for half, (intent, contract, arguments) in HALVES.items():
    TFJS.gradient(
        f"apply.{half}.value-and-grad",
        intent,
        contract,
        f"dx = tf.valueAndGrad((x) => net.apply({arguments}))(x, cotangent).grad;\n",
    )
for half, (intent, contract, arguments) in HALVES.items():
    TFJS.gradient(
        f"apply.{half}.variable-grads",
        intent,
        contract,
        f"""\
const image = tf.variable(x);
const loss = () => tf.sum(tf.mul(net.apply({arguments.replace("x", "image", 1)}), cotangent));
dx = tf.variableGrads(loss, [image]).grads[image.name];
""",
    )
TRAIN = GRAD.format("x, { training: true }")
TFJS.gradient("not-trainable.apply.train.grad", "training", contracts.TRAINABLE, f"net.trainable = false;\n{TRAIN}")
#: Told to train; unlike in Keras, nothing says that `trainable` overrules that.
TFJS.gradient(
    "frozen.apply.train.grad",
    "training",
    contracts.TRAINABLE,
    """\
for (const layer of net.layers) {
  if (layer.getClassName() === "BatchNormalization") layer.trainable = false;
}
"""
    + TRAIN,
    default=True,
)
for half, (intent, contract, arguments) in HALVES.items():
    TFJS.gradient(
        f"channels-first.{half}.grad",
        intent,
        contract,
        GRAD.format(arguments),
        kind="channels-first",
        inference="channels-first.eval.grad",
        training="channels-first.train.grad" if intent == "inference" else None,
    )
# Layers without a scale or a bias predict; in training and for a gradient they are refused.
for name, fields in LEFT_OUT.items():
    for half, (intent, contract, arguments) in HALVES.items():
        TFJS.gradient(
            f"{name}.{half}.grad",
            intent,
            contract,
            GRAD.format(arguments),
            inference=f"{name}.eval.grad",
            training=f"{name}.train.grad" if intent == "inference" else None,
            **fields,
        )
    TFJS.prediction(f"{name}.predict", "inference", contracts.PREDICT, "y = net.predict(x);\n", **fields)
TFJS.prediction("predict", "inference", contracts.PREDICT, "y = net.predict(x);\n", default=True)
TFJS.prediction("predict-on-batch", "inference", contracts.PREDICT_ON_BATCH, "y = net.predictOnBatch(x);\n")
TFJS.prediction("apply", "inference", contracts.EVALUATION, "y = net.apply(x);\n")
for half, (intent, contract, arguments) in HALVES.items():
    TFJS.prediction(f"apply.{half}", intent, contract, f"y = net.apply({arguments});\n")
TFJS.export(
    "save",
    "inference",
    contracts.SAVED,
    "await net.save(handler);\n---\nnet = await tf.loadLayersModel(handler);\n",
    once="""\
const handler = {
  async save(artifacts) {
    handler.artifacts = artifacts;
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
  },
  async load() {
    return handler.artifacts;
  },
};
""",
    default=True,
)

MODES = tuple(TFJS)
