"""`crosscheck script`: finds a cell of a run, and writes its script."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from crosscheck.commands.options import add_file_options, add_out, file_options
from crosscheck.conversion import load_as
from crosscheck.ending import OK
from crosscheck.errors import CrosscheckError
from crosscheck.networks import FileOptions
from crosscheck.report import load
from crosscheck.script.writer import composed
from crosscheck.terminal import printable

__all__ = ["arguments", "main", "script", "write"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("cell", metavar="CELL", help="a cell's id, as in the report")
    add_out(parser, "the folder of the run")
    parser.add_argument("--network", metavar="FILE", help="the cell's network, if it is not a shipped one")
    add_file_options(parser)
    parser.add_argument("-o", "--to", type=Path, metavar="FILE", help="write to this file instead of standard output")


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print or write the script."""
    text = script(parsed.out, parsed.cell, parsed.network, file_options(parsed))
    if parsed.to is None:
        sys.stdout.write(text)
        return OK
    write(text, parsed.to)
    how = "`node`, as its first line says" if text.startswith("//") else "`uv run`"
    console.print(printable(f"script: {parsed.to}, for {how}"), soft_wrap=True)
    return OK


def script(folder: Path, cell_id: str, network: str | None = None, options: FileOptions | None = None) -> str:
    """The script of a cell of the run in `folder`; `network`: the user's file that the cell was about, with `options`.

    Raises UsageError for a cell that the run does not have, with the nearest ids, and for a file that is not the
    cell's network; NoScript where there is none.
    """
    cell = load(folder).cell(cell_id)
    return "".join(composed(cell, None if network is None else load_as(cell.network, network, options)))


def write(text: str, path: Path) -> None:
    """Write a script to a file. Raises CrosscheckError where that cannot be done."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise CrosscheckError(f"{path}: {problem.strerror or problem}. Name another file by -o.") from problem
