"""Packs the cells' full numbers into the page for its JavaScript."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from crosscheck.expectations import Verdict
from crosscheck.records import Evidence, JudgedCell, rows_of
from crosscheck.records.conversion import plain
from crosscheck.records.versions import JUDGED

__all__ = ["EVIDENCE_FIELDS", "FIELDS", "Scripts", "embedded"]

#: Fields that the page shows elsewhere, as tables.
_ELSEWHERE = frozenset({"cause", "exported"})
#: The fields of an embedded cell, in this order. Values shared by several cells are stored once.
FIELDS = tuple(item.name for item in fields(JudgedCell) if item.name not in _ELSEWHERE)
#: Those that cells have in common with others; the others are texts and numbers.
COMMON = tuple(field for field in FIELDS if field in {*JUDGED, "contract", "environment"})
#: The fields of embedded evidence, each an index into `values`: many cells share their texts.
EVIDENCE_FIELDS = tuple(item.name for item in fields(Evidence))
#: Maximum numbers of a prediction or gradient in the page; `cells.jsonl` and the arrays have all.
NUMBERS_KEPT = 256

#: Returns the pieces of a cell's standalone script, or None without a script.
Scripts = Callable[[JudgedCell], tuple[str, ...] | None]


def embedded(
    cells: Sequence[JudgedCell],
    changes: Mapping[str, str],
    scripts: Scripts | None = None,
    causes: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
) -> str:
    """Pack `{"fields", "evidence", "values", "cells"}` as base64 of gzip: a cell is one index into `values` per field.

    Four entries follow the fields: the change against another run ("" if none); the script as a list of indices of
    its pieces (empty if none), since many scripts share pieces; the cell's causes, as (anchor, line); and how it stands
    to what is expected of it, as a kind and in words (empty if nothing is).
    """
    places: dict[str, int] = {}
    encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

    def place(value: Any) -> int:
        return places.setdefault(encode(value), len(places))

    def pack(field: str, value: Any) -> int:
        value = _value(field, value)
        if field == "evidence":
            value = [[place(item[key]) for key in EVIDENCE_FIELDS] for item in value]
        return place(value)

    #: By the objects that cells have in common: the places of their values.
    packed: dict[tuple[int, ...], dict[str, int]] = {}

    def common(cell: JudgedCell) -> dict[str, int]:
        same = tuple(id(getattr(cell, field)) for field in COMMON)
        if same not in packed:
            values = {**plain(cell), **_predictions(cell)}
            packed[same] = {field: pack(field, values[field]) for field in COMMON}
        return packed[same]

    rows = []
    for cell in cells:
        pieces = scripts(cell) if scripts else None
        shared = common(cell)
        row = [shared[field] if field in shared else pack(field, getattr(cell, field)) for field in FIELDS]
        row += [place(changes.get(cell.id, "")), place([place(piece) for piece in pieces or ()])]
        row.append(place((causes or {}).get(cell.id, [])))
        verdict = (verdicts or {}).get(cell.id)
        rows.append([*row, place([] if verdict is None else [verdict.kind.value, str(verdict)])])
    names = json.dumps([*FIELDS, "change", "script", "causes", "expectation"])
    heads = f'"fields":{names},"evidence":{json.dumps(EVIDENCE_FIELDS)}'
    text = f'{{{heads},"values":[{",".join(places)}],"cells":{json.dumps(rows, separators=(",", ":"))}}}'
    return base64.b64encode(gzip.compress(text.encode("utf-8", errors="replace"), mtime=0)).decode("ascii")


def _predictions(cell: JudgedCell) -> dict[str, list[list[float]] | None]:
    both = {"prediction_before": cell.prediction_before, "prediction_after": cell.prediction_after}
    return {field: None if value is None else rows_of(value) for field, value in both.items()}


def _value(field: str, value: Any) -> Any:
    if field in ("prediction_before", "prediction_after", "gradient") and _count(value) > NUMBERS_KEPT:
        return f"{_count(value)} numbers: too many to show"
    if field == "curve" and value is not None:
        return {key: _rounded(item) for key, item in value.items() if key != "flips"}  # the page draws them
    # The page shows differences of tensors: nine digits are exact for float32.
    return _rounded(value, digits=9 if field == "tensors" else 7)


def _count(value: Any) -> int:
    return sum(_count(item) for item in value) if isinstance(value, list) else 1


def _rounded(value: Any, digits: int = 7) -> Any:
    """Round to significant digits (float32 has seven to nine); non-finite numbers become text for JSON."""
    if isinstance(value, float):
        if math.isfinite(value):
            return float(f"{value:.{digits}g}")
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [_rounded(item, digits) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    return value
