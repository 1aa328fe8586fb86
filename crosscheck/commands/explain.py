"""`crosscheck explain`: prints one judged cell of `cells.jsonl`."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable
from pathlib import Path

from packaging.version import Version
from rich.console import Console
from rich.table import Table

from crosscheck import report
from crosscheck.cells import Array, Finding
from crosscheck.commands.options import add_out
from crosscheck.ending import OK
from crosscheck.records import Evidence, JudgedCell, rows_of
from crosscheck.report.vocabulary import finding_word
from crosscheck.terminal import printable

__all__ = ["arguments", "explain", "main"]

#: Most rows of evidence of one finding.
EVIDENCE = 6
#: Most changes of tensors, rows of a prediction, and characters of a prediction that are printed.
MOST = 10
ROWS = 8
WIDEST = 600


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cell", metavar="CELL", help="a cell's id, as in the report")
    add_out(parser, "the folder of the run")


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print the cell."""
    explain(console, parsed.out, parsed.cell)
    return OK


def explain(console: Console, folder: Path, cell_id: str) -> None:
    """Print a cell's findings, and for each the number, the threshold, its reason, the contract and its link.

    Raises UsageError, with the nearest ids, if the run in `folder` lacks the cell.
    """
    results = report.load(folder)
    cell = results.cell(cell_id)
    console.print(printable(cell.id, "bold"))
    update = cell.update
    mode = report.modes_of(results.run, cell.runtime).get(cell.mode)
    rows = [
        ("mode", f"{cell.mode}: {mode.summary}" if mode and mode.summary else ""),
        ("call", cell.call),
        ("answer", mode.answers if mode else ""),
        ("status", cell.status + (f": {cell.reason}" if cell.reason else "")),
        ("findings", ", ".join(cell.findings) or ("none" if cell.undecided else "none: it was not measured")),
        *(("what to do", _remedy(finding)) for finding in cell.findings),
        ("undecided", cell.undecided),
        ("contract", f"statistics {cell.contract.statistics}: {cell.contract.says}"),
        ("", cell.contract.link),
        ("prediction before", _prediction(_rows(cell.prediction_before))),
        ("prediction after", _prediction(_rows(cell.prediction_after))),
        ("class before", _prediction(cell.top1_before)),
        ("class after", _prediction(cell.top1_after)),
        ("gradient error", _errors(cell.gradient_error)),
        ("update", "" if update is None or update.when == "none" else _errors(update)),
        ("state changes", _changes(cell)),
        ("first layer that differs", _errors(cell.first_layer)),
        ("at fault", _cause(cell.cause)),
        *((f"{finding} in", _releases(cell, finding, results.cells)) for finding in cell.findings),
        ("left out", ", ".join(f"{count} of {name.replace('_', ' ')}" for name, count in cell.omitted.items())),
        ("arrays", cell.arrays if cell.omitted else ""),
        ("memory", f"up to {cell.peak_bytes / 1e6:.0f} MB a trial" if cell.peak_bytes else ""),
        ("command", cell.reproduce),
    ]
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in rows:
        if text:
            facts.add_row(name, printable(text))
    console.print(facts)
    evidence = Table("finding", "what", "value", "threshold", "reason for the threshold", box=None, pad_edge=False)
    for _, group in itertools.groupby(cell.evidence, key=lambda row: row.finding):
        alike = list(group)
        why = ""
        for row in _telling(alike):
            what = row.what + (f" ({row.detail})" if row.detail else "")
            reason = "" if row.why == why else row.why  # once for neighbours with the same
            why = row.why
            texts = (row.finding, what, _number(row.value), _number(row.threshold), reason)
            evidence.add_row(*map(printable, texts))
        if len(alike) > EVIDENCE:
            evidence.add_row(alike[0].finding, f"and {len(alike) - EVIDENCE} more", "", "", "")
    console.print(evidence)


def _telling(rows: list[Evidence]) -> list[Evidence]:
    """The rows with the largest values, in their order; a row without one is an event, and stays first of all."""

    def size(row: Evidence) -> float:
        value = row.value
        return abs(value) if isinstance(value, int | float) and not math.isnan(value) else math.inf

    kept = sorted(range(len(rows)), key=lambda place: -size(rows[place]))[:EVIDENCE]
    return [rows[place] for place in sorted(kept)]


def _remedy(finding: Finding) -> str:
    remedy = finding_word(finding).remedy
    return f"{finding}: {remedy}" if remedy else ""


def _cause(cause: report.Cause | None) -> str:
    if cause is None:
        return ""
    again = cause.again
    elsewhere = f"; on {again.network}, without this operator: {', '.join(again.findings)}" if again else ""
    first = ", of which the first node alone is wrong already" if cause.first else ""
    return f"{report.operator(cause)} ({cause.node}) for {cause.finding}, by {cause.by}{first}{elsewhere}"


def _releases(cell: JudgedCell, finding: str, cells: Iterable[JudgedCell]) -> str:
    """The releases of this run with the finding in otherwise equal cells, consecutive ones as ranges."""
    alike = [other for other in cells if other.across_releases == cell.across_releases]
    measured = sorted((other for other in alike if other.findings), key=lambda other: Version(other.release))
    ranges = []
    for shows, group in itertools.groupby(measured, key=lambda other: finding in other.findings):
        releases = [other.release for other in group]
        if shows:
            ranges.append(releases[0] if len(releases) == 1 else f"{releases[0]} to {releases[-1]}")
    return f"{', '.join(ranges)}, of {len(measured)} releases measured"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def _rows(prediction: Array | None) -> list[list[float]] | None:
    return None if prediction is None else rows_of(prediction)


def _prediction(value: list[list[float]] | list[int] | None) -> str:
    """The numbers, of the first rows if there are many."""
    rows = value or []
    text = _numbers(rows[:ROWS])
    if len(text) > WIDEST:
        text = text[:WIDEST].rpartition(",")[0] + ", ..."
    return (f"{text} and {len(rows) - ROWS} more" if len(rows) > ROWS else text) if rows else ""


def _changes(cell: JudgedCell) -> str:
    """The largest changes of tensors, and how many others there are."""
    changes = cell.state_changes
    largest = sorted(changes, key=lambda name: -math.inf if math.isnan(changes[name]) else -changes[name])[:MOST]
    more = len(changes) - len(largest) + cell.omitted.get("state_changes", 0)
    return _errors({name: changes[name] for name in largest}) + (f", and {more} more" if more else "")


def _numbers(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_numbers, value)) + "]"
    return _number(value)


def _errors(value: object) -> str:
    """The numbers with their names, of a mapping or a record, but for what is unknown."""
    known = () if value is None else value.items() if isinstance(value, dict) else vars(value).items()
    return ", ".join(f"{name} {_number(item)}" for name, item in known if item is not None)
