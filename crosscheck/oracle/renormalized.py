"""Moving statistics of batch renormalization (Ioffe 2017, arXiv:1702.03275), as TensorFlow's layers keep them.

Such a layer keeps renormalization averages of the mean and of √(variance + ε), which correct its output in
training. It predicts with moving statistics, averaged differently by releases. This module assumes a long-trained
layer: its renormalization averages equal its moving mean and √(moving variance + ε).
"""

from __future__ import annotations

import numpy as np

from crosscheck.cells import Array
from crosscheck.oracle.fitting import Statistics

__all__ = ["RENORM_MOMENTUM", "renormalized", "renormalized_twice"]

#: The fraction of the renormalization averages kept by one update: TensorFlow's default.
RENORM_MOMENTUM = 0.99


def renormalized(
    before: Statistics, mean: Array, variance: Array, momentum: float, epsilon: float, count: int = 1
) -> Statistics:
    """The statistics after `count` updates with one batch if the standard deviation is averaged; float64.

    TensorFlow 1.15 to 2.15 (`moving_stddev` in keras/layers/normalization.py). Keras clips negative variances to 0.
    """
    kept = momentum**count
    spread = kept * _spread(before.variance, epsilon) + (1 - kept) * _spread(variance, epsilon)
    moving_mean = kept * np.asarray(before.mean, np.float64) + (1 - kept) * mean
    return Statistics(moving_mean, np.maximum(spread**2 - epsilon, 0.0))


def renormalized_twice(
    before: Statistics, mean: Array, variance: Array, momentum: float, epsilon: float, count: int = 1
) -> Statistics:
    """The same if the renormalization averages, not the batch's statistics, enter the moving ones; float64.

    TensorFlow 1.4 (`_renorm_correction_and_moments` in python/layers/normalization.py).
    """
    moving_mean, moving_variance = (np.asarray(values, np.float64) for values in (before.mean, before.variance))
    renorm_mean, renorm_spread = moving_mean, _spread(moving_variance, epsilon)
    for _ in range(count):
        renorm_mean = RENORM_MOMENTUM * renorm_mean + (1 - RENORM_MOMENTUM) * mean
        renorm_spread = RENORM_MOMENTUM * renorm_spread + (1 - RENORM_MOMENTUM) * _spread(variance, epsilon)
        moving_mean = momentum * moving_mean + (1 - momentum) * renorm_mean
        moving_variance = momentum * moving_variance + (1 - momentum) * (renorm_spread**2 - epsilon)
    return Statistics(moving_mean, moving_variance)


def _spread(variance: Array, epsilon: float) -> Array:
    with np.errstate(invalid="ignore"):  # a runtime may have made a variance negative: the law then fits nothing
        result: Array = np.sqrt(np.asarray(variance, np.float64) + epsilon)
    return result
