"""Reads `cells.jsonl` and `run.json`, and checks them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.report.records import JudgedCell, Run

__all__ = ["read_cells", "read_run"]

SCHEMA = 1

#: How JSON, which has no such numbers, carries them.
_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

#: The keys that a line may leave out or leave null, and what is read then.
DEFAULTS: Mapping[str, Any] = {
    "released": "",
    "reason": None,
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
    "seconds": 0.0,
    "environment": {"python": "", "packages": {}, "variables": {}},
    "stderr": "",
    "arrays": None,
    "reproduce": "",
}
_REQUIRED = tuple(key for key in JudgedCell.__annotations__ if key not in DEFAULTS)
#: Where "NaN" and its kin stand for numbers; elsewhere they are words.
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
)


def read_cells(path: Path) -> list[JudgedCell]:
    """Read `cells.jsonl`, one judged cell a line; the numbers' words "NaN" and "Infinity" come back as numbers.

    Raises UsageError without such a file, CrosscheckError, naming the line, where a line is not strict JSON, lacks a
    key or has another schema.
    """
    lines = enumerate(_text(path).split("\n"), 1)
    return [_cell(line, f"{path}, line {number}") for number, line in lines if line.strip()]


def read_run(path: Path) -> Run:
    """Read `run.json`. Raises UsageError without it, CrosscheckError if it is not JSON with all keys."""
    record = _record(_text(path), str(path))
    _require(record, tuple(Run.__annotations__), str(path))
    return cast(Run, record)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"{path} is not there: {path.parent} holds no finished run. Name the folder of one by --out."
        ) from None


def _cell(line: str, where: str) -> JudgedCell:
    record = _record(line, where)
    _require(record, _REQUIRED, where)
    for key, default in DEFAULTS.items():
        if record.get(key) is None:
            record[key] = default
    for key in _NUMERIC:
        record[key] = _numbers(record[key])
    for key in ("prediction_before", "prediction_after"):
        if record[key] is not None:
            record[key] = [_flat(row) for row in record[key]]
    record["evidence"] = [
        {**item, "value": _numbers(item["value"]), "threshold": _numbers(item["threshold"])}
        for item in record["evidence"]
    ]
    return cast(JudgedCell, record)


def _record(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text, parse_constant=_refuse)
    except ValueError as problem:
        raise CrosscheckError(f"{where}: not strict JSON ({problem}). Run the job again; it judges anew.") from problem
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
    """All numbers of one row of the batch: outputs may have more axes than rows and classes."""
    return [number for item in row for number in _flat(item)] if isinstance(row, list) else [row]


def _numbers(value: Any) -> Any:
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return value
