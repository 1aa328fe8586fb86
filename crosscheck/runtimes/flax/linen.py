"""linen: a network is a function of its variables, and `apply` returns the new statistics beside the output.

Names say what the user does with those: `adopted` or `dropped`. Functions are compiled by `jit`, as in Flax's guides,
unless the name says `eager` or the mode is about what happens without.
"""

from typing import Any, Callable

from crosscheck.probe.modes import Between, Call, Make, Table
from crosscheck.runtimes.flax import contracts
from crosscheck.runtimes.flax.applied import Applied

TABLE = Table(inference="linen.eval.grad", training="linen.train.grad.adopted")


@TABLE.mode(
    "linen.eval.grad",
    "inference",
    "def loss(x):\n    return (net.apply(variables, x, train=False) * cotangent).sum()\ndx = jax.grad(loss)(x)",
    contracts.LINEN_INFERENCE,
    default=True,
)
def eval_grad(flax: Any, jax: Any, model: Applied) -> Call:
    """The running averages; nothing comes back but the output."""

    def input_gradient(variables: Any, x: Any, cotangent: Any) -> Any:
        def loss(x: Any) -> Any:
            return (model.net.apply(variables, x, train=False) * cotangent).sum()

        return jax.grad(loss)(x)

    call = jax.jit(input_gradient)
    return lambda x, cotangent, between: call(model.variables, x, cotangent)


def mutable(train: bool, adopt: bool, net: Callable[[Any, Any], Any], compiled: bool = True) -> Make:
    """`apply` with `batch_stats` mutable under `jax.grad`; what comes back is adopted or not.

    net: (flax, module) -> the module that is asked, with the same layers.
    """

    def make(flax: Any, jax: Any, model: Applied) -> Call:
        asked = net(flax, model.net)

        def input_gradient(variables: Any, x: Any, cotangent: Any) -> Any:
            def loss(x: Any) -> Any:
                y, updates = asked.apply(variables, x, train, mutable=["batch_stats"])
                return (y * cotangent).sum(), updates

            return jax.grad(loss, has_aux=True)(x)

        call = jax.jit(input_gradient) if compiled else input_gradient

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            dx, updates = call(model.variables, x, cotangent)
            if adopt:
                model.variables.update(updates)
            return dx

        return ask

    return make


def unchanged(flax: Any, net: Any) -> Any:
    """The network as it is."""
    return net


def frozen(flax: Any, net: Any) -> Any:
    """Batch normalizations that were told in their constructor to use the running averages."""
    return net.clone(frozen=True)


def recomputing(flax: Any, net: Any) -> Any:
    """Activations are computed again in the backward pass; argument 2 is `train`, argument 0 the module."""
    return flax.linen.remat(type(net), static_argnums=2)()


GRADIENT = (
    "def loss(x):\n    y, updates = net.apply(variables, x, train={}, mutable=['batch_stats'])\n"
    "    return (y * cotangent).sum(), updates\ndx, updates = jax.grad(loss, has_aux=True)(x)"
)
TRAIN, EVAL = GRADIENT.format(True), GRADIENT.format(False)
ADOPT = "\nvariables = {**variables, **updates}"
FREEZE = "net = Net(use_running_average=True)\n"
REMAT = "net = nn.remat(Net, static_argnums=2)()\n"

TABLE.mode("linen.train.grad.adopted", "training", TRAIN + ADOPT, contracts.LINEN_ADOPTED, default=True)(
    mutable(True, True, unchanged)
)
TABLE.mode("linen.train.grad.dropped", "training", TRAIN, contracts.LINEN_DROPPED, default=True)(
    mutable(True, False, unchanged)
)
TABLE.mode("linen.train.grad.adopted.eager", "training", TRAIN + ADOPT, contracts.LINEN_ADOPTED)(
    mutable(True, True, unchanged, compiled=False)
)
TABLE.mode("linen.eval.mutable.adopted", "inference", EVAL + ADOPT, contracts.LINEN_INFERENCE)(
    mutable(False, True, unchanged)
)
TABLE.mode("linen.frozen.adopted", "inference", FREEZE + TRAIN + ADOPT, contracts.LINEN_INFERENCE)(
    mutable(True, True, frozen)
)
TABLE.mode("linen.train.remat.adopted", "training", REMAT + TRAIN + ADOPT, contracts.LINEN_REMAT)(
    mutable(True, True, recomputing)
)


@TABLE.mode(
    "linen.train.immutable",
    "training",
    "def loss(x):\n    return (net.apply(variables, x, train=True) * cotangent).sum()\ndx = jax.grad(loss)(x)",
    contracts.LINEN_IMMUTABLE,
)
def train_immutable(flax: Any, jax: Any, model: Applied) -> Call:
    """Training mode, and the collection not declared mutable."""

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        return jax.grad(lambda x: (model.net.apply(model.variables, x, train=True) * cotangent).sum())(x)

    return ask


