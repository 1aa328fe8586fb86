"""Results of the judge: evidence for each finding, the update law, and the judgement of a cell. Frozen data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from crosscheck.cells import Array, Finding, Status
from crosscheck.oracle import Average
from crosscheck.oracle.corrections import Variance

__all__ = [
    "Again",
    "Cause",
    "Curve",
    "Errors",
    "Evidence",
    "FirstLayer",
    "Flip",
    "Judgement",
    "Outcome",
    "Reading",
    "TensorPair",
    "Update",
    "When",
    "across_readings",
]

When = Literal["forward", "backward", "both", "read", "second", "adopted", "none"]
Errors = Mapping[str, float | None]  # "inference" and "training" -> relative error


@dataclass(frozen=True)
class Evidence:
    """The evidence of a finding: the number, the threshold it exceeds (`clean`: meets), and the threshold's reason.

    value, threshold: None for an event without a number (a runtime's exception).
    """

    finding: Finding
    what: str
    value: float | None
    threshold: float | None
    why: str
    detail: str = ""


def across_readings(evidence: Mapping[str, Evidence], readings: Iterable[str]) -> list[Evidence]:
    """Merge evidence of several readings: the first one, with the names of the others.

    evidence: reading -> evidence. readings: all readings that could show it.
    """
    if not evidence:
        return []
    reading, first = next(iter(evidence.items()))
    others = [name for name in evidence if name != reading]
    missing = [name for name in dict.fromkeys(readings) if name not in evidence]
    notes = [
        first.detail,
        f"also {', '.join(others)}" if others else "",
        f"not {', '.join(missing)}" if missing else "",
    ]
    return [replace(first, what=f"{reading}: {first.what}", detail="; ".join(filter(None, notes)))]


@dataclass(frozen=True)
class Update:
    """The law and the time of a change of moving statistics.

    when: the first step after the change; "second" if only the second call moves them; "adopted" if the user's own
        lines replace the statistics by returned ones.
        `taken_apart` is false if the runtime runs forward and backward in one call, without a snapshot between: then
        `when` is "forward", since a law needs only the forward's numbers, or "both" for two updates.
    count: number of updates; None if no law fits, or several do that say different things. momentum: the fraction kept
        by one, the first layer's where they differ. convention: meaning of the declared momentum ("keep", "take",
        "other"). variance: correction of the batch's (`crosscheck.oracle.corrections`). residual: the largest misfit of
        any layer. average: kind of average (`crosscheck.oracle.laws.AVERAGES`, "exponential" or "replaced"); None like
        `count`.
    """

    when: When
    taken_apart: bool
    count: int | None
    momentum: float | None
    variance: Variance
    residual: float | None
    convention: Literal["keep", "take", "other"] | None = None
    average: Average | None = None


@dataclass(frozen=True)
class Outcome:
    """The number of trials of a reading with the same outcome, and its description."""

    count: int
    what: str


@dataclass(frozen=True)
class Reading:
    """The distribution of a reading's trials over statuses and over distinct outcomes (the most frequent first)."""

    reading: str
    count: int
    statuses: Mapping[str, int]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Flip:
    """A held-out image classified correctly before the first call and wrongly after the last.

    index: of the held-out image. image: its values, (channels, height, width) or (height, width).
    """

    index: int
    before: int
    after: int
    image: list[Any]


@dataclass(frozen=True)
class Curve:
    """Held-out accuracy and predicted class of the probe image at steps 0 (before) to 20, and its true class.

    Shorter if a step raised or the process died. `flips` are the first few images whose class flipped.
    """

    accuracy: tuple[float, ...]
    top1: tuple[int, ...]
    label: int
    flips: tuple[Flip, ...] = ()


@dataclass(frozen=True)
class TensorPair:
    """A small persistent tensor before and after the call under test, flat; `after` is None if no bit changed."""

    before: list[float]
    after: list[float] | None


@dataclass(frozen=True)
class FirstLayer:
    """The first node whose output differs from the oracle's: name, operator, tensor, relative error."""

    node: str
    op: str
    tensor: str
    error: float


@dataclass(frozen=True)
class Again:
    """The same question on a network without the operator at fault, and what it shows there."""

    network: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Cause:
    """The node at fault for a finding: name, operator and attributes. by: how it was found.

    first: whether the part of the network that is its first node alone is wrong: the operator may not matter then.
    again: the question asked again, where the operator is not batch normalization and the network has some.
    """

    finding: Finding
    node: str
    op: str
    attributes: Mapping[str, Any]
    by: str
    first: bool = False
    again: Again | None = None


@dataclass(frozen=True)
class Judgement:
    """The judgement of one cell. Fields are those of a line of `cells.jsonl` (`cell.schema.json`).

    undecided: why the cell does not show that a call is right and leaves the network unchanged, though it has none of
    the findings that would deny it: such a cell is never `clean`.
    """

    status: Status
    reason: str | None = None
    undecided: str | None = None
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    contradicts: bool | None = None
    trials: tuple[Reading, ...] = ()
    prediction_before: Array | None = None
    prediction_after: Array | None = None
    top1_before: list[int] | None = None
    top1_after: list[int] | None = None
    gradient: list[Any] | None = None
    closed_forms: Mapping[str, list[Any]] | None = None
    gradient_error: Errors | None = None
    later: Mapping[str, Errors | None] | None = None
    state_changes: Mapping[str, float] = field(default_factory=dict)
    tensors: Mapping[str, TensorPair] = field(default_factory=dict)
    update: Update | None = None
    public_view: Literal["shows", "hides"] | None = None
    curve: Curve | None = None
    first_layer: FirstLayer | None = None
    cause: Cause | None = None
    seconds: float = 0.0
    stderr: str = ""
