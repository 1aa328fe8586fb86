"""Files of Keras models: SavedModels, Keras's own files, weights, TensorFlow Lite, and ONNX by tf2onnx."""

from typing import Any

from crosscheck.runtimes.family.keras_texts import CALLS, INTENT, WEIGHTS, taped
from crosscheck.runtimes.mode import Contract, Contracts
from crosscheck.runtimes.tensorflow.eager import BEFORE_KERAS_3, eager_modes

contracts = Contracts(__file__)

FILES = eager_modes()

SAVE = 'tf.saved_model.save(net, "saved")\n'
SIGNATURE = """\
---
net = tf.saved_model.load("saved")
serve = net.signatures["serving_default"]
name, = serve.structured_input_signature[1]
"""
LITE = """\
content = tf.lite.TFLiteConverter.from_keras_model(net).convert()
---
net = tf.lite.Interpreter(model_content=content)
"""
INTERPRET = """\
(given,), (result,) = net.get_input_details(), net.get_output_details()
net.resize_tensor_input(given["index"], x.shape)
net.allocate_tensors()
net.set_tensor(given["index"], x.numpy())
net.invoke()
y = net.get_tensor(result["index"])
"""


def export(name: str, contract: Contract, text: str, **more: Any) -> None:
    """An export for inference."""
    FILES.export(f"export.{name}", "inference", contract, text, **more)


export(
    "saved-model",
    contracts.SAVED_MODEL,
    SAVE + '---\nnet = tf.saved_model.load("saved")\n',
    until=BEFORE_KERAS_3,
    default=True,
)
export("saved-model.signature", contracts.SAVED_MODEL, SAVE + SIGNATURE, predict="y, = serve(**{name: x}).values()\n")
export(
    "serve",
    contracts.SAVED_MODEL,
    'net.export("served")\n---\nnet = tf.saved_model.load("served")\n',
    predict="y = net.serve(x)\n",
    since="2.13",
    default=True,
)
for ending, since in (("keras", "2.12"), ("h5", "2.0")):
    text = f'net.save("network.{ending}")\n---\nnet = tf.keras.models.load_model("network.{ending}")\n'
    export(ending, contracts.SAVED, text, since=since, default=ending == "keras")
export("weights", contracts.SAVED, WEIGHTS.format(keras="tf.keras"))
export("lite", contracts.LITE, LITE, predict=INTERPRET)

LOADED = SAVE + 'loaded = tf.saved_model.load("saved")\n'
for half in ("train", "eval"):
    FILES.gradient(
        f"saved-model.{half}",
        INTENT[half],
        contracts.SAVED_MODEL,
        taped(CALLS[half].replace("net", "loaded")),
        once=LOADED,
        until=BEFORE_KERAS_3,
    )

ONNX = eager_modes()
#: The input as it is: its rows are not left open.
INPUT = 'import tf2onnx\n\nsignature = [tf.TensorSpec(x.shape, x.dtype, name="x")]\n'
CONVERT = 'tf2onnx.convert.from_{}, input_signature=signature, opset=13, output_path="network.onnx")\n'


def onnx(name: str, intent: str, contract: Contract, text: str, since: str = "2.0") -> None:
    """An export to ONNX, which nobody here reads back."""
    ONNX.export(f"export.onnx.{name}", intent, contract, INPUT + text, since=since, file=True, default=True)


for half in ("eval", "train"):
    forward = f"forward = tf.function(lambda x: {CALLS[half]})\n"
    onnx(f"function.{half}", INTENT[half], contracts.TF2ONNX, forward + CONVERT.format("function(forward"))
onnx("keras", "inference", contracts.TF2ONNX, CONVERT.format("keras(net"))
onnx(
    "method",
    "inference",
    contracts.EXPORT_METHOD,
    'net.export("network.onnx", format="onnx", input_signature=signature, opset_version=13, verbose=False)\n',
    since="2.21",
)
