"""Update laws of moving statistics: from a law to the statistics after n updates, and from the statistics to the law.

One update keeps a part k of the old value and takes the rest from the batch: new = k · old + (1 - k) · batch. Runtimes
call "momentum" either what is kept (ONNX, MXNet: k = momentum) or what is taken (torch: k = 1 - momentum), and take the
batch's variance either biased (divided by count) or unbiased (divided by count - 1). The batch's own statistics do not
depend on the moving ones, so n updates with one batch keep k**n.

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
from crosscheck.oracle.averages import overcorrected
from crosscheck.oracle.truth import BatchStatistics

__all__ = [
    "AVERAGES",
    "MOST_UPDATES",
    "TOLERANCE",
    "Average",
    "Convention",
    "Law",
    "Statistics",
    "Variance",
    "solve",
    "updated",
]

Average = Literal["exponential", "cumulative", "debiased", "first-replaces", "overcorrected", "replaced"]
Convention = Literal["keep", "take", "other"]
Variance = Literal["biased", "unbiased", "unknown"]

#: How far measured statistics may be from a law's, relative to the size of what was averaged. A float32 carries 6e-8;
#: a sum of some thousand float32 products before the normalization and the sum over the batch in it each add up to
#: some 1e-6. A tenth of the smallest difference that laws have to be told apart by is above this: one update with
#: momentum 0.9 and the variances of a batch of 300 elements differ by 3e-4.
TOLERANCE = 2e-5
#: More updates than this by one call are looked for no further.
MOST_UPDATES = 64
#: When less than this is left of the old value, many updates and one that overwrites it look the same: take it as one.
LEAST_KEPT = 1e-3
#: When both variances fit, one is named only if it fits this many times better.
CLEARLY = 10.0


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


@dataclass(frozen=True, eq=False)
class Statistics:
    """The moving mean and variance of one batch normalization, (channels,) each."""

    mean: Array
    variance: Array


@dataclass(frozen=True)
class Law:
    """How moving statistics went from one value to another.

    convention: how the declared momentum was read: as the part kept, as the part taken, or as neither ("other").
    momentum: the part kept by one update, whatever the convention; by the first of them where they differ.
    count: how many updates; 0 when nothing moved.
    variance: of the batch; "unknown" when both explain what was measured, as they do when nothing moved or the batch
        has one element a channel.
    residual: the largest misfit of any channel, relative to the size of what was averaged.
    average: "exponential", or one of `AVERAGES`; "overcorrected" where a debiased one did not begin with zeros
        (`crosscheck.oracle.averages`); "replaced" where the batch's statistics took the place of the old ones, as each
        of `AVERAGES` does to begin with, so that it cannot be told which one it is.
    """

    convention: Convention
    momentum: float
    count: int
    variance: Variance
    residual: float
    average: Average = "exponential"


def updated(
    before: Statistics,
    batch: BatchStatistics,
    momentum: float,
    count: int = 1,
    convention: Literal["keep", "take"] = "keep",
    variance: Literal["biased", "unbiased"] = "biased",
) -> Statistics:
    """The moving statistics after `count` updates with one batch, float64.

    Raises ZeroDivisionError for the unbiased variance of a batch with one element a channel.
    """
    kept = (momentum if convention == "keep" else 1 - momentum) ** count
    return _mix(before, batch.mean, _batch_variance(batch, variance), kept)


def solve(
    before: Statistics,
    after: Statistics,
    batch: BatchStatistics,
    momentum: float,
    tolerance: float = TOLERANCE,
    counted: int | None = None,
) -> Law | None:
    """The law by which `before` became `after`, given the declared momentum; None when no law explains it.

    counted: how many updates the layer says that it had seen before; None where it does not say.

    The smallest count up to `MOST_UPDATES` that fits the declared momentum is reported, "keep" before "take". Failing
    that, the average of `AVERAGES` that fits, where `counted` tells which update it was. Failing that, one update with
    whatever part kept fits best (least squares over all channels of both statistics).
    """
    measured = (before.mean, before.variance, after.mean, after.variance, batch.mean, batch.variance)
    if not all(np.isfinite(values).all() for values in measured):
        return None
    if np.array_equal(before.mean, after.mean) and np.array_equal(before.variance, after.variance):
        return Law("keep", momentum, 0, "unknown", 0.0)
    readings: tuple[tuple[Convention, float], ...] = (("keep", momentum), ("take", 1 - momentum))
    for count in range(1, MOST_UPDATES + 1):
        for convention, kept in readings:
            if count > 1 and kept**count < LEAST_KEPT:
                continue
            if (fit := _named_variance(before, after, batch, (kept**count, kept**count), tolerance)) is not None:
                return Law(convention, kept, count, *fit)
    if (fit := _named_variance(before, after, batch, (0.0, 0.0), tolerance)) is not None:
        return Law("other", 0.0, 1, *fit, "replaced")
    if counted == 0 and (law := _overcorrected(before, after, batch, momentum, tolerance)) is not None:
        return law
    if counted is not None and (law := _counted(before, after, batch, momentum, tolerance, counted)) is not None:
        return law
    free = (_best_kept(before, after, batch, "biased"), _best_kept(before, after, batch, "unbiased"))
    if (fit := _named_variance(before, after, batch, free, tolerance)) is not None:
        return Law("other", free[1] if fit[0] == "unbiased" else free[0], 1, *fit)
    return None


def _counted(
    before: Statistics, after: Statistics, batch: BatchStatistics, momentum: float, tolerance: float, counted: int
) -> Law | None:
    """The average that explains the change, if it began with the update after `counted` others."""
    for average, kept_by in AVERAGES.items():
        whole = 1.0
        for count in range(1, MOST_UPDATES + 1):
            whole *= kept_by(momentum, counted + count)
            if (fit := _named_variance(before, after, batch, (whole, whole), tolerance)) is not None:
                return Law("other", kept_by(momentum, counted + 1), count, *fit, average)
    return None


def _overcorrected(
    before: Statistics, after: Statistics, batch: BatchStatistics, momentum: float, tolerance: float
) -> Law | None:
    """The first updates of a debiased average that began with `before` instead of zeros, if they explain the change."""
    for count in range(1, MOST_UPDATES + 1 if momentum < 1 else 1):
        misfits: dict[Variance, float] = {
            variance: _distance(
                Statistics(
                    overcorrected(before.mean, batch.mean, momentum, count),
                    overcorrected(before.variance, _batch_variance(batch, variance), momentum, count),
                ),
                before,
                after,
                batch,
            )
            for variance in (("biased", "unbiased") if batch.count > 1 else ("biased",))
        }
        best = min(misfits, key=lambda variance: misfits[variance])
        if misfits[best] <= tolerance:
            return Law("other", momentum, count, best if batch.count > 1 else "unknown", misfits[best], "overcorrected")
    return None


def _named_variance(
    before: Statistics, after: Statistics, batch: BatchStatistics, kept: tuple[float, float], tolerance: float
) -> tuple[Variance, float] | None:
    """Which variance explains the change, and its misfit; `kept` is what is kept in all, if biased and if unbiased."""
    biased = _misfit(before, after, batch, _batch_variance(batch, "biased"), kept[0])
    if batch.count == 1:
        return ("unknown", biased) if biased <= tolerance else None
    unbiased = _misfit(before, after, batch, _batch_variance(batch, "unbiased"), kept[1])
    if min(biased, unbiased) > tolerance:
        return None
    if max(biased, unbiased) <= tolerance and max(biased, unbiased) <= CLEARLY * min(biased, unbiased):
        return "unknown", min(biased, unbiased)
    return ("biased", biased) if biased < unbiased else ("unbiased", unbiased)


def _misfit(before: Statistics, after: Statistics, batch: BatchStatistics, variance: Array, kept: float) -> float:
    return _distance(_mix(before, batch.mean, variance, kept), before, after, batch)


def _distance(expected: Statistics, before: Statistics, after: Statistics, batch: BatchStatistics) -> float:
    """How far `after` is from `expected`, relative to the size of what was averaged."""
    mean_scale, variance_scale = _scales(before, after, batch)
    return float(
        max(
            np.max(np.abs(after.mean - expected.mean) / mean_scale),
            np.max(np.abs(after.variance - expected.variance) / variance_scale),
        )
    )


def _best_kept(
    before: Statistics, after: Statistics, batch: BatchStatistics, variance: Literal["biased", "unbiased"]
) -> float:
    """The part kept that minimises the sum of squared misfits, each relative to its scale; between 0 and 1."""
    if variance == "unbiased" and batch.count == 1:
        return 1.0
    mean_scale, variance_scale = _scales(before, after, batch)
    whole = np.concatenate(
        [(batch.mean - before.mean) / mean_scale, (_batch_variance(batch, variance) - before.variance) / variance_scale]
    )
    moved = np.concatenate(
        [(after.mean - before.mean) / mean_scale, (after.variance - before.variance) / variance_scale]
    )
    squares = float(whole @ whole)
    taken = float(whole @ moved) / squares if squares else 0.0
    return float(np.clip(1 - taken, 0.0, 1.0))


def _scales(before: Statistics, after: Statistics, batch: BatchStatistics) -> tuple[Array, Array]:
    """What rounding errors of mean and variance are proportional to, channel by channel.

    A mean of numbers of either sign is as exact as they are large, not as it is large itself: √(mean² + variance), or
    the moving mean where that is larger. For variances, the square of it: some runtimes subtract mean² from the mean of
    the squares.
    """
    square = np.asarray(batch.mean, np.float64) ** 2 + batch.variance
    mean_scale = np.maximum.reduce([np.sqrt(square), np.abs(before.mean), np.abs(after.mean)])
    variance_scale = np.maximum.reduce([square, np.abs(before.variance), np.abs(after.variance)])
    tiny = np.finfo(np.float32).tiny
    return np.maximum(mean_scale, tiny), np.maximum(variance_scale, tiny)


def _batch_variance(batch: BatchStatistics, variance: Variance) -> Array:
    if variance != "unbiased":
        return batch.variance
    return batch.variance * (batch.count / (batch.count - 1))


def _mix(before: Statistics, mean: Array, variance: Array, kept: float) -> Statistics:
    old_mean, old_variance = (np.asarray(values, np.float64) for values in (before.mean, before.variance))
    return Statistics(kept * old_mean + (1 - kept) * mean, kept * old_variance + (1 - kept) * variance)
