"""What the report reads, typed: a line of `cells.jsonl`, and the facts of `run.json`."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

__all__ = [
    "PLAIN",
    "Contract",
    "Curve",
    "EnvironmentFacts",
    "Evidence",
    "ExportedFile",
    "FirstLayer",
    "Flip",
    "JudgedCell",
    "Later",
    "ModeFacts",
    "ModeGradientErrors",
    "Outcome",
    "ReadingTrials",
    "Run",
    "RuntimeFacts",
    "TensorPair",
    "Trip",
    "Update",
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
    """One number behind a finding, the threshold it was held against, and why that threshold."""

    finding: str
    what: str
    value: float | str | None
    threshold: float | str | None
    why: str
    detail: str


class Outcome(TypedDict):
    """One distinct outcome of a reading's trials, and how many trials ended in it."""

    count: int
    what: str


class ReadingTrials(TypedDict):
    """The trials of one reading: how many, how they ended, and what they saw."""

    reading: str
    count: int
    statuses: dict[str, int]
    outcomes: list[Outcome]


class ModeGradientErrors(TypedDict):
    """Errors of a gradient against either mode's closed form, relative to the oracle's largest entry."""

    inference: float | None
    training: float | None


class Later(TypedDict):
    """Errors of the gradients that were taken after the call under test, at the statistics of that moment."""

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
    """A held-out image that lost its class: its place, its class before and after, its values (axes as the input's)."""

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
    """The first node whose output is not the oracle's, and by how much."""

    node: str
    op: str
    tensor: str
    error: float


class Trip(TypedDict):
    """One export and one reader: errors against the oracle of the network that was exported, and where they part.

    fault: "none" where the answer is right, else "exporter", "importer", "both" or "unknown"; None without an answer.
    side: whose first node is `first_layer`, "exporter" or "importer".
    """

    cell: str
    error: float | None
    file_error: float | None
    fault: str | None
    side: str | None
    first_layer: FirstLayer | None


class ExportedFile(TypedDict):
    """The ONNX file that a cell wrote (then without trips) or read; `network` is None where there is none."""

    network: str | None
    file: str | None
    opset: int | None
    foreign: list[str]
    refusal: str | None
    importer_error: float | None
    trips: list[Trip]


class CellEnvironment(TypedDict):
    """What the trials ran in; `sources`: the digest of the runtime's folder and the probe, which older runs lack."""

    python: str
    packages: dict[str, str]
    variables: dict[str, str]
    sources: NotRequired[str]


class JudgedCell(TypedDict):
    """One line of `cells.jsonl`.

    A line may leave out the keys of `reading.DEFAULTS` (a cell that could not be measured has nothing to say there) and
    then reads as that default; every other key has to be there. Predictions are [rows][numbers], whatever axes they
    had.
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
    seconds: float
    environment: CellEnvironment
    stderr: str
    arrays: str | None
    exported: ExportedFile | None
    reproduce: str


class ModeFacts(TypedDict):
    """One way of asking, as the runtime's adapter describes it."""

    name: str
    intent: str
    asks: str
    call: str
    contract: Contract


class RuntimeFacts(TypedDict):
    """A runtime: `releases` from the oldest to the newest, `modes` in the adapter's order."""

    title: str
    link: str
    releases: list[str]
    modes: list[ModeFacts]


class EnvironmentFacts(TypedDict):
    """An environment that the run made or found: the lock it came from and what is in it."""

    lock: str
    python: str
    packages: dict[str, str]


class Run(TypedDict):
    """`run.json`: the machine, the command, the timings (seconds), and what runtimes, networks and scenarios are."""

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
    networks: dict[str, dict[str, str]]
    scenarios: dict[str, dict[str, str]]
    environments: dict[str, EnvironmentFacts]


def anchor(cell: JudgedCell) -> str:
    """Return the cell's id as an HTML id: the same text wherever it has no white space, which HTML ids cannot have."""
    return "_".join(cell["id"].split())
