"""Packs the cells' full numbers into the page, for its JavaScript to search and show on demand."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crosscheck.report.records import JudgedCell

__all__ = ["EVIDENCE_FIELDS", "FIELDS", "Scripts", "embedded"]

#: The fields of an embedded cell, in this order. Values that several cells share are kept once.
FIELDS = (
    "id",
    "runtime",
    "release",
    "variant",
    "mode",
    "network",
    "scenario",
    "intent",
    "asks",
    "released",
    "call",
    "default_call",
    "status",
    "reason",
    "findings",
    "evidence",
    "contract",
    "contradicts",
    "trials",
    "prediction_before",
    "prediction_after",
    "top1_before",
    "top1_after",
    "gradient",
    "closed_forms",
    "gradient_error",
    "later",
    "state_changes",
    "tensors",
    "update",
    "public_view",
    "curve",
    "first_layer",
    "seconds",
    "environment",
    "stderr",
    "arrays",
    "reproduce",
)
#: An embedded piece of evidence is a list with one index into `values` for each of these: many cells share their texts.
EVIDENCE_FIELDS = ("finding", "what", "value", "threshold", "why", "detail")
#: Numbers of a prediction or a gradient that the page keeps; `cells.jsonl` and the arrays have all.
NUMBERS_KEPT = 256

#: Makes a cell's standalone script as the pieces that it is joined from, or None where there is none.
Scripts = Callable[[JudgedCell], tuple[str, ...] | None]


def embedded(cells: Sequence[JudgedCell], changes: Mapping[str, str], scripts: Scripts | None = None) -> str:
    """Pack `{"fields", "evidence", "values", "cells"}` as base64 of gzip: a cell is one index into `values` a field.

    After the fields come two more: its change against another run ("" if none), and its script, a list of indices of
    the pieces that it is joined from (empty if there is none). Pieces are texts that many scripts share.
    """
    places: dict[str, int] = {}

    def place(value: Any) -> int:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
        return places.setdefault(text, len(places))

    def pack(cell: JudgedCell, field: str) -> int:
        value = _value(cell, field)
        if field == "evidence":
            value = [[place(item[key]) for key in EVIDENCE_FIELDS] for item in value]
        return place(value)

    rows = []
    for cell in cells:
        pieces = scripts(cell) if scripts else None
        row = [pack(cell, field) for field in FIELDS]
        rows.append([*row, place(changes.get(cell["id"], "")), place([place(piece) for piece in pieces or ()])])
    heads = f'"fields":{json.dumps([*FIELDS, "change", "script"])},"evidence":{json.dumps(EVIDENCE_FIELDS)}'
    text = f'{{{heads},"values":[{",".join(places)}],"cells":{json.dumps(rows, separators=(",", ":"))}}}'
    return base64.b64encode(gzip.compress(text.encode("utf-8", errors="replace"), mtime=0)).decode("ascii")


def _value(cell: JudgedCell, field: str) -> Any:
    value: Any = cell[field]  # type: ignore[literal-required]
    if field in ("prediction_before", "prediction_after", "gradient") and _count(value) > NUMBERS_KEPT:
        return f"{_count(value)} numbers: too many to show"
    if field == "curve" and value is not None:
        return {key: _rounded(item) for key, item in value.items() if key != "flips"}  # the page draws them
    # Differences of tensors are shown: float32 has all its digits in nine.
    return _rounded(value, digits=9 if field == "tensors" else 7)


def _count(value: Any) -> int:
    return sum(_count(item) for item in value) if isinstance(value, list) else 1


def _rounded(value: Any, digits: int = 7) -> Any:
    """Significant digits, of which float32 has seven to nine; JSON has no infinities, so they travel as words."""
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return float(f"{value:.{digits}g}") if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, list):
        return [_rounded(item, digits) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item, digits) for key, item in value.items()}
    return value
