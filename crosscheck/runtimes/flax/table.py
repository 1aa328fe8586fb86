"""The table of modes: each entry is a mode's description and the function that carries it out.

A name begins with the API, `linen` or `nnx`. Of linen, which returns new statistics instead of writing them, it says
what the user does with those: `adopted` or `dropped`. Functions are compiled by `jit`, as in Flax's guides, unless the
name says `eager` or the mode is about what happens without.
"""

from typing import Any, Callable, Dict, NamedTuple

from crosscheck.probe.adapter import Contract, Mode

#: (x, cotangent, between) -> dx, (x) -> y, or (folder) -> model
Call = Callable[..., Any]
#: (flax, jax, model) -> call: what a user defines once, so that it is compiled once.
Make = Callable[..., Call]

#: API -> the plain way to the inference-mode gradient, and to the training-mode one.
INFERENCE = {"linen": "linen.eval.grad", "nnx": "nnx.eval.grad"}
TRAINING = {"linen": "linen.train.grad.adopted", "nnx": "nnx.train.grad"}


class Asked(NamedTuple):
    """A mode and what makes its call."""

    mode: Mode
    make: Make


class Table(Dict[str, Asked]):
    """Mode name -> mode, in the order of the report."""

    def mode(
        self,
        name: str,
        intent: str,
        call: str,
        contract: Contract,
        asks: str = "gradient",
        default: bool = False,
    ) -> Callable[[Make], Make]:
        """Enter the decorated function; the arguments are those of `Mode`."""
        api = name.split(".")[0]
        inference = INFERENCE[api] if asks == "gradient" else None
        training = TRAINING[api] if asks == "gradient" and intent == "inference" else None

        def enter(make: Make) -> Make:
            described = Mode(
                name, intent, asks, call, contract, inference=inference, training=training, default=default
            )
            self[name] = Asked(described, make)
            return make

        return enter
