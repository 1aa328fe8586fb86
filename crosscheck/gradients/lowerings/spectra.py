"""Fourier transforms as products with matrices of cosines and sines."""

from __future__ import annotations

import math

import numpy as np

from crosscheck.cells import Array
from crosscheck.gradients.call import Call
from crosscheck.gradients.lowerings.lowering import Lowering
from crosscheck.gradients.writer import Writer

__all__ = ["LOWERINGS"]

#: Since this opset the axis of DFT is an input, by default the last but one.
DFT_AXIS_AS_INPUT = 20


def _discrete_fourier(writer: Writer, call: Call) -> list[str | None]:
    """A product with the matrix of cosines and sines, along an axis of fixed size."""
    rank = call.rank(0)
    axis = (
        int(call.get("axis", 1)) if "axis" in call.attributes or not call.has(2) else int(call.constant(2, "its axis"))
    )
    if writer.opset >= DFT_AXIS_AS_INPUT and not call.has(2):
        axis = -2
    axis %= rank
    size, parts = call.shape(0)[axis], call.shape(0)[-1]
    if not isinstance(size, int) or not isinstance(parts, int):
        raise call.refusal(f"transforms axis {axis} of unknown size; export it with a fixed one")
    length = int(call.constant(1, "its length")) if call.has(1) else size
    inverse, onesided = bool(call.get("inverse", 0)), bool(call.get("onesided", 0))
    if inverse and onesided:
        raise call.refusal("is a one-sided inverse, for which there is no rule; export it two-sided")
    bins = length // 2 + 1 if onesided else length
    matrix = np.zeros((size, 2, bins, 2))
    matrix[:length] = _waves(length, bins, inverse)[:size]
    matrix = matrix[:, :parts].reshape(size * parts, bins * 2) / (length if inverse else 1)
    # The axis moves beside the parts, which are last.
    order = [place for place in range(rank - 1) if place != axis]
    moved = writer.node("Transpose", call.inputs[0], perm=[*order, axis, rank - 1])
    flat = writer.reshape(moved, [*[0] * (rank - 2), size * parts])
    product = writer.node("MatMul", flat, writer.constant(matrix.astype(writer.dtype)))
    whole = writer.reshape(product, [*[0] * (rank - 2), bins, 2])
    return [writer.node("Transpose", whole, perm=[*np.argsort([*order, axis]).tolist(), rank - 1])]


def _short_time_fourier(writer: Writer, call: Call) -> list[str | None]:
    """Frames of a real signal, (N, length, 1), times a window, times the matrix of the transform."""
    step = int(call.constant(1, "its frame step"))
    if call.sizes(0, 1)[1:] not in ((), (1,)):
        raise call.refusal("transforms a complex signal, for which there is no rule; use two of real ones")
    size = call.sizes(0, 1)[0]
    length = int(call.constant(3, "its frame length")) if call.has(3) else call.sizes(2)[0]
    bins = length // 2 + 1 if call.get("onesided", 1) else length
    starts = np.arange(0, size - length + 1, step)
    frames = writer.node(
        "Gather",
        writer.reshape(call.inputs[0], [0, size]),
        writer.constant(starts[:, None] + np.arange(length)),
        axis=1,
    )
    if call.has(2):
        frames = writer.node("Mul", frames, call.inputs[2])
    matrix = _waves(length, bins, False)[:, 0].reshape(length, bins * 2)
    product = writer.node("MatMul", frames, writer.constant(matrix.astype(writer.dtype)))
    return [writer.reshape(product, [0, len(starts), bins, 2])]


def _waves(length: int, bins: int, inverse: bool) -> Array:
    """The transform of one axis: (length, real and imaginary part, bins, real and imaginary part)."""
    angle = 2 * math.pi * np.outer(np.arange(length), np.arange(bins)) / length * (1 if inverse else -1)
    real, imaginary = np.cos(angle), np.sin(angle)
    return np.moveaxis(np.array([[real, imaginary], [-imaginary, real]]), (0, 1), (1, 3))


LOWERINGS: dict[str, Lowering] = {"DFT": _discrete_fourier, "STFT": _short_time_fourier}
