"""Files: SavedModels, Keras's own files, weights, TensorFlow Lite."""

import os
from typing import Any, Callable, Optional

import numpy as np

from crosscheck.probe.adapter import Contract
from crosscheck.probe.modes import Between, Call, Make, Table
from crosscheck.runtimes.tensorflow import contracts
from crosscheck.runtimes.tensorflow.eager import BEFORE_KERAS_3, Eager, gradient
from crosscheck.runtimes.tensorflow.eager import TABLE as EAGER

TABLE = Table(inference=EAGER.inference, training=EAGER.training, since="2.0", kind="eager")


class Read:
    """What was read back: it predicts."""

    def __init__(self, predict: Callable[[Any], Any]) -> None:
        self.predict = predict


def mode(
    name: str, call: str, contract: Contract, since: str = "2.0", until: Optional[str] = None, default: bool = False
) -> Callable[[Make], Make]:
    """An export mode."""
    return TABLE.mode(
        "export." + name, "inference", call, contract, "export", since=since, until=until, default=default
    )


@mode(
    "saved-model",
    "tf.saved_model.save(net, folder)\ntf.saved_model.load(folder)(x, training=False)",
    contracts.SAVED_MODEL,
    until=BEFORE_KERAS_3,
    default=True,
)
def saved_model(tf: Any, model: Eager) -> Call:
    """The model's call, traced in both modes, and its variables."""

    def export(folder: str) -> Read:
        tf.saved_model.save(model.net, folder)
        loaded = tf.saved_model.load(folder)
        return Read(lambda x: loaded(x, training=False))

    return export


@mode(
    "saved-model.signature",
    "tf.saved_model.save(net, folder)\ntf.saved_model.load(folder).signatures['serving_default'](x)",
    contracts.SAVED_MODEL,
)
def saved_signature(tf: Any, model: Eager) -> Call:
    """The signature that a server asks."""

    def export(folder: str) -> Read:
        tf.saved_model.save(model.net, folder)
        serve = tf.saved_model.load(folder).signatures["serving_default"]

        def predict(x: Any) -> Any:
            (name,) = serve.structured_input_signature[1]
            (y,) = serve(**{name: x}).values()
            return y

        return Read(predict)

    return export


@mode("serve", "net.export(folder)\ntf.saved_model.load(folder).serve(x)", contracts.SAVED_MODEL, "2.13", default=True)
def export_method(tf: Any, model: Eager) -> Call:
    """Keras's own way to a SavedModel, for inference alone."""

    def export(folder: str) -> Read:
        model.net.export(folder)
        loaded = tf.saved_model.load(folder)  # its functions do not keep its variables
        return Read(lambda x: loaded.serve(x))

    return export


def file(suffix: str) -> Make:
    """The whole model in one file."""

    def make(tf: Any, model: Eager) -> Call:
        def export(folder: str) -> Read:
            path = os.path.join(folder, "network" + suffix)
            model.net.save(path)
            twin = tf.keras.models.load_model(path)
            return Read(lambda x: twin(x, training=False))

        return export

    return make


for suffix, since in ((".keras", "2.12"), (".h5", "2.0")):
    mode(
        suffix[1:],
        "net.save('network{0}')\ntf.keras.models.load_model('network{0}')(x, training=False)".format(suffix),
        contracts.SAVED,
        since,
        default=suffix == ".keras",
    )(file(suffix))


@mode("weights", "net.save_weights('network.weights.h5')\ntwin.load_weights('network.weights.h5')", contracts.SAVED)
def weights(tf: Any, model: Eager) -> Call:
    """The weights alone, into a clone of the model."""

    def export(folder: str) -> Read:
        path = os.path.join(folder, "network.weights.h5")
        model.net.save_weights(path)
        twin = tf.keras.models.clone_model(model.net)
        twin.load_weights(path)
        return Read(lambda x: twin(x, training=False))

    return export


@mode(
    "lite",
    "content = tf.lite.TFLiteConverter.from_keras_model(net).convert()\ntf.lite.Interpreter(model_content=content)",
    contracts.LITE,
)
def lite(tf: Any, model: Eager) -> Call:
    """TensorFlow Lite's converter and interpreter."""

    def export(folder: str) -> Read:
        content = tf.lite.TFLiteConverter.from_keras_model(model.net).convert()
        interpreter = tf.lite.Interpreter(model_content=content)

        def predict(x: Any) -> Any:
            (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
            interpreter.resize_tensor_input(given["index"], x.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(given["index"], np.array(x))
            interpreter.invoke()
            return interpreter.get_tensor(result["index"])

        return Read(predict)

    return export


READ_BACK = "tf.saved_model.save(net, folder)\nloaded = tf.saved_model.load(folder)\n"


def through_a_file(half: str) -> Make:
    """The gradient through what was saved and read back; the network that was saved is watched."""

    def make(tf: Any, model: Eager) -> Call:
        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            if "loaded" not in model.calls:
                tf.saved_model.save(model.net, model.folder)
                model.calls["loaded"] = tf.saved_model.load(model.folder)
            return gradient(tf, lambda x: model.calls["loaded"](x, training=half == "train"), x, cotangent, between)

        return ask

    return make


for half, intent in (("train", "training"), ("eval", "inference")):
    TABLE.mode(
        "saved-model." + half,
        intent,
        READ_BACK
        + "with tf.GradientTape() as tape:\n    tape.watch(x)\n    y = loaded(x, training={})\n".format(half == "train")
        + "dx = tape.gradient(y, x, output_gradients=cotangent)",
        contracts.SAVED_MODEL,
        until=BEFORE_KERAS_3,
    )(through_a_file(half))
