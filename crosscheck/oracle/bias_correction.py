"""Bias correction applied to a moving average that did not start at zero.

After n batches an exponential average that starts at zero gives them the weight 1 - mⁿ (m: the fraction kept). Bias
correction divides by this weight (Kingma and Ba, *Adam*, 2015, section 3): the debiased average of
`crosscheck.oracle.laws`.
For another start s the same division is wrong: after n batches with the statistic b it gives
(mⁿ · s + (1 - mⁿ) · b) / (1 - mⁿ), whose weights add up to more than one. Every later update is that of a debiased
average, so s decays no faster than mⁿ / (1 - mⁿ).
"""

from __future__ import annotations

import numpy as np

from crosscheck.cells import Array

__all__ = ["overcorrected"]


def overcorrected(start: Array, batch: Array, momentum: float, count: int = 1) -> Array:
    """The statistic after the first `count` updates with one batch, float64 and shaped like `start` (channels,).

    start: the initial value, which is also the visible value until the first batch.
    momentum: the fraction kept by one update, less than 1.
    Raises ValueError for a momentum of 1 or more, whose divisor is not positive.
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; bias correction divides by 1 - momentum, which must be positive")
    kept = momentum**count
    result: Array = np.asarray(start, np.float64) * (kept / (1 - kept)) + np.asarray(batch, np.float64)
    return result
