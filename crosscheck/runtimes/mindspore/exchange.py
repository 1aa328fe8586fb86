"""Files: checkpoints, MindIR, and ONNX by both of MindSpore's exporters."""

import os
from typing import Any

from crosscheck.probe.modes import INTENT, Call, Table
from crosscheck.runtimes.mindspore import contracts
from crosscheck.runtimes.mindspore.networks import Model

TABLE = Table()


@TABLE.mode(
    "export.checkpoint",
    "inference",
    "mindspore.save_checkpoint(net, file)\nmindspore.load_param_into_net(net, mindspore.load_checkpoint(file))",
    contracts.SAVED,
    "export",
)
def checkpoint(mindspore: Any, model: Model, folder: str) -> Model:
    """Parameters to a file, and back into the network, which has zeros by then."""
    path = os.path.join(folder, "network.ckpt")
    mindspore.save_checkpoint(model.net, path)
    for parameter in model.net.get_parameters():
        parameter.set_data(mindspore.ops.zeros_like(parameter))
    missing, _ = mindspore.load_param_into_net(model.net, mindspore.load_checkpoint(path))
    if missing:
        raise RuntimeError("not in the checkpoint: {}".format(", ".join(missing)))
    return model


@TABLE.mode(
    "export.mindir",
    "inference",
    'net.set_train(False)\nmindspore.export(net, x, file_name=file, file_format="MINDIR")\n'
    "nn.GraphCell(mindspore.load(file))",
    contracts.ONNX,
    "export",
)
def mindir(mindspore: Any, model: Model, folder: str) -> Model:
    """`mindspore.export`, for MindIR, and back; what comes back is compiled whatever the process executes."""
    path = os.path.join(folder, "network")
    model.net.set_train(False)
    mindspore.export(model.net, example(mindspore, model), file_name=path, file_format="MINDIR")
    return model._replace(net=mindspore.nn.GraphCell(mindspore.load(path + ".mindir")))


def example(mindspore: Any, model: Model) -> Any:
    """An input of the network."""
    return mindspore.ops.zeros(model.example, mindspore.float32)


def onnx(half: str) -> Call:
    """`mindspore.export`, for ONNX."""

    def call(mindspore: Any, model: Model, folder: str) -> None:
        model.net.set_train(half == "train")
        path = os.path.join(folder, "network")
        mindspore.export(model.net, example(mindspore, model), file_name=path, file_format="ONNX")

    return call


def onnx_module(half: str) -> Call:
    """`mindspore.onnx.export`, which the other is to give way to."""

    def call(mindspore: Any, model: Model, folder: str) -> None:
        model.net.set_train(half == "train")
        mindspore.onnx.export(model.net, example(mindspore, model), file_name=os.path.join(folder, "network.onnx"))

    return call


for half in ("eval", "train"):
    TABLE.mode(
        "export.onnx." + half,
        INTENT[half],
        'net.set_train({})\nmindspore.export(net, x, file_name=file, file_format="ONNX")'.format(half == "train"),
        contracts.ONNX,
        "export",
        file=True,
    )(onnx(half))
    TABLE.mode(
        "export.onnx-module." + half,
        INTENT[half],
        "net.set_train({})\nmindspore.onnx.export(net, x, file_name=file)".format(half == "train"),
        contracts.ONNX_MODULE,
        "export",
        file=True,
    )(onnx_module(half))
