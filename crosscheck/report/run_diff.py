"""Compares two runs: counts changed cells, and groups equal changes into lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crosscheck.records import JudgedCell
from crosscheck.report.cell_diff import Change, Kind, Shown, difference
from crosscheck.report.number_text import release_spans
from crosscheck.report.order import by_version, distinct
from crosscheck.report.sections import embeddable
from crosscheck.report.vocabulary import worst_first

__all__ = ["Comparison", "Line", "compare", "lines"]

#: The fields over which equal changes are grouped, in this order.
AXES = ("members", "networks", "scenarios", "modes")
_OF_ONE_RUN = frozenset({Kind.NEW, Kind.GONE})


@dataclass(frozen=True)
class Line:
    """Cells with the same change.

    A line of `worse`, `fixed` or `changed` cells stands for every combination of its modes, scenarios, networks and
    members, and `before`, `now`, `because` and `differs` are those of each cell's change. A line of `new` or `gone`
    cells groups those of a runtime with the same worst finding; its fields list all values among them. `members` are
    pairs (release, variant), `releases` the same as text; `count` is the number of cells, and `target` the HTML id of
    the first cell in the report.
    """

    kind: Kind
    runtime: str
    modes: tuple[str, ...]
    scenarios: tuple[str, ...]
    networks: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    before: Shown | None
    now: Shown | None
    because: str
    differs: tuple[str, ...]
    count: int = 1
    releases: str = ""
    target: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A run compared with another, labelled `other`; `same` is the number of unchanged common cells."""

    other: str
    changes: Mapping[str, Change]
    lines: tuple[Line, ...]
    same: int

    @property
    def kinds(self) -> dict[str, str]:
        """Changed cell's id -> kind, for the page's search."""
        return {name: change.kind.value for name, change in self.changes.items()}

    @property
    def counts(self) -> dict[Kind, int]:
        """The number of cells of each kind that occurs, in the order of `Kind`."""
        counts = Counter(change.kind for change in self.changes.values())
        return {kind: counts[kind] for kind in Kind if counts[kind]}


def compare(cells: Sequence[JudgedCell], other: Sequence[JudgedCell], name: str) -> Comparison:
    """Compare a run's cells with those of another run, labelled `name`."""
    changes = difference(cells, other)
    shared = {cell.id for cell in cells} & {cell.id for cell in other}
    return Comparison(name, changes, lines(changes, cells), len(shared - changes.keys()))


def lines(changes: Mapping[str, Change], cells: Iterable[JudgedCell]) -> tuple[Line, ...]:
    """Group equal changes over releases, then networks, scenarios and modes; the worst come first.

    `cells` are the run's own, for HTML ids.
    """
    targets = {cell.id: cell.anchor for cell in embeddable([cell for cell in cells if cell.id in changes])}
    orders = {
        runtime: by_version(change.release for change in changes.values() if change.runtime == runtime)
        for runtime in distinct(change.runtime for change in changes.values())
    }
    ranks = {(runtime, release): at for runtime, order in orders.items() for at, release in enumerate(order)}
    single = [
        _single(changes[name], targets.get(name))
        for name in sorted(changes, key=lambda name: ranks[changes[name].runtime, changes[name].release])
    ]
    grouped = [line for line in single if line.kind not in _OF_ONE_RUN]
    for axis in AXES:
        grouped = _merged(grouped, (axis,))
    grouped += _merged([line for line in single if line.kind in _OF_ONE_RUN], AXES)
    kinds = {kind: rank for rank, kind in enumerate(Kind)}
    severity = {name: rank for rank, name in enumerate(worst_first(_worst(line) for line in grouped))}
    grouped.sort(key=lambda line: (kinds[line.kind], severity[_worst(line)]))
    return tuple(replace(line, releases=release_spans(line.members, orders[line.runtime])) for line in grouped)


def _single(change: Change, target: str | None) -> Line:
    """A line of one cell."""
    brief = change.kind in _OF_ONE_RUN
    return Line(
        kind=change.kind,
        runtime=change.runtime,
        modes=(change.mode,),
        scenarios=(change.scenario,),
        networks=(change.network,),
        members=((change.release, change.variant),),
        before=_worst_of(change.before) if brief else change.before,
        now=_worst_of(change.now) if brief else change.now,
        because=change.because,
        differs=change.differs,
        target=target,
    )


def _worst_of(outcome: Shown | None) -> Shown | None:
    return None if outcome is None else replace(outcome, findings=outcome.findings[:1])


def _merged(ungrouped: Iterable[Line], axes: Sequence[str]) -> list[Line]:
    """Merge lines that differ in these axes only; the target is the first one present."""
    groups: dict[Line, list[Line]] = {}
    for line in ungrouped:
        alone: dict[str, Any] = dict.fromkeys(axes, ())
        groups.setdefault(replace(line, **alone, count=0, target=None), []).append(line)
    joined = []
    for line, members in groups.items():
        values: dict[str, Any] = {
            axis: tuple(dict.fromkeys(value for member in members for value in getattr(member, axis))) for axis in axes
        }
        target = next((member.target for member in members if member.target is not None), None)
        joined.append(replace(line, **values, count=sum(member.count for member in members), target=target))
    return joined


def _worst(line: Line) -> str:
    """The finding or status that ranks a line within its kind."""
    outcome = line.now or line.before
    if line.because or outcome is None:
        return line.because
    return outcome.findings[0] if outcome.findings else outcome.status
