"""Comparing arrays that may hold NaN and infinities: distances, sizes, errors relative to a closed form."""

from __future__ import annotations

import math

import numpy as np

from crosscheck.cells import Array
from crosscheck.judge.thresholds import REPEATABLE, REPEATABLE_ABSOLUTE, SCALE_FLOOR

__all__ = ["became_non_finite", "distance", "relative_error", "same", "size"]


def distance(one: Array, other: Array) -> float:
    """The largest absolute difference of two arrays, float64.

    NaN is at no distance from NaN, nor an infinity from itself; from everything else they are infinitely far, and so
    are arrays of another shape.
    """
    if one.shape != other.shape:
        return math.inf
    # Most arrays that are compared are the same to the last bit, and there are many of them.
    if one.dtype == other.dtype and one.tobytes() == other.tobytes():
        return 0.0
    here, there = np.asarray(one, np.float64), np.asarray(other, np.float64)
    alike = (here == there) | (np.isnan(here) & np.isnan(there))
    with np.errstate(invalid="ignore"):
        apart = np.where(alike, 0.0, np.abs(here - there))
    return float(np.max(np.where(np.isnan(apart), math.inf, apart), initial=0.0))


def size(values: Array) -> float:
    """The largest absolute value among the finite entries; 0 where there is none."""
    numbers = np.asarray(values, np.float64)
    return float(np.max(np.abs(numbers), initial=0.0, where=np.isfinite(numbers)))


def relative_error(measured: Array, expected: Array, other: Array) -> float:
    """How far `measured` is from the closed form `expected`, relative to its largest entry.

    Where that entry is less than a tenth (`SCALE_FLOOR`) of the largest entry of `other`, the other mode's closed form,
    that tenth is the scale. Infinite where both closed forms are zero and `measured` is not.
    """
    apart = distance(measured, expected)
    scale = max(size(expected), SCALE_FLOOR * size(other))
    if apart == 0.0:
        return 0.0
    return apart / scale if scale else math.inf


def same(one: Array, other: Array) -> bool:
    """Whether two trials measured the same thing, up to rounding (`REPEATABLE`)."""
    apart = distance(one, other)
    return apart <= REPEATABLE_ABSOLUTE or apart <= REPEATABLE_ABSOLUTE + REPEATABLE.value * max(size(one), size(other))


def became_non_finite(before: Array, after: Array) -> bool:
    """Whether `after` holds NaN or an infinity although all of `before` is finite."""
    return bool(np.isfinite(before).all() and not np.isfinite(after).all())
