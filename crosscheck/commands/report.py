"""`crosscheck report`: writes the page of a run again, and a site."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from crosscheck import report
from crosscheck.commands.options import add_run
from crosscheck.commands.outputs import add_outputs, outputs_of, say
from crosscheck.ending import OK, WORSE
from crosscheck.publication import refresh
from crosscheck.script.writer import example, pieces
from crosscheck.terminal import printable

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    add_outputs(parser)
    parser.add_argument(
        "--site",
        type=Path,
        metavar="DIR",
        help="also write the page, the cells and a badge for each runtime to DIR, for a static host",
    )


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Write `report.html` from `cells.jsonl`, and print where it is; the formats, and what is not expected."""
    outputs = outputs_of(parsed)
    page = report.write(parsed.run, outputs.against, pieces, example, expectations=outputs.expectations)
    refresh(page.parent)
    console.print(printable(f"report: {page}"), soft_wrap=True)
    if parsed.site is not None:
        index = report.write_site(page, parsed.site)
        console.print(printable(f"site: {index}"), soft_wrap=True)
    outcome = outputs.make(page.parent)
    if outcome is None:
        return OK
    say(console, page.parent, outcome)
    return WORSE if outcome.failed else OK
