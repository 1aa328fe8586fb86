"""Classifies the change of each cell between two runs: worse, fixed, changed, new or gone. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from crosscheck.cells import Finding, Status
from crosscheck.report.records import JudgedCell
from crosscheck.report.vocabulary import MEASURED, worst_first

__all__ = ["MEANINGS", "TOLERANCE", "Change", "Kind", "Shown", "difference"]

#: Numbers of two runs that differ by no more are the same. It is relative to the largest entry of a prediction, to the
#: change of a tensor, and, for errors of gradients, to the oracle's largest entry, to which they are relative already.
#: The judge lets the trials of one run differ by as much: one program repeats itself up to the rounding of float32.
TOLERANCE = 1e-4
#: Numbers below this have no scale of their own: statistics begin at zero, and may differ by TOLERANCE of this, 1e-6.
SMALLEST = 0.01


class Kind(StrEnum):
    """What became of a cell; first what a reader has to look at first."""

    WORSE = "worse"
    FIXED = "fixed"
    CHANGED = "changed"
    NEW = "new"
    GONE = "gone"


#: Each kind in the words that readers get; `difference` is more exact.
MEANINGS: Mapping[Kind, str] = {
    Kind.WORSE: "a finding or a crash that was not there, or measured before and not any more",
    Kind.FIXED: "a finding or a crash that is gone, or clean where nothing could be measured before",
    Kind.CHANGED: "neither worse nor fixed: another status, the same findings with other numbers (by more than "
    f"{TOLERANCE:g} of the largest), or other findings by chance: corrupted, or trials that disagree, in both runs",
    Kind.NEW: "asked in this run only, which is no regression, whatever was found",
    Kind.GONE: "asked in the other run only, which is no regression",
}


@dataclass(frozen=True)
class Shown:
    """What a cell showed in one run: its status, and its findings, the worst first."""

    status: str
    findings: tuple[str, ...]

    def __str__(self) -> str:
        """Write `leak, racy`, `crashed: leak` or `refused`."""
        found = ", ".join(self.findings)
        if self.status == Status.OK:
            return found or "no finding"
        return f"{self.status}: {found}" if found else self.status


@dataclass(frozen=True)
class Change:
    """What became of one cell.

    `before` and `now` are what it showed in the other run and in this one, None where the run has no such cell.
    `because` is the finding or status that decided, "" where none did; `differs` names the numbers that differ.
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
    """Map the id of every cell that changed from `other` to `cells` to its change; the others are the same.

    A cell of one run only is `new` or `gone`: another selection is no regression. For a cell of both runs:

    - It was measured (`vocabulary.MEASURED`) and is not any more: `worse`. It was not and now is: `fixed` if it has no
      finding but `clean`, else `changed`, for nobody knew what it would have shown before.
    - It was and is measured: of the findings that only one run has, the most severe in the order of
      `vocabulary.FINDINGS` decides, and a crash before all of them. If it is the new run's, `worse`, else `fixed`.
      So `state-moved` that became `leak` is worse, and `leak` that became `state-moved` is fixed. But where both
      runs say `corrupted`, or saw trials that disagree, it is chance which further findings they have: `changed`.
    - Otherwise `changed`, if the status differs or one of `_NUMBERS` by more than `TOLERANCE`. What only one run
      recorded is no difference, and numbers that are chance in either run are not compared.
      Reasons, seconds, packages and standard error are circumstances; nobody compares them.
    """
    now = {cell["id"]: cell for cell in cells}
    before = {cell["id"]: cell for cell in other}
    found = {name: _change(before.get(name), now.get(name)) for name in dict.fromkeys([*now, *before])}
    return {name: change for name, change in found.items() if change is not None}


def _change(before: JudgedCell | None, now: JudgedCell | None) -> Change | None:
    """Decide about one cell, which at least one of the runs has; None if it is the same."""
    cell = now or before
    if cell is None:
        raise ValueError("a cell of neither run")
    kind, because, differs = _verdict(before, now)
    if kind is None:
        return None
    return Change(
        kind=kind,
        runtime=cell["runtime"],
        release=cell["release"],
        variant=cell["variant"],
        mode=cell["mode"],
        network=cell["network"],
        scenario=cell["scenario"],
        before=None if before is None else Shown(before["status"], worst_first(before["findings"])),
        now=None if now is None else Shown(now["status"], worst_first(now["findings"])),
        because=because,
        differs=differs,
    )


def _verdict(before: JudgedCell | None, now: JudgedCell | None) -> tuple[Kind | None, str, tuple[str, ...]]:
    """The kind (None: the same), the finding or status that decided, and the numbers that differ."""
    if before is None:
        return Kind.NEW, "", ()
    if now is None:
        return Kind.GONE, "", ()
    was_measured, is_measured = before["status"] in MEASURED, now["status"] in MEASURED
    troubles, earlier = _troubles(now), _troubles(before)
    if was_measured and not is_measured:
        return Kind.WORSE, now["status"], ()
    if is_measured and not was_measured:
        return (Kind.CHANGED, "", ()) if troubles else (Kind.FIXED, before["status"], ())
    if different := troubles ^ earlier:
        if _by_chance(before) and _by_chance(now):
            return Kind.CHANGED, "", ()
        decides = Status.CRASHED.value if Status.CRASHED in different else worst_first(different)[0]
        return Kind.WORSE if decides in troubles else Kind.FIXED, decides, ()
    differs = _different_numbers(before, now)
    return (Kind.CHANGED if differs or before["status"] != now["status"] else None), "", differs


def _troubles(cell: JudgedCell) -> set[str]:
    """The findings that are not `clean`, and the status if the process died."""
    crash = {Status.CRASHED.value} if cell["status"] == Status.CRASHED else set()
    return {finding for finding in cell["findings"] if finding != Finding.CLEAN} | crash


#: What is compared of cells with the same findings: its name for readers, the key of `cells.jsonl`, and the scale that
#: numbers have at least. Errors and accuracies are parts of one already.
_NUMBERS: tuple[tuple[str, str, float], ...] = (
    ("prediction before", "prediction_before", SMALLEST),
    ("prediction after", "prediction_after", SMALLEST),
    ("gradient error", "gradient_error", 1.0),
    ("later gradients", "later", 1.0),
    ("state changes", "state_changes", SMALLEST),
    ("update law", "update", 1.0),
    ("curve", "curve", 1.0),
    ("first layer that differs", "first_layer", 1.0),
    ("parameter view", "public_view", 1.0),
    ("contradiction of the documentation", "contradicts", 1.0),
)


def _different_numbers(before: JudgedCell, now: JudgedCell) -> tuple[str, ...]:
    if _by_chance(before) or _by_chance(now):
        return ()
    pairs = ((name, before[key], now[key], least) for name, key, least in _NUMBERS)  # type: ignore[literal-required]
    return tuple(
        name
        for name, old, new, least in pairs
        if old is not None and new is not None and old != new and not _alike(old, new, least)
    )


def _by_chance(cell: JudgedCell) -> bool:
    """Whether the next run can be expected to see something else: no law holds, or trials of one reading disagree."""
    return Finding.CORRUPTED in cell["findings"] or any(len(reading["outcomes"]) > 1 for reading in cell["trials"])


def _alike(old: Any, new: Any, scale: float) -> bool:
    """Whether two JSON values are the same up to `TOLERANCE` of their largest number, or of `scale` if that is more.

    Of objects the keys that both have are compared, but for the residual of an update law, which is nothing but noise.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(_alike(old[key], new[key], scale) for key in (old.keys() & new.keys()) - {"residual"})
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
