"""The table of modes: each entry is a mode's description and the function that makes its call.

A name begins with the way in which the gradient is taken (`tape`, `function`, `graph`, ...) or with what is done to the
layers before; its last word says which mode the network is called in: `train`, `eval`, or `unset` where nobody says.
Calls are made once for a model, as users define a `tf.function` once.
"""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from crosscheck.probe.adapter import Contract, Mode

#: (x, cotangent, between) -> dx, (x) -> y, or (folder) -> model
Call = Callable[..., Any]
#: (tf, model) -> call
Make = Callable[..., Call]

INTENT = {"train": "training", "eval": "inference", "unset": "inference"}


class Asked(NamedTuple):
    """A mode and what makes its call.

    kind: how the network is written for it. norm: what its batch normalizations are told.
    prepare: what the user does to the network once, before all else.
    """

    mode: Mode
    make: Make
    kind: str
    norm: Mapping[str, Any]
    prepare: Optional[Callable[[Any, Any], None]]


class Table(Dict[str, Asked]):
    """Mode name -> mode, in the order of the report.

    kind: how networks are written for these modes. inference, training: the plain gradients of such a network.
    since, until: the first and the last release that has them, if a mode does not say otherwise.
    """

    def __init__(
        self, kind: str, inference: str, training: str, since: Optional[str] = None, until: Optional[str] = None
    ) -> None:
        dict.__init__(self)
        self.kind = kind
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
        since: Optional[str] = None,
        until: Optional[str] = None,
        default: bool = False,
        norm: Optional[Mapping[str, Any]] = None,
        prepare: Optional[Callable[[Any, Any], None]] = None,
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
                since=since or self.since,
                until=until or self.until,
                inference=self.inference if asks_gradient else None,
                training=self.training if asks_gradient and intent == "inference" else None,
                default=default,
            )
            self[name] = Asked(described, make, self.kind, norm or {}, prepare)
            return make

        return enter
