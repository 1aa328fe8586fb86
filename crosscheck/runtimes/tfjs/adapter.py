"""TensorFlow.js on Node, with its CPU backend; `adapter.js` beside this file has the verbs, `layers.js` the network."""

from typing import Optional, Tuple

from crosscheck.probe.adapter import Contract, Mode
from crosscheck.probe.node import NodeAdapter

SITE = "https://js.tensorflow.org/api/latest/"

BATCH_NORM_PAGE = SITE + "#layers.batchNormalization"
TRAINING = Contract(
    "undocumented",
    "The layer normalizes by the statistics of a batch; which call of a model does that, and which one tracks moving "
    "statistics, is not said.",
    BATCH_NORM_PAGE,
)
EVALUATION = Contract(
    "undocumented",
    "The layer normalizes by the statistics of a batch; that without training=true the moving ones are used instead is "
    "not said.",
    BATCH_NORM_PAGE,
)
PREDICT = Contract(
    "stay", "Makes output predictions for input samples, batch by batch.", SITE + "#tf.LayersModel.predict"
)
PREDICT_ON_BATCH = Contract(
    "stay", "Returns predictions for one batch of samples.", SITE + "#tf.LayersModel.predictOnBatch"
)
TIDY = Contract(
    "undocumented",
    "tidy frees the tensors that its function made, except variables and what it returns; writes to variables are not "
    "mentioned.",
    SITE + "#tidy",
)
TRAINABLE = Contract(
    "undocumented",
    "trainable says whether training updates a layer's weights; what it means for moving statistics is not said.",
    SITE + "#layers",
)
SAVED = Contract("stay", "Saves the model's topology and weights.", SITE + "#tf.LayersModel.save")


def mode(
    name: str,
    intent: str,
    call: str,
    contract: Contract,
    asks: str = "gradient",
    inference: Optional[str] = "apply.eval.grad",
    training: Optional[str] = "apply.train.grad",
    default: bool = False,
) -> Mode:
    """One way of asking; the function of that name stands in `adapter.js`."""
    gradient = asks == "gradient"
    return Mode(
        name=name,
        intent=intent,
        asks=asks,
        call=call,
        contract=contract,
        inference=inference if gradient else None,
        training=training if gradient and intent == "inference" else None,
        default=default,
    )


def halves(
    template: str, call: str, contract: Optional[Contract] = None, default: bool = False, own: bool = False
) -> Tuple[Mode, ...]:
    """The same call in training and in inference mode."""
    return tuple(
        mode(
            template.format(half),
            "training" if half == "train" else "inference",
            call.format("true" if half == "train" else "false"),
            contract or (TRAINING if half == "train" else EVALUATION),
            inference=template.format("eval") if own else "apply.eval.grad",
            training=template.format("train") if own else "apply.train.grad",
            default=default,
        )
        for half in ("train", "eval")
    )


class TensorFlowJS(NodeAdapter):
    """Releases of the `@tensorflow/tfjs` package of npm."""

    name = "tfjs"
    shows_layers = True
    modes = (
        *halves("apply.{}.grad", "tf.grad(x => net.apply(x, {{training: {}}}))(x, dy)", default=True),
        mode("apply.grad", "inference", "tf.grad(x => net.apply(x))(x, dy)", EVALUATION),
        mode("predict.grad", "inference", "tf.grad(x => net.predict(x))(x, dy)", PREDICT, default=True),
        mode("predict-on-batch.grad", "inference", "tf.grad(x => net.predictOnBatch(x))(x, dy)", PREDICT_ON_BATCH),
        *halves("tidy.apply.{}.grad", "tf.tidy(() => tf.grad(x => net.apply(x, {{training: {}}}))(x, dy))", TIDY),
        *halves("apply.{}.value-and-grad", "tf.valueAndGrad(x => net.apply(x, {{training: {}}}))(x, dy).grad"),
        *halves(
            "apply.{}.variable-grads",
            "const image = tf.variable(x)\n"
            "const loss = () => net.apply(image, {{training: {}}}).mul(dy).sum()\n"
            "tf.variableGrads(loss, [image]).grads[image.name]",
        ),
        mode(
            "not-trainable.apply.train.grad",
            "training",
            "net.trainable = false\ntf.grad(x => net.apply(x, {training: true}))(x, dy)",
            TRAINABLE,
        ),
        mode(
            "frozen.apply.train.grad",
            "inference",
            "for (const layer of batchNorms) layer.trainable = false\n"
            "tf.grad(x => net.apply(x, {training: true}))(x, dy)",
            TRAINABLE,
            default=True,
        ),
        *halves(
            "channels-first.{}.grad",
            "tf.layers.batchNormalization({{axis: 1, ...}})\ntf.grad(x => net.apply(x, {{training: {}}}))(x, dy)",
            own=True,
        ),
        mode("predict", "inference", "net.predict(x)", PREDICT, "prediction", default=True),
        mode("predict-on-batch", "inference", "net.predictOnBatch(x)", PREDICT_ON_BATCH, "prediction"),
        mode("apply", "inference", "net.apply(x)", EVALUATION, "prediction"),
        mode("apply.train", "training", "net.apply(x, {training: true})", TRAINING, "prediction"),
        mode("apply.eval", "inference", "net.apply(x, {training: false})", EVALUATION, "prediction"),
        mode(
            "save",
            "inference",
            "await net.save(handler)\nawait tf.loadLayersModel(handler)",
            SAVED,
            "export",
            default=True,
        ),
    )
