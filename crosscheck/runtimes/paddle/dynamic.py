"""Dynamic graphs: each way of asking a `Layer` for a gradient, in training and in evaluation, and the ways between.

Names begin with the mode of the network, `train` or `eval`, where that and the call are all there is to say; else with
what the layers are told, or with what the network is made into first. The intent is that of the forward pass.
"""

import importlib
from typing import Any, List

from crosscheck.probe.modes import INTENT, Between, Call, Norm, Table
from crosscheck.runtimes.paddle import contracts

TABLE = Table(inference="eval.grad", training="train.grad", since="2.0.0")

INPUT = "x.stop_gradient = False\n"
GRAD = INPUT + "dx, = paddle.grad(net(x), x, cotangent)"
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.EVALUATION}


def left_on(x: Any) -> Any:
    """The gradient that backward left on `x`."""
    if x.grad is None:
        raise RuntimeError("backward left no gradient on x")
    return x.grad


def backward(paddle: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """A scalar loss and `backward`, which leaves gradients on every parameter, too."""
    x.stop_gradient = False
    loss = paddle.sum(net(x) * cotangent)
    between()
    loss.backward()
    return left_on(x)


def grad(paddle: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`paddle.grad`, for the input alone."""
    x.stop_gradient = False
    y = net(x)
    between()
    (dx,) = paddle.grad([y], [x], [cotangent])
    return dx


def double_grad(paddle: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The gradient, and the gradient of its square, as a gradient penalty takes it."""
    x.stop_gradient = False
    y = net(x)
    between()
    (dx,) = paddle.grad([y], [x], [cotangent], create_graph=True)
    paddle.grad([paddle.sum(dx * dx)], [x], allow_unused=True)
    return dx


def recomputed(reentrant: bool) -> Call:
    """The whole network under `recompute`, in one of its two implementations."""

    def call(paddle: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        recompute = importlib.import_module("paddle.distributed.fleet.utils").recompute
        x.stop_gradient = False
        loss = paddle.sum(recompute(net, x, use_reentrant=reentrant) * cotangent)
        between()
        loss.backward()
        return left_on(x)

    return call


def vjp(paddle: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`paddle.incubate.autograd.vjp`."""
    _, dx = paddle.incubate.autograd.vjp(net, x, cotangent)
    return dx


def in_mode(half: str, ask: Call) -> Call:
    """`net.train()` or `net.eval()`, then the call."""

    def call(paddle: Any, net: Any, *arguments: Any) -> Any:
        getattr(net, half)()
        return ask(paddle, net, *arguments)

    return call


RECOMPUTE = INPUT + "y = paddle.distributed.fleet.utils.recompute(net, x{})\n(y * cotangent).sum().backward()\nx.grad"
for name, text, ask, training in (
    ("backward", INPUT + "(net(x) * cotangent).sum().backward()\nx.grad", backward, contracts.TRAINING),
    ("grad", GRAD, grad, contracts.TRAINING),
    (
        "double-grad",
        GRAD[:-1] + ", create_graph=True)\npaddle.grad((dx * dx).sum(), x, allow_unused=True)",
        double_grad,
        contracts.TRAINING,
    ),
    ("recompute", RECOMPUTE.format(""), recomputed(True), contracts.RECOMPUTE),
    ("recompute-hooks", RECOMPUTE.format(", use_reentrant=False"), recomputed(False), contracts.RECOMPUTE),
    ("vjp", "y, dx = paddle.incubate.autograd.vjp(net, x, cotangent)", vjp, contracts.VJP),
):
    for half in ("train", "eval"):
        TABLE.mode(
            "{}.{}".format(half, name),
            INTENT[half],
            "net.{}()\n{}".format(half, text),
            training if half == "train" else contracts.EVALUATION,
            training="train." + name,
            default=name in ("backward", "grad"),
        )(in_mode(half, ask))


def switched(first: str, second: str) -> Call:
    """Forward in one mode; the network is in the other one when backward runs."""

    def call(paddle: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        getattr(net, first)()
        x.stop_gradient = False
        y = net(x)
        getattr(net, second)()
        between()
        (dx,) = paddle.grad([y], [x], [cotangent])
        return dx

    return call


for first, second in (("train", "eval"), ("eval", "train")):
    TABLE.mode(
        "{}-then-{}.grad".format(first, second),
        INTENT[first],
        "net.{}()\n{}y = net(x)\nnet.{}()\ndx, = paddle.grad(y, x, cotangent)".format(first, INPUT, second),
        contracts.TRAINING if first == "train" else contracts.SWITCHED,
    )(switched(first, second))


def batch_norms(paddle: Any, net: Any) -> List[Any]:
    """The batch normalizations in a network."""
    return [layer for layer in net.sublayers() if isinstance(layer, paddle.nn.layer.norm._BatchNormBase)]


@TABLE.mode(
    "frozen.grad",
    "inference",
    "net.train()\nfor layer in batch_norms:\n    layer.eval()\n" + GRAD,
    contracts.EVALUATION,
    default=True,
)
def frozen(paddle: Any, net: Any, *arguments: Any) -> Any:
    """The network in training, its batch normalizations in evaluation."""
    net.train()
    for layer in batch_norms(paddle, net):
        layer.eval()
    return grad(paddle, net, *arguments)


@TABLE.mode(
    "set-global-stats.grad",
    "inference",
    "net.train()\nfor layer in batch_norms:\n    layer._use_global_stats = True\n" + GRAD,
    contracts.GLOBAL,
)
def set_global_stats(paddle: Any, net: Any, *arguments: Any) -> Any:
    """The network in training, its batch normalizations told afterwards what they might have been told when made."""
    net.train()
    for layer in batch_norms(paddle, net):
        layer._use_global_stats = True
    return grad(paddle, net, *arguments)


@TABLE.mode(
    "train.parameters-stopped",
    "training",
    "net.train()\nfor parameter in net.parameters():\n    parameter.stop_gradient = True\n" + GRAD,
    contracts.FROZEN_PARAMETERS,
)
def parameters_stopped(paddle: Any, net: Any, *arguments: Any) -> Any:
    """All parameters are excluded from gradients."""
    for parameter in net.parameters():
        parameter.stop_gradient = True
    net.train()
    return grad(paddle, net, *arguments)


def layers(name: str, text: str, norm: Norm, contract: Any, intents: Any, default: bool = False) -> None:
    """The plain gradient in both modes, of a network whose batch normalizations are told something else."""
    for half in ("train", "eval"):
        TABLE.mode(
            "{}.{}".format(name, half),
            intents[half],
            "{}\nnet.{}()\n{}".format(text, half, GRAD),
            contract[half],
            inference=None if intents["eval"] == "training" else name + ".eval",
            training="train.grad",
            default=default,
            norm=norm,
        )(in_mode(half, grad))


layers(
    "global-stats",
    "nn.BatchNorm2D(..., use_global_stats=True)",
    {"use_global_stats": True},
    {"train": contracts.GLOBAL, "eval": contracts.EVALUATION},
    {"train": "inference", "eval": "inference"},
    default=True,
)
layers(
    "batch-stats",
    "nn.BatchNorm2D(..., use_global_stats=False)",
    {"use_global_stats": False},
    {"train": contracts.MINI_BATCH_TRAINING, "eval": contracts.MINI_BATCH},
    {"train": "training", "eval": "training"},
    default=True,
)
layers(
    "trainable-statistics",
    "nn.BatchNorm(..., trainable_statistics=True)",
    {"trainable_statistics": True},
    {"train": contracts.TRAINING, "eval": contracts.TRAINABLE},
    {"train": "training", "eval": "training"},
)
layers(
    "old-layer",
    "nn.BatchNorm(...)",
    {"trainable_statistics": False},
    CONTRACT,
    INTENT,
)


def compiled(half: str, full_graph: bool) -> Call:
    """`paddle.jit.to_static` of the network, then the gradient as ever."""

    def call(paddle: Any, net: Any, *arguments: Any) -> Any:
        getattr(net, half)()
        return backward(paddle, paddle.jit.to_static(net.forward, full_graph=full_graph), *arguments)

    return call


for name, full_graph in (("to-static", False), ("to-static-full-graph", True)):
    for half in ("train", "eval"):
        TABLE.mode(
            "{}.{}".format(name, half),
            INTENT[half],
            "net.{}()\nfast = paddle.jit.to_static(net.forward{})\n{}".format(
                half,
                ", full_graph=True" if full_graph else "",
                INPUT + "(fast(x) * cotangent).sum().backward()\nx.grad",
            ),
            contracts.TO_STATIC if half == "train" else contracts.EVALUATION,
            training=name + ".train",
            # In evaluation the whole graph is a program that leaves no gradient.
            inference="eval.grad" if full_graph else name + ".eval",
        )(compiled(half, full_graph))


def forward(paddle: Any, net: Any, x: Any) -> Any:
    """Recorded, and no backward."""
    x.stop_gradient = False
    return net(x)


def no_grad(paddle: Any, net: Any, x: Any) -> Any:
    """The documented prediction."""
    with paddle.no_grad():
        return net(x)


for half in ("train", "eval"):
    TABLE.mode(
        half + ".no-grad",
        INTENT[half],
        "net.{}()\nwith paddle.no_grad():\n    y = net(x)".format(half),
        contracts.NO_GRAD if half == "train" else contracts.EVALUATION,
        "prediction",
        default=True,
    )(in_mode(half, no_grad))
    TABLE.mode(
        half + ".forward", INTENT[half], "net.{}()\n{}y = net(x)".format(half, INPUT), CONTRACT[half], "prediction"
    )(in_mode(half, forward))
TABLE.mode(
    "batch-stats.eval.no-grad",
    "training",
    "nn.BatchNorm2D(..., use_global_stats=False)\nnet.eval()\nwith paddle.no_grad():\n    y = net(x)",
    contracts.MINI_BATCH,
    "prediction",
    norm={"use_global_stats": False},
)(in_mode("eval", no_grad))
