"""Fits update laws to a change of moving statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from crosscheck.cells import Array
from crosscheck.oracle.corrections import CORRECTIONS, USUAL, Pairs
from crosscheck.oracle.evaluation import BatchStatistics
from crosscheck.records.changes import Correction

__all__ = ["CLEARLY", "ROUNDING", "Change", "Fit", "Statistics", "mixed"]

#: If several laws, or several corrections of the variance, fit, one is preferred only if its misfit is smaller by this
#: factor.
CLEARLY = 10.0
#: Misfits below this, the rounding of sums of some thousand float32 products, count as equal.
ROUNDING = 1e-6

#: The corrections of the batch's variance that explain a change, and the misfit of the best.
Fit = tuple[tuple[Correction, ...], float]


@dataclass(frozen=True, eq=False)
class Statistics:
    """The moving mean and variance of one batch normalization, (channels,) each."""

    mean: Array
    variance: Array


def mixed(before: Statistics, mean: Array, variance: Array, kept: float) -> Statistics:
    """One update: kept · before + (1 - kept) · batch, float64."""
    old_mean, old_variance = (np.asarray(values, np.float64) for values in (before.mean, before.variance))
    return Statistics(kept * old_mean + (1 - kept) * mean, kept * old_variance + (1 - kept) * variance)


@dataclass(frozen=True, eq=False)
class Change:
    """Moving statistics before and after an update, and the batch statistics.

    epsilon: the layer's. tolerance: the largest misfit that a law may have.
    """

    before: Statistics
    after: Statistics
    batch: BatchStatistics
    epsilon: float
    tolerance: float

    def variance(self, correction: Correction) -> Array:
        """The batch's corrected variance; zero for one element per channel, where the correction divides by zero."""
        try:
            return CORRECTIONS[correction](self.batch.variance, self.batch.count, self.epsilon)
        except ZeroDivisionError:
            return self.batch.variance

    def distinct(self, corrections: tuple[Correction, ...]) -> Pairs:
        """The pairs whose variances differ, in some channel, by more than the tolerance of the larger one."""
        variances = {name: np.asarray(self.variance(name), np.float64) for name in corrections}
        return frozenset(
            (one, other)
            for one, other in combinations(corrections, 2)
            for here, there in [(variances[one], variances[other])]
            if np.any(np.abs(here - there) > self.tolerance * np.maximum(np.abs(here), np.abs(there)))
        )

    def explained(self, law: Callable[[Array], Statistics], corrections: tuple[Correction, ...] = USUAL) -> Fit | None:
        """The corrections with which a law (batch variance -> statistics) explains the change; None if none does."""
        return self._fit({correction: self.misfit(law(self.variance(correction))) for correction in corrections})

    def kept(self, parts: Array, corrections: tuple[Correction, ...] = USUAL) -> list[Fit | None]:
        """The same for averages that keep each of these parts (count,) of the old values, one fit for each part."""
        misfits = {correction: self._misfits(parts, self.variance(correction)) for correction in corrections}
        return [
            self._fit({name: float(values[index]) for name, values in misfits.items()}) for index in range(len(parts))
        ]

    def limit(self, best: float) -> float:
        """The largest misfit that is as good as `best`, the smallest one."""
        return min(self.tolerance, max(CLEARLY * best, ROUNDING))

    def _fit(self, misfits: Mapping[Correction, float]) -> Fit | None:
        best = min(misfits.values())
        if not best <= self.tolerance:
            return None
        return tuple(name for name, misfit in misfits.items() if misfit <= self.limit(best)), best

    def misfit(self, expected: Statistics) -> float:
        """The largest difference of `after` from `expected`, relative to the size of the averaged values."""
        mean_scale, variance_scale = self._scales()
        return float(
            max(
                np.max(np.abs(self.after.mean - expected.mean) / mean_scale),
                np.max(np.abs(self.after.variance - expected.variance) / variance_scale),
            )
        )

    def _misfits(self, parts: Array, variance: Array) -> Array:
        """`misfit` of `mixed` for each part kept; (count,)."""
        mean_scale, variance_scale = self._scales()
        worst = [
            np.max(np.abs(after - (part * before + (1 - part) * batch)) / scale, axis=1)
            for part in [np.asarray(parts, np.float64)[:, None]]
            for before, after, batch, scale in (
                (np.asarray(self.before.mean, np.float64), self.after.mean, self.batch.mean, mean_scale),
                (np.asarray(self.before.variance, np.float64), self.after.variance, variance, variance_scale),
            )
        ]
        result: Array = np.maximum(*worst)
        return result

    def best_kept(self, variance: Array) -> float:
        """The fraction kept that minimises the sum of squared misfits, each relative to its scale; between 0 and 1."""
        before, after, batch = self.before, self.after, self.batch
        mean_scale, variance_scale = self._scales()
        whole = np.concatenate([(batch.mean - before.mean) / mean_scale, (variance - before.variance) / variance_scale])
        moved = np.concatenate(
            [(after.mean - before.mean) / mean_scale, (after.variance - before.variance) / variance_scale]
        )
        squares = float(whole @ whole)
        taken = float(whole @ moved) / squares if squares else 0.0
        return float(np.clip(1 - taken, 0.0, 1.0))

    def _scales(self) -> tuple[Array, Array]:
        """The scales of the rounding errors of mean and variance, per channel.

        The rounding error of a mean scales with the numbers, not with the mean: √(mean² + variance), or the moving mean
        if larger. That of a variance scales with the square: some runtimes subtract mean² from the mean of squares.
        """
        before, after, batch = self.before, self.after, self.batch
        square = np.asarray(batch.mean, np.float64) ** 2 + batch.variance
        mean_scale = np.maximum.reduce([np.sqrt(square), np.abs(before.mean), np.abs(after.mean)])
        variance_scale = np.maximum.reduce([square, np.abs(before.variance), np.abs(after.variance)])
        tiny = np.finfo(np.float32).tiny
        return np.maximum(mean_scale, tiny), np.maximum(variance_scale, tiny)
