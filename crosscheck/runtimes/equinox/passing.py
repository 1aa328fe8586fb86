"""From 0.11 on: every way of asking a network that takes a state and returns a new one.

A name begins with the kind of batch normalization: `batch` and `ema` are modes of `eqx.nn.BatchNorm`. A `fresh` layer
was given the network's statistics by hand and knows of no batch yet; others have long been trained. `adopted` or
`dropped` is what the user does with the state that comes back.
"""

from typing import Any, Callable

from crosscheck.probe.modes import Between, Call, Make, Table
from crosscheck.runtimes.equinox import contracts
from crosscheck.runtimes.equinox.stateful import Passed, batched

TABLE = Table()
#: Kind of batch normalization -> the first release that has it.
SINCE = {"batch": "0.13.0", "ema": "0.11.0"}


def gradient(prepare: Callable[[Any, Any], Any], adopt: bool, compiled: bool = True, **flag: bool) -> Make:
    """`jax.grad` with the state as its auxiliary output; `prepare` makes what is asked of the user's model.

    flag: keywords of the call.
    """

    def make(eqx: Any, jax: Any, kept: Passed) -> Call:
        def input_gradient(model: Any, state: Any, x: Any, cotangent: Any) -> Any:
            def loss(x: Any) -> Any:
                y, new_state = batched(jax, lambda x, state: model(x, state, **flag))(x, state)
                return (y * cotangent).sum(), new_state

            return jax.grad(loss, has_aux=True)(x)

        call = eqx.filter_jit(input_gradient) if compiled else input_gradient

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            dx, state = call(prepare(eqx, kept.model), kept.kept["state"], x, cotangent)
            if adopt:
                kept.kept["state"] = state
            return dx

        return ask

    return make


def as_built(eqx: Any, model: Any) -> Any:
    """The model in training mode, in which it was made."""
    return model


def in_inference_mode(eqx: Any, model: Any) -> Any:
    """A copy with all flags set."""
    return eqx.nn.inference_mode(model)


def recomputing(eqx: Any, model: Any) -> Any:
    """Activations are computed again in the backward pass."""
    return eqx.filter_checkpoint(model)


def donated(eqx: Any, jax: Any, kept: Passed) -> Call:
    """The old state is donated, as in a training step, and the new one dropped all the same."""

    def input_gradient(model: Any, state: Any, x: Any, cotangent: Any) -> Any:
        def loss(x: Any) -> Any:
            y, new_state = batched(jax, model)(x, state)
            return (y * cotangent).sum(), new_state

        return jax.grad(loss, has_aux=True)(x)

    call = eqx.filter_jit(input_gradient, donate="all-except-first")
    return lambda x, cotangent, between: call(
        kept.model, kept.kept["state"], jax.numpy.array(x), jax.numpy.array(cotangent)
    )[0]


def apart(eqx: Any, jax: Any, kept: Passed) -> Call:
    """Forward and backward by `jax.vjp`; the state is adopted when it comes back."""

    def apply(model: Any, state: Any, x: Any) -> Any:
        return jax.vjp(lambda x: batched(jax, model)(x, state), x, has_aux=True)

    forward = eqx.filter_jit(apply)
    backward = eqx.filter_jit(lambda pull_back, cotangent: pull_back(cotangent))

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        _, pull_back, state = forward(kept.model, kept.kept["state"], x)
        kept.kept["state"] = state
        between()
        return backward(pull_back, cotangent)[0]

    return ask


def prediction(prepare: Callable[[Any, Any], Any], adopt: bool) -> Make:
    """A forward pass, and no gradient."""

    def make(eqx: Any, jax: Any, kept: Passed) -> Call:
        def ask(x: Any) -> Any:
            y, state = kept.call(prepare(eqx, kept.model), kept.kept["state"], x)
            if adopt:
                kept.kept["state"] = state
            return y

        return ask

    return make


BATCHED = "jax.vmap(model, axis_name='batch', in_axes=(0, None), out_axes=(0, None))(x, state)"
LOSS = (
    "def loss(x):\n    y, new_state = " + BATCHED + "\n    return (y * cotangent).sum(), new_state\n"
    "dx, new_state = jax.grad(loss, has_aux=True)(x)"
)
INFERENCE_MODE = "model = eqx.nn.inference_mode(model)\n"
FLAGGED = LOSS.replace("vmap(model,", "vmap(lambda x, state: model(x, state, inference={}),")
CHECKPOINT = "model = eqx.filter_checkpoint(model)\n"
ADOPT = "\nstate = new_state"


