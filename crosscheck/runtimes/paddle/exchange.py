"""Files: parameters, inference programs, and ONNX by paddle2onnx."""

import os
from typing import Any

from crosscheck.probe.modes import INTENT, Call, Table
from crosscheck.runtimes.paddle import contracts
from crosscheck.runtimes.paddle.networks import Model

TABLE = Table(inference="eval.grad", training="train.grad", since="2.0.0")


@TABLE.mode(
    "export.state-dict",
    "inference",
    "paddle.save(net.state_dict(), path)\nnet.set_state_dict(paddle.load(path))",
    contracts.SAVED,
    "export",
    default=True,
)
def state_dict(paddle: Any, model: Model, folder: str) -> Model:
    """Parameters and statistics to a file, and back into the layers, which had zeros by then."""
    path = os.path.join(folder, "network.pdparams")
    paddle.save(model.net.state_dict(), path)
    for value in model.net.state_dict().values():
        value.set_value(paddle.zeros_like(value))
    model.net.set_state_dict(paddle.load(path))
    return model


def jit_save(half: str) -> Call:
    """An inference program to files and back."""

    def call(paddle: Any, model: Model, folder: str) -> Model:
        path = os.path.join(folder, "network")
        getattr(model.net, half)()
        paddle.jit.save(model.net, path, input_spec=[paddle.static.InputSpec(model.shape, "float32")])
        return model._replace(net=paddle.jit.load(path))

    return call


def onnx(half: str) -> Call:
    """`paddle.onnx.export`, which is another package's work."""

    def call(paddle: Any, model: Model, folder: str) -> None:
        getattr(model.net, half)()
        spec = [paddle.static.InputSpec(model.shape, "float32")]
        paddle.onnx.export(model.net, os.path.join(folder, "network"), input_spec=spec, opset_version=13)

    return call


for half in ("eval", "train"):
    TABLE.mode(
        "export.jit-save." + half,
        INTENT[half],
        "net.{}()\npaddle.jit.save(net, path, input_spec=[InputSpec(shape)])\npaddle.jit.load(path)".format(half),
        contracts.JIT_SAVED,
        "export",
        default=half == "eval",
    )(jit_save(half))
    TABLE.mode(
        "export.onnx." + half,
        INTENT[half],
        "net.{}()\npaddle.onnx.export(net, path, input_spec=[InputSpec(shape)], opset_version=13)".format(half),
        contracts.ONNX,
        "export",
        file=True,
    )(onnx(half))
