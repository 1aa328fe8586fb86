"""Update laws of moving statistics: from a law to the statistics after n updates, and from the statistics to the law.

One update keeps a part k of the old value and takes the rest from the batch: new = k · old + (1 - k) · batch. Runtimes
call "momentum" either what is kept (ONNX, MXNet: k = momentum) or what is taken (torch: k = 1 - momentum), and take the
batch's variance biased or corrected (`crosscheck.oracle.corrections`). The batch's own statistics do not depend on the
moving ones, so n updates with one batch keep k**n.

That is the exponential average. `AVERAGES` are others, in which k depends on how many updates there were before: a
layer of such a kind counts them, and without its count none of them can be told from an exponential one with another
momentum. A new one is a new entry.
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

#: How far measured statistics may be from a law's, relative to the size of what was averaged. A float32 carries 6e-8;
#: a sum of some thousand float32 products before the normalization and the sum over the batch in it each add up to
#: some 1e-6. A tenth of the smallest difference that laws have to be told apart by is above this: one update with
#: momentum 0.9 and the variances of a batch of 300 elements differ by 3e-4.
TOLERANCE = 2e-5
#: More updates than this by one call are looked for no further.
MOST_UPDATES = 64
#: Likewise of layers with batch renormalization: once, and once more when something is recomputed.
MOST_RENORMALIZED = 2
#: When less than this is left of the old value, many updates and one that overwrites it look the same: take it as one.
LEAST_KEPT = 1e-3

#: Average -> the part k that the n-th update keeps, given the declared part and n, counted from 1.
#:
#: cumulative: all batches count alike, k = (n - 1) / n; torch with momentum None.
#: debiased: an exponential average that began with zeros, divided by the weight 1 - m**n that n batches have in it
#:     (Kingma and Ba 2015, section 3): k = m (1 - m**(n - 1)) / (1 - m**n); haiku.
#: first-replaces: the first batch takes the place of what was there, exponential from the second on; equinox.
AVERAGES: Mapping[Average, Callable[[float, int], float]] = {
    "cumulative": lambda momentum, n: (n - 1) / n,
    "debiased": lambda momentum, n: momentum * (1 - momentum ** (n - 1)) / (1 - momentum**n),
    "first-replaces": lambda momentum, n: 0.0 if n == 1 else momentum,
}


@dataclass(frozen=True)
class Law:
    """How moving statistics went from one value to another.

    convention: how the declared momentum was read: as the part kept, as the part taken, or as neither ("other").
    momentum: the part kept by one update, whatever the convention; by the first of them where they differ.
    count: how many updates; 0 when nothing moved.
    corrections: of the batch's variance, those that explain what was measured alike: all of them when nothing moved or
        the batch has one element a channel.
    residual: the largest misfit of any channel, relative to the size of what was averaged.
    average: "exponential", or one of `AVERAGES`; "overcorrected" where a debiased one did not start at zero
        (`crosscheck.oracle.bias_correction`); "debiased-mean" where only the mean is debiased, at the first update
        (TensorFlow's `zero_debias_moving_mean`); "renormalized" and "renormalized-twice" where batch
        renormalization averages in either way (`crosscheck.oracle.renormalized`); "replaced" where the batch's
        statistics took the place of the old ones, as each of `AVERAGES` does to begin with, so that it cannot be told
        which one it is.
    """

    convention: Convention
    momentum: float
    count: int
    corrections: tuple[Correction, ...]
    residual: float
    average: Average = "exponential"

    @property
    def variance(self) -> Variance:
        """Which variance of the batch it was, in one word."""
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

    epsilon: the layer's, for the corrections that it is part of.

    Raises ZeroDivisionError for the unbiased variance of a batch with one element a channel.
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
    """The law by which `before` became `after`, given the declared momentum; None when no law explains it.

    counted: how many updates the layer says that it had seen before; None where it does not say.
    epsilon: the layer's; with 0, some of the corrections are one.

    The smallest count up to `MOST_UPDATES` that fits the declared momentum is reported, "keep" before "take";
    corrections that epsilon is part of go with "keep" alone, as in the runtimes that have them. Failing that, the
    average of `AVERAGES` that fits, where `counted` tells which update it was. Failing that, a debiased mean, then the
    averages of batch renormalization. Failing that, one update with whatever part kept fits best (least squares over
    all channels of both statistics).
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
    """Updates with the declared momentum, or none of the old values kept, if that explains the change."""
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
    """The average that explains the change, if it began with the update after `counted` others."""
    for average, kept_by in AVERAGES.items():
        whole = 1.0
        for count in range(1, MOST_UPDATES + 1):
            whole *= kept_by(momentum, counted + count)
            if (fit := change.explained(_keeping(change, whole), (*USUAL, *WITH_EPSILON))) is not None:
                return Law("other", kept_by(momentum, counted + 1), count, *fit, average)
    return None


def _debiased_mean(change: Change, momentum: float) -> Law | None:
    """The first update where the mean alone is debiased: the batch's takes its place, the variance is averaged."""

    def law(variance: Array) -> Statistics:
        return Statistics(change.batch.mean, mixed(change.before, change.batch.mean, variance, momentum).variance)

    return None if (fit := change.explained(law)) is None else Law("keep", momentum, 1, *fit, "debiased-mean")


def _overcorrected(change: Change, momentum: float) -> Law | None:
    """The first updates of a debiased average that did not begin with zeros, if they explain the change."""
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
    """Updates of a layer with batch renormalization, if they explain the change."""
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
    """One update that keeps whatever part fits best, if it explains the change."""

    def law(variance: Array) -> Statistics:
        return mixed(change.before, change.batch.mean, variance, change.best_kept(variance))

    if (fit := change.explained(law)) is None:
        return None
    return Law("other", change.best_kept(change.variance(fit[0][0])), 1, *fit)
