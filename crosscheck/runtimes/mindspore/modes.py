"""Each way of asking MindSpore: executed at once (PyNative) or compiled (graph), in training and in evaluation.

Names begin with how the network is executed, then with what `set_train` was told. The intent is that of the latter,
unless the layers are told which statistics to use.
"""

import os
import tempfile
from typing import Any

from crosscheck.probe.modes import INTENT, Between, Call, Table
from crosscheck.runtimes.mindspore import contracts

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


def recompute_function(**words: bool) -> Call:
    """`mindspore.recompute` of the whole network, in one of its implementations."""

    def call(mindspore: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        def loss(x: Any) -> Any:
            return (mindspore.recompute(net, x, **words) * cotangent).sum()

        return mindspore.grad(loss)(x)

    return call


def jitted(mindspore: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The loss compiled by `mindspore.jit`, the rest executed at once."""

    def loss(x: Any) -> Any:
        return (net(x) * cotangent).sum()

    return mindspore.grad(mindspore.jit(loss))(x)


def in_mode(half: str, ask: Call) -> Call:
    """`set_train`, then the call."""

    def call(mindspore: Any, net: Any, *arguments: Any) -> Any:
        net.set_train(half == "train")
        return ask(mindspore, net, *arguments)

    return call


GRAD = "dx = mindspore.grad(lambda x: (net(x) * cotangent).sum())(x)"
OPERATION = "dx = ops.GradOperation(sens_param=True)(net)(x, cotangent)"
FUNCTION = "dx = mindspore.grad(lambda x: (mindspore.recompute(net, x{}) * cotangent).sum())(x)"
HOOKS = ", use_reentrant=False"
JIT = "@mindspore.jit\ndef loss(x):\n    return (net(x) * cotangent).sum()\n\ndx = mindspore.grad(loss)(x)"
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
    ("pynative", "recompute-function", FUNCTION.format(""), recompute_function(), contracts.RECOMPUTE_FUNCTION),
    (
        "pynative",
        "recompute-hooks",
        FUNCTION.format(HOOKS),
        recompute_function(use_reentrant=False),
        contracts.RECOMPUTE_FUNCTION,
    ),
    (
        "pynative",
        "recompute-hooks-to-the-end",
        FUNCTION.format(HOOKS + ", early_stop=False"),
        recompute_function(use_reentrant=False, early_stop=False),
        contracts.RECOMPUTE_FUNCTION,
    ),
    ("pynative", "jit", JIT, jitted, contracts.TRAINING),
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


FREEZE = "net.set_train()\nfor cell in batch_norms:\n    cell.set_train(False)\n"


def freeze(mindspore: Any, net: Any) -> None:
    """The network in training, its batch normalizations in evaluation."""
    net.set_train(True)
    for _, cell in net.cells_and_names():
        if isinstance(cell, (mindspore.nn.BatchNorm1d, mindspore.nn.BatchNorm2d)):
            cell.set_train(False)


def frozen(ask: Call) -> Call:
    """The batch normalizations frozen, then the call."""

    def call(mindspore: Any, net: Any, *arguments: Any) -> Any:
        freeze(mindspore, net)
        return ask(mindspore, net, *arguments)

    return call


TABLE.mode("pynative.frozen.grad", "inference", FREEZE + GRAD, contracts.EVALUATION, default=True)(frozen(grad))
TABLE.mode(
    "graph.frozen.grad-operation",
    "inference",
    CONTEXT["graph"] + FREEZE + OPERATION,
    contracts.EVALUATION,
    inference="graph.eval.grad-operation",
    training="graph.train.grad-operation",
)(frozen(grad_operation))


@TABLE.mode(
    "pynative.frozen.grad-after-export",
    "inference",
    FREEZE + "mindspore.onnx.export(net, x, file_name=file)\n" + GRAD,
    contracts.ONNX_MODULE,
)
def after_export(mindspore: Any, net: Any, x: Any, *arguments: Any) -> Any:
    """The batch normalizations are frozen, the network is exported, and the gradient is taken."""
    freeze(mindspore, net)
    with tempfile.TemporaryDirectory() as folder:
        mindspore.onnx.export(net, x, file_name=os.path.join(folder, "network.onnx"))
    return grad(mindspore, net, x, *arguments)


@TABLE.mode(
    "pynative.train-then-eval.vjp",
    "training",
    "net.set_train(True)\ny, pull = ops.vjp(net, x)\nnet.set_train(False)\ndx = pull(cotangent)",
    contracts.TRAINING,
)
def train_then_eval(mindspore: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """Forward in training; the network is in evaluation when backward runs."""
    net.set_train(True)

    def switch() -> None:
        net.set_train(False)
        between()

    return vjp(mindspore, net, x, cotangent, switch)


for told, intent, contract in ((True, "training", contracts.BATCH), (False, "inference", contracts.MOVING)):
    name = "{}.{}-statistics.{}".format("{}", "batch" if told else "moving", "{}")
    for way, text, ask in (("pynative", GRAD, grad), ("graph", OPERATION, grad_operation)):
        for half in ("train", "eval"):
            TABLE.mode(
                name.format(way, half),
                intent,
                "{}nn.BatchNorm2d(..., use_batch_statistics={})\nnet.set_train({})\n{}".format(
                    CONTEXT[way], told, half == "train", text
                ),
                contract,
                inference=None if told else name.format(way, "eval"),
                training="pynative.train.grad" if way == "pynative" else "graph.train.grad-operation",
                norm={"use_batch_statistics": told},
            )(in_mode(half, ask))


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