@TABLE.mode(
    "linen.train.vjp.adopted",
    "training",
    "def forward(x):\n    return net.apply(variables, x, train=True, mutable=['batch_stats'])\n"
    "y, pull_back, updates = jax.vjp(forward, x, has_aux=True)" + ADOPT + "\ndx, = pull_back(cotangent)",
    contracts.LINEN_ADOPTED,
)
def train_vjp(flax: Any, jax: Any, model: Applied) -> Call:
    """Forward and backward apart; the statistics are adopted when they come back."""

    def apply(variables: Any, x: Any) -> Any:
        return jax.vjp(lambda x: model.net.apply(variables, x, train=True, mutable=["batch_stats"]), x, has_aux=True)

    forward, backward = jax.jit(apply), jax.jit(lambda pull_back, cotangent: pull_back(cotangent))

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        _, pull_back, updates = forward(model.variables, x)
        model.variables.update(updates)
        between()
        return backward(pull_back, cotangent)[0]

    return ask


@TABLE.mode(
    "linen.train.lifted.adopted",
    "training",
    "def input_gradient(net, x, cotangent):\n"
    "    y, pull_back = nn.vjp(lambda net, x: net(x, train=True), net, x)\n    return pull_back(cotangent)[1]\n"
    "dx, updates = net.apply(variables, x, cotangent, method=input_gradient, mutable=['batch_stats'])" + ADOPT,
    contracts.LINEN_ADOPTED,
)
def train_lifted(flax: Any, jax: Any, model: Applied) -> Call:
    """linen's own `vjp`, inside `apply`."""

    def input_gradient(net: Any, x: Any, cotangent: Any) -> Any:
        _, pull_back = flax.linen.vjp(lambda net, x: net(x, train=True), net, x)
        return pull_back(cotangent)[1]

    def apply(variables: Any, x: Any, cotangent: Any) -> Any:
        return model.net.apply(variables, x, cotangent, method=input_gradient, mutable=["batch_stats"])

    call = jax.jit(apply)

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        dx, updates = call(model.variables, x, cotangent)
        model.variables.update(updates)
        return dx

    return ask


@TABLE.mode(
    "linen.train.donated.dropped",
    "training",
    "@functools.partial(jax.jit, donate_argnums=0)\ndef input_gradient(batch_stats, params, x, cotangent):\n    ...\n"
    "dx, updates = input_gradient(variables['batch_stats'], variables['params'], x, cotangent)",
    contracts.LINEN_DONATED,
)
def train_donated(flax: Any, jax: Any, model: Applied) -> Call:
    """The old statistics are donated, as in a training step, and the new ones dropped all the same."""

    def input_gradient(batch_stats: Any, params: Any, x: Any, cotangent: Any) -> Any:
        def loss(x: Any) -> Any:
            variables = {"params": params, "batch_stats": batch_stats}
            y, updates = model.net.apply(variables, x, train=True, mutable=["batch_stats"])
            return (y * cotangent).sum(), updates["batch_stats"]

        return jax.grad(loss, has_aux=True)(x)

    call = jax.jit(input_gradient, donate_argnums=0)
    return lambda x, cotangent, between: call(model.variables["batch_stats"], model.variables["params"], x, cotangent)[
        0
    ]


@TABLE.mode(
    "linen.bind.eval",
    "inference",
    "bound = net.bind(variables)\ndx = jax.grad(lambda x: (bound(x, train=False) * cotangent).sum())(x)",
    contracts.LINEN_BOUND,
)
def bind_eval(flax: Any, jax: Any, model: Applied) -> Call:
    """A module that has its variables inside."""

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        bound = model.net.bind(model.variables)
        return jax.grad(lambda x: (bound(x, train=False) * cotangent).sum())(x)

    return ask


@TABLE.mode(
    "linen.bind.train.adopted",
    "training",
    "bound = net.bind(variables, mutable=['batch_stats'])\n"
    "dx = jax.grad(lambda x: (bound(x, train=True) * cotangent).sum())(x)\nvariables = bound.variables",
    contracts.LINEN_BOUND,
)
def bind_train(flax: Any, jax: Any, model: Applied) -> Call:
    """The same in training mode, its statistics changing inside."""

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        bound = model.net.bind(model.variables, mutable=["batch_stats"])
        dx = jax.grad(lambda x: (bound(x, train=True) * cotangent).sum())(x)
        model.variables.update(bound.variables)
        return dx

    return ask


@TABLE.mode(
    "linen.predict",
    "inference",
    "net.apply(variables, x, train=False)",
    contracts.LINEN_INFERENCE,
    "prediction",
)
def predict(flax: Any, jax: Any, model: Applied) -> Call:
    """The documented prediction."""
    return model.predict


def train_forward(adopt: bool) -> Make:
    """A forward pass in training mode, and no gradient."""

    def make(flax: Any, jax: Any, model: Applied) -> Call:
        forward = jax.jit(lambda variables, x: model.net.apply(variables, x, train=True, mutable=["batch_stats"]))

        def ask(x: Any) -> Any:
            y, updates = forward(model.variables, x)
            if adopt:
                model.variables.update(updates)
            return y

        return ask

    return make


FORWARD = "y, updates = net.apply(variables, x, train=True, mutable=['batch_stats'])"
TABLE.mode("linen.train.forward.adopted", "training", FORWARD + ADOPT, contracts.LINEN_ADOPTED, "prediction")(
    train_forward(True)
)
TABLE.mode("linen.train.forward.dropped", "training", FORWARD, contracts.LINEN_DROPPED, "prediction")(
    train_forward(False)
)
