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
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from crosscheck.cells import Array
from crosscheck.oracle.bias_correction import overcorrected
from crosscheck.oracle.corrections import CORRECTIONS, USUAL, WITH_EPSILON, Pairs, named
from crosscheck.oracle.evaluation import BatchStatistics
from crosscheck.oracle.fitting import CLEARLY, ROUNDING, Change, Statistics, mixed
from crosscheck.oracle.renormalized import renormalized, renormalized_twice
from crosscheck.records.changes import Average, Convention, Correction, Variance

__all__ = [
    "AVERAGES",
    "MOST_UPDATES",
    "SAME_UNDECLARED",
    "TOLERANCE",
    "Law",
    "Statistics",
    "agree",
    "explanations",
    "solve",
    "updated",
]

#: Maximum error of measured statistics, relative to the size of the averaged values. float32 rounds to 6e-8; a sum of
#: some thousand float32 products before the normalization and the sum over the batch in it each add about 1e-6. The
#: smallest difference between laws is more than ten times as large: after one update with momentum 0.9, the two
#: variances of a batch of 300 elements differ by 3e-4.
TOLERANCE = 2e-5
#: Maximum number of updates per call that `solve` tries.
MOST_UPDATES = 64
#: The same for batch renormalization: one update, and another for recomputation.
MOST_RENORMALIZED = 2
#: Many updates that keep less than this fraction of the old value count as one overwrite where the change does not
#: tell them from it.
LEAST_KEPT = 5 * TOLERANCE
#: Laws whose updates keep fractions that differ by less than this say the same.
SAME_MOMENTUM = 1e-6
#: The same for fractions that are fitted: to layers apart, or with variances that fit equally well.
SAME_UNDECLARED = 1e-3

