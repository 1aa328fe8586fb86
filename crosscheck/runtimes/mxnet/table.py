"""The table of modes: each entry is a mode's description and the function that carries it out.

Names begin with the API that the model is written in; where forward and backward take a mode each, forward's follows
and then backward's: `executor.train.eval`. The intent is that of the forward pass: whoever writes
`record(train_mode=False)` wants the moving statistics, whatever backward then does by default. Frozen layers are
always meant for inference.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional

from crosscheck.probe.adapter import Contract, Mode
from crosscheck.runtimes.mxnet.sources import WRITTEN, Source

#: (mxnet, model, x, cotangent, between) -> dx, (mxnet, model, x) -> y, or (mxnet, model, folder) -> model.
Call = Callable[..., Any]

INTENT = {"train": "training", "eval": "inference"}
#: The mode that backward is given; by default it is none.
BACKWARD = {"default": None, "train": True, "eval": False}


class Asked(NamedTuple):
    """A mode, what carries it out, and what the model is made of that it is asked of."""

    mode: Mode
    call: Call
    source: Source


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
        inference: Optional[str] = None,
        training: Optional[str] = None,
        default: bool = False,
        source: Source = WRITTEN,
        unit_scale: bool = False,
        file: bool = False,
    ) -> Callable[[Call], Call]:
        """Enter the decorated function; the arguments are those of `Mode`."""

        def enter(function: Call) -> Call:
            described = Mode(
                name, intent, asks, call, contract, since, None, inference, training, default, unit_scale, file
            )
            self[name] = Asked(described, function, source)
            return function

        return enter
