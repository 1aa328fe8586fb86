"""The table of modes: each entry is a mode's description and the function that carries it out.

Names begin with the mode of the network, `train` or `eval`, where that and the call are all there is to say; else with
what the layers are told, or with what the network is made into first. The intent is that of the forward pass.
"""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from crosscheck.probe.adapter import Contract, Mode

#: (paddle, net, x, cotangent, between) -> dx, (paddle, net, x) -> y, or (paddle, model, folder) -> model.
Call = Callable[..., Any]

#: What the batch normalizations are told beyond epsilon and momentum.
Norm = Mapping[str, Any]
PLAIN: Norm = {}

INTENT = {"train": "training", "eval": "inference"}


class Asked(NamedTuple):
    """A mode, what carries it out, how the batch normalizations are written, and whether in static programs."""

    mode: Mode
    call: Call
    norm: Norm
    static: bool


class Table(Dict[str, Asked]):
    """Mode name -> mode, in the order of the report."""

    def mode(
        self,
        name: str,
        intent: str,
        call: str,
        contract: Contract,
        asks: str = "gradient",
        inference: Optional[str] = "eval.grad",
        training: Optional[str] = "train.grad",
        default: bool = False,
        norm: Norm = PLAIN,
        static: bool = False,
        file: bool = False,
    ) -> Callable[[Call], Call]:
        """Enter the decorated function; the arguments are those of `Mode` and `Asked`."""
        gradient = asks == "gradient"

        def enter(function: Call) -> Call:
            described = Mode(
                name=name,
                intent=intent,
                asks=asks,
                call=call,
                contract=contract,
                inference=inference if gradient else None,
                training=training if gradient and intent == "inference" else None,
                default=default,
                file=file,
            )
            self[name] = Asked(described, function, norm, static)
            return function

        return enter
