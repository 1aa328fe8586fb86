"""Dynamic graphs before 2.0, as `fluid.dygraph` has them: a `Layer` under a guard, with tensors made by `to_variable`.

There `eval()` of any layer also switches off, for the whole process, that operations are recorded, and `train()` on.
"""

from typing import Any

from crosscheck.probe.modes import INTENT, Between, Call, Norm, Table
from crosscheck.runtimes.paddle import contracts
from crosscheck.runtimes.paddle.networks import Model

TABLE = Table(inference="fluid.set-global-stats.grad", training="fluid.train.grad", until="1.8.5")

INPUT = "x = fluid.dygraph.to_variable(image)\nx.stop_gradient = False\n"
GRAD = INPUT + "dx, = fluid.dygraph.grad([net(x)], [x], [cotangent])"
BACKWARD = INPUT + "loss = fluid.layers.reduce_sum(net(x) * cotangent)\nloss.backward()\nx.gradient()"
DOUBLE = GRAD[:-1] + ", create_graph=True)\nfluid.dygraph.grad([dx * dx], [x], allow_unused=True)"
NO_GRAD = "with fluid.dygraph.no_grad():\n    y = net(x)"


def backward(fluid: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """A scalar loss and `backward`, which leaves gradients on every parameter, too."""
    x.stop_gradient = False
    loss = fluid.layers.reduce_sum(net(x) * cotangent)
    between()
    loss.backward()
    if x.gradient() is None:
        raise RuntimeError("backward left no gradient on x")
    return x.gradient()


def grad(fluid: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`dygraph.grad`, for the input alone."""
    x.stop_gradient = False
    y = net(x)
    between()
    (dx,) = fluid.dygraph.grad([y], [x], [cotangent])
    return dx


def double_grad(fluid: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The gradient, and the gradient of its square, as a gradient penalty takes it."""
    x.stop_gradient = False
    y = net(x)
    between()
    (dx,) = fluid.dygraph.grad([y], [x], [cotangent], create_graph=True)
    fluid.dygraph.grad([dx * dx], [x], allow_unused=True)
    return dx


def in_mode(half: str, ask: Call) -> Call:
    """`net.train()` or `net.eval()`, then the call."""

    def call(fluid: Any, net: Any, *arguments: Any) -> Any:
        getattr(net, half)()
        return ask(fluid, net, *arguments)

    return call


for name, text, ask in (("backward", BACKWARD, backward), ("grad", GRAD, grad), ("double-grad", DOUBLE, double_grad)):
    for half in ("train", "eval"):
        TABLE.mode(
            "fluid.{}.{}".format(half, name),
            INTENT[half],
            "net.{}()\n{}".format(half, text),
            contracts.FLUID_TRAINING if half == "train" else contracts.FLUID_EVALUATION,
            training="fluid.train." + name,
            default=name != "double-grad",
        )(in_mode(half, ask))


@TABLE.mode(
    "fluid.train-then-eval.grad",
    "training",
    "net.train()\n" + INPUT + "y = net(x)\nnet.eval()\ndx, = fluid.dygraph.grad([y], [x], [cotangent])",
    contracts.FLUID_TRAINING,
)
def train_then_eval(fluid: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """Forward in training; the network is in evaluation when backward runs."""
    net.train()
    x.stop_gradient = False
    y = net(x)
    net.eval()
    between()
    (dx,) = fluid.dygraph.grad([y], [x], [cotangent])
    return dx


def batch_norms(fluid: Any, net: Any) -> Any:
    """The batch normalizations in a network."""
    return [layer for layer in net.sublayers() if isinstance(layer, fluid.dygraph.BatchNorm)]


@TABLE.mode(
    "fluid.frozen.grad",
    "inference",
    "net.train()\nfor layer in batch_norms:\n    layer.training = False\n" + GRAD,
    contracts.FLUID_EVALUATION,
)
def frozen(fluid: Any, net: Any, *arguments: Any) -> Any:
    """The network in training, its batch normalizations in evaluation; their own `eval()` would stop the record."""
    net.train()
    for layer in batch_norms(fluid, net):
        layer.training = False
    return grad(fluid, net, *arguments)


@TABLE.mode(
    "fluid.set-global-stats.grad",
    "inference",
    "net.train()\nfor layer in batch_norms:\n    layer._use_global_stats = True\n" + GRAD,
    contracts.FLUID_GLOBAL,
    default=True,
)
def set_global_stats(fluid: Any, net: Any, *arguments: Any) -> Any:
    """The network in training, its batch normalizations told afterwards what they might have been told when made."""
    net.train()
    for layer in batch_norms(fluid, net):
        layer._use_global_stats = True
    return grad(fluid, net, *arguments)


@TABLE.mode(
    "fluid.set-global-stats.then-eval",
    "inference",
    "net.train()\nfor layer in batch_norms:\n    layer._use_global_stats = True\n" + GRAD + "\nnet.eval()",
    contracts.FLUID_GLOBAL,
    default=True,
)
def set_global_stats_then_eval(fluid: Any, net: Any, *arguments: Any) -> Any:
    """The same, and what the process records is as it is after a prediction."""
    dx = set_global_stats(fluid, net, *arguments)
    net.eval()
    return dx


def no_grad(fluid: Any, net: Any, x: Any) -> Any:
    """The documented prediction."""
    with fluid.dygraph.no_grad():
        return net(x)


def forward(fluid: Any, net: Any, x: Any) -> Any:
    """Recorded, where the process records, and no backward."""
    x.stop_gradient = False
    return net(x)


for half in ("train", "eval"):
    TABLE.mode(
        "fluid.{}.no-grad".format(half),
        INTENT[half],
        "net.{}()\n{}".format(half, NO_GRAD),
        contracts.FLUID_NO_GRAD if half == "train" else contracts.FLUID_EVALUATION,
        "prediction",
        default=True,
    )(in_mode(half, no_grad))
    TABLE.mode(
        "fluid.{}.forward".format(half),
        INTENT[half],
        "net.{}()\ny = net(x)".format(half),
        contracts.FLUID_TRAINING if half == "train" else contracts.FLUID_EVALUATION,
        "prediction",
    )(in_mode(half, forward))


def layers(name: str, norm: Norm, intent: str, contract: Any, default: bool = False) -> None:
    """The plain gradient in training and prediction in evaluation, of batch normalizations that are told more."""
    text = "fluid.dygraph.BatchNorm(..., {})\n".format(", ".join("{}={}".format(*word) for word in norm.items()))
    for half, asks, call, ask in (("train", "gradient", GRAD, grad), ("eval", "prediction", NO_GRAD, no_grad)):
        TABLE.mode(
            "fluid.{}.{}".format(name, half),
            intent if half == "train" else "training" if "trainable_statistics" in norm else "inference",
            "{}net.{}()\n{}".format(text, half, call),
            contract[half],
            asks,
            default=default,
            norm=norm,
        )(in_mode(half, ask))


layers(
    "global-stats",
    {"use_global_stats": True},
    "inference",
    {"train": contracts.FLUID_GLOBAL, "eval": contracts.FLUID_EVALUATION},
    default=True,
)
layers(
    "is-test",
    {"is_test": True},
    "inference",
    {"train": contracts.FLUID_IS_TEST, "eval": contracts.FLUID_EVALUATION},
)
layers(
    "trainable-statistics",
    {"trainable_statistics": True},
    "training",
    {"train": contracts.FLUID_TRAINING, "eval": contracts.FLUID_TRAINABLE},
)


def traced(half: str) -> Call:
    """`TracedLayer.trace`, which calls the layer once, then what was traced."""

    def call(fluid: Any, net: Any, x: Any) -> Any:
        getattr(net, half)()
        _, static = fluid.dygraph.TracedLayer.trace(net, [x])
        (y,) = static([x])
        return y

    return call


for half in ("train", "eval"):
    TABLE.mode(
        "fluid.traced." + half,
        INTENT[half],
        "net.{}()\ny, static = fluid.dygraph.TracedLayer.trace(net, [x])\ny, = static([x])".format(half),
        contracts.FLUID_TRACED,
        "prediction",
        kind="traced",
    )(traced(half))


@TABLE.mode(
    "export.save-dygraph",
    "inference",
    "fluid.save_dygraph(net.state_dict(), path)\nnet.set_dict(fluid.load_dygraph(path)[0])",
    contracts.FLUID_SAVED,
    "export",
    default=True,
)
def save_dygraph(fluid: Any, model: Model, folder: str) -> Model:
    """Parameters and statistics to a file, and back into the layers, which had zeros by then."""
    path = folder + "/network"
    fluid.save_dygraph(model.net.state_dict(), path)
    for value in model.net.state_dict().values():
        value.set_value(value.numpy() * 0)
    parameters, _ = fluid.load_dygraph(path)
    model.net.set_dict(parameters)
    return model
