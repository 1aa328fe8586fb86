"""Kinks of piecewise smooth operators: where a derivative jumps, and how far an input is from there.

An operator with kinks has one function in `KINKS`. At a kink the derivative is either side's, and rounding decides
which: an input that is nearer to a kink than its own rounding has two right gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.oracle.operators import padded_windows

__all__ = ["KINKS", "Kinks"]

Attributes = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Kinks:
    """Some kinks of one node, each at z = 0 of a difference z of two input entries, or of an entry and a number.

    of: the first entry's place in the flat input. against: the other entry's place there, or None if `level` is
        subtracted instead. at: the place of the output entry that has the kink.
    jump: d output / d z above zero, minus that below it.
    """

    of: Array
    at: Array
    level: Array
    jump: Array
    against: Array | None = None

    def margins(self, inputs: Sequence[Array]) -> Array:
        """z of every kink, signed, in the inputs' type."""
        first = np.ravel(inputs[0])[self.of]
        if self.against is None:
            return np.asarray(first - self.level.astype(first.dtype))
        return np.asarray(first - np.ravel(inputs[0])[self.against])

    def __len__(self) -> int:
        return len(self.of)


#: The kinks of a node that are not farther than `width` from zero: (attributes, inputs, width) -> kinks.
Near = Callable[[Attributes, Sequence[Array], float], Kinks]


def _at_levels(x: Array, kinks: Sequence[tuple[float, float]], width: float) -> Kinks:
    flat = np.ravel(x)
    places = [np.flatnonzero(np.abs(flat - level) <= width) for level, _ in kinks]
    of = np.concatenate([np.zeros(0, np.intp), *places])
    level, jump = (
        np.concatenate(
            [np.zeros(0), *(np.full(len(here), kink[part]) for here, kink in zip(places, kinks, strict=True))]
        )
        for part in (0, 1)
    )
    return Kinks(of, of, level, jump)


def _clip(attributes: Attributes, inputs: Sequence[Array], width: float) -> Kinks:
    """Bounds are attributes or inputs of one number; absent ones have no kink."""
    bounds = [attributes.get("min"), attributes.get("max")]
    for place, value in enumerate(inputs[1:3]):
        bounds[place] = None if value is None else float(np.ravel(value)[0])
    kinks = [(float(bound), jump) for bound, jump in zip(bounds, (1.0, -1.0), strict=True) if bound is not None]
    return _at_levels(inputs[0], [kink for kink in kinks if np.isfinite(kink[0])], width)


def _relu(attributes: Attributes, inputs: Sequence[Array], width: float) -> Kinks:
    return _at_levels(inputs[0], [(0.0, 1.0)], width)


def _leaky_relu(attributes: Attributes, inputs: Sequence[Array], width: float) -> Kinks:
    return _at_levels(inputs[0], [(0.0, 1.0 - attributes["alpha"])], width)


def _elu(attributes: Attributes, inputs: Sequence[Array], width: float) -> Kinks:
    """The slope below zero is alpha · exp(x): no kink for the usual alpha, 1."""
    alpha = attributes["alpha"]
    return _at_levels(inputs[0], [] if alpha == 1.0 else [(0.0, 1.0 - alpha)], width)


def _hard_sigmoid(attributes: Attributes, inputs: Sequence[Array], width: float) -> Kinks:
    """max(0, min(1, alpha · x + beta))."""
    alpha, beta = attributes["alpha"], attributes["beta"]
    return _at_levels(inputs[0], [(-beta / alpha, alpha), ((1 - beta) / alpha, -alpha)], width)


def _max_pool(attributes: Attributes, inputs: Sequence[Array], width: float) -> Kinks:
    """The largest entry of every window against each entry that is nearly as large."""
    (x,) = inputs
    kernel = attributes["kernel_shape"]
    dilations = attributes.get("dilations", [1] * len(kernel))
    geometry = kernel, attributes["strides"], dilations, attributes["pads"]
    axes = len(kernel)
    entries = padded_windows(x, *geometry, -np.inf)
    shape = (*entries.shape[:-axes], -1)
    entries = entries.reshape(shape)
    largest = np.max(entries, axis=-1, keepdims=True)
    close = (largest - entries <= width) & np.isfinite(entries)
    several = np.flatnonzero(np.count_nonzero(close, axis=-1) > 1)
    places = padded_windows(np.arange(x.size, dtype=np.float64).reshape(x.shape), *geometry, -1.0).reshape(shape)
    close, entries, places = (value.reshape(-1, value.shape[-1])[several] for value in (close, entries, places))
    first = np.argmax(entries, axis=-1)
    close[np.arange(len(first)), first] = False
    row, column = np.nonzero(close)
    of, against = places[row, first[row]].astype(np.intp), places[row, column].astype(np.intp)
    return Kinks(of, several[row], np.zeros(len(row)), np.ones(len(row)), against)


#: Operator of the plain graph -> its kinks. An operator that is not listed has none.
KINKS: dict[str, Near] = {
    "Clip": _clip,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky_relu,
    "MaxPool": _max_pool,
    "Relu": _relu,
}
