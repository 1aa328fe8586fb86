"""nnx: a network is an object that has its statistics inside and writes them, and a mode flag in each layer.

Functions are compiled by `jit`, as in Flax's guides, unless the name says `eager` or the mode is about what happens
without.
"""

from inspect import signature
from typing import Any, Callable

from crosscheck.probe.adapter import NotInRelease
from crosscheck.probe.modes import Between, Call, Make, Table
from crosscheck.runtimes.flax import contracts
from crosscheck.runtimes.flax.held import Held

TABLE = Table(inference="nnx.eval.grad", training="nnx.train.grad")

Set = Callable[[Any, Held], Any]  # (nnx, model) -> the module that is asked


def has(nnx: Any, name: str) -> None:
    """Raise NotInRelease where nnx has no such function yet."""
    if not hasattr(nnx, name):
        raise NotInRelease("flax.nnx." + name)


def trained(nnx: Any, model: Held) -> Any:
    """The module after `train()`."""
    model.train()
    return model.net


def evaluated(nnx: Any, model: Held) -> Any:
    """The module after `eval()`."""
    model.eval()
    return model.net


def frozen(nnx: Any, model: Held) -> Any:
    """`train()`, and then `eval()` for the batch normalizations."""
    model.train()
    for norm in model.norms():
        norm.eval()
    model.note()
    return model.net


def cloned(nnx: Any, model: Held) -> Any:
    """A copy with variables of its own, after `train()`."""
    copy = nnx.clone(model.net)
    copy.train()
    return copy


def view_training(nnx: Any, model: Held) -> Any:
    """A module with the same variables, told to normalise by the batch."""
    has(nnx, "view")
    return nnx.view(model.net, use_running_average=False)


def view_inference(nnx: Any, model: Held) -> Any:
    """A module with the same variables, told to normalise by the running averages; the first is in training mode."""
    has(nnx, "view")
    model.train()
    return nnx.view(model.net, use_running_average=True)


def argument(setting: Set, compiled: bool = True, remat: bool = False, **norm: bool) -> Make:
    """`nnx.grad` with the module as an argument; `norm`: what the batch normalizations are told in the call."""

    def make(flax: Any, jax: Any, model: Held) -> Call:
        nnx = flax.nnx

        def forward(net: Any, x: Any) -> Any:
            return net(x, **norm)

        called = nnx.remat(forward) if remat else forward

        def input_gradient(net: Any, x: Any, cotangent: Any) -> Any:
            return nnx.grad(lambda net, x: (called(net, x) * cotangent).sum(), argnums=1)(net, x)

        call = nnx.jit(input_gradient) if compiled else input_gradient
        return lambda x, cotangent, between: call(setting(nnx, model), x, cotangent)

    return make


CALL = "def loss(net, x):\n    return ({} * cotangent).sum()\ndx = nnx.grad(loss, argnums=1)(net, x)"
GRADIENT = CALL.format("net(x)")

TABLE.mode("nnx.eval.grad", "inference", "net.eval()\n" + GRADIENT, contracts.NNX_INFERENCE, default=True)(
    argument(evaluated)
)
TABLE.mode("nnx.train.grad", "training", "net.train()\n" + GRADIENT, contracts.NNX_TRAINING, default=True)(
    argument(trained)
)
TABLE.mode("nnx.train.grad.eager", "training", "net.train()\n" + GRADIENT, contracts.NNX_TRAINING)(
    argument(trained, compiled=False)
)
TABLE.mode(
    "nnx.train.remat", "training", "net.train()\n" + CALL.format("nnx.remat(Net.__call__)(net, x)"), contracts.NNX_REMAT
)(argument(trained, remat=True))
TABLE.mode(
    "nnx.train.frozen",
    "inference",
    "net.train()\nfor norm in norms:\n    norm.eval()\n" + GRADIENT,
    contracts.NNX_INFERENCE,
)(argument(frozen))
TABLE.mode(
    "nnx.train.clone",
    "training",
    "copy = nnx.clone(net)\ncopy.train()\n" + GRADIENT.replace("(net, x)\n", "(copy, x)\n"),
    contracts.NNX_COPY,
)(argument(cloned))
TABLE.mode(
    "nnx.train.view",
    "training",
    "net = nnx.view(net, use_running_average=False)\n" + GRADIENT,
    contracts.NNX_VIEW_TRAINING,
)(argument(view_training))
TABLE.mode(
    "nnx.eval.view",
    "inference",
    "net.train()\nnet = nnx.view(net, use_running_average=True)\n" + GRADIENT,
    contracts.NNX_VIEW_INFERENCE,
)(argument(view_inference))
TABLE.mode(
    "nnx.call.train",
    "training",
    "net.eval()\n" + CALL.format("net(x, use_running_average=False)"),
    contracts.NNX_TRAINING,
)(argument(evaluated, use_running_average=False))
TABLE.mode(
    "nnx.call.eval",
    "inference",
    "net.train()\n" + CALL.format("net(x, use_running_average=True)"),
    contracts.NNX_INFERENCE,
)(argument(trained, use_running_average=True))


