"""The cells' full numbers as one compact JSON text inside the page, from which `details.js` shows a cell on demand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from crosscheck.report.records import JudgedCell

__all__ = ["EVIDENCE_FIELDS", "FIELDS", "embedded"]

#: The fields of an embedded cell, in this order. Values that several cells share are kept once.
FIELDS = (
    "id",
    "released",
    "call",
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
    "gradient_error",
    "later",
    "state_changes",
    "update",
    "public_view",
    "curve",
    "seconds",
    "first_layer",
    "environment",
    "stderr",
    "arrays",
    "reproduce",
)
#: An embedded piece of evidence is a list with one index into `values` for each of these: many cells share their texts.
EVIDENCE_FIELDS = ("finding", "what", "value", "threshold", "why", "detail")
#: Numbers of a prediction or a gradient that the page keeps; `cells.jsonl` and the arrays have all.
NUMBERS_KEPT = 256
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def embedded(cells: Sequence[JudgedCell]) -> Markup:
    """Pack `{"fields", "evidence", "values", "cells"}`: a cell is a list with one index into `values` a field.

    Safe between script tags: "<", ">" and "&" are written as JSON escapes.
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

    rows = json.dumps([[pack(cell, field) for field in FIELDS] for cell in cells], separators=(",", ":"))
    heads = f'"fields":{json.dumps(FIELDS)},"evidence":{json.dumps(EVIDENCE_FIELDS)}'
    text = f'{{{heads},"values":[{",".join(places)}],"cells":{rows}}}'
    return Markup(text.translate(_ESCAPES))  # noqa: S704 - escaped just here


def _value(cell: JudgedCell, field: str) -> Any:
    value: Any = cell[field]  # type: ignore[literal-required]
    if field in ("prediction_before", "prediction_after", "gradient") and _count(value) > NUMBERS_KEPT:
        return f"{_count(value)} numbers: too many to show"
    return _rounded(value)


def _count(value: Any) -> int:
    return sum(_count(item) for item in value) if isinstance(value, list) else 1


def _rounded(value: Any) -> Any:
    """Seven significant digits, which is what float32 has; JSON has no infinities, so they travel as words."""
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return float(f"{value:.7g}") if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value
