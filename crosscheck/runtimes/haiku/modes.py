"""Every way of asking a Haiku network, which takes a state and returns a new one.

Layers have long been trained, unless a mode says that they are `fresh`: then their averages are the network's, and they
know of no batch yet. `adopted` or `dropped` is what the user does with the state that comes back.
"""

from typing import Any, Callable

from crosscheck.probe.modes import Between, Call, Make, Table
from crosscheck.runtimes.haiku import contracts
from crosscheck.runtimes.haiku.transformed import Transformed

TABLE = Table(inference="eval.grad", training="train.grad.adopted")
OF_FRESH = Table(inference="fresh.eval.grad", training="fresh.train.grad.adopted")


def gradient(adopt: bool, compiled: bool = True, **mode: bool) -> Make:
    """`jax.grad` with the new state as its auxiliary output; `mode`: the keywords of `apply`."""

    def make(hk: Any, jax: Any, model: Transformed) -> Call:
        def input_gradient(params: Any, state: Any, x: Any, cotangent: Any) -> Any:
            def loss(x: Any) -> Any:
                y, new_state = model.net.apply(params, state, None, x, **mode)
                return (y * cotangent).sum(), new_state

            return jax.grad(loss, has_aux=True)(x)

        call = jax.jit(input_gradient) if compiled else input_gradient

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            dx, state = call(model.kept["params"], model.kept["state"], x, cotangent)
            if adopt:
                model.kept["state"] = state
            return dx

        return ask

    return make


LOSS = (
    "def loss(x):\n    y, new_state = net.apply(params, state, None, x, {})\n"
    "    return (y * cotangent).sum(), new_state\ndx, new_state = jax.grad(loss, has_aux=True)(x)"
)
TRAIN, EVAL = LOSS.format("is_training=True"), LOSS.format("is_training=False")
LOCAL = LOSS.format("is_training=False, test_local_stats=True")
ADOPT = "\nstate = new_state"
FRESH = "  # the layers are fresh"

TABLE.mode("eval.grad", "inference", EVAL, contracts.INFERENCE, default=True)(gradient(False, is_training=False))
TABLE.mode("eval.grad.adopted", "inference", EVAL + ADOPT, contracts.INFERENCE)(gradient(True, is_training=False))
TABLE.mode("train.grad.adopted", "training", TRAIN + ADOPT, contracts.ADOPTED, default=True)(
    gradient(True, is_training=True)
)
TABLE.mode("train.grad.dropped", "training", TRAIN, contracts.DROPPED, default=True)(gradient(False, is_training=True))
TABLE.mode("train.grad.adopted.eager", "training", TRAIN + ADOPT, contracts.ADOPTED)(
    gradient(True, compiled=False, is_training=True)
)
TABLE.mode("local-stats.grad.adopted", "training", LOCAL + ADOPT, contracts.LOCAL, default=True)(
    gradient(True, is_training=False, test_local_stats=True)
)
OF_FRESH.mode("fresh.eval.grad", "inference", EVAL + FRESH, contracts.INFERENCE)(gradient(False, is_training=False))
OF_FRESH.mode("fresh.train.grad.adopted", "training", TRAIN + ADOPT + FRESH, contracts.ADOPTED, default=True)(
    gradient(True, is_training=True)
)
OF_FRESH.mode("fresh.train.grad.dropped", "training", TRAIN + FRESH, contracts.DROPPED)(
    gradient(False, is_training=True)
)


@TABLE.mode(
    "train.vjp.adopted",
    "training",
    "def forward(x):\n    return net.apply(params, state, None, x, is_training=True)\n"
    "y, pull_back, new_state = jax.vjp(forward, x, has_aux=True)" + ADOPT + "\ndx, = pull_back(cotangent)",
    contracts.ADOPTED,
)
def train_vjp(hk: Any, jax: Any, model: Transformed) -> Call:
    """Forward and backward apart; the state is adopted when it comes back."""

    def apply(params: Any, state: Any, x: Any) -> Any:
        return jax.vjp(lambda x: model.net.apply(params, state, None, x, is_training=True), x, has_aux=True)

    forward, backward = jax.jit(apply), jax.jit(lambda pull_back, cotangent: pull_back(cotangent))

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        _, pull_back, state = forward(model.kept["params"], model.kept["state"], x)
        model.kept["state"] = state
        between()
        return backward(pull_back, cotangent)[0]

    return ask


def inside(differentiate: Callable[..., Any]) -> Make:
    """The gradient is taken inside the transformed function: (hk, jax, network, x, cotangent) -> dx."""

    def make(hk: Any, jax: Any, model: Transformed) -> Call:
        net = hk.transform_with_state(lambda x, cotangent: differentiate(hk, jax, model.forward, x, cotangent))
        input_gradient = jax.jit(net.apply)

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            dx, state = input_gradient(model.kept["params"], model.kept["state"], None, x, cotangent)
            model.kept["state"] = state
            return dx

        return ask

    return make


