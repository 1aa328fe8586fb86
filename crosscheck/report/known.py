"""Public reports about the runtimes, held against a run: what it confirms, what it refutes, what it could not try."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from crosscheck.cells import Finding, Status
from crosscheck.report.number_text import release_spans
from crosscheck.report.order import measured, release_order
from crosscheck.report.records import PLAIN, JudgedCell, Run, anchor
from crosscheck.report.vocabulary import worst_first

__all__ = ["Case", "Seen", "Verdict", "Word", "announced", "known_cases", "verdicts"]

#: As many cells as a verdict links to, of as many releases.
LINKS = 3


class Word(StrEnum):
    """What a run says about a report."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Case:
    """One public report: somebody saw something in certain releases of a runtime, asked in certain ways.

    releases: those that the report speaks of, as a PEP 440 specifier (">=1.5,<1.8"; "": all).
    mode, variant, network, scenario: globs, of which one must match.
    expects: the findings, or the statuses `refused` and `crashed`, one of which a cell shows where the report is right.
        `clean` is for reports that something works: then every measured cell must show it.
    updates: how many updates of the statistics the cell must show besides, if the report counts them.
    title: what the report says, in our words.
    date: when it was opened, or of its earliest words that were read.
    needs: what no run of crosscheck has and the report is about, such as a GPU.
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


@dataclass(frozen=True)
class Seen:
    """A cell that shows what a report says: its release (with `+variant`), mode and network, and its HTML id."""

    release: str
    mode: str
    network: str
    anchor: str


@dataclass(frozen=True)
class Verdict:
    """A report, what the run says about it, why (a sentence), and up to three cells that show what it says."""

    case: Case
    word: Word
    why: str
    seen: tuple[Seen, ...] = ()


@functools.cache
def known_cases() -> tuple[Case, ...]:
    """Read the table that ships: `known_cases.toml`."""
    return tuple(_case(row) for row in _table()["case"])


def announced() -> tuple[str, ...]:
    """The runtimes that cases may be about although crosscheck has no folder for them yet."""
    return tuple(_table()["announced"])


def _case(row: dict[str, Any]) -> Case:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Case(**fields)


def _table() -> dict[str, Any]:
    text = resources.files("crosscheck.report").joinpath("known_cases.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def verdicts(run: Run, cells: Sequence[JudgedCell], cases: Iterable[Case]) -> tuple[Verdict, ...]:
    """Hold each report against the run: what it confirms first, then what it refutes, each in the table's order.

    Confirmed: a measured cell that the report is about shows what it says. Refuted: such cells were measured, and none
    does. Neither changes anything about the cells.
    """
    by_runtime: dict[str, list[JudgedCell]] = {}
    for cell in cells:
        by_runtime.setdefault(cell["runtime"], []).append(cell)
    found = [_verdict(run, by_runtime.get(case.runtime, []), case) for case in cases]
    return tuple(sorted(found, key=lambda verdict: list(Word).index(verdict.word)))


def _verdict(run: Run, cells: Sequence[JudgedCell], case: Case) -> Verdict:
    if not cells:
        return Verdict(case, Word.NOT_TRIED, f"{case.runtime} is not in this run")
    releases = _releases(cells, case.releases)
    here = [cell for cell in cells if cell["release"] in releases]
    if not here:
        return Verdict(case, Word.NOT_TRIED, f"none of these releases is in this run ({case.releases})")
    asked = _matching(here, case)
    if not asked:
        return Verdict(case, Word.NOT_TRIED, "these releases were not asked in this way in this run")
    answered = [cell for cell in asked if _answered(cell, case)]
    if not answered:
        return Verdict(case, Word.NOT_TRIED, _failures(asked))
    shown = [cell for cell in answered if _shows(cell, case)]
    span = _span(run, answered, case.runtime)
    found = _found(answered, case)
    if case.needs:
        return Verdict(case, Word.NOT_TRIED, f"needs {case.needs}; without it, {found} was found in {span}")
    confirmed = len(shown) == len(answered) if Finding.CLEAN in case.expects else bool(shown)
    if not confirmed:
        return Verdict(case, Word.REFUTED, f"{found} was found in {_count(answered)} of {span}")
    where = f"in {len(shown)} of {_count(answered)} measured, of {_span(run, shown, case.runtime)}"
    return Verdict(case, Word.CONFIRMED, where, _seen(run, shown))


def _releases(cells: Iterable[JudgedCell], specifier: str) -> set[str]:
    """The releases that a PEP 440 specifier contains; what is no version is contained in the empty one only."""
    names = {cell["release"] for cell in cells}
    return names if not specifier else {name for name in names if _contains(SpecifierSet(specifier), name)}


def _contains(specifier: SpecifierSet, release: str) -> bool:
    try:
        return specifier.contains(Version(release), prereleases=True)
    except InvalidVersion:
        return False


def _matching(cells: Iterable[JudgedCell], case: Case) -> list[JudgedCell]:
    wanted = {"mode": case.mode, "variant": case.variant, "network": case.network, "scenario": case.scenario}

    @functools.cache
    def matches(key: str, value: str) -> bool:
        return any(fnmatchcase(value, pattern) for pattern in wanted[key])

    return [
        cell
        for cell in cells
        if matches("mode", cell["mode"])
        and matches("variant", cell["variant"])
        and matches("network", cell["network"])
        and matches("scenario", cell["scenario"])
    ]


def _answered(cell: JudgedCell, case: Case) -> bool:
    """Whether the cell can speak about the report: it was measured, or ended as the report says that it does."""
    return bool(measured([cell])) or cell["status"] in case.expects


def _shows(cell: JudgedCell, case: Case) -> bool:
    counted = case.updates is None or (cell["update"] is not None and cell["update"]["count"] == case.updates)
    return counted and (cell["status"] in case.expects or not set(case.expects).isdisjoint(cell["findings"]))


def _failures(cells: Iterable[JudgedCell]) -> str:
    statuses = worst_first(cell["status"] for cell in cells)
    if statuses == (Status.NOT_IN_RELEASE,):
        return "these releases do not have this way of asking"
    reason = next((cell["reason"] for cell in cells if cell["reason"] and cell["status"] == statuses[0]), "")
    return f"nothing could be measured: {', '.join(statuses)}{f' ({reason[:200]})' if reason else ''}"


def _found(cells: Iterable[JudgedCell], case: Case) -> str:
    names = {finding for cell in cells for finding in cell["findings"]}
    names |= {cell["status"] for cell in cells if cell["status"] != Status.OK}
    found = ", ".join(worst_first(names)) or "nothing"
    counts = {cell["update"]["count"] for cell in cells if cell["update"] and cell["update"]["count"] is not None}
    return found if case.updates is None else f"{found} (updates: {', '.join(map(str, sorted(counts))) or 'none'})"


def _count(cells: Sequence[JudgedCell]) -> str:
    return "1 cell" if len(cells) == 1 else f"{len(cells)} cells"


def _span(run: Run, cells: Sequence[JudgedCell], runtime: str) -> str:
    order = release_order(run, cells, runtime)
    return f"{runtime} {release_spans([(release, PLAIN) for release in order], order)}"


def _seen(run: Run, cells: Sequence[JudgedCell]) -> tuple[Seen, ...]:
    """One cell of each of the newest releases that show it, the newest first, as installed if possible."""
    newest_first = reversed(release_order(run, cells, cells[0]["runtime"]))
    picked = []
    for release in list(newest_first)[:LINKS]:
        here = [cell for cell in cells if cell["release"] == release]
        cell = min(here, key=lambda cell: cell["variant"] != PLAIN)
        name = release if cell["variant"] == PLAIN else f"{release}+{cell['variant']}"
        picked.append(Seen(name, cell["mode"], cell["network"], anchor(cell)))
    return tuple(picked)
