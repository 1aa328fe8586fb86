"""Versions of the stored files: reads records of this version, and of older ones by upgrading them."""

from __future__ import annotations

import functools
import hashlib
import marshal
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from crosscheck.records.conversion import plain, structured
from crosscheck.records.judged_cell import JudgedCell, Judgement
from crosscheck.records.run import Run

__all__ = ["CELL_SCHEMA", "JUDGED", "Cells", "cell_of", "run_of", "written_run"]

#: Version of a line of `cells.jsonl`. A new field with a default needs no new version.
CELL_SCHEMA = 2
#: Version of `run.json`.
RUN_SCHEMA = 1

Fields = dict[str, Any]

#: What the judge says of a cell, but for its cause and what its trials cost, in which nearly all cells differ.
JUDGED = tuple(item.name for item in fields(Judgement) if item.name not in ("cause", "seconds", "peak_bytes", "stderr"))
#: Fields that cells have in common: each group with others.
COMMON = (JUDGED, ("contract",), ("environment",))


class Cells:
    """Reads judged cells from lines. What lines have in common is read once, and is one object in memory."""

    def __init__(self) -> None:
        self._read: dict[bytes, Mapping[str, Any]] = {}

    def cell_of(self, line: Mapping[str, Any]) -> JudgedCell:
        """The judged cell of a line. Raises ValueError for another version than are known, and for no cell."""
        line = _upgraded(line, _CELL, CELL_SCHEMA)
        # Without findings, a line would read as that of a cell that was not measured.
        _require(line, (*_required(JudgedCell), "findings"))
        groups = [{name: line[name] for name in group if name in line} for group in COMMON]
        own = {name: value for name, value in line.items() if not any(name in group for group in groups)}
        own["status"] = line["status"]  # which a cell cannot be without
        try:
            parts = [vars(structured(own, JudgedCell)), *(self._common(own, group) for group in groups)]
        except ValueError:
            return structured(line, JudgedCell)  # says what is wrong with the whole line
        return JudgedCell(**{name: value for part in parts for name, value in part.items()})

    def _common(self, own: Fields, group: Fields) -> Mapping[str, Any]:
        """These fields of a cell; `own` completes it, and has no part in them."""
        # In version 2 of the format equal values have equal bytes, whoever else refers to them.
        digest = hashlib.blake2b(marshal.dumps(group, 2)).digest()
        if digest not in self._read:
            cell = structured({**own, **group}, JudgedCell)
            self._read[digest] = {item.name: getattr(cell, item.name) for item in fields(cell) if item.name in group}
        return self._read[digest]


def cell_of(line: Mapping[str, Any]) -> JudgedCell:
    """The judged cell of a line, by itself. Raises ValueError like `Cells.cell_of`."""
    return Cells().cell_of(line)


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


@functools.cache
def _required(kind: Any) -> tuple[str, ...]:
    """The fields without a default."""
    return tuple(item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING)


def _require(record: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in record]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
