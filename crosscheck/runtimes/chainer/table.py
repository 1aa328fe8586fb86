"""The table of modes: each entry is a mode's description and the function that carries it out.

Names begin with what the configuration's `train` is in the forward pass: `default` (nobody touched it), `train` or
`eval`; else with what is done to the network or to its layers first. The intent is that of the forward pass.
"""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from crosscheck.probe.adapter import Contract, Mode

#: (chainer, net, x, cotangent, between) -> dx, (chainer, net, x) -> y, or (chainer, net, folder) -> net.
Call = Callable[..., Any]

#: What the links `BatchNormalization` are told, or what takes their place.
Norm = Mapping[str, Any]
PLAIN: Norm = {}


class Asked(NamedTuple):
    """A mode, what carries it out, and how the batch normalizations of its model are written."""

    mode: Mode
    call: Call
    norm: Norm


class Table(Dict[str, Asked]):
    """Mode name -> mode, in the order of the report."""

    def mode(
        self,
        name: str,
        intent: str,
        call: str,
        contract: Contract,
        asks: str = "gradient",
        since: Optional[str] = None,
        inference: Optional[str] = "eval.grad",
        training: Optional[str] = "default.grad",
        default: bool = False,
        norm: Norm = PLAIN,
    ) -> Callable[[Call], Call]:
        """Enter the decorated function; the arguments are those of `Mode`."""
        gradient = asks == "gradient"

        def enter(function: Call) -> Call:
            described = Mode(
                name=name,
                intent=intent,
                asks=asks,
                call=call,
                contract=contract,
                since=since,
                inference=inference if gradient else None,
                training=training if gradient and intent == "inference" else None,
                default=default,
            )
            self[name] = Asked(described, function, norm)
            return function

        return enter
