"""Predictions of a classifier as text: the class of each row (the number of its largest output) and its score."""

from __future__ import annotations

import numpy as np

from crosscheck.cells import Array
from crosscheck.probe.recorded import PREDICTION_AFTER, PREDICTION_BEFORE
from crosscheck.records import JudgedCell
from crosscheck.report.arrays import Arrays
from crosscheck.report.number_text import before_and_after, significant

__all__ = ["classes_text", "classified"]


def classified(cell: JudgedCell, arrays: Arrays, rows: int) -> tuple[str, str]:
    """The classes of the first rows before and after the call; other outputs as `before_and_after` writes them."""
    recorded = arrays.of(cell, [PREDICTION_BEFORE, PREDICTION_AFTER])
    texts = [classes_text(recorded.get(key), rows) for key in (PREDICTION_BEFORE, PREDICTION_AFTER)]
    return (texts[0], texts[1]) if all(texts) else before_and_after(cell)


def classes_text(prediction: Array | None, rows: int) -> str:
    """The class and its score of the first rows of a prediction (rows, classes); "" for any other."""
    if prediction is None or prediction.ndim != 2 or prediction.shape[1] < 2:
        return ""
    return " / ".join(map(_class, prediction[:rows]))


def _class(scores: Array) -> str:
    if not np.isfinite(scores).all():
        return "not finite"
    best = int(scores.argmax())
    return f"class {best}: {significant(float(scores[best]))}"
