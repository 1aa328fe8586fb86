"""Reads and validates `cells.jsonl` and `run.json`."""

from __future__ import annotations

import contextlib
import difflib
import gc
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.records import JudgedCell
from crosscheck.records.run import EnvironmentFacts, ModeFacts, NetworkFacts, Run, RuntimeFacts, ScenarioFacts
from crosscheck.records.versions import Cells, run_of
from crosscheck.report.order import by_version, distinct

__all__ = ["derived_run", "pick", "read_cells", "read_run"]

#: Text of facts that only `run.json` contains.
UNKNOWN = "unknown without run.json"

Record = TypeVar("Record")


def read_cells(path: Path) -> list[JudgedCell]:
    """Read a `cells.jsonl`, or the one of a folder, one judged cell per line; "NaN" and "Infinity" become numbers.

    Raises UsageError if the file is missing, CrosscheckError, naming the line, if a line is not strict JSON, lacks a
    key or has another schema.
    """
    file = path if path.is_file() or path.suffix == ".jsonl" else path / "cells.jsonl"
    cells = Cells()
    with _without_collections(), _readable(file), file.open(encoding="utf-8", newline="\n") as lines:
        return [_read(cells.cell_of, line, f"{file}, line {at}") for at, line in enumerate(lines, 1) if line.strip()]


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Collect no garbage: a third of the time to read cells, which have no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def pick(cells: Sequence[JudgedCell], cell_id: str, folder: Path) -> JudgedCell:
    """The cell with this id of the run in `folder`. Raises UsageError, with the nearest ids, if there is none."""
    by_id = {cell.id: cell for cell in cells}
    if cell_id not in by_id:
        close = difflib.get_close_matches(cell_id, by_id, n=3, cutoff=0.0)
        raise UsageError(f"{folder} has no cell '{cell_id}'. Nearest: {', '.join(close) or 'none, it has no cells'}.")
    return by_id[cell_id]


def read_run(path: Path, cells: Sequence[JudgedCell]) -> Run:
    """Read `run.json`; without it, derive the facts from the cells.

    Raises CrosscheckError if it is not JSON with all keys.
    """
    if not path.exists():
        return derived_run(cells)
    with _readable(path):
        text = path.read_text(encoding="utf-8")
    return _read(run_of, text, str(path))


def derived_run(cells: Sequence[JudgedCell]) -> Run:
    """Derive the facts of a run from its cells.

    Releases are sorted by version, the rest by first occurrence. Missing facts (machine, command, times, titles,
    questions of scenarios) are empty or `UNKNOWN`.
    """
    runtimes = distinct(cell.runtime for cell in cells)
    trials = sum(row.count for cell in cells for row in cell.trials)
    return Run(
        crosscheck="",
        started="",
        command=(),
        machine={},
        jobs=0,
        isolation="",
        seconds={},
        counts={"cells": len(cells), "trials": trials},
        runtimes={
            name: RuntimeFacts(
                title=name,
                link="",
                releases=by_version(cell.release for cell in cells if cell.runtime == name),
                modes=_modes(cell for cell in cells if cell.runtime == name),
            )
            for name in runtimes
        },
        networks={name: NetworkFacts(name) for name in distinct(cell.network for cell in cells)},
        scenarios={name: ScenarioFacts(UNKNOWN, UNKNOWN) for name in distinct(cell.scenario for cell in cells)},
        environments={
            cell.target: EnvironmentFacts(
                cell.environment.lock or UNKNOWN, cell.environment.python, cell.environment.packages
            )
            for cell in cells
            if cell.environment.python
        },
    )


def _modes(cells: Iterable[JudgedCell]) -> tuple[ModeFacts, ...]:
    first: dict[str, JudgedCell] = {}
    for cell in cells:
        first.setdefault(cell.mode, cell)
    return tuple(ModeFacts(name, cell.intent, cell.asks, cell.call, cell.contract) for name, cell in first.items())


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raises UsageError and CrosscheckError for a file that cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise UsageError(
            f"{path} does not exist: {path.parent} has no finished run. `crosscheck run --out DIR` makes one in DIR."
        ) from None
    except UnicodeDecodeError as problem:
        raise CrosscheckError(
            f"{path}: not UTF-8 ({problem}). Run the job again; it judges the cells anew."
        ) from problem
    except OSError as problem:
        raise UsageError(f"{path} cannot be read: {problem.strerror or problem}.") from problem


def _read(kind: Callable[[dict[str, Any]], Record], text: str, where: str) -> Record:
    """The record in a text of JSON."""
    try:
        record = json.loads(text, parse_constant=_refuse)
    except (RecursionError, ValueError) as problem:
        raise CrosscheckError(
            f"{where}: not strict JSON ({problem}). Run the job again; it judges the cells anew."
        ) from problem
    try:
        return kind(record)
    except (RecursionError, ValueError) as problem:
        raise CrosscheckError(f"{where}: {problem}. Run the job again with this crosscheck.") from problem


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
