"""Builds a section per mode: cells with their main numbers, equal cells in one line; and the unmeasured cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crosscheck.cells import PLAIN, Status, name_of_release
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.matrix import mode_anchor
from crosscheck.report.number_text import before_and_after, gradient_error_text, largest_change, update_text
from crosscheck.report.order import mode_order, release_order
from crosscheck.report.vocabulary import worst_first

__all__ = ["Line", "Member", "ModeSection", "Unmeasured", "embeddable", "sections", "unmeasured"]

#: Statuses of a whole release, listed once per release instead of once per cell.
_OF_RELEASE = frozenset({Status.UNAVAILABLE, Status.INSTALL_FAILED, Status.IMPORT_FAILED, Status.NOT_IN_RELEASE})


@dataclass(frozen=True)
class Member:
    """One cell of a line: the release (with `+variant`), HTML id, and index in the embedded data."""

    name: str
    anchor: str
    index: int


@dataclass(frozen=True)
class Line:
    """Cells of one network and scenario with equal contents; every number is text."""

    network: str
    scenario: str
    status: str
    reason: str
    findings: tuple[str, ...]
    contradicts: bool
    before: str
    after: str
    gradient_error: str
    moved: str
    update: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Unmeasured:
    """Releases with unmeasured cells for the same reason, and the number of those cells."""

    runtime: str
    status: str
    reason: str
    releases: tuple[str, ...]
    modes: tuple[str, ...]
    cells: int


@dataclass(frozen=True)
class ModeSection:
    """One mode: its facts, its lines, and the releases without lines."""

    runtime: str
    mode: str
    anchor: str
    intent: str
    asks: str
    call: str
    statistics: str
    says: str
    link: str
    findings: tuple[str, ...]
    lines: tuple[Line, ...]
    without: tuple[Unmeasured, ...]


def embeddable(cells: Sequence[JudgedCell]) -> list[JudgedCell]:
    """The cells with lines: their status is not that of the whole release."""
    return [cell for cell in cells if cell.status not in _OF_RELEASE]


def sections(
    run: Run, cells: Sequence[JudgedCell], runtime: str, indices: Mapping[str, int]
) -> tuple[ModeSection, ...]:
    """One section per mode, in the adapter's order. `indices`: cell id -> index in the embedded data."""
    here = [cell for cell in cells if cell.runtime == runtime]
    by_mode: dict[str, list[JudgedCell]] = {}
    for cell in here:
        by_mode.setdefault(cell.mode, []).append(cell)
    return tuple(_section(run, by_mode[mode], indices) for mode in mode_order(run, here, runtime))


def unmeasured(run: Run, cells: Sequence[JudgedCell]) -> tuple[Unmeasured, ...]:
    """Group unmeasured cells by runtime, status and reason, without modes that the release lacks."""
    failed = [cell for cell in cells if cell.status not in (Status.OK, Status.NOT_IN_RELEASE)]
    return _by_reason(run, failed)


def _section(run: Run, cells: Sequence[JudgedCell], indices: Mapping[str, int]) -> ModeSection:
    first = cells[0]
    return ModeSection(
        runtime=first.runtime,
        mode=first.mode,
        anchor=mode_anchor(first.runtime, first.mode),
        intent=first.intent,
        asks=first.asks,
        call=next((cell.call for cell in cells if cell.call), ""),
        statistics=first.contract.statistics,
        says=first.contract.says,
        link=first.contract.link,
        findings=worst_first(finding for cell in cells for finding in cell.findings),
        lines=_lines(run, embeddable(cells), indices),
        without=_by_reason(run, [cell for cell in cells if cell.status in _OF_RELEASE]),
    )


def _lines(run: Run, cells: Sequence[JudgedCell], indices: Mapping[str, int]) -> tuple[Line, ...]:
    if not cells:
        return ()
    networks, scenarios = list(run.networks), list(run.scenarios)
    releases = release_order(run, cells, cells[0].runtime)
    ranks = [{name: at for at, name in enumerate(names)} for names in (scenarios, networks, releases)]

    def rank(cell: JudgedCell) -> tuple[int, int, bool, str, int]:
        keys = (cell.scenario, cell.network, cell.release)
        scenario, network, release = (order.get(key, len(order)) for order, key in zip(ranks, keys, strict=True))
        return scenario, network, cell.variant != PLAIN, cell.variant, release

    members_by_line: dict[Line, list[Member]] = {}
    for cell in sorted(cells, key=rank):
        name = name_of_release(cell.release, cell.variant)
        members_by_line.setdefault(_line(cell), []).append(Member(name, cell.anchor, indices[cell.id]))
    return tuple(replace(line, members=tuple(members)) for line, members in members_by_line.items())


def _line(cell: JudgedCell) -> Line:
    before, after = before_and_after(cell)
    return Line(
        network=cell.network,
        scenario=cell.scenario,
        status=cell.status,
        reason="; ".join(filter(None, (cell.reason, cell.undecided))),
        findings=worst_first(cell.findings),
        contradicts=bool(cell.contradicts),
        before=before,
        after=after,
        gradient_error=gradient_error_text(cell.gradient_error),
        moved=largest_change(cell),
        update=update_text(cell.update),
        members=(),
    )


def _by_reason(run: Run, cells: Sequence[JudgedCell]) -> tuple[Unmeasured, ...]:
    by_reason: dict[tuple[str, str, str], list[JudgedCell]] = {}
    for cell in cells:
        key = (cell.runtime, cell.status, cell.reason or "no reason was recorded")
        by_reason.setdefault(key, []).append(cell)
    return tuple(
        Unmeasured(
            runtime=runtime,
            status=status,
            reason=reason,
            releases=release_order(run, concerned, runtime),
            modes=mode_order(run, concerned, runtime),
            cells=len(concerned),
        )
        for (runtime, status, reason), concerned in by_reason.items()
    )
