"""`crosscheck explain`: prints one judged cell of `cells.jsonl`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from packaging.version import Version
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crosscheck import report
from crosscheck.report.records import JudgedCell

__all__ = ["explain"]


def explain(console: Console, folder: Path, cell_id: str) -> None:
    """Print a cell's findings, and for each the number, the threshold, its reason, the contract and its link.

    Raises UsageError, with the nearest ids, if the run in `folder` lacks the cell.
    """
    cells = report.read_cells(folder / "cells.jsonl")
    cell = report.pick(cells, cell_id, folder)
    console.print(f"[bold]{escape(cell['id'])}[/bold]", highlight=False)
    rows = [
        ("call", cell["call"]),
        ("status", cell["status"] + (f": {cell['reason']}" if cell["reason"] else "")),
        ("findings", ", ".join(cell["findings"]) or "none: it was not measured"),
        ("contract", f"statistics {cell['contract']['statistics']}: {cell['contract']['says']}"),
        ("", cell["contract"]["link"]),
        ("prediction before", _numbers(cell["prediction_before"])),
        ("prediction after", _numbers(cell["prediction_after"])),
        ("gradient error", _errors(cell["gradient_error"])),
        ("update", _errors(cell["update"])),
        ("state changes", _errors(cell["state_changes"])),
        ("first layer that differs", _errors(cell["first_layer"])),
        ("at fault", _cause(cell["cause"])),
        *((f"{finding} in", _releases(cell, finding, cells)) for finding in cell["findings"]),
        ("command", cell["reproduce"]),
    ]
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in rows:
        if text:
            facts.add_row(name, escape(str(text)))
    console.print(facts)
    evidence = Table("finding", "what", "value", "threshold", "reason for the threshold", box=None, pad_edge=False)
    for row in cell["evidence"]:
        what = row["what"] + (f" ({row['detail']})" if row["detail"] else "")
        evidence.add_row(
            *(
                escape(text)
                for text in (row["finding"], what, _number(row["value"]), _number(row["threshold"]), row["why"])
            )
        )
    console.print(evidence)


def _cause(cause: report.Cause | None) -> str:
    if cause is None:
        return ""
    again = cause["again"]
    elsewhere = f"; on {again['network']}, without this operator: {', '.join(again['findings'])}" if again else ""
    return f"{report.operator(cause)} ({cause['node']}) for {cause['finding']}, by {cause['by']}{elsewhere}"


def _releases(cell: JudgedCell, finding: str, cells: Iterable[JudgedCell]) -> str:
    """The releases of this run with the finding in otherwise equal cells, consecutive ones as ranges."""
    fields = ("runtime", "variant", "mode", "network", "scenario")
    alike = [other for other in cells if all(other[key] == cell[key] for key in fields)]  # type: ignore[literal-required]
    measured = sorted((other for other in alike if other["findings"]), key=lambda other: Version(other["release"]))
    ranges = []
    for shows, group in itertools.groupby(measured, key=lambda other: finding in other["findings"]):
        releases = [other["release"] for other in group]
        if shows:
            ranges.append(releases[0] if len(releases) == 1 else f"{releases[0]} to {releases[-1]}")
    return f"{', '.join(ranges)}, of {len(measured)} releases measured"


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def _numbers(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_numbers, value)) + "]"
    return _number(value)


def _errors(value: object) -> str:
    return ", ".join(f"{name} {_number(item)}" for name, item in value.items()) if isinstance(value, dict) else ""
