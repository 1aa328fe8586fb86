"""`crosscheck reduce`: the smallest network that still shows a cell's finding."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from crosscheck.commands.options import add_file_options, add_out, file_options
from crosscheck.ending import INTERRUPTED, OK
from crosscheck.reduce import Request, reduce
from crosscheck.terminal import printable

__all__ = ["arguments", "main"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cell", metavar="CELL", help="a cell's id, as in the report; it need not have been measured")
    parser.add_argument(
        "-o",
        "--to",
        type=Path,
        default=Path("crosscheck-reduced"),
        metavar="DIR",
        help="where network, script and text go (default crosscheck-reduced)",
    )
    parser.add_argument("--finding", metavar="FINDING", help="which of the cell's findings (default: the first)")
    parser.add_argument(
        "--time-limit", type=float, metavar="MINUTES", help="end after that long with what was reached so far"
    )
    add_out(parser, "the folder of the run that may have the cell", "RUN")
    parser.add_argument("--network", metavar="FILE", help="the file that the cell is about, where it is your own")
    add_file_options(parser)


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Reduce the network, and print what was reached."""
    options = file_options(parsed)
    request = Request(parsed.cell, parsed.to, parsed.finding, parsed.time_limit, parsed.out, parsed.network, options)
    reduced = reduce(console, request)
    for sentence in reduced.told:
        console.print(printable(sentence), soft_wrap=True)
    console.print(printable(f"smallest case: {parsed.to}"), soft_wrap=True)
    return INTERRUPTED if reduced.interrupted else OK
