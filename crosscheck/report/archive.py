"""The cells' full numbers as one compact JSON text inside the page, from which `details.js` shows a cell on demand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from crosscheck.report.records import JudgedCell

__all__ = ["FIELDS", "embedded"]

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
    "environment",
    "stderr",
    "arrays",
    "reproduce",
)
#: Characters of a stderr tail that the page keeps; its end is what matters.
STDERR_KEPT = 2000
#: Numbers of a prediction or a gradient that the page keeps; `cells.jsonl` and the arrays have all.
NUMBERS_KEPT = 256
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def embedded(cells: Sequence[JudgedCell]) -> Markup:
    """`{"fields", "values", "cells"}`: a cell is a list with one index into `values` a field.

    Safe between script tags: "<", ">" and "&" are written as JSON escapes.
    """
    places: dict[str, int] = {}
    rows = []
    for cell in cells:
        row = []
        for field in FIELDS:
            text = json.dumps(_value(cell, field), separators=(",", ":"), allow_nan=False)
            row.append(places.setdefault(text, len(places)))
        rows.append(row)
    fields, indices = json.dumps(FIELDS), json.dumps(rows, separators=(",", ":"))
    text = f'{{"fields":{fields},"values":[{",".join(places)}],"cells":{indices}}}'
    return Markup(text.translate(_ESCAPES))  # noqa: S704 - escaped just here


def _value(cell: JudgedCell, field: str) -> Any:
    value: Any = cell[field]  # type: ignore[literal-required]
    if field == "stderr":
        return value[-STDERR_KEPT:]
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
