"""Compares public bug reports about the runtimes with a run: confirmed, refuted, or not tried."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from crosscheck.cells import PLAIN, Finding, Status
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.number_text import release_spans
from crosscheck.report.order import grouped, measured, release_order
from crosscheck.report.vocabulary import worst_first
from crosscheck.scenarios.facts import SAVED, SCENARIOS

__all__ = ["Case", "Seen", "Verdict", "Word", "announced", "known_cases", "verdicts"]

#: Maximum cells (of distinct releases) linked from a verdict.
LINKS = 3
#: Findings that one reading alone looks for: a cell of a scenario without it does not refute a report of one.
READINGS: Mapping[str, str] = {
    Finding.STATE_MOVED: "timed",
    Finding.PARAMETERS_WRITTEN: "timed",
    Finding.GRADIENTS_LEFT: "timed",
    Finding.MODE_LEFT_CHANGED: "timed",
    Finding.RACY: "unsettled",
    Finding.SAVE_CHANGED: SAVED,
}


class Word(StrEnum):
    """The outcome of a report in a run."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Case:
    """One public report of a behaviour, in certain releases and modes of a runtime.

    releases: of the report, as a PEP 440 specifier (">=1.5,<1.8"; "": all).
    mode, variant, network, scenario: globs; one of each must match.
    expects: findings, or the statuses `refused` and `crashed`; a cell with any of them confirms the report.
        `clean` reports that something works: every measured cell must have it.
    updates: the number of statistics updates that the cell must also show, if the report counts them.
    title: a summary of the report.
    date: when it was opened, or its earliest known date.
    needs: a requirement that no run of crosscheck meets, such as a GPU.
    listed: whether a release of the report is in the runtime's folder; if not, a run asks about it when it is named.
    """

    runtime: str
    mode: tuple[str, ...]
    expects: tuple[str, ...]
    title: str
    link: str
    date: date
    releases: str = ""
    variant: tuple[str, ...] = ("*",)
    network: tuple[str, ...] = ("*",)
    scenario: tuple[str, ...] = ("*",)
    updates: int | None = None
    needs: str = ""
    listed: bool = True


@dataclass(frozen=True)
class Seen:
    """A confirming cell: its release (with `+variant`), mode and network, and its HTML id."""

    release: str
    mode: str
    network: str
    anchor: str


@dataclass(frozen=True)
class Verdict:
    """A report, its outcome in the run, the reason (a sentence), and up to three confirming cells.

    asked: whether the run has cells of that runtime, these releases and these modes.
    """

    case: Case
    word: Word
    why: str
    seen: tuple[Seen, ...] = ()
    asked: bool = True


@functools.cache
def known_cases() -> tuple[Case, ...]:
    """The cases of `known_cases.toml`."""
    return tuple(_case(row) for row in _table()["case"])


def announced() -> tuple[str, ...]:
    """Runtimes of cases without a folder in crosscheck yet."""
    return tuple(_table()["announced"])


def _case(row: dict[str, Any]) -> Case:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Case(**fields)