def enter(norm: str) -> None:
    """The modes of one kind of batch normalization."""
    adopted = contracts.ADOPTED if norm == "batch" else contracts.EMA

    def mode(name: str, intent: str, call: str, contract: Any, make: Make, asks: str = "gradient") -> None:
        TABLE.mode(
            norm + "." + name,
            intent,
            call + ("  # the layers are fresh" if name.startswith("fresh") else ""),
            contract,
            inference=norm + (".fresh" if name.startswith("fresh") else "") + ".inference-mode.grad",
            training=norm + (".fresh" if name.startswith("fresh") else "") + ".train.grad.adopted",
            asks=asks,
            since=SINCE[norm],
            kind=norm,
            default=name in DEFAULT,
        )(make)

    mode(
        "inference-mode.grad",
        "inference",
        INFERENCE_MODE + LOSS,
        contracts.INFERENCE,
        gradient(in_inference_mode, False),
    )
    mode(
        "inference-mode.grad.adopted",
        "inference",
        INFERENCE_MODE + LOSS + ADOPT,
        contracts.INFERENCE,
        gradient(in_inference_mode, True),
    )
    mode(
        "inference-flag.grad",
        "inference",
        FLAGGED.format(True),
        contracts.FLAG,
        gradient(as_built, False, inference=True),
    )
    mode("train.grad.adopted", "training", LOSS + ADOPT, adopted, gradient(as_built, True))
    mode("train.grad.dropped", "training", LOSS, contracts.DROPPED, gradient(as_built, False))
    mode("train.grad.adopted.eager", "training", LOSS + ADOPT, adopted, gradient(as_built, True, compiled=False))
    mode(
        "train-flag.grad.adopted",
        "training",
        INFERENCE_MODE + FLAGGED.format(False) + ADOPT,
        adopted,
        gradient(in_inference_mode, True, inference=False),
    )
    mode(
        "train.checkpoint.adopted",
        "training",
        CHECKPOINT + LOSS + ADOPT,
        contracts.CHECKPOINTED,
        gradient(recomputing, True),
    )
    mode(
        "train.donated.dropped",
        "training",
        "@eqx.filter_jit(donate='all-except-first')\ndef input_gradient(model, state, x, cotangent):\n    ...\n"
        "dx, new_state = input_gradient(model, state, x, cotangent)",
        contracts.DONATED,
        donated,
    )
    mode(
        "train.vjp.adopted",
        "training",
        "y, pull_back, new_state = jax.vjp(lambda x: "
        + BATCHED
        + ", x, has_aux=True)"
        + ADOPT
        + "\ndx, = pull_back(cotangent)",
        adopted,
        apart,
    )
    mode(
        "fresh.inference-mode.grad",
        "inference",
        INFERENCE_MODE + LOSS,
        contracts.INFERENCE,
        gradient(in_inference_mode, False),
    )
    mode("fresh.train.grad.adopted", "training", LOSS + ADOPT, adopted, gradient(as_built, True))
    mode("fresh.train.grad.dropped", "training", LOSS, contracts.DROPPED, gradient(as_built, False))
    mode(
        "predict",
        "inference",
        INFERENCE_MODE + "y, _ = " + BATCHED,
        contracts.INFERENCE,
        prediction(in_inference_mode, False),
        "prediction",
    )
    mode(
        "train.forward.adopted", "training", "y, state = " + BATCHED, adopted, prediction(as_built, True), "prediction"
    )
    mode(
        "train.forward.dropped",
        "training",
        "y, _ = " + BATCHED,
        contracts.DROPPED,
        prediction(as_built, False),
        "prediction",
    )


#: Of each kind, these are asked by default: `ema` is what a layer is that is told no kind.
DEFAULT = ("inference-mode.grad", "train.grad.adopted", "train.grad.dropped", "fresh.train.grad.adopted", "predict")
enter("batch")
enter("ema")
