"""Errors relative to a closed form, of arrays that may contain NaN and infinities."""

from __future__ import annotations

import math

import numpy as np

from crosscheck.cells import Array
from crosscheck.judge.thresholds import SCALE_FLOOR
from crosscheck.repeatability import distance, size

__all__ = ["became_non_finite", "relative_error"]


def relative_error(measured: Array, expected: Array, other: Array) -> float:
    """The error of `measured` against the closed form `expected`, relative to its largest entry.

    The scale is at least a tenth (`SCALE_FLOOR`) of the largest entry of `other`, the other mode's closed form.
    Infinite if both closed forms are zero and `measured` is not.
    """
    apart = distance(measured, expected)
    scale = max(size(expected), SCALE_FLOOR * size(other))
    if apart == 0.0:
        return 0.0
    return apart / scale if scale else math.inf


def became_non_finite(before: Array, after: Array) -> bool:
    """Whether `after` contains NaN or an infinity and `before` is finite."""
    return bool(np.isfinite(before).all() and not np.isfinite(after).all())
