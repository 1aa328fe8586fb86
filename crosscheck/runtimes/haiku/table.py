"""The table of modes: each entry is a mode's description and the function that carries it out.

Layers have long been trained, unless a mode says that they are `fresh`: then their averages are the network's, and they
know of no batch yet. `adopted` or `dropped` is what the user does with the state that comes back.
"""

from typing import Any, Callable, Dict, NamedTuple

from crosscheck.probe.adapter import Contract, Mode

#: (x, cotangent, between) -> dx or (x) -> y
Call = Callable[..., Any]
#: (hk, jax, model) -> call: what a user defines once, so that it is compiled once.
Make = Callable[..., Call]


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
        fresh = "fresh." if name.startswith("fresh.") else ""
        inference = fresh + "eval.grad" if asks == "gradient" else None
        training = fresh + "train.grad.adopted" if asks == "gradient" and intent == "inference" else None

        def enter(make: Make) -> Make:
            described = Mode(
                name, intent, asks, call, contract, inference=inference, training=training, default=default
            )
            self[name] = Asked(described, make)
            return make

        return enter
