r"""One table of modes for every runtime that has many: what a mode is, and the function that carries it out.

A runtime enters its modes by decorating the functions that carry them out:

    TABLE = Table(inference="eval.grad", training="train.grad")

    @TABLE.mode("eval.grad", "inference", "net.eval()\\ndx = ...", contracts.INFERENCE, default=True)
    def gradient(net, x, cotangent, between): ...
"""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from crosscheck.probe.adapter import Adapter, Contract, Mode, Model, Tensor

#: What carries out a mode once the runtime and the model are given: (x, cotangent, between) -> dx, (x) -> y, or
#: (folder) -> model. Which arguments come before is the runtime's affair.
Call = Callable[..., Any]
#: What is called once after forward and before backward, where a runtime lets them be taken apart.
Between = Callable[[], None]
#: (..., model) -> call: what a user defines once, so that it is traced or compiled once.
Make = Callable[..., Call]
#: What a layer is told of batch normalization, beyond epsilon and momentum.
Norm = Mapping[str, Any]

PLAIN: Norm = {}
#: The last word of a mode's name, or the first: what the network is told.
INTENT = {"train": "training", "eval": "inference", "unset": "inference"}
#: For `inference` and `training`: those of the table, whatever they are.
OF_TABLE = "of the table"


class Asked(NamedTuple):
    """A mode and how it is asked for.

    call: what carries it out, or makes that. norm: what batch normalizations of its model are told. kind: how the
    network is written for it, where there are several ways. prepare: what the user does to the network before all else.
    """

    mode: Mode
    call: Callable[..., Any]
    norm: Norm
    kind: str
    prepare: Optional[Callable[..., None]]


class Table(Dict[str, Asked]):
    """Mode name -> mode, in the order of the report.

    The arguments hold for every mode that does not say otherwise. inference, training: the plain ways to the two
    gradients. since, until: the first and the last release that has the modes. default, kind: as in `Mode` and `Asked`.
    """

    def __init__(
        self,
        inference: Optional[str] = None,
        training: Optional[str] = None,
        since: Optional[str] = None,
        until: Optional[str] = None,
        default: bool = False,
        kind: str = "",
    ) -> None:
        dict.__init__(self)
        self.inference = inference
        self.training = training
        self.since = since
        self.until = until
        self.default = default
        self.kind = kind

    def mode(
        self,
        name: str,
        intent: str,
        call: str,
        contract: Contract,
        asks: str = "gradient",
        since: Optional[str] = None,
        until: Optional[str] = None,
        inference: Optional[str] = OF_TABLE,
        training: Optional[str] = OF_TABLE,
        default: Optional[bool] = None,
        file: bool = False,
        norm: Norm = PLAIN,
        kind: Optional[str] = None,
        prepare: Optional[Callable[..., None]] = None,
        unit_scale: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Enter the decorated function; the arguments are those of `Mode` and `Asked`.

        What asks for no gradient has no plain ways to one; `training` is only for those whose intent is inference.
        """
        gradient = asks == "gradient"
        plain = self.inference if inference == OF_TABLE else inference
        other = self.training if training == OF_TABLE else training

        def enter(function: Callable[..., Any]) -> Callable[..., Any]:
            described = Mode(
                name=name,
                intent=intent,
                asks=asks,
                call=call,
                contract=contract,
                since=since or self.since,
                until=until or self.until,
                inference=plain if gradient else None,
                training=other if gradient and intent == "inference" else None,
                default=self.default if default is None else default,
                file=file,
                unit_scale=unit_scale,
            )
            self[name] = Asked(described, function, norm, self.kind if kind is None else kind, prepare)
            return function

        return enter


class TableAdapter(Adapter):
    """The verbs that carry out a mode, for adapters whose modes stand in tables."""

    def call(self, model: Model, mode: str) -> Call:
        """What carries out a mode of this model."""
        raise NotImplementedError

    def forward(self, model: Model, x: Tensor, mode: str) -> Tensor:
        """A mode that asks for a prediction."""
        return self.call(model, mode)(x)

    def gradient(self, model: Model, x: Tensor, cotangent: Tensor, mode: str, between: Between) -> Tensor:
        """A mode that asks for an input gradient."""
        return self.call(model, mode)(x, cotangent, between)

    def export(self, model: Model, mode: str, folder: str) -> Optional[Model]:
        """A mode that asks for files."""
        return self.call(model, mode)(folder)


class MakingAdapter(TableAdapter):
    """The same for runtimes that trace or compile: a call is made once for a model, and kept in its `calls`.

    Such models know their tensors: `predict`, `state` and `parameters` are theirs.
    """

    def make(self, model: Model, mode: str) -> Call:
        """Make what carries out a mode of this model."""
        raise NotImplementedError

    def call(self, model: Model, mode: str) -> Call:
        """What was made for this model, or will be for later calls."""
        calls: Dict[str, Call] = model.calls
        if mode not in calls:
            calls[mode] = self.make(model, mode)
        return calls[mode]

    def predict(self, model: Model, x: Tensor) -> Tensor:
        """The documented prediction of the model's API."""
        return model.predict(x)

    def state(self, model: Model) -> Dict[str, Tensor]:
        """Every persistent tensor, and the flags that decide what layers do."""
        return dict(model.state())

    def parameters(self, model: Model) -> Dict[str, Tensor]:
        """What the API counts among the parameters."""
        return dict(model.parameters())