def by_haiku(hk: Any, jax: Any, network: Callable[..., Any], x: Any, cotangent: Any) -> Any:
    """Haiku's own `grad`."""
    return hk.grad(lambda x: (network(x, is_training=True) * cotangent).sum())(x)


def by_jax(hk: Any, jax: Any, network: Callable[..., Any], x: Any, cotangent: Any) -> Any:
    """JAX's `grad`, which knows nothing of Haiku's side effects."""
    return jax.grad(lambda x: (network(x, is_training=True) * cotangent).sum())(x)


INSIDE = (
    "@hk.transform_with_state\ndef input_gradient(x, cotangent):\n"
    "    return {}(lambda x: (network(x, is_training=True) * cotangent).sum())(x)\n"
    "dx, state = input_gradient.apply(params, state, None, x, cotangent)"
)
TABLE.mode("train.inside.hk-grad.adopted", "training", INSIDE.format("hk.grad"), contracts.LIFTED)(inside(by_haiku))
TABLE.mode("train.inside.jax-grad.adopted", "training", INSIDE.format("jax.grad"), contracts.UNLIFTED)(inside(by_jax))


@TABLE.mode(
    "train.remat.adopted",
    "training",
    "net = hk.transform_with_state(lambda x: hk.remat(functools.partial(network, is_training=True))(x))\n"
    + LOSS.replace(", {}", "")
    + ADOPT,
    contracts.REMAT,
)
def train_remat(hk: Any, jax: Any, model: Transformed) -> Call:
    """Activations are computed again in the backward pass."""
    net = hk.transform_with_state(lambda x: hk.remat(lambda x: model.forward(x, is_training=True))(x))

    def input_gradient(params: Any, state: Any, x: Any, cotangent: Any) -> Any:
        def loss(x: Any) -> Any:
            y, new_state = net.apply(params, state, None, x)
            return (y * cotangent).sum(), new_state

        return jax.grad(loss, has_aux=True)(x)

    call = jax.jit(input_gradient)

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        dx, state = call(model.kept["params"], model.kept["state"], x, cotangent)
        model.kept["state"] = state
        return dx

    return ask


@TABLE.mode(
    "train.donated.dropped",
    "training",
    "@functools.partial(jax.jit, donate_argnums=1)\ndef input_gradient(params, state, x, cotangent):\n    ...\n"
    "dx, new_state = input_gradient(params, state, x, cotangent)",
    contracts.DONATED,
)
def train_donated(hk: Any, jax: Any, model: Transformed) -> Call:
    """The old state is donated, as in a training step, and the new one dropped all the same."""

    def input_gradient(params: Any, state: Any, x: Any, cotangent: Any) -> Any:
        def loss(x: Any) -> Any:
            y, new_state = model.net.apply(params, state, None, x, is_training=True)
            return (y * cotangent).sum(), new_state

        return jax.grad(loss, has_aux=True)(x)

    call = jax.jit(input_gradient, donate_argnums=1)
    return lambda x, cotangent, between: call(model.kept["params"], model.kept["state"], x, cotangent)[0]


@TABLE.mode(
    "predict",
    "inference",
    "y, _ = net.apply(params, state, None, x, is_training=False)",
    contracts.INFERENCE,
    "prediction",
    default=True,
)
def predict(hk: Any, jax: Any, model: Transformed) -> Call:
    """The documented prediction."""
    return model.predict


def call_forward(adopt: bool, **mode: bool) -> Make:
    """A forward pass, and no gradient."""

    def make(hk: Any, jax: Any, model: Transformed) -> Call:
        def ask(x: Any) -> Any:
            y, state = model.apply(model.kept["params"], model.kept["state"], None, x, **mode)
            if adopt:
                model.kept["state"] = state
            return y

        return ask

    return make


CALL = "y, {} = net.apply(params, state, None, x, {})"
TABLE.mode(
    "train.forward.adopted", "training", CALL.format("state", "is_training=True"), contracts.ADOPTED, "prediction"
)(call_forward(True, is_training=True))
TABLE.mode("train.forward.dropped", "training", CALL.format("_", "is_training=True"), contracts.DROPPED, "prediction")(
    call_forward(False, is_training=True)
)
TABLE.mode(
    "local-stats.forward.adopted",
    "training",
    CALL.format("state", "is_training=False, test_local_stats=True"),
    contracts.LOCAL,
    "prediction",
)(call_forward(True, is_training=False, test_local_stats=True))


@TABLE.mode(
    "init.state",
    "inference",
    "_, state = net.init(key, x, is_training=True)\n" + CALL.format("_", "is_training=False"),
    contracts.INITIALISED,
    "prediction",
)
def init_state(hk: Any, jax: Any, model: Transformed) -> Call:
    """Parameters from a checkpoint, the state from `init`."""
    initial = jax.jit(lambda key, x: model.net.init(key, x, is_training=True))

    def ask(x: Any) -> Any:
        _, model.kept["state"] = initial(jax.random.PRNGKey(0), x)
        return model.predict(x)

    return ask
