"""Builds the section of a user's network: the file, its pictures with their gradients, and its cells beside others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crosscheck.cells import MEASURED, Finding, Scenario, Status, name_of_release
from crosscheck.records import JudgedCell
from crosscheck.records.run import FileFacts, Run
from crosscheck.report.arrays import Arrays
from crosscheck.report.maps import Pictures, pictures_of
from crosscheck.report.number_text import gradient_error_text
from crosscheck.report.order import base_of, grouped, in_order, measured, own, runtime_order
from crosscheck.report.scores import classified
from crosscheck.report.vocabulary import worst_first

__all__ = ["OwnNetwork", "OwnRow", "own_networks"]

#: Maximum rows of the input in the page.
ROWS = 4
#: The scenarios that predict before and after one call.
AROUND = (Scenario.GRADIENT, Scenario.PREDICT_ONLY)


@dataclass(frozen=True)
class OwnRow:
    """Modes and releases of a runtime with the same results, over all scenarios; every number is text.

    calls: mode -> releases (with `+variant`), each with the HTML id of its cell. others: findings of the same calls on
    other networks, with the number of networks that have them. asked: the number of other networks.
    """

    runtime: str
    findings: tuple[str, ...]
    statuses: tuple[str, ...]
    reason: str
    before: str
    after: str
    gradient_error: str
    others: tuple[tuple[str, int], ...]
    asked: int
    calls: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class OwnNetwork:
    """A user's network. pictures: None if its input has none. by_toolkits: whether toolkits were asked about it."""

    name: str
    facts: FileFacts
    pictures: Pictures | None
    rows: tuple[OwnRow, ...]
    by_toolkits: bool


def own_networks(run: Run, cells: Sequence[JudgedCell], arrays: Arrays) -> tuple[OwnNetwork, ...]:
    """The networks of `run.json` that were loaded from a user's file."""
    asked = own(cells)
    networks = []
    for name, facts in run.networks.items():
        if facts.file is not None:
            here, rows = [cell for cell in asked if cell.network == name], min(facts.file.rows, ROWS)
            pictures = pictures_of(run, here, arrays, name, rows)
            shown = tuple(_rows(run, asked, arrays, name, rows))
            by_toolkits = any(base_of(run, row.runtime) for row in shown)
            networks.append(OwnNetwork(name, facts.file, pictures, shown, by_toolkits))
    return tuple(networks)


def _rows(run: Run, cells: Sequence[JudgedCell], arrays: Arrays, name: str, rows: int) -> Iterator[OwnRow]:
    """One for the calls of a runtime that agree, in the order of runtimes and modes."""
    available = [cell for cell in cells if cell.status != Status.NOT_IN_RELEASE]
    here = [cell for cell in available if cell.network == name]
    others: dict[tuple[str, ...], list[JudgedCell]] = defaultdict(list)
    for cell in available:
        if cell.network != name:
            others[_call(cell)].append(cell)
    calls = grouped((cell for runtime in runtime_order(run, here) for cell in in_order(run, here, runtime)), _call)
    alike: dict[OwnRow, dict[str, tuple[tuple[str, str], ...]]] = defaultdict(dict)
    for key, members in calls.items():
        row, worst = _row(members, others[key], arrays, rows)
        release = name_of_release(worst.release, worst.variant)
        alike[row][worst.mode] = (*alike[row].get(worst.mode, ()), (release, worst.anchor))
    return (replace(row, calls=of_row) for row, of_row in alike.items())


def _call(cell: JudgedCell) -> tuple[str, ...]:
    return cell.runtime, cell.release, cell.variant, cell.mode


def _row(
    cells: Sequence[JudgedCell], others: Sequence[JudgedCell], arrays: Arrays, rows: int
) -> tuple[OwnRow, JudgedCell]:
    """The row without calls, and the cell that shows its worst finding."""
    findings = _findings(cells)
    worst = next((cell for cell in cells if findings and findings[0] in cell.findings), cells[0])
    around = next((cell for cell in cells if cell.scenario in AROUND), worst)
    before, after = classified(around, arrays, rows)
    by_network: dict[str, list[JudgedCell]] = defaultdict(list)
    for cell in measured(others):
        by_network[cell.network].append(cell)
    counts = Counter(finding for of_network in by_network.values() for finding in _findings(of_network))
    row = OwnRow(
        runtime=worst.runtime,
        findings=findings,
        statuses=worst_first(cell.status for cell in cells if cell.status != Status.OK),
        reason=next((cell.reason for cell in cells if cell.status not in MEASURED and cell.reason), "") or "",
        before=before,
        after=after,
        gradient_error=gradient_error_text(around.gradient_error),
        others=tuple((finding, counts[finding]) for finding in worst_first(counts)),
        asked=len(by_network),
    )
    return row, worst


def _findings(cells: Sequence[JudgedCell]) -> tuple[str, ...]:
    """The worst first; `clean` only where there is no other."""
    every = worst_first(finding for cell in cells for finding in cell.findings)
    return tuple(name for name in every if name != Finding.CLEAN) or every
