"""Each way of asking MindSpore: executed at once (PyNative) or compiled (graph), in training and in evaluation.

Names begin with how the network is executed, then with what `set_train` was told. The intent is that of the latter,
unless the layers are told which statistics to use.
"""

import os
from typing import Any

from crosscheck.probe.modes import INTENT, Between, Call, Table
from crosscheck.runtimes.mindspore import contracts
from crosscheck.runtimes.mindspore.networks import Model

TABLE = Table(inference="pynative.eval.grad", training="pynative.train.grad")


def grad(mindspore: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`mindspore.grad` of a scalar loss; one call does forward and backward."""

    def loss(x: Any) -> Any:
        return (net(x) * cotangent).sum()

    return mindspore.grad(loss)(x)


def value_and_grad(mindspore: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`mindspore.value_and_grad` of a scalar loss."""

    def loss(x: Any) -> Any:
        return (net(x) * cotangent).sum()

    return mindspore.value_and_grad(loss)(x)[1]


def vjp(mindspore: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`ops.vjp`, which hands forward and backward out apart."""
    _, pull = mindspore.ops.vjp(net, x)
    between()
    found = pull(cotangent)
    return found[0] if isinstance(found, tuple) else found


def grad_operation(mindspore: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`ops.GradOperation` with the cotangent as the last argument, of the network itself."""
    return mindspore.ops.GradOperation(sens_param=True)(net)(x, cotangent)


def recomputed(mindspore: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`Cell.recompute` of the whole network, which can be told once."""
    if not hasattr(net, "told_to_recompute"):
        net.recompute()
        net.told_to_recompute = True
    return grad_operation(mindspore, net, x, cotangent, between)


def in_mode(half: str, ask: Call) -> Call:
    """`set_train`, then the call."""

    def call(mindspore: Any, net: Any, *arguments: Any) -> Any:
        net.set_train(half == "train")
        return ask(mindspore, net, *arguments)

    return call


GRAD = "dx = mindspore.grad(lambda x: (net(x) * cotangent).sum())(x)"
OPERATION = "dx = ops.GradOperation(sens_param=True)(net)(x, cotangent)"
CONTEXT = {"pynative": "", "graph": "mindspore.set_context(mode=mindspore.GRAPH_MODE)\n"}
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.EVALUATION}

for way, name, text, ask, training in (
    ("pynative", "grad", GRAD, grad, contracts.TRAINING),
    (
        "pynative",
        "value-and-grad",
        "_, dx = mindspore.value_and_grad(lambda x: (net(x) * cotangent).sum())(x)",
        value_and_grad,
        contracts.TRAINING,
    ),
    ("pynative", "vjp", "y, pull = ops.vjp(net, x)\ndx = pull(cotangent)", vjp, contracts.TRAINING),
    ("pynative", "grad-operation", OPERATION, grad_operation, contracts.TRAINING),
    ("pynative", "recompute", "net.recompute()\n" + OPERATION, recomputed, contracts.RECOMPUTE),
    ("graph", "grad-operation", OPERATION, grad_operation, contracts.TRAINING),
    ("graph", "recompute", "net.recompute()\n" + OPERATION, recomputed, contracts.RECOMPUTE),
):
    plain = "grad" if way == "pynative" else "grad-operation"
    for half in ("train", "eval"):
        TABLE.mode(
            "{}.{}.{}".format(way, half, name),
            INTENT[half],
            "{}net.set_train({})\n{}".format(CONTEXT[way], half == "train", text),
            training if half == "train" else contracts.EVALUATION,
            inference="{}.eval.{}".format(way, plain),
            training="{}.train.{}".format(way, plain),
            default=name == plain,
        )(in_mode(half, ask))


@TABLE.mode(
    "pynative.frozen.grad",
    "inference",
    "net.set_train()\nfor cell in batch_norms:\n    cell.set_train(False)\n" + GRAD,
    contracts.EVALUATION,
    default=True,
)
def frozen(mindspore: Any, net: Any, *arguments: Any) -> Any:
    """The network in training, its batch normalizations in evaluation."""
    net.set_train(True)
    for _, cell in net.cells_and_names():
        if isinstance(cell, (mindspore.nn.BatchNorm1d, mindspore.nn.BatchNorm2d)):
            cell.set_train(False)
    return grad(mindspore, net, *arguments)


for told, intent, contract in ((True, "training", contracts.BATCH), (False, "inference", contracts.MOVING)):
    for half in ("train", "eval"):
        TABLE.mode(
            "pynative.{}-statistics.{}".format("batch" if told else "moving", half),
            intent,
            "nn.BatchNorm2d(..., use_batch_statistics={})\nnet.set_train({})\n{}".format(told, half == "train", GRAD),
            contracts.TRAINING if told and half == "train" else contract,
            inference=None if told else "pynative.moving-statistics.eval",
            norm={"use_batch_statistics": told},
        )(in_mode(half, grad))


def forward(mindspore: Any, net: Any, x: Any) -> Any:
    """The network, called."""
    return net(x)


for way in ("pynative", "graph"):
    for half in ("train", "eval"):
        TABLE.mode(
            "{}.{}.call".format(way, half),
            INTENT[half],
            "{}net.set_train({})\ny = net(x)".format(CONTEXT[way], half == "train"),
            CONTRACT[half],
            "prediction",
            default=way == "pynative",
        )(in_mode(half, forward))


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
    "export.onnx",
    "inference",
    'net.set_train(False)\nmindspore.export(net, x, file_name=file, file_format="ONNX")',
    contracts.ONNX,
    "export",
    file=True,
)
def onnx(mindspore: Any, model: Model, folder: str) -> None:
    """`mindspore.export`, for ONNX."""
    model.net.set_train(False)
    example = mindspore.ops.zeros(model.example, mindspore.float32)
    mindspore.export(model.net, example, file_name=os.path.join(folder, "network"), file_format="ONNX")