#: Average -> fraction k kept by the n-th update (n from 1), as a function of the declared fraction and n.
#:
#: cumulative: equal weights of all batches, k = (n - 1) / n; torch with momentum None.
#: debiased: an exponential average from zero, divided by the total weight 1 - m**n of n batches
#:     (Kingma and Ba 2015, section 3): k = m (1 - m**(n - 1)) / (1 - m**n), and its limit for m = 1; haiku.
#: first-replaces: the first batch replaces the old value, exponential from the second on; equinox.
AVERAGES: Mapping[Average, Callable[[float, int], float]] = {
    "cumulative": lambda momentum, n: (n - 1) / n,
    "debiased": lambda momentum, n: (
        momentum * (1 - momentum ** (n - 1)) / (1 - momentum**n) if momentum != 1 else (n - 1) / n
    ),
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
    distinct: pairs of the corrections whose variances differ, though the change is too small to tell them apart.
    """

    convention: Convention
    momentum: float
    count: int
    corrections: tuple[Correction, ...]
    residual: float
    average: Average = "exponential"
    distinct: Pairs = frozenset()

    @property
    def variance(self) -> Variance:
        """The name of the batch variance."""
        return named(self.corrections, self.distinct)


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
    """The law of the change from `before` to `after`, given the declared momentum.

    None if no law fits, or several do that differ in what they say (`agree`). Arguments are those of `explanations`.
    """
    laws = explanations(before, after, batch, momentum, tolerance, counted, epsilon)
    return laws[0] if laws and all(agree(laws[0], law) for law in laws) else None


def agree(one: Law, other: Law) -> bool:
    """Whether two laws say the same: as many updates, each of which keeps the same part."""
    return one.count == other.count and abs(one.momentum - other.momentum) <= SAME_MOMENTUM


def explanations(
    before: Statistics,
    after: Statistics,
    batch: BatchStatistics,
    momentum: float,
    tolerance: float = TOLERANCE,
    counted: int | None = None,
    epsilon: float = 0.0,
) -> tuple[Law, ...]:
    """The laws that explain the change from `before` to `after` equally well, the simplest first; empty if none does.

    momentum: as declared by the layer.
    counted: the layer's count of earlier updates; None if it has none.
    epsilon: the layer's; with 0, some of the corrections coincide.

    Tried are, in this order: up to `MOST_UPDATES` updates with the declared momentum, "keep" before "take" (corrections
    with epsilon with "keep" only, as in the runtimes that use them), and full replacement; an overcorrected average;
    the averages of `AVERAGES` after `counted` updates; a debiased mean; batch renormalization; one update with the
    best-fitting fraction (least squares over all channels of both statistics). A later kind is taken only if it fits
    clearly better than all earlier ones. Laws of one kind are equally good if none fits clearly better. `count` 0 is
    among them where the change is so small that nothing moving explains it, too.
    """
    measured = (before.mean, before.variance, after.mean, after.variance, batch.mean, batch.variance)
    if not all(np.isfinite(values).all() for values in measured):
        return ()
    if np.array_equal(before.mean, after.mean) and np.array_equal(before.variance, after.variance):
        return (_nothing(momentum, 0.0),)
    change = Change(before, after, batch, epsilon, tolerance)
    kinds: tuple[Callable[[], list[Law]], ...] = (
        lambda: _declared(change, momentum),
        lambda: _overcorrected(change, momentum) if counted == 0 else [],
        lambda: _counted(change, momentum, counted) if counted is not None else [],
        lambda: _debiased_mean(change, momentum),
        lambda: _renormalized(change, momentum),
        lambda: _free(change),
    )
    laws: list[Law] = []
    best = np.inf
    for kind in kinds:
        found = kind()
        smallest = min((law.residual for law in found), default=np.inf)
        if CLEARLY * smallest < best:
            laws, best = found, smallest
        if best <= ROUNDING:  # nothing fits clearly better
            break
    return _equally_good(change, laws, _nothing(momentum, change.misfit(before)))


def _nothing(momentum: float, residual: float) -> Law:
    return Law("keep", momentum, 0, tuple(CORRECTIONS), residual)


def _equally_good(change: Change, laws: list[Law], nothing: Law) -> tuple[Law, ...]:
    """The laws that fit as well as the best, and that nothing moved if that does.

    Many updates that cannot be told from one overwrite count as one.
    """
    if not laws:
        return ()
    limit = change.limit(min(law.residual for law in laws))
    good = [law for law in (nothing, *laws) if law.residual <= limit]
    if any(law.average == "replaced" for law in good):
        good = [law for law in good if law.count <= 1 or law.momentum**law.count >= LEAST_KEPT]
    return tuple(replace(law, distinct=change.distinct(law.corrections)) for law in good)


def _declared(change: Change, momentum: float) -> list[Law]:
    """Updates with the declared momentum, and full replacement, as far as they fit."""
    readings: tuple[tuple[Convention, float, tuple[Correction, ...]], ...] = (
        ("keep", momentum, (*USUAL, *WITH_EPSILON)),
        ("take", 1 - momentum, USUAL),
    )
    laws = [
        Law(convention, kept, count, *fit)
        for convention, kept, corrections in readings
        if kept != 1
        for count, fit in enumerate(change.kept(kept ** np.arange(1, MOST_UPDATES + 1), corrections), start=1)
        if fit is not None
    ]
    replaced = change.kept(np.zeros(1), (*USUAL, *WITH_EPSILON))
    laws += [Law("other", 0.0, 1, *fit, "replaced") for fit in replaced if fit is not None]
    return sorted(laws, key=lambda law: law.count)


def _counted(change: Change, momentum: float, counted: int) -> list[Law]:
    """The averages of `AVERAGES` that fit a change after `counted` earlier updates."""
    laws = []
    for average, kept_by in AVERAGES.items():
        kept = [kept_by(momentum, counted + count) for count in range(1, MOST_UPDATES + 1)]
        fits = change.kept(np.cumprod(kept), (*USUAL, *WITH_EPSILON))
        laws += [Law("other", kept[0], count, *fit, average) for count, fit in enumerate(fits, 1) if fit is not None]
    return laws


def _debiased_mean(change: Change, momentum: float) -> list[Law]:
    """The first update with a debiased mean: the batch's mean replaces it, the variance is averaged."""

    def law(variance: Array) -> Statistics:
        return Statistics(change.batch.mean, mixed(change.before, change.batch.mean, variance, momentum).variance)

    return [] if (fit := change.explained(law)) is None else [Law("keep", momentum, 1, *fit, "debiased-mean")]


def _overcorrected(change: Change, momentum: float) -> list[Law]:
    """The first updates of a debiased average that did not start at zero, as far as they fit."""
    before, batch = change.before, change.batch
    laws = []
    for count in range(1, MOST_UPDATES + 1 if momentum < 1 else 1):

        def law(variance: Array, count: int = count) -> Statistics:
            return Statistics(
                overcorrected(before.mean, batch.mean, momentum, count),
                overcorrected(before.variance, variance, momentum, count),
            )

        if (fit := change.explained(law)) is not None:
            laws.append(Law("other", momentum, count, *fit, "overcorrected"))
    return laws


def _renormalized(change: Change, momentum: float) -> list[Law]:
    """Updates of batch renormalization, as far as they fit."""
    before, mean, epsilon = change.before, change.batch.mean, change.epsilon
    kinds: tuple[tuple[Average, Callable[..., Statistics]], ...] = (
        ("renormalized", renormalized),
        ("renormalized-twice", renormalized_twice),
    )
    laws = []
    for count in range(1, MOST_RENORMALIZED + 1):
        for average, law in kinds:

            def after(variance: Array, count: int = count, law: Callable[..., Statistics] = law) -> Statistics:
                return law(before, mean, variance, momentum, epsilon, count)

            if (fit := change.explained(after, ("biased",))) is not None:
                laws.append(Law("keep", momentum, count, *fit, average))
    return laws


def _free(change: Change) -> list[Law]:
    """One update with the best-fitting fraction kept, if it fits; a law for each fraction that some corrections fit."""

    def law(variance: Array) -> Statistics:
        return mixed(change.before, change.batch.mean, variance, change.best_kept(variance))

    if (fit := change.explained(law, (*USUAL, *WITH_EPSILON))) is None:
        return []
    corrections, residual = fit
    kept = {name: change.best_kept(change.variance(name)) for name in corrections}
    laws: list[Law] = []
    while kept:
        first = next(iter(kept.values()))
        alike = tuple(name for name, part in kept.items() if abs(part - first) <= SAME_UNDECLARED)
        laws.append(Law("other", first, 1, alike, residual))
        kept = {name: part for name, part in kept.items() if name not in alike}
    return laws
