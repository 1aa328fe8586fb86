"""`crosscheck diff`: prints the changes between two `cells.jsonl` as a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crosscheck import report
from crosscheck.ending import OK, WORSE
from crosscheck.report.cell_diff import Kind
from crosscheck.report.run_diff import Comparison, Line, compare
from crosscheck.terminal import printable

__all__ = ["arguments", "diff", "main"]

#: Text of `crosscheck diff --help`; `crosscheck.report.cell_diff` has the rules.
DESCRIPTION = """\
Lists the changed cells of RUN since OTHER. RUN is the newer run, as in `crosscheck report RUN --against OTHER`.

  worse    a new finding or crash, or no longer measurable
  fixed    a finding or crash is gone, or clean where nothing could be measured before
  changed  neither worse nor fixed: another status; the same findings with other numbers, by more than 1e-4 of the
           largest; or other findings by chance, where both runs say corrupted or saw trials that disagree
  new      in RUN only; never a regression
  gone     in OTHER only; never a regression

Where findings came and others went, the most severe decides; a crash is more severe than any of them, and they rank
as the report lists them under "How to read". Exit codes: 1 if any cell got worse, 0 if none, 2 usage."""
#: Maximum names in a line of new or gone cells; other lines name all.
NAMED = 3
_STYLES = {Kind.WORSE: "bold red", Kind.FIXED: "green", Kind.CHANGED: "yellow", Kind.NEW: "dim", Kind.GONE: "dim"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.formatter_class, parser.description = argparse.RawDescriptionHelpFormatter, DESCRIPTION
    parser.add_argument("run", type=Path, metavar="RUN", help="the newer run: its folder, or its cells.jsonl")
    parser.add_argument("other", type=Path, metavar="OTHER", help="the older run")


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print the changes."""
    return WORSE if diff(console, parsed.run, parsed.other) else OK


def diff(console: Console, run: Path, other: Path) -> bool:
    """Print the changes in `run` since `other`; return whether any cell is worse.

    Both are folders of runs or their `cells.jsonl`. `crosscheck.report.cell_diff.difference` defines "worse".
    Raises UsageError if a run does not exist.
    """
    comparison = compare(report.load(run).cells, report.load(other).cells, str(other))
    if comparison.lines:
        console.print(_table(comparison.lines))
    console.print(printable(f"{run} against {other}: {_summary(comparison)}"), soft_wrap=True)
    return Kind.WORSE in comparison.counts


def _table(lines: Sequence[Line]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("change", "cells", "release", "mode", "scenario: network", "before -> now"):
        table.add_column(name, overflow="fold", no_wrap=name in ("change", "cells"))
    for line in lines:
        numbers = f"; different numbers: {', '.join(line.differs)}" if line.differs else ""
        table.add_row(
            Text(line.kind, style=_STYLES[line.kind]),
            str(line.count),
            printable(f"{line.runtime} {line.releases}"),
            printable(_names(line, line.modes, "modes")),
            printable(": ".join((_names(line, line.scenarios, "scenarios"), _names(line, line.networks, "networks")))),
            printable(f"{line.before or '(absent)'} -> {line.now or '(absent)'}{numbers}"),
        )
    return table


def _names(line: Line, names: Sequence[str], noun: str) -> str:
    brief = line.kind in (Kind.NEW, Kind.GONE) and len(names) > NAMED
    return f"{len(names)} {noun}" if brief else ", ".join(names)


def _summary(comparison: Comparison) -> str:
    if not comparison.changes:
        return f"nothing changed in {comparison.same} {'cell' if comparison.same == 1 else 'cells'}"
    counts = [f"{count} {kind}" for kind, count in comparison.counts.items()]
    return ", ".join([*counts, f"{comparison.same} the same"])
