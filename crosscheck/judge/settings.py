"""The reference of a network whose batch normalizations are told something that changes its closed forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np

from crosscheck import oracle
from crosscheck.cells import Array, Asks
from crosscheck.judge.reference import Truth
from crosscheck.networks import Network
from crosscheck.runtimes.mode import Mode

__all__ = ["told"]


def told(truth: Truth, mode: Mode) -> Truth:
    """The reference in a mode; `truth` itself where the layers are told nothing of that kind."""
    if not (mode.unit_scale or mode.zero_offset or mode.batch_prediction or mode.renormalized):
        return truth
    return _told(truth, mode.unit_scale, mode.zero_offset, mode.batch_prediction, mode.renormalized)


@lru_cache(maxsize=256)
def _told(truth: Truth, unit_scale: bool, zero_offset: bool, batch_prediction: bool, renormalized: bool) -> Truth:
    return _ToldTruth(_with_constants(truth.network, unit_scale, zero_offset), batch_prediction, renormalized)


def _with_constants(network: Network, unit_scale: bool, zero_offset: bool) -> Network:
    """The network with scales of 1 and offsets of 0."""
    weights = dict(network.weights)
    for norm in network.batch_norms:
        if unit_scale:
            weights[norm.scale] = np.ones_like(weights[norm.scale])
        if zero_offset:
            weights[norm.bias] = np.zeros_like(weights[norm.bias])
    return replace(network, weights=weights)


class _ToldTruth(Truth):
    """Predictions that normalize by the batch, or a training mode that is renormalized, if the layers are told so."""

    def __init__(self, network: Network, batch_prediction: bool, renormalized: bool) -> None:
        super().__init__(network)
        self._batch_prediction, self._renormalized = batch_prediction, renormalized

    def answer(self, asks: Asks, training: bool, weights: Mapping[str, Array] | None = None) -> Array:
        """The closed form. Corrected by the moving statistics, a renormalized batch gives the inference prediction."""
        if asks is Asks.PREDICTION:
            return super().answer(asks, (training or self._batch_prediction) and not self._renormalized, weights)
        if training and self._renormalized:
            at = self.network.weights if weights is None else weights
            with np.errstate(all="ignore"):
                return oracle.renormalized_gradient(self.network.graph, at, self.network.x, self.network.cotangent)
        return super().answer(asks, training, weights)
