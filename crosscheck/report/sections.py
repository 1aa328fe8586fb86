"""Builds a section per mode: cells with their main numbers, equal cells in one line; and the unmeasured cells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crosscheck.cells import PLAIN, UNWRITTEN, Status, name_of_release
from crosscheck.records import JudgedCell
from crosscheck.records.run import ModeFacts, Run
from crosscheck.report.matrix import mode_anchor
from crosscheck.report.number_text import before_and_after, gradient_error_text, largest_change, update_text
from crosscheck.report.order import grouped, mode_order, modes_of, release_order
from crosscheck.report.vocabulary import status_word, worst_first

__all__ = [
    "Line",
    "Member",
    "ModeSection",
    "Place",
    "Reason",
    "Remedy",
    "Unmeasured",
    "embeddable",
    "sections",
    "unmeasured",
]

#: Statuses of a whole release, listed once per release instead of once per cell.
_OF_RELEASE = frozenset({Status.UNAVAILABLE, Status.INSTALL_FAILED, Status.IMPORT_FAILED, Status.NOT_IN_RELEASE})
#: What a reason begins with: the step that failed ("gradient/first: ", "export: "), or the reading ("timed: ").
_STEP = re.compile(r"^[a-z-]+(?:/[\w.-]+)?: ")
#: Numbers, and digests with at least eight digits.
_VARIABLE = re.compile(r"\b[0-9a-f]{8,}\b|\d+")
_NO_REASON = "no reason was recorded"
_NOT_ASKED = "The runtime was not asked, as crosscheck cannot write this form of the file."


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
    """Releases with unmeasured cells for the same reason."""

    status: str
    reason: str
    releases: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A runtime's releases and modes with unmeasured cells, and the number of those cells."""

    runtime: str
    releases: tuple[str, ...]
    modes: tuple[str, ...]
    cells: int


@dataclass(frozen=True)
class Reason:
    """Unmeasured cells for one reason, in the words of the first; `searchable`: the page's search finds them."""

    status: str
    text: str
    places: tuple[Place, ...]
    searchable: bool

    @property
    def cells(self) -> int:
        """The number of cells."""
        return sum(place.cells for place in self.places)


@dataclass(frozen=True)
class Remedy:
    """What can be done about unmeasured cells, and their reasons, the most frequent first."""

    text: str
    reasons: tuple[Reason, ...]

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses of these cells."""
        return worst_first(reason.status for reason in self.reasons)


@dataclass(frozen=True)
class ModeSection:
    """One mode: its facts, its lines, and the releases without lines.

    answers: what a toolkit's call answers, in words; "" for others.
    """

    runtime: str
    mode: str
    summary: str
    anchor: str
    intent: str
    asks: str
    answers: str
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
    by_mode = grouped(here, lambda cell: cell.mode)
    facts = modes_of(run, runtime)
    return tuple(_section(run, by_mode[mode], indices, facts.get(mode)) for mode in mode_order(run, here, runtime))


def unmeasured(run: Run, cells: Sequence[JudgedCell]) -> tuple[Remedy, ...]:
    """Group unmeasured cells by remedy and reason, without modes that the release lacks.

    Reasons that differ only in the step that failed, or in numbers, count as one.
    """
    failed = [cell for cell in cells if cell.status not in (Status.OK, Status.NOT_IN_RELEASE)]
    severity = {status: rank for rank, status in enumerate(worst_first(cell.status for cell in failed))}
    by_remedy = grouped(sorted(failed, key=lambda cell: severity[cell.status]), _remedy)
    return tuple(
        Remedy(
            remedy,
            tuple(
                sorted(
                    (_reason(run, alike) for alike in grouped(concerned, _kind).values()),
                    key=lambda reason: -reason.cells,
                )
            ),
        )
        for remedy, concerned in by_remedy.items()
    )


def _remedy(cell: JudgedCell) -> str:
    """What can be done about an unmeasured cell."""
    unwritten = (cell.reason or "").startswith(UNWRITTEN)
    return _NOT_ASKED if unwritten else status_word(cell.status).remedy


def _kind(cell: JudgedCell) -> tuple[str, str]:
    """The status, and the reason without the steps that failed, numbers and digests."""
    ends = {_STEP.sub("", part) for part in (cell.reason or "").split("; ")}
    return cell.status, _VARIABLE.sub("#", "; ".join(sorted(ends)))


def _reason(run: Run, cells: Sequence[JudgedCell]) -> Reason:
    return Reason(
        status=cells[0].status,
        text=cells[0].reason or _NO_REASON,
        places=tuple(
            Place(runtime, release_order(run, here, runtime), mode_order(run, here, runtime), len(here))
            for runtime, here in grouped(cells, lambda cell: cell.runtime).items()
        ),
        searchable=bool(embeddable(cells)),
    )


def _section(run: Run, cells: Sequence[JudgedCell], indices: Mapping[str, int], facts: ModeFacts | None) -> ModeSection:
    first = cells[0]
    return ModeSection(
        runtime=first.runtime,
        mode=first.mode,
        summary=facts.summary if facts else "",
        anchor=mode_anchor(first.runtime, first.mode),
        intent=first.intent,
        asks=first.asks,
        answers=facts.answers if facts else "",
        call=next((cell.call for cell in cells if cell.call), ""),
        statistics=first.contract.statistics,
        says=first.contract.says,
        link=first.contract.link,
        findings=worst_first(finding for cell in cells for finding in cell.findings),
        lines=_lines(run, embeddable(cells), indices),
        without=_without(run, cells),
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


def _without(run: Run, cells: Sequence[JudgedCell]) -> tuple[Unmeasured, ...]:
    """The releases whose cells are listed once for the whole release."""
    concerned = [cell for cell in cells if cell.status in _OF_RELEASE]
    by_reason = grouped(concerned, lambda cell: (cell.status, cell.reason or _NO_REASON))
    return tuple(
        Unmeasured(status, reason, release_order(run, alike, alike[0].runtime))
        for (status, reason), alike in by_reason.items()
    )
