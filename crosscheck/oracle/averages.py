"""A moving average that is corrected for a beginning that it did not have.

After n batches an exponential average that began with zeros holds them with the weight 1 - mⁿ, m being the part kept,
and is divided by it (Kingma and Ba, *Adam*, 2015, section 3): the debiased average of `crosscheck.oracle.laws`.
Where it began with something else, s, the same division is wrong: after n batches with the statistic b it gives
(mⁿ · s + (1 - mⁿ) · b) / (1 - mⁿ), whose weights add up to more than one. Every later update is that of a debiased
average, so what it began with is lost no faster than mⁿ / (1 - mⁿ) shrinks.
"""

from __future__ import annotations

import numpy as np

from crosscheck.networks.graph import Array

__all__ = ["overcorrected"]


def overcorrected(start: Array, batch: Array, momentum: float, count: int = 1) -> Array:
    """The statistic after the first `count` updates with one batch, float64 and shaped like `start` (channels,).

    start: what the average began with, which is also what is shown of it until the first batch is seen.
    momentum: the part kept by one update, less than 1.
    Raises ValueError for a momentum of 1 or more, which leaves nothing to divide by.
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; an average is corrected by 1 - momentum, which must be positive")
    kept = momentum**count
    result: Array = np.asarray(start, np.float64) * (kept / (1 - kept)) + np.asarray(batch, np.float64)
    return result
