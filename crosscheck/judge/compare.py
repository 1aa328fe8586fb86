"""Errors relative to a closed form, of arrays that may contain NaN and infinities."""

from __future__ import annotations

import math

import numpy as np

from crosscheck.cells import Array
from crosscheck.judge.thresholds import SCALE_FLOOR
from crosscheck.repeatability import distance, size

__all__ = ["became_non_finite", "relative_error", "scale_of"]


def relative_error(measured: Array, expected: Array, other: Array | None = None) -> float:
    """The error of `measured` against the closed form `expected`, relative to its largest entry.

    other: the other mode's closed form, with which the scale is `scale_of`. Infinite if the scale is zero and
    `measured` is not.
    """
    apart = distance(measured, expected)
    scale = size(expected) if other is None else scale_of(expected, other)
    if apart == 0.0:
        return 0.0
    return apart / scale if scale else math.inf


def scale_of(expected: Array, other: Array) -> float:
    """The largest entry of a closed form, at least a tenth (`SCALE_FLOOR`) of `other`'s, the other mode's."""
    return max(size(expected), SCALE_FLOOR * size(other))


def became_non_finite(before: Array, after: Array) -> bool:
    """Whether `after` contains NaN or an infinity and `before` is finite."""
    return bool(np.isfinite(before).all() and not np.isfinite(after).all())
