"""The table of modes: each entry is a mode's description and what makes the call that carries it out.

Names begin with the module's mode in the forward pass, `train` or `eval`, or with what is done to the module first;
`compiled` ones go on with what the compiler was told of the module's state.
"""

from typing import Any, Callable, Dict, NamedTuple

from crosscheck.probe.adapter import Contract, Mode

#: (x, cotangent, between) -> dx, (x) -> y, or (folder) -> model.
Call = Callable[..., Any]
#: (mlx, model) -> call: what a user defines once, so that it is compiled once.
Make = Callable[..., Call]


class Asked(NamedTuple):
    """A mode and what makes its call."""

    mode: Mode
    make: Make


class Table(Dict[str, Asked]):
    """Mode name -> mode, in the order of the report."""

    def mode(
        self, name: str, intent: str, call: str, contract: Contract, asks: str = "gradient", default: bool = False
    ) -> Callable[[Make], Make]:
        """Enter the decorated function; the arguments are those of `Mode`."""
        gradient = asks == "gradient"

        def enter(make: Make) -> Make:
            described = Mode(
                name=name,
                intent=intent,
                asks=asks,
                call=call,
                contract=contract,
                inference="eval.grad" if gradient else None,
                training="train.grad" if gradient and intent == "inference" else None,
                default=default,
            )
            self[name] = Asked(described, make)
            return make

        return enter
