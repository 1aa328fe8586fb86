"""Classifies the change of each cell between two runs: worse, fixed, changed, new or gone. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from crosscheck.cells import MEASURED, Finding, Status
from crosscheck.records import JudgedCell, rows_of
from crosscheck.report.vocabulary import worst_first

__all__ = ["MEANINGS", "TOLERANCE", "Change", "Kind", "Shown", "difference", "different_numbers"]

#: Largest difference of equal numbers of two runs, relative to the largest entry of a prediction or to the change of
#: a tensor; gradient errors are already relative to the oracle's largest entry. The judge allows the same difference
#: between trials of one run: one program repeats itself up to float32 rounding.
TOLERANCE = 1e-4
#: Smallest scale of a comparison: statistics start at zero and may differ by TOLERANCE times this, 1e-6.
SMALLEST = 0.01


class Kind(StrEnum):
    """The change of a cell between two runs, the most important first."""

    WORSE = "worse"
    FIXED = "fixed"
    CHANGED = "changed"
    NEW = "new"
    GONE = "gone"


#: Kind -> description in the report; `difference` has the exact definitions.
MEANINGS: Mapping[Kind, str] = {
    Kind.WORSE: "a new finding or crash, or no longer measurable",
    Kind.FIXED: "a finding or crash is gone, or clean where nothing could be measured before",
    Kind.CHANGED: "neither worse nor fixed: another status, the same findings with other numbers (by more than "
    f"{TOLERANCE:g} of the largest), or other findings by chance: corrupted, or trials that disagree, in both runs",
    Kind.NEW: "in this run only; never a regression",
    Kind.GONE: "in the other run only; never a regression",
}


@dataclass(frozen=True)
class Shown:
    """The status and findings of a cell in one run, the worst finding first."""

    status: str
    findings: tuple[str, ...]

    def __str__(self) -> str:
        """Write `leak, racy`, `crashed: leak` or `refused`."""
        findings = ", ".join(self.findings)
        if self.status == Status.OK:
            return findings or "no finding"
        return f"{self.status}: {findings}" if findings else self.status


@dataclass(frozen=True)
class Change:
    """The change of one cell between two runs.

    `before` and `now` are its status and findings in the other run and in this one, None if the run lacks the cell.
    `because` is the deciding finding or status, or ""; `differs` names the numbers that differ.
    """

    kind: Kind
    runtime: str
    release: str
    variant: str
    mode: str
    network: str
    scenario: str
    before: Shown | None
    now: Shown | None
    because: str = ""
    differs: tuple[str, ...] = ()


def difference(cells: Iterable[JudgedCell], other: Iterable[JudgedCell]) -> Mapping[str, Change]:
    """Cell id -> change from `other` to `cells`, for every changed cell.

    A cell of one run only is `new` or `gone`, not a regression. For a cell of both runs:

    - Measured (`cells.MEASURED`) in the other run only: `worse`. Measured in this run only: `fixed` if `clean`
      is the only finding, else `changed`, since the earlier findings are unknown.
    - Measured in both: the most severe finding of only one run decides, in the order of `vocabulary.FINDINGS`, a crash
      first: `worse` if it is this run's, else `fixed`. From `state-moved` to `leak` is worse, the reverse is fixed.
      If both runs have `corrupted` or disagreeing trials, further findings are random: `changed`.
    - Otherwise `changed`, if the status differs or one of `_NUMBERS` by more than `TOLERANCE`. Numbers recorded in
      one run only, or random in either run, are not compared, nor are reasons, seconds, packages and stderr.
    """
    now = {cell.id: cell for cell in cells}
    before = {cell.id: cell for cell in other}
    changes = {name: _change(before.get(name), now.get(name)) for name in dict.fromkeys([*now, *before])}
    return {name: change for name, change in changes.items() if change is not None}


def _change(before: JudgedCell | None, now: JudgedCell | None) -> Change | None:
    """The change of one cell, present in at least one run; None if it is the same."""
    cell = now or before
    if cell is None:
        raise ValueError("the cell is in neither run")
    kind, because, differs = _verdict(before, now)
    if kind is None:
        return None
    return Change(
        kind=kind,
        runtime=cell.runtime,
        release=cell.release,
        variant=cell.variant,
        mode=cell.mode,
        network=cell.network,
        scenario=cell.scenario,
        before=None if before is None else Shown(before.status, worst_first(before.findings)),
        now=None if now is None else Shown(now.status, worst_first(now.findings)),
        because=because,
        differs=differs,
    )


def _verdict(before: JudgedCell | None, now: JudgedCell | None) -> tuple[Kind | None, str, tuple[str, ...]]:
    """The kind (None: the same), the deciding finding or status, and the numbers that differ."""
    if before is None:
        return Kind.NEW, "", ()
    if now is None:
        return Kind.GONE, "", ()
    was_measured, is_measured = before.status in MEASURED, now.status in MEASURED
    troubles, earlier = _troubles(now), _troubles(before)
    if was_measured and not is_measured:
        return Kind.WORSE, now.status, ()
    if is_measured and not was_measured:
        return (Kind.CHANGED, "", ()) if troubles else (Kind.FIXED, before.status, ())
    if different := troubles ^ earlier:
        if _by_chance(before) and _by_chance(now):
            return Kind.CHANGED, "", ()
        decides = Status.CRASHED.value if Status.CRASHED in different else worst_first(different)[0]
        return Kind.WORSE if decides in troubles else Kind.FIXED, decides, ()
    differs = different_numbers(before, now)
    return (Kind.CHANGED if differs or before.status != now.status else None), "", differs


def _troubles(cell: JudgedCell) -> set[str]:
    """The findings except `clean`, and the status `crashed`."""
    crash = {Status.CRASHED.value} if cell.status == Status.CRASHED else set()
    return {finding for finding in cell.findings if finding != Finding.CLEAN} | crash


#: Numbers compared between cells with equal findings: display name, value, smallest scale. Errors and accuracies are
#: relative already.
_NUMBERS: tuple[tuple[str, Callable[[JudgedCell], Any], float], ...] = (
    ("prediction before", lambda cell: cell.prediction_before, SMALLEST),
    ("prediction after", lambda cell: cell.prediction_after, SMALLEST),
    ("gradient error", lambda cell: cell.gradient_error, 1.0),
    ("later gradients", lambda cell: cell.later, 1.0),
    ("state changes", lambda cell: cell.state_changes, SMALLEST),
    ("update law", lambda cell: cell.update, 1.0),
    ("curve", lambda cell: cell.curve, 1.0),
    ("first layer that differs", lambda cell: cell.first_layer, 1.0),
    ("parameter view", lambda cell: cell.public_view, 1.0),
    ("contradiction of the documentation", lambda cell: cell.contradicts, 1.0),
)
#: The residual of an update law is noise.
_IGNORED = frozenset({"residual"})
#: Fields that early runs lack.
_EARLY = frozenset({"average", "convention"})


def different_numbers(before: JudgedCell, now: JudgedCell) -> tuple[str, ...]:
    """The names of the numbers that differ by more than `TOLERANCE`; none where those of either run are random."""
    if _by_chance(before) or _by_chance(now):
        return ()
    pairs = ((name, value(before), value(now), least) for name, value, least in _NUMBERS)
    return tuple(
        name
        for name, old, new, least in pairs
        if old is not None and new is not None and not _alike(_plain(old), _plain(new), least)
    )


def _plain(value: Any) -> Any:
    """A value as mappings, lists and numbers."""
    if isinstance(value, np.ndarray):
        return rows_of(value)
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items() if name not in _EARLY or item is not None}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _by_chance(cell: JudgedCell) -> bool:
    """Whether the numbers are random: the cell is `corrupted`, or trials of one reading disagree."""
    return Finding.CORRUPTED in cell.findings or any(len(reading.outcomes) > 1 for reading in cell.trials)


def _alike(old: Any, new: Any, scale: float) -> bool:
    """Whether two JSON values are equal up to `TOLERANCE` times their largest number, or `scale` if larger.

    Objects are compared on common keys without `_IGNORED`.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(_alike(old[key], new[key], scale) for key in (old.keys() & new.keys()) - _IGNORED)
    if isinstance(old, list) and isinstance(new, list):
        widest = max(scale, _largest(old), _largest(new))
        return len(old) == len(new) and all(_alike(*pair, widest) for pair in zip(old, new, strict=True))
    if (isinstance(old, float) and isinstance(new, int | float)) or (isinstance(old, int) and isinstance(new, float)):
        if not (math.isfinite(old) and math.isfinite(new)):
            return old == new or (math.isnan(old) and math.isnan(new))
        return abs(old - new) <= TOLERANCE * max(scale, abs(old), abs(new))
    return bool(old == new)


def _largest(values: list[Any]) -> float:
    """The largest magnitude of all finite numbers in nested lists."""
    sizes = (_largest(value) if isinstance(value, list) else value for value in values)
    return max((abs(size) for size in sizes if isinstance(size, float) and math.isfinite(size)), default=0.0)
