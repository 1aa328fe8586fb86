"""Versions of the stored files: reads records of this version, and of older ones by upgrading them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from crosscheck.records.conversion import plain, structured
from crosscheck.records.judged_cell import JudgedCell
from crosscheck.records.run import Run

__all__ = ["CELL_SCHEMA", "cell_of", "run_of", "written_run"]

#: Version of a line of `cells.jsonl`. A new field with a default needs no new version.
CELL_SCHEMA = 2
#: Version of `run.json`.
RUN_SCHEMA = 1

Fields = dict[str, Any]


def cell_of(line: Mapping[str, Any]) -> JudgedCell:
    """The judged cell of a line. Raises ValueError for another version than are known, and for a line that is none."""
    line = _upgraded(line, _CELL, CELL_SCHEMA)
    # Without findings, a line would read as that of a cell that was not measured.
    _require(line, (*_required(JudgedCell), "findings"))
    return structured(line, JudgedCell)


def run_of(record: Mapping[str, Any]) -> Run:
    """The run of a `run.json`. Raises ValueError like `cell_of`."""
    record = _upgraded(record, {}, RUN_SCHEMA)
    _require(record, _required(Run))
    return structured(record, Run)


def written_run(run: Run) -> dict[str, Any]:
    """What `run.json` has of a run, as JSON types."""
    return {"schema": RUN_SCHEMA, **plain(run)}


def _cell_of_1(line: Fields) -> Fields:
    """Version 1 left fields out, or had null for their defaults; early updates lack `taken_apart`."""
    line = {name: value for name, value in line.items() if value is not None}
    if isinstance(line.get("update"), dict):  # anything else is refused with its field
        line["update"] = {"taken_apart": True, **line["update"]}
    return line


#: Version -> upgrade to the next one.
_CELL: Mapping[int, Callable[[Fields], Fields]] = {1: _cell_of_1}


def _upgraded(record: Mapping[str, Any], upgrades: Mapping[int, Callable[[Fields], Fields]], newest: int) -> Fields:
    version = record.get("schema") if isinstance(record, dict) else None
    if type(version) is not int or (version != newest and version not in upgrades):
        raise ValueError(f"this crosscheck reads schema {' or '.join(map(str, (*upgrades, newest)))} only")
    upgraded = dict(record)
    for number in range(version, newest):
        upgraded = upgrades[number](upgraded)
    return upgraded


def _required(kind: Any) -> tuple[str, ...]:
    """The fields without a default."""
    return tuple(item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING)


def _require(record: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in record]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
