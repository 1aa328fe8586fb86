"""Update laws of moving statistics: computes statistics after n updates of a law, and solves for the law of a change.

An exponential average keeps a fraction k of the old value: new = k · old + (1 - k) · batch. "Momentum" is either the
fraction kept (ONNX, MXNet: k = momentum) or the fraction of the batch (torch: k = 1 - momentum), and the batch's
variance is biased or corrected (`crosscheck.oracle.corrections`). The batch's own statistics do not depend on the
moving ones, so n updates with one batch keep k**n.

In the other averages, `AVERAGES`, k depends on the number of earlier updates, counted by the layer. Without that count
they are indistinguishable from an exponential average with another momentum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crosscheck.networks.graph import Array
from crosscheck.oracle.bias_correction import overcorrected
from crosscheck.oracle.corrections import CORRECTIONS, USUAL, WITH_EPSILON, Correction, Variance, named
from crosscheck.oracle.evaluation import BatchStatistics
from crosscheck.oracle.fitting import Change, Statistics, mixed
from crosscheck.oracle.renormalized import renormalized, renormalized_twice

__all__ = [
    "AVERAGES",
    "MOST_UPDATES",
    "TOLERANCE",
    "Average",
    "Convention",
    "Law",
    "Statistics",
    "solve",
    "updated",
]

Average = Literal[
    "exponential",
    "cumulative",
    "debiased",
    "first-replaces",
    "debiased-mean",
    "overcorrected",
    "renormalized",
    "renormalized-twice",
    "replaced",
]
Convention = Literal["keep", "take", "other"]

#: Maximum error of measured statistics, relative to the size of the averaged values. float32 rounds to 6e-8; a sum of
#: some thousand float32 products before the normalization and the sum over the batch in it each add about 1e-6. The
#: smallest difference between laws is more than ten times as large: after one update with momentum 0.9, the two
#: variances of a batch of 300 elements differ by 3e-4.
TOLERANCE = 2e-5
#: Maximum number of updates per call that `solve` tries.
MOST_UPDATES = 64
#: The same for batch renormalization: one update, and another for recomputation.
MOST_RENORMALIZED = 2
#: Below this fraction of the old value, many updates are indistinguishable from one overwrite and count as one.
LEAST_KEPT = 1e-3

#: Average -> fraction k kept by the n-th update (n from 1), as a function of the declared fraction and n.
#:
#: cumulative: equal weights of all batches, k = (n - 1) / n; torch with momentum None.
#: debiased: an exponential average from zero, divided by the total weight 1 - m**n of n batches
#:     (Kingma and Ba 2015, section 3): k = m (1 - m**(n - 1)) / (1 - m**n); haiku.
#: first-replaces: the first batch replaces the old value, exponential from the second on; equinox.
AVERAGES: Mapping[Average, Callable[[float, int], float]] = {
    "cumulative": lambda momentum, n: (n - 1) / n,
    "debiased": lambda momentum, n: momentum * (1 - momentum ** (n - 1)) / (1 - momentum**n),
    "first-replaces": lambda momentum, n: 0.0 if n == 1 else momentum,
}


@dataclass(frozen=True)
class Law:
    """The law of a change of moving statistics.

    convention: meaning of the declared momentum: the fraction kept, the batch's fraction, or neither ("other").
    momentum: the fraction kept by one update, in every convention; by the first update if they differ.
    count: the number of updates; 0 if nothing moved.
    corrections: all corrections of the batch's variance that fit equally well: every one if nothing moved or the batch
        has one element per channel.
    residual: the largest misfit of any channel, relative to the size of the averaged values.
    average: "exponential", or one of `AVERAGES`; "overcorrected" for a debiased one that did not start at zero
        (`crosscheck.oracle.bias_correction`); "debiased-mean" if only the mean is debiased, at the first update
        (TensorFlow's `zero_debias_moving_mean`); "renormalized" and "renormalized-twice" for the
        averages of batch renormalization (`crosscheck.oracle.renormalized`); "replaced" if the batch's statistics
        replaced the old ones, as the first update of each of `AVERAGES` does.
    """

    convention: Convention
    momentum: float
    count: int
    corrections: tuple[Correction, ...]
    residual: float
    average: Average = "exponential"

    @property
    def variance(self) -> Variance:
        """The name of the batch variance."""
        return named(self.corrections)


def updated(
    before: Statistics,
    batch: BatchStatistics,
    momentum: float,
    count: int = 1,
    convention: Literal["keep", "take"] = "keep",
    variance: Correction = "biased",
    epsilon: float = 0.0,
) -> Statistics:
    """The moving statistics after `count` updates with one batch, float64.

    epsilon: the layer's, for corrections that include it.

    Raises ZeroDivisionError for the unbiased variance of a batch with one element per channel.
    """
    kept = (momentum if convention == "keep" else 1 - momentum) ** count
    return mixed(before, batch.mean, CORRECTIONS[variance](batch.variance, batch.count, epsilon), kept)


def solve(
    before: Statistics,
    after: Statistics,
    batch: BatchStatistics,
    momentum: float,
    tolerance: float = TOLERANCE,
    counted: int | None = None,
    epsilon: float = 0.0,
) -> Law | None:
    """The law of the change from `before` to `after`, given the declared momentum; None if no law fits.

    counted: the layer's count of earlier updates; None if it has none.
    epsilon: the layer's; with 0, some of the corrections coincide.

    Returns the smallest count up to `MOST_UPDATES` that fits the declared momentum, "keep" before "take"; corrections
    with epsilon are tried with "keep" only, as in the runtimes that use them. Failing that, the average of `AVERAGES`
    that fits the update number `counted`. Failing that, a debiased mean, then the averages of batch renormalization.
    Failing that, one update with the best-fitting fraction (least squares over all channels of both statistics).
    """
    measured = (before.mean, before.variance, after.mean, after.variance, batch.mean, batch.variance)
    if not all(np.isfinite(values).all() for values in measured):
        return None
    if np.array_equal(before.mean, after.mean) and np.array_equal(before.variance, after.variance):
        return Law("keep", momentum, 0, tuple(CORRECTIONS), 0.0)
    change = Change(before, after, batch, epsilon, tolerance)
    return (
        _declared(change, momentum)
        or (_overcorrected(change, momentum) if counted == 0 else None)
        or (_counted(change, momentum, counted) if counted is not None else None)
        or _debiased_mean(change, momentum)
        or _renormalized(change, momentum)
        or _free(change)
    )


def _declared(change: Change, momentum: float) -> Law | None:
    """Updates with the declared momentum, or full replacement, if either fits."""
    readings: tuple[tuple[Convention, float, tuple[Correction, ...]], ...] = (
        ("keep", momentum, (*USUAL, *WITH_EPSILON)),
        ("take", 1 - momentum, USUAL),
    )
    for count in range(1, MOST_UPDATES + 1):
        for convention, kept, corrections in readings:
            if count > 1 and kept**count < LEAST_KEPT:
                continue
            if (fit := change.explained(_keeping(change, kept**count), corrections)) is not None:
                return Law(convention, kept, count, *fit)
    fit = change.explained(_keeping(change, 0.0), (*USUAL, *WITH_EPSILON))
    return None if fit is None else Law("other", 0.0, 1, *fit, "replaced")


def _keeping(change: Change, kept: float) -> Callable[[Array], Statistics]:
    return lambda variance: mixed(change.before, change.batch.mean, variance, kept)


def _counted(change: Change, momentum: float, counted: int) -> Law | None:
    """The average of `AVERAGES` that fits a change after `counted` earlier updates, if any."""
    for average, kept_by in AVERAGES.items():
        whole = 1.0
        for count in range(1, MOST_UPDATES + 1):
            whole *= kept_by(momentum, counted + count)
            if (fit := change.explained(_keeping(change, whole), (*USUAL, *WITH_EPSILON))) is not None:
                return Law("other", kept_by(momentum, counted + 1), count, *fit, average)
    return None


def _debiased_mean(change: Change, momentum: float) -> Law | None:
    """The first update with a debiased mean: the batch's mean replaces it, the variance is averaged."""

    def law(variance: Array) -> Statistics:
        return Statistics(change.batch.mean, mixed(change.before, change.batch.mean, variance, momentum).variance)

    return None if (fit := change.explained(law)) is None else Law("keep", momentum, 1, *fit, "debiased-mean")


def _overcorrected(change: Change, momentum: float) -> Law | None:
    """The first updates of a debiased average that did not start at zero, if they fit."""
    before, batch = change.before, change.batch
    for count in range(1, MOST_UPDATES + 1 if momentum < 1 else 1):

        def law(variance: Array, count: int = count) -> Statistics:
            return Statistics(
                overcorrected(before.mean, batch.mean, momentum, count),
                overcorrected(before.variance, variance, momentum, count),
            )

        if (fit := change.explained(law)) is not None:
            return Law("other", momentum, count, *fit, "overcorrected")
    return None


def _renormalized(change: Change, momentum: float) -> Law | None:
    """Updates of batch renormalization, if they fit."""
    before, mean, epsilon = change.before, change.batch.mean, change.epsilon
    laws: tuple[tuple[Average, Callable[..., Statistics]], ...] = (
        ("renormalized", renormalized),
        ("renormalized-twice", renormalized_twice),
    )
    for count in range(1, MOST_RENORMALIZED + 1):
        for average, law in laws:

            def after(variance: Array, count: int = count, law: Callable[..., Statistics] = law) -> Statistics:
                return law(before, mean, variance, momentum, epsilon, count)

            if (fit := change.explained(after, ("biased",))) is not None:
                return Law("keep", momentum, count, *fit, average)
    return None


def _free(change: Change) -> Law | None:
    """One update with the best-fitting fraction kept, if it fits."""

    def law(variance: Array) -> Statistics:
        return mixed(change.before, change.batch.mean, variance, change.best_kept(variance))

    if (fit := change.explained(law)) is None:
        return None
    return Law("other", change.best_kept(change.variance(fit[0][0])), 1, *fit)
