"""Corrections that runtimes apply to a batch's biased variance before they average it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from crosscheck.cells import Array
from crosscheck.records.changes import Correction, Variance

__all__ = ["CORRECTIONS", "USUAL", "WITH_EPSILON", "Pairs", "named"]

Pairs = frozenset[tuple[Correction, Correction]]


def _keras_2(variance: Array, count: int, epsilon: float) -> Array:
    """Keras 2 subtracts the layer's epsilon, too: n / (n - 1 - epsilon); keras/layers/normalization.py of 2.3.1."""
    return variance * (count / (count - 1 - epsilon))


def _unbiased(variance: Array, count: int, epsilon: float) -> Array:
    """Bessel's correction, n / (n - 1)."""
    return variance * (count / (count - 1))


#: Correction -> the variance that enters, given the batch's, the elements per channel, and the layer's epsilon; the
#: simplest first. With one element per channel, for which some divide by zero, the variance is zero.
#:
#: unbiased-epsilon: Chainer 3 corrects the variance plus the layer's epsilon, by n / max(n - 1, 1);
#:     functions/normalization/batch_normalization.py of 3.5.0.
#: keras-2-fused: TensorFlow's fused batch normalization already applies Bessel's correction.
#: keras-2-theano: Keras squares Theano's standard deviation, √(variance + epsilon), which includes epsilon.
CORRECTIONS: Mapping[Correction, Callable[[Array, int, float], Array]] = {
    "biased": lambda variance, count, epsilon: variance,
    "unbiased": _unbiased,
    "unbiased-epsilon": lambda variance, count, epsilon: (variance + epsilon) * (count / max(count - 1, 1)),
    "keras-2": _keras_2,
    "keras-2-fused": lambda variance, count, epsilon: _keras_2(_unbiased(variance, count, epsilon), count, epsilon),
    "keras-2-theano": lambda variance, count, epsilon: _keras_2(variance + epsilon, count, epsilon),
}
USUAL: tuple[Correction, ...] = ("biased", "unbiased")
#: Corrections that depend on the layer's epsilon.
WITH_EPSILON: tuple[Correction, ...] = ("unbiased-epsilon", "keras-2", "keras-2-fused", "keras-2-theano")


def named(corrections: tuple[Correction, ...], distinct: Pairs = frozenset()) -> Variance:
    """The simplest of equally good corrections; "unknown" if "biased" or a distinct pair is among them.

    distinct: pairs whose variances differ by more than the rounding of sums, so that their names say different things.
    "mixed" if no single correction explains all layers: some runtimes compute the variance differently for matrices
    and images.
    """
    if not corrections:
        return "mixed"
    if len(corrections) > 1 and "biased" in corrections:
        return "unknown"
    if any(set(pair) <= set(corrections) for pair in distinct):
        return "unknown"
    return min(corrections, key=list(CORRECTIONS).index)
