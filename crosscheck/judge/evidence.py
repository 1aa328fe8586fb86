"""Results of the judge: evidence for each finding, the update law, and the judgement of a cell. Frozen data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from crosscheck.cells import Finding, Status
from crosscheck.oracle import Average
from crosscheck.oracle.corrections import Variance

__all__ = [
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

When = Literal["forward", "backward", "both", "read", "none"]
Errors = Mapping[str, float | None]  # "inference" and "training" -> relative error


@dataclass(frozen=True)
class Evidence:
    """Why a finding was made: the number, the threshold that it exceeds (`clean`: does not), and that one's reason.

    value, threshold: None where the finding is an event, not a number (a runtime's exception).
    """

    finding: Finding
    what: str
    value: float | None
    threshold: float | None
    why: str
    detail: str = ""


def across_readings(found: Mapping[str, Evidence], readings: Iterable[str]) -> list[Evidence]:
    """One piece of evidence for the same thing seen in several readings: the first, and in which others it was seen.

    found: reading -> evidence. readings: those in which it could have been seen, or not.
    """
    if not found:
        return []
    reading, first = next(iter(found.items()))
    others = [name for name in found if name != reading]
    missing = [name for name in dict.fromkeys(readings) if name not in found]
    notes = [
        first.detail,
        f"also {', '.join(others)}" if others else "",
        f"not {', '.join(missing)}" if missing else "",
    ]
    return [replace(first, what=f"{reading}: {first.what}", detail="; ".join(filter(None, notes)))]


@dataclass(frozen=True)
class Update:
    """By which law the moving statistics changed, and when.

    when: the step by which they had changed. `taken_apart` is false where the runtime does forward and backward in
        one call, so that nothing can be read between: then `when` is "forward", since a law needs no more than the
        forward's numbers, or "both" where there were two updates.
    count: number of updates; None where no law fits. momentum: the part kept by one. convention: how the declared
        momentum was read ("keep", "take", "other"). variance: what was done to the batch's
        (`crosscheck.oracle.corrections`). residual: the largest misfit of any layer. average: what kind of
        average it is (`crosscheck.oracle.laws.AVERAGES`, "exponential" or "replaced"); None where no law fits.
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
    """How many trials of a reading ended in the same way, and what that was, in words."""

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
    """A held-out image that was given its own class before the first call and another one after the last.

    index: its place among the held-out images. image: its values, (channels, height, width) or (height, width).
    """

    index: int
    before: int
    after: int
    image: list[Any]


@dataclass(frozen=True)
class Curve:
    """Step by step, 0 (before) to 20: accuracy on the held-out images, the probe image's class; and the class it has.

    Shorter where a step raised or the process died. `flips` are the first few images whose class flipped.
    """

    accuracy: tuple[float, ...]
    top1: tuple[int, ...]
    label: int
    flips: tuple[Flip, ...] = ()


@dataclass(frozen=True)
class TensorPair:
    """A small persistent tensor before and after the call under test, flat; `after` is None where no bit changed."""

    before: list[float]
    after: list[float] | None


@dataclass(frozen=True)
class FirstLayer:
    """The first node whose output is not the oracle's: its name, its operator, the tensor, and the relative error."""

    node: str
    op: str
    tensor: str
    error: float


@dataclass(frozen=True)
class Judgement:
    """What the observations of one cell show. Fields are those of a line of `cells.jsonl` (`cell.schema.json`)."""

    status: Status
    reason: str | None = None
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    contradicts: bool | None = None
    trials: tuple[Reading, ...] = ()
    prediction_before: list[Any] | None = None
    prediction_after: list[Any] | None = None
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
    seconds: float = 0.0
    stderr: str = ""
