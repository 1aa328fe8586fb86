"""The table of modes: each entry is a mode's description and the function that carries it out.

A name begins with the kind of batch normalization: `batch` and `ema` are modes of `eqx.nn.BatchNorm`, `experimental` is
the layer before it. A `fresh` layer was given the network's statistics by hand and knows of no batch yet; others have
long been trained. `adopted` or `dropped` is what the user does with the state that comes back.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from crosscheck.probe.adapter import Contract, Mode

#: (x, cotangent, between) -> dx, (x) -> y, or (folder) -> model
Call = Callable[..., Any]
#: (eqx, jax, model) -> call: what a user defines once, so that it is compiled once.
Make = Callable[..., Call]

#: The first and the last release that has a kind.
RELEASES: Dict[str, Tuple[Optional[str], Optional[str]]] = {
    "batch": ("0.13.0", None),
    "ema": ("0.11.0", None),
    "experimental": (None, "0.10.2"),
}


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
        inference: str,
        training: str,
        asks: str = "gradient",
        default: bool = False,
    ) -> Callable[[Make], Make]:
        """Enter the decorated function; the arguments are those of `Mode`."""
        since, until = RELEASES[name.split(".")[0]]
        gradient = asks == "gradient"

        def enter(make: Make) -> Make:
            described = Mode(
                name,
                intent,
                asks,
                call,
                contract,
                since,
                until,
                inference if gradient else None,
                training if gradient and intent == "inference" else None,
                default,
            )
            self[name] = Asked(described, make)
            return make

        return enter


def kind(name: str) -> Tuple[str, bool]:
    """What a mode's name says of its layers: their kind, and whether they are fresh."""
    words = name.split(".")
    return words[0], words[1] == "fresh"
