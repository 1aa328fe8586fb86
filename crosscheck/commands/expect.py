"""`crosscheck expect`: writes the findings of a run as expectations of the next ones."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from crosscheck import report
from crosscheck.commands.options import add_run
from crosscheck.ending import OK
from crosscheck.expectations import read_expectations, updated
from crosscheck.terminal import printable
from crosscheck.whole_files import whole

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument(
        "-o",
        "--to",
        type=Path,
        metavar="FILE",
        help="write to this file instead of standard output; keep its entries that are true, and the reasons of others",
    )


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print or write the expectations."""
    cells = report.load(parsed.run).cells
    if parsed.to is None:
        sys.stdout.write(updated(cells).text)
        return OK
    written = updated(cells, read_expectations(parsed.to) if parsed.to.exists() else None)
    with whole(parsed.to) as unfinished:
        unfinished.write_text(written.text, encoding="utf-8")
    for entry in written.replaced:
        more = f" and {len(entry.cells) - 1} more" if len(entry.cells) > 1 else ""
        console.print(printable(f"line {entry.line}, no longer true: {entry.cells[0]}{more}"), soft_wrap=True)
    said = f"{written.entries} entries, of which {written.kept} stood there before"
    console.print(printable(f"expectations: {parsed.to}: {said}"), soft_wrap=True)
    return OK
