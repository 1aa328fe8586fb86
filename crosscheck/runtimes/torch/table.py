"""The table of modes: each entry is a mode's description and the function that carries it out.

Names begin with the mode of the module, `train` or `eval`, where that and the call are all there is to say; else with
what is done to the network first, or with what the layers are. The intent is that of the module's mode in the forward
pass; whoever puts the layers alone into evaluation mode wants the running statistics.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional

from crosscheck.probe.adapter import Contract, Mode
from crosscheck.runtimes.torch.networks import Norm

#: (torch, module, x, cotangent, between) -> dx, (torch, module, x) -> y, or (torch, model, x, folder) -> model.
Call = Callable[..., Any]

INTENT = {"train": "training", "eval": "inference"}
#: What `nn.BatchNorm` is told beyond epsilon and momentum.
PLAIN: Norm = {}


class Asked(NamedTuple):
    """A mode, what carries it out, and what every batch normalization is told of the model that it is asked of."""

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
        until: Optional[str] = None,
        inference: Optional[str] = "eval.autograd-grad",
        training: Optional[str] = "train.autograd-grad",
        default: bool = False,
        norm: Norm = PLAIN,
        file: bool = False,
    ) -> Callable[[Call], Call]:
        """Enter the decorated function; the arguments are those of `Mode`."""
        asks_gradient = asks == "gradient"

        def enter(function: Call) -> Call:
            described = Mode(
                name=name,
                intent=intent,
                asks=asks,
                call=call,
                contract=contract,
                since=since,
                until=until,
                inference=inference if asks_gradient else None,
                training=training if asks_gradient and intent == "inference" else None,
                default=default,
                file=file,
            )
            self[name] = Asked(described, function, norm)
            return function

        return enter
