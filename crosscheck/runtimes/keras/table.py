"""The table of modes: each entry is a mode's description and the function that makes its call.

A name begins with the backend whose gradient is taken (`tf`, `jax`, `torch`), with `model` for what models do on every
backend, or with `k-function` and `session` in Keras 2. Its last word says which mode the network is called in: `train`,
`eval`, or `unset` where nobody says; or what the user does with the statistics that come back.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional

from crosscheck.probe.adapter import Contract, Mode

#: (x, cotangent, between) -> dx, (x) -> y, or (folder) -> model
Call = Callable[..., Any]
#: model -> call
Make = Callable[[Any], Call]

INTENT = {"train": "training", "eval": "inference", "unset": "inference"}


class Asked(NamedTuple):
    """A mode, what makes its call, and what the user does to the network once, before all else."""

    mode: Mode
    make: Make
    prepare: Optional[Callable[[Any], None]]


class Table(Dict[str, Asked]):
    """Mode name -> mode, in the order of the report.

    since, until: the first and the last release that has them. inference, training: the plain gradients.
    """

    def __init__(self, inference: str, training: str, since: Optional[str] = None, until: Optional[str] = None) -> None:
        dict.__init__(self)
        self.inference = inference
        self.training = training
        self.since = since
        self.until = until

    def mode(
        self,
        name: str,
        intent: str,
        call: str,
        contract: Contract,
        asks: str = "gradient",
        default: bool = False,
        prepare: Optional[Callable[[Any], None]] = None,
    ) -> Callable[[Make], Make]:
        """Enter the decorated function; the arguments are those of `Mode`."""
        asks_gradient = asks == "gradient"

        def enter(make: Make) -> Make:
            described = Mode(
                name=name,
                intent=intent,
                asks=asks,
                call=call,
                contract=contract,
                since=self.since,
                until=self.until,
                inference=self.inference if asks_gradient else None,
                training=self.training if asks_gradient and intent == "inference" else None,
                default=default,
            )
            self[name] = Asked(described, make, prepare)
            return make

        return enter