def _table() -> dict[str, Any]:
    text = resources.files("crosscheck.report").joinpath("known_cases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def verdicts(run: Run, cells: Sequence[JudgedCell], cases: Iterable[Case]) -> tuple[Verdict, ...]:
    """Compare each report with the run: confirmed first, then refuted, in the table's order.

    Confirmed: a matching measured cell shows the reported behaviour. Refuted: matching cells that look for it were
    measured, none shows it. The cells stay unchanged.
    """
    by_runtime = grouped(cells, lambda cell: cell.runtime)
    judged = [_verdict(run, by_runtime.get(case.runtime, []), case) for case in cases]
    return tuple(sorted(judged, key=lambda verdict: list(Word).index(verdict.word)))


def _verdict(run: Run, cells: Sequence[JudgedCell], case: Case) -> Verdict:
    if not cells:
        return Verdict(case, Word.NOT_TRIED, f"{case.runtime} is not in this run", asked=False)
    releases = _releases(cells, case.releases)
    here = [cell for cell in cells if cell.release in releases]
    if not here:
        return Verdict(case, Word.NOT_TRIED, f"none of these releases is in this run ({case.releases})", asked=False)
    candidates = _matching(here, case)
    if not candidates:
        return Verdict(case, Word.NOT_TRIED, "this run has no matching cell of these releases", asked=False)
    answered = [cell for cell in candidates if _answered(cell, case)]
    if not answered:
        return Verdict(case, Word.NOT_TRIED, _failures(candidates))
    measurable = [cell for cell in answered if _shows(cell, case) or _looked_for(cell, case)]
    if not measurable:
        scenarios = ", ".join(sorted({cell.scenario for cell in answered}))
        return Verdict(case, Word.NOT_TRIED, f"the scenarios of this run do not look for it ({scenarios})", asked=False)
    confirming = [cell for cell in measurable if _shows(cell, case)]
    span = _span(run, measurable, case.runtime)
    observed = _found(measurable, case)
    if case.needs:
        return Verdict(case, Word.NOT_TRIED, f"needs {case.needs}; without it, {observed} was found in {span}")
    confirmed = len(confirming) == len(measurable) if Finding.CLEAN in case.expects else bool(confirming)
    if not confirmed:
        return Verdict(case, Word.REFUTED, f"{observed} was found in {_count(measurable)} of {span}")
    where = f"in {len(confirming)} of {_count(measurable)} measured, of {_span(run, confirming, case.runtime)}"
    return Verdict(case, Word.CONFIRMED, where, _seen(run, confirming))


def _releases(cells: Iterable[JudgedCell], specifier: str) -> set[str]:
    """The releases that a PEP 440 specifier contains; only the empty one contains names that are no versions."""
    names = {cell.release for cell in cells}
    return names if not specifier else {name for name in names if _contains(SpecifierSet(specifier), name)}


def _contains(specifier: SpecifierSet, release: str) -> bool:
    try:
        return specifier.contains(Version(release), prereleases=True)
    except InvalidVersion:
        return False


def _matching(cells: Iterable[JudgedCell], case: Case) -> list[JudgedCell]:
    patterns = {"mode": case.mode, "variant": case.variant, "network": case.network, "scenario": case.scenario}

    @functools.cache
    def matches(key: str, value: str) -> bool:
        return any(fnmatchcase(value, pattern) for pattern in patterns[key])

    return [
        cell
        for cell in cells
        if matches("mode", cell.mode)
        and matches("variant", cell.variant)
        and matches("network", cell.network)
        and matches("scenario", cell.scenario)
    ]


def _answered(cell: JudgedCell, case: Case) -> bool:
    """Whether the cell can decide the report: it was measured, or has the expected status."""
    return bool(measured([cell])) or cell.status in case.expects


def _looked_for(cell: JudgedCell, case: Case) -> bool:
    """Whether the cell's scenario can show all that is expected."""
    readings = SCENARIOS[cell.scenario].readings
    return all(READINGS[finding] in readings for finding in case.expects if finding in READINGS)


def _shows(cell: JudgedCell, case: Case) -> bool:
    counted = case.updates is None or (cell.update is not None and cell.update.count == case.updates)
    return counted and (cell.status in case.expects or not set(case.expects).isdisjoint(cell.findings))


def _failures(cells: Iterable[JudgedCell]) -> str:
    statuses = worst_first(cell.status for cell in cells)
    if statuses == (Status.NOT_IN_RELEASE,):
        return "these releases do not have this mode"
    reason = next((cell.reason for cell in cells if cell.reason and cell.status == statuses[0]), "")
    return f"nothing could be measured: {', '.join(statuses)}{f' ({reason[:200]})' if reason else ''}"


def _found(cells: Iterable[JudgedCell], case: Case) -> str:
    names: set[str] = {finding for cell in cells for finding in cell.findings}
    names |= {cell.status for cell in cells if cell.status != Status.OK}
    findings = ", ".join(worst_first(names)) or "nothing"
    counts = {cell.update.count for cell in cells if cell.update and cell.update.count is not None}
    return (
        findings if case.updates is None else f"{findings} (updates: {', '.join(map(str, sorted(counts))) or 'none'})"
    )


def _count(cells: Sequence[JudgedCell]) -> str:
    return "1 cell" if len(cells) == 1 else f"{len(cells)} cells"


def _span(run: Run, cells: Sequence[JudgedCell], runtime: str) -> str:
    order = release_order(run, cells, runtime)
    return f"{runtime} {release_spans([(release, PLAIN) for release in order], order)}"


def _seen(run: Run, cells: Sequence[JudgedCell]) -> tuple[Seen, ...]:
    """One confirming cell of each of the newest releases, the newest first, as installed if possible."""
    newest_first = reversed(release_order(run, cells, cells[0].runtime))
    picked = []
    for release in list(newest_first)[:LINKS]:
        here = [cell for cell in cells if cell.release == release]
        cell = min(here, key=lambda cell: cell.variant != PLAIN)
        name = release if cell.variant == PLAIN else f"{release}+{cell.variant}"
        picked.append(Seen(name, cell.mode, cell.network, cell.anchor))
    return tuple(picked)
