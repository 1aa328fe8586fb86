"""Types of the report's input: a line of `cells.jsonl`, and `run.json`."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

__all__ = [
    "PLAIN",
    "BatchNormFacts",
    "Contract",
    "Curve",
    "EnvironmentFacts",
    "Evidence",
    "ExportedFile",
    "FileFacts",
    "FirstLayer",
    "Flip",
    "JudgedCell",
    "Later",
    "ModeFacts",
    "ModeGradientErrors",
    "NetworkFacts",
    "Outcome",
    "ReadingTrials",
    "Run",
    "RuntimeFacts",
    "TensorPair",
    "Trip",
    "Update",
    "ValueFacts",
    "anchor",
]

#: The variant of a release as it is installed.
PLAIN = "plain"


class Contract(TypedDict):
    """What the runtime documents for a mode: `statistics` is "stay", "move" or "undocumented"."""

    statistics: str
    says: str
    link: str


class Evidence(TypedDict):
    """One number behind a finding, its threshold, and the reason for the threshold."""

    finding: str
    what: str
    value: float | str | None
    threshold: float | str | None
    why: str
    detail: str


class Outcome(TypedDict):
    """One distinct outcome of a reading's trials, and its number of trials."""

    count: int
    what: str


class ReadingTrials(TypedDict):
    """The trials of one reading: their number, statuses and outcomes."""

    reading: str
    count: int
    statuses: dict[str, int]
    outcomes: list[Outcome]


class ModeGradientErrors(TypedDict):
    """Errors of a gradient against each mode's closed form, relative to the oracle's largest entry."""

    inference: float | None
    training: float | None


class Later(TypedDict):
    """Errors of gradients computed after the call under test, at the current statistics."""

    gradient_again: ModeGradientErrors | None
    inference_gradient: ModeGradientErrors | None


class Update(TypedDict):
    """The law by which the statistics moved."""

    when: str
    count: int | None
    momentum: float | None
    variance: str
    residual: float | None
    average: NotRequired[str | None]


class Flip(TypedDict):
    """A held-out image with a changed class: index, class before and after, values (axes as the input's)."""

    index: int
    before: int
    after: int
    image: list[Any]


class TensorPair(TypedDict):
    """A small persistent tensor before and after the call, flat; `after` is None where no bit changed."""

    before: list[float]
    after: list[float] | None


class Curve(TypedDict):
    """`twenty` and `ascent`: accuracy (0 to 1) and the probe image's class before the first call and after each."""

    accuracy: list[float]
    top1: list[int]
    label: int | None
    flips: NotRequired[list[Flip]]


class FirstLayer(TypedDict):
    """The first node whose output differs from the oracle's, and its error."""

    node: str
    op: str
    tensor: str
    error: float


class Again(TypedDict):
    """What the same question shows on a network without the operator at fault."""

    network: str
    findings: list[str]


class Cause(TypedDict):
    """The node at fault for one finding. by: how it was found. first: whether the first node alone is wrong."""

    finding: str
    node: str
    op: str
    attributes: dict[str, Any]
    by: str
    first: bool
    again: Again | None


class Trip(TypedDict):
    """One export in one reader: errors against the exported network's oracle, and the first wrong layer.

    fault: "none" for a right answer, else "exporter", "importer", "both" or "unknown"; None without an answer.
    side: the side of `first_layer`, "exporter" or "importer".
    """

    cell: str
    error: float | None
    file_error: float | None
    fault: str | None
    side: str | None
    first_layer: FirstLayer | None


class ExportedFile(TypedDict):
    """The ONNX file that a cell wrote (without trips) or read; `network` is None without a file."""

    network: str | None
    file: str | None
    opset: int | None
    foreign: list[str]
    refusal: str | None
    importer_error: float | None
    trips: list[Trip]


class CellEnvironment(TypedDict):
    """The trials' environment: its lock, what is installed in it, and the variables that are set.

    `sources`: the digest of the runtime's folder and the probe. Older runs have neither it nor `lock`, and their
    `packages` are what the lock names.
    """

    python: str
    lock: NotRequired[str]
    packages: dict[str, str]
    variables: dict[str, str]
    sources: NotRequired[str]


