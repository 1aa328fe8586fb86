"""By what runtimes multiply a batch's biased variance before it enters the moving variance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

__all__ = ["CORRECTIONS", "Correction", "correction"]

Correction = Literal["none", "bessel", "keras-2", "keras-2-fused"]

#: Correction -> the factor, given the elements per channel and the layer's epsilon.
#:
#: none: the variance of the batch itself. bessel: the unbiased estimate, n / (n - 1).
#: keras-2: Keras 2 (keras/layers/normalization.py of 2.3.1) also subtracts the layer's epsilon, n / (n - 1 - epsilon).
#: keras-2-fused: the same, after TensorFlow's fused batch normalization has applied Bessel's correction already.
CORRECTIONS: Mapping[Correction, Callable[[int, float], float]] = {
    "none": lambda count, epsilon: 1.0,
    "bessel": lambda count, epsilon: count / (count - 1),
    "keras-2": lambda count, epsilon: count / (count - 1 - epsilon),
    "keras-2-fused": lambda count, epsilon: count / (count - 1) * (count / (count - 1 - epsilon)),
}


def correction(factor: float, count: int, epsilon: float, tolerance: float) -> Correction | None:
    """The correction that comes nearest to a measured factor, relative misfit; None where none is within `tolerance`.

    count: elements per channel, at least 2. epsilon: the layer's.
    """
    misfits = {name: abs(factor / factor_of(count, epsilon) - 1) for name, factor_of in CORRECTIONS.items()}
    nearest = min(misfits, key=lambda name: misfits[name])
    return nearest if misfits[nearest] <= tolerance else None
