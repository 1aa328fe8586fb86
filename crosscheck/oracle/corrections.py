"""By what runtimes multiply a batch's biased variance before it enters the moving variance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

__all__ = ["CORRECTIONS", "KERAS_2", "USUAL", "Correction", "Variance", "named"]

Correction = Literal["biased", "unbiased", "keras-2", "keras-2-fused"]
Variance = Literal[Correction, "mixed", "unknown"]

#: Correction -> the factor, given the elements per channel, at least 2, and the layer's epsilon; the plainest first.
#:
#: biased: the variance of the batch itself. unbiased: Bessel's correction, n / (n - 1).
#: keras-2: Keras 2 (keras/layers/normalization.py of 2.3.1) also subtracts the layer's epsilon, n / (n - 1 - epsilon).
#: keras-2-fused: the same, after TensorFlow's fused batch normalization has applied Bessel's correction already.
CORRECTIONS: Mapping[Correction, Callable[[int, float], float]] = {
    "biased": lambda count, epsilon: 1.0,
    "unbiased": lambda count, epsilon: count / (count - 1),
    "keras-2": lambda count, epsilon: count / (count - 1 - epsilon),
    "keras-2-fused": lambda count, epsilon: count / (count - 1) * (count / (count - 1 - epsilon)),
}
USUAL: tuple[Correction, ...] = ("biased", "unbiased")
KERAS_2: tuple[Correction, ...] = ("keras-2", "keras-2-fused")


def named(corrections: tuple[Correction, ...]) -> Variance:
    """The plainest of those that explain the same; "unknown" where it can't be told whether there was any.

    "mixed" where none explains all layers at once, though each has one: some runtimes compute the variance otherwise
    for matrices than for images.
    """
    if not corrections:
        return "mixed"
    if len(corrections) > 1 and "biased" in corrections:
        return "unknown"
    return min(corrections, key=list(CORRECTIONS).index)