def closure(setting: Set) -> Make:
    """`nnx.grad` of a function of x alone, which has the module in its closure."""

    def make(flax: Any, jax: Any, model: Held) -> Call:
        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            net = setting(flax.nnx, model)
            return flax.nnx.grad(lambda x: (net(x) * cotangent).sum())(x)

        return ask

    return make


CLOSURE = "dx = nnx.grad(lambda x: (net(x) * cotangent).sum())(x)"
TABLE.mode("nnx.eval.closure", "inference", "net.eval()\n" + CLOSURE, contracts.NNX_INFERENCE)(closure(evaluated))
TABLE.mode("nnx.train.closure", "training", "net.train()\n" + CLOSURE, contracts.NNX_CLOSURE)(closure(trained))


@TABLE.mode(
    "nnx.train.jax-grad",
    "training",
    "net.train()\n" + GRADIENT.replace("nnx.grad", "jax.grad"),
    contracts.NNX_JAX,
)
def jax_grad(flax: Any, jax: Any, model: Held) -> Call:
    """JAX's own `grad`, to which an argument that it does not differentiate by is the caller's own object."""

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        model.train()
        return jax.grad(lambda net, x: (net(x) * cotangent).sum(), argnums=1)(model.net, x)

    return ask


@TABLE.mode(
    "nnx.train.jax-vjp",
    "training",
    "net.train()\ny, pull_back = jax.vjp(lambda net, x: net(x), net, x)\n_, dx = pull_back(cotangent)",
    contracts.NNX_JAX,
)
def jax_vjp(flax: Any, jax: Any, model: Held) -> Call:
    """JAX's own `vjp`, which differentiates by every argument and so takes the module apart."""

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        model.train()
        _, pull_back = jax.vjp(lambda net, x: net(x), model.net, x)
        between()
        return pull_back(cotangent)[1]

    return ask


@TABLE.mode(
    "nnx.train.vjp",
    "training",
    "net.train()\ny, pull_back = nnx.vjp(lambda net, x: net(x), net, x, graph_updates=False)\n"
    "_, dx = pull_back(cotangent)",
    contracts.NNX_TRAINING,
)
def nnx_vjp(flax: Any, jax: Any, model: Held) -> Call:
    """nnx's `vjp`, which takes a module only without updates of its graph."""
    has(flax.nnx, "vjp")

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        model.train()
        _, pull_back = flax.nnx.vjp(lambda net, x: net(x), model.net, x, graph_updates=False)
        between()
        return pull_back(cotangent)[1]

    return ask


def functional(adopt: bool) -> Make:
    """`split`, a pure function under `jax.jit` that merges and calls, and `update` if the new state is adopted."""

    def make(flax: Any, jax: Any, model: Held) -> Call:
        nnx = flax.nnx
        apart = {"copy": True} if "copy" in signature(nnx.merge).parameters else {}  # before, it always was

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            model.train()
            graphdef, state = nnx.split(model.net)
            dx, state = input_gradient(graphdef, state, x, cotangent)
            if adopt:
                nnx.update(model.net, state)
            return dx

        def input_gradient(graphdef: Any, state: Any, x: Any, cotangent: Any) -> Any:
            def loss(x: Any) -> Any:
                net = nnx.merge(graphdef, state, **apart)
                y = net(x)
                return (y * cotangent).sum(), nnx.state(net)

            return jax.grad(loss, has_aux=True)(x)

        input_gradient = jax.jit(input_gradient, static_argnums=0)
        return ask

    return make


SPLIT = (
    "net.train()\ngraphdef, state = nnx.split(net)\ndef loss(x):\n    net = nnx.merge(graphdef, state, copy=True)\n"
    "    y = net(x)\n    return (y * cotangent).sum(), nnx.state(net)\n"
    "dx, state = jax.grad(loss, has_aux=True)(x)"
)
TABLE.mode("nnx.train.split.adopted", "training", SPLIT + "\nnnx.update(net, state)", contracts.NNX_FUNCTIONAL)(
    functional(True)
)
TABLE.mode("nnx.train.split.dropped", "training", SPLIT, contracts.NNX_JAX)(functional(False))


@TABLE.mode("nnx.predict", "inference", "net.eval()\ny = net(x)", contracts.NNX_INFERENCE, "prediction")
def predict(flax: Any, jax: Any, model: Held) -> Call:
    """The documented prediction."""
    return model.predict


def forward(setting: Set) -> Make:
    """A call, and no gradient."""

    def make(flax: Any, jax: Any, model: Held) -> Call:
        return lambda x: model.call(setting(flax.nnx, model), x)

    return make


TABLE.mode("nnx.train.forward", "training", "net.train()\ny = net(x)", contracts.NNX_TRAINING, "prediction")(
    forward(trained)
)
TABLE.mode(
    "nnx.train.forward.clone",
    "training",
    "copy = nnx.clone(net)\ncopy.train()\ny = copy(x)",
    contracts.NNX_COPY,
    "prediction",
)(forward(cloned))
