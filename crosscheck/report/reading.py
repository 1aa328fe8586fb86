"""Reads and validates `cells.jsonl` and `run.json`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.report.order import by_version, distinct
from crosscheck.report.records import PLAIN, JudgedCell, ModeFacts, Run

__all__ = ["derived_run", "pick", "read_cells", "read_run"]

SCHEMA = 1

#: Text of facts that only `run.json` contains.
UNKNOWN = "unknown without run.json"

#: Non-finite numbers as text in JSON.
_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

#: Optional keys of a line (absent or null) -> default.
DEFAULTS: Mapping[str, Any] = {
    "released": "",
    "reason": None,
    "undecided": None,
    "call": "",
    "default_call": False,
    "contradicts": None,
    "contract": {"statistics": "undocumented", "says": "", "link": ""},
    "evidence": [],
    "trials": [],
    "prediction_before": None,
    "prediction_after": None,
    "top1_before": None,
    "top1_after": None,
    "gradient": None,
    "closed_forms": None,
    "gradient_error": None,
    "later": None,
    "state_changes": {},
    "tensors": {},
    "update": None,
    "public_view": None,
    "curve": None,
    "first_layer": None,
    "cause": None,
    "omitted": {},
    "seconds": 0.0,
    "environment": {"python": "", "packages": {}, "variables": {}},
    "stderr": "",
    "arrays": None,
    "exported": None,
    "reproduce": "",
}
_REQUIRED = tuple(key for key in JudgedCell.__annotations__ if key not in DEFAULTS)
#: Keys in which "NaN" and "Infinity" are numbers; elsewhere they are text.
_NUMERIC = (
    "prediction_before",
    "prediction_after",
    "gradient",
    "closed_forms",
    "gradient_error",
    "later",
    "tensors",
    "state_changes",
    "update",
    "curve",
    "first_layer",
    "exported",
)


def read_cells(path: Path) -> list[JudgedCell]:
    """Read a `cells.jsonl`, or the one of a folder, one judged cell per line; "NaN" and "Infinity" become numbers.

    Raises UsageError if the file is missing, CrosscheckError, naming the line, if a line is not strict JSON, lacks a
    key or has another schema.
    """
    file = path if path.is_file() or path.suffix == ".jsonl" else path / "cells.jsonl"
    lines = enumerate(_text(file).split("\n"), 1)
    return [_cell(line, f"{file}, line {number}") for number, line in lines if line.strip()]


def pick(cells: Sequence[JudgedCell], cell_id: str, folder: Path) -> JudgedCell:
    """The cell with this id of the run in `folder`. Raises UsageError, with the nearest ids, if there is none."""
    by_id = {cell["id"]: cell for cell in cells}
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
    record = _record(_text(path), str(path))
    record.setdefault("causes", {})  # early runs lack them
    _require(record, tuple(Run.__annotations__), str(path))
    for facts in record["environments"].values():
        facts.setdefault("packages", {})  # early runs lack them
    return cast(Run, record)


def derived_run(cells: Sequence[JudgedCell]) -> Run:
    """Derive the facts of a run from its cells.

    Releases are sorted by version, the rest by first occurrence. Missing facts (machine, command, times, titles,
    questions of scenarios) are empty or `UNKNOWN`.
    """
    runtimes = distinct(cell["runtime"] for cell in cells)
    return {
        "schema": SCHEMA,
        "crosscheck": "",
        "started": "",
        "command": [],
        "machine": {},
        "jobs": 0,
        "isolation": "",
        "seconds": {},
        "causes": {},
        "counts": {"cells": len(cells), "trials": sum(row["count"] for cell in cells for row in cell["trials"])},
        "runtimes": {
            name: {
                "title": name,
                "link": "",
                "releases": list(by_version(cell["release"] for cell in cells if cell["runtime"] == name)),
                "modes": _modes(cell for cell in cells if cell["runtime"] == name),
            }
            for name in runtimes
        },
        "networks": {name: {"title": name} for name in distinct(cell["network"] for cell in cells)},
        "scenarios": {
            name: {"question": UNKNOWN, "steps": UNKNOWN} for name in distinct(cell["scenario"] for cell in cells)
        },
        "environments": {
            _target(cell): {
                "lock": cell["environment"].get("lock", UNKNOWN),
                "python": cell["environment"]["python"],
                "packages": cell["environment"]["packages"],
            }
            for cell in cells
            if cell["environment"]["python"]
        },
    }


def _modes(cells: Iterable[JudgedCell]) -> list[ModeFacts]:
    first: dict[str, JudgedCell] = {}
    for cell in cells:
        first.setdefault(cell["mode"], cell)
    return [
        {
            "name": name,
            "intent": cell["intent"],
            "asks": cell["asks"],
            "call": cell["call"],
            "contract": cell["contract"],
        }
        for name, cell in first.items()
    ]


def _target(cell: JudgedCell) -> str:
    """The key of a cell's environment in `run.json`."""
    return f"{cell['runtime']}@{cell['release']}" + ("" if cell["variant"] == PLAIN else f"+{cell['variant']}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
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


def _cell(line: str, where: str) -> JudgedCell:
    record = _record(line, where)
    _require(record, _REQUIRED, where)
    for key, default in DEFAULTS.items():
        if record.get(key) is None:
            record[key] = default
    for key in _NUMERIC:
        record[key] = _numbers(record[key])
    try:
        for key in ("prediction_before", "prediction_after"):
            if record[key] is not None:
                record[key] = [_flat(row) for row in record[key]]
        record["evidence"] = [
            {**item, "value": _numbers(item["value"]), "threshold": _numbers(item["threshold"])}
            for item in record["evidence"]
        ]
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        raise CrosscheckError(
            f"{where}: is no judged cell ({type(problem).__name__}: {problem}). Run the job again."
        ) from problem
    return cast(JudgedCell, record)


def _record(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text, parse_constant=_refuse)
    except ValueError as problem:
        raise CrosscheckError(
            f"{where}: not strict JSON ({problem}). Run the job again; it judges the cells anew."
        ) from problem
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise CrosscheckError(
            f"{where}: this crosscheck reads schema {SCHEMA} only. Run the job again with this crosscheck."
        )
    return record


def _require(record: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    missing = [key for key in keys if key not in record]
    if missing:
        raise CrosscheckError(f"{where}: lacks {', '.join(missing)}. Run the job again with this crosscheck.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _flat(row: Any) -> list[float]:
    """All numbers of one row of the batch; outputs may have more than two axes."""
    return [number for item in row for number in _flat(item)] if isinstance(row, list) else [row]


def _numbers(value: Any) -> Any:
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return value