class JudgedCell(TypedDict):
    """One line of `cells.jsonl`.

    The keys of `reading.DEFAULTS` are optional and read as that default; unmeasured cells lack them. All other keys are
    required. Predictions are flattened to [rows][numbers].
    """

    schema: int
    id: str
    runtime: str
    release: str
    released: str
    variant: str
    mode: str
    intent: str
    asks: str
    network: str
    scenario: str
    call: str
    default_call: bool
    status: str
    reason: str | None
    undecided: str | None
    findings: list[str]
    evidence: list[Evidence]
    contract: Contract
    contradicts: bool | None
    trials: list[ReadingTrials]
    prediction_before: list[list[float]] | None
    prediction_after: list[list[float]] | None
    top1_before: list[int] | None
    top1_after: list[int] | None
    gradient: list[Any] | None
    closed_forms: dict[str, list[Any]] | None
    gradient_error: ModeGradientErrors | None
    later: Later | None
    state_changes: dict[str, float]
    tensors: dict[str, TensorPair]
    update: Update | None
    public_view: str | None
    curve: Curve | None
    first_layer: FirstLayer | None
    cause: Cause | None
    omitted: dict[str, int]
    seconds: float
    environment: CellEnvironment
    stderr: str
    arrays: str | None
    exported: ExportedFile | None
    reproduce: str


class ModeFacts(TypedDict):
    """One mode, as described by the runtime's adapter."""

    name: str
    intent: str
    asks: str
    call: str
    unit_scale: NotRequired[bool]
    zero_bias: NotRequired[bool]
    batch_prediction: NotRequired[bool]
    renormalized: NotRequired[bool]
    contract: Contract


class RuntimeFacts(TypedDict):
    """A runtime: `releases` from the oldest to the newest, `modes` in their order, `clears` as in the catalog."""

    title: str
    clears: NotRequired[str]
    link: str
    releases: list[str]
    modes: list[ModeFacts]


class ValueFacts(TypedDict):
    """An input or output of a user's file; of further outputs only the name is known."""

    name: str
    type: str
    shape: list[int] | None


class BatchNormFacts(TypedDict):
    """Batch normalizations with the same attributes; layers: name, and number of channels or "?"."""

    attributes: str
    statistics: str
    layers: list[tuple[str, int | str]]


class FileFacts(TypedDict):
    """A user's file as it was asked about, see `crosscheck.networks.file_summary.FileSummary`."""

    file: str
    opset: int
    ir: int
    nodes: int
    inputs: list[ValueFacts]
    outputs: list[ValueFacts]
    operators: dict[str, int]
    batch_norms: list[BatchNormFacts]
    differentiated: str
    rows: int
    said: list[str]


class NetworkFacts(TypedDict):
    """A network: its title, its short name, and a user's file. Early runs lack the last two."""

    title: str
    short: NotRequired[str]
    file: NotRequired[FileFacts]


class EnvironmentFacts(TypedDict):
    """An environment of the run: its lock and contents."""

    lock: str
    python: str
    packages: dict[str, str]


class Run(TypedDict):
    """`run.json`: machine, command, timings (seconds), runtimes, networks and scenarios.

    causes: numbers of cells ("cells_asked", "cells_left_out", "cells_unmeasured") as in `crosscheck.locate.Located`;
    empty for early runs.
    """

    schema: int
    crosscheck: str
    started: str
    command: list[str]
    machine: dict[str, Any]
    jobs: int
    isolation: str
    seconds: dict[str, float]
    counts: dict[str, int]
    runtimes: dict[str, RuntimeFacts]
    networks: dict[str, NetworkFacts]
    scenarios: dict[str, dict[str, str]]
    environments: dict[str, EnvironmentFacts]
    causes: dict[str, int]


def anchor(cell: JudgedCell) -> str:
    """The cell's id as an HTML id: white space, which HTML ids cannot contain, becomes `_`."""
    return "_".join(cell["id"].split())
