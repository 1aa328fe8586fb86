"""The table of modes: each entry is a mode's description and the function that carries it out.

Names begin with the training flag in the forward pass, `train` or `eval`, or with what carries the call out: `jit` is a
`TinyJit` that is called once, `jit-warm` one that is called three times, so that it was run, captured and replayed.
"""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from crosscheck.probe.adapter import Contract, Mode

#: (tinygrad, net, x, cotangent, between) -> dx, (tinygrad, net, x) -> y, or (tinygrad, model, folder) -> model.
Call = Callable[..., Any]

#: What `nn.BatchNorm` is told beyond epsilon and momentum.
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
        inference: Optional[str] = "eval.gradient",
        training: Optional[str] = "train.gradient",
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
