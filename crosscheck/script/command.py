"""`crosscheck script`: finds a cell of a run, and writes its script."""

from __future__ import annotations

from pathlib import Path

from crosscheck.conversion import load_as
from crosscheck.errors import CrosscheckError
from crosscheck.networks import FileOptions
from crosscheck.report import pick, read_cells
from crosscheck.script.writer import composed

__all__ = ["script", "write"]


def script(folder: Path, cell_id: str, network: str | None = None, options: FileOptions | None = None) -> str:
    """The script of a cell of the run in `folder`; `network`: the user's file that the cell was about, with `options`.

    Raises UsageError for a cell that the run does not have, with the nearest ids, and for a file that is not the
    cell's network; NoScript where there is none.
    """
    cell = pick(read_cells(folder / "cells.jsonl"), cell_id, folder)
    return "".join(composed(cell, None if network is None else load_as(cell.network, network, options)))


def write(text: str, path: Path) -> None:
    """Write a script to a file. Raises CrosscheckError where that cannot be done."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise CrosscheckError(f"{path}: {problem.strerror or problem}. Name another file by -o.") from problem
