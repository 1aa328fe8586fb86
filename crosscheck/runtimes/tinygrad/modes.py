"""Each way of asking tinygrad: by the training flag, eagerly and under TinyJit.

Names begin with the training flag in the forward pass, `train` or `eval`, or with what carries the call out: `jit` is a
`TinyJit` that is called once, `jit-warm` one that is called three times, so that it was run, captured and replayed.
"""

import os
from typing import Any, ContextManager, List

from crosscheck.probe.modes import INTENT, Between, Call, Table
from crosscheck.runtimes.tinygrad import contracts
from crosscheck.runtimes.tinygrad.networks import Model

TABLE = Table(inference="eval.gradient", training="train.gradient")

SCOPE = {"train": "with Tensor.train():  # from 0.14 on: with Context(TRAINING=1):\n    ", "eval": ""}
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.EVALUATION}
GRADIENT = "dx, = (net(x) * cotangent).sum().gradient(x)"


def training(tinygrad: Any) -> ContextManager[Any]:
    """The release's scope for training: `Tensor.train()`, from 0.14 on `Context(TRAINING=1)`."""
    if hasattr(tinygrad.Tensor, "train"):
        return tinygrad.Tensor.train()  # type: ignore[no-any-return]
    return tinygrad.Context(TRAINING=1)  # type: ignore[no-any-return]


def under(half: str, ask: Call) -> Call:
    """The call in the scope for training, or outside."""

    def call(tinygrad: Any, *arguments: Any) -> Any:
        if half == "eval":
            return ask(tinygrad, *arguments)
        with training(tinygrad):
            return ask(tinygrad, *arguments)

    return call


def watched(x: Any) -> Any:
    """The input, told that it needs a gradient by releases that want to be told."""
    return x.requires_grad_() if hasattr(x, "requires_grad_") else x


def gradient(tinygrad: Any, net: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """`gradient`, for the input alone."""
    loss = (net(x) * cotangent).sum()
    between()
    (dx,) = loss.gradient(x)
    return dx


def realized(tinygrad: Any, net: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """The same, with the output computed before the gradient is asked for."""
    loss = (net(x) * cotangent).sum().realize()
    between()
    (dx,) = loss.gradient(x)
    return dx


def backward(tinygrad: Any, net: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """`backward`, which leaves gradients on the parameters, too."""
    loss = (net(watched(x)) * cotangent).sum()
    between()
    loss.backward()
    return x.grad


def output_gradient(tinygrad: Any, net: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """`gradient` of the output, given its cotangent."""
    y = net(x)
    between()
    (dx,) = y.gradient(x, gradient=cotangent)
    return dx


for half in ("train", "eval"):
    for name, text, ask, default in (
        ("gradient", GRADIENT, gradient, True),
        ("backward", "(net(x) * cotangent).sum().backward()\nx.grad", backward, True),
        ("output-gradient", "dx, = net(x).gradient(x, gradient=cotangent)", output_gradient, False),
        ("realized", "loss = (net(x) * cotangent).sum().realize()\ndx, = loss.gradient(x)", realized, False),
    ):
        TABLE.mode(
            "{}.{}".format(half, name),
            INTENT[half],
            SCOPE[half] + text.replace("\n", "\n    " if half == "train" else "\n"),
            CONTRACT[half],
            training="train." + name,
            default=default,
        )(under(half, ask))


@TABLE.mode(
    "old-flag.gradient",
    "training",
    "Tensor.training = True\n" + GRADIENT + "\nTensor.training = False",
    contracts.FLAG,
)
def old_flag(tinygrad: Any, net: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """The flag as an attribute, written as for releases up to 0.13."""
    tinygrad.Tensor.training = True
    try:
        return gradient(tinygrad, net, x, cotangent, between)
    finally:
        tinygrad.Tensor.training = False


def jitted(tinygrad: Any, net: Model, statistics: bool) -> Any:
    """The gradient as a jitted function of the user's; with `statistics` it has these computed, too."""
    key = "statistics" if statistics else "gradient"

    def step(x: Any, cotangent: Any) -> Any:
        (dx,) = (net(x) * cotangent).sum().gradient(x)
        also: List[Any] = tinygrad.nn.state.get_parameters(list(net.layers.values())) if statistics else []
        return dx.realize(*also)

    if key not in net.jitted:
        net.jitted[key] = tinygrad.TinyJit(step)
    return net.jitted[key]


def jit(calls: int, statistics: bool = False) -> Call:
    """As many calls of the jitted function; the first one runs it, the second captures it, all others replay that."""

    def ask(tinygrad: Any, net: Model, x: Any, cotangent: Any, between: Between) -> Any:
        function = jitted(tinygrad, net, statistics)
        x, cotangent = x.contiguous().realize(), cotangent.contiguous().realize()
        for _ in range(calls):
            dx = function(x, cotangent)
        return dx.clone()

    return ask


def jit_captured(tinygrad: Any, net: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """Captured in training, called outside of it."""
    with training(tinygrad):
        jit(3)(tinygrad, net, x, cotangent, between)
    return jit(1)(tinygrad, net, x, cotangent, between)


STEP = (
    "@TinyJit\ndef step(x, cotangent):\n    dx, = (net(x) * cotangent).sum().gradient(x)\n    return dx.realize({})\n"
)
ALSO = "*nn.state.get_parameters(net)"
for half in ("train", "eval"):
    for name, calls, statistics in (("jit", 1, False), ("jit-warm", 3, False), ("jit-warm-statistics", 3, True)):
        if half == "eval" and statistics:
            continue
        TABLE.mode(
            "{}.{}".format(name, half),
            INTENT[half],
            STEP.format(ALSO if statistics else "")
            + SCOPE[half]
            + ("dx = step(x, cotangent)" if calls == 1 else "for _ in range(3): dx = step(x, cotangent)"),
            contracts.JIT,
        )(under(half, jit(calls, statistics)))
TABLE.mode(
    "jit-captured-in-train.eval",
    "inference",
    STEP.format("") + "# called three times in training, then outside of it:\ndx = step(x, cotangent)",
    contracts.JIT,
)(jit_captured)


def forward(tinygrad: Any, net: Model, x: Any) -> Any:
    """A forward pass."""
    return net(x)


TABLE.mode("predict", "inference", "net(x)", contracts.EVALUATION, "prediction", default=True)(forward)
TABLE.mode("train.forward", "training", SCOPE["train"] + "net(x)", contracts.TRAINING, "prediction")(
    under("train", forward)
)


@TABLE.mode(
    "safetensors",
    "inference",
    "nn.state.safe_save(nn.state.get_state_dict(net), path)\nnn.state.load_state_dict(other, nn.state.safe_load(path))",
    contracts.SAVED,
    "export",
    default=True,
)
def safetensors(tinygrad: Any, model: Model, folder: str) -> Model:
    """All tensors to a file, and back into layers of a network built anew, with zeros in them."""
    from crosscheck.runtimes.tinygrad import networks

    state = tinygrad.nn.state
    path = os.path.join(folder, "network.safetensors")
    state.safe_save(state.get_state_dict(model.layers), path)
    zeros = {name: value * 0 for name, value in model.network.weights.items()}
    other = networks.build(tinygrad, model.network._replace(weights=zeros), None, {})
    state.load_state_dict(other.layers, state.safe_load(path), verbose=False)
    return other
