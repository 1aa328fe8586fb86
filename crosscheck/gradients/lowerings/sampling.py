"""GridSample: sums of picked elements, weighted by their distance from the grid's points."""

from __future__ import annotations

import itertools
import math

from crosscheck.gradients.call import Call
from crosscheck.gradients.lowerings.lowering import Lowering
from crosscheck.gradients.writer import Writer

__all__ = ["LOWERINGS"]

#: The name of linear and nearest sampling, in this and older opsets.
LINEAR = ("linear", "bilinear")


def _grid_sample(writer: Writer, call: Call) -> list[str | None]:
    """For x (N, channels, *sizes) and a grid (N, *points, axes), whose last axis has the last spatial axis first.

    An element outside counts as zero; with padding by border or reflection the position moves inside first.
    """
    mode, padding = call.get("mode", "linear"), call.get("padding_mode", "zeros")
    if mode not in (*LINEAR, "nearest"):
        raise call.refusal(f"samples by mode {mode!r}, for which there is no rule; export it as linear or nearest")
    channels, *sizes = call.sizes(0, 1)
    points = call.output_sizes(2)
    axes = len(sizes)
    places = []
    for axis, size in enumerate(sizes):
        entry = axes - 1 - axis
        along = writer.slice(call.inputs[1], [entry], [entry + 1], [axes + 1])
        flat = writer.reshape(along, [0, 1, math.prod(points)])
        places.append(_place(writer, flat, size, bool(call.get("align_corners", 0)), padding))
    corners: list[list[tuple[str, str | None]]]
    if mode == "nearest":
        corners = [[(writer.node("Round", place), None)] for place in places]
    else:
        corners = []
        for place in places:
            below = writer.node("Floor", place)
            far = writer.node("Sub", place, below)
            near = writer.node("Sub", writer.constant(1.0), far)
            corners.append([(below, near), (writer.plus(below, 1.0), far)])
    x = writer.reshape(call.inputs[0], [0, channels, math.prod(sizes)])
    terms = [_corner(writer, call, x, channels, sizes, chosen) for chosen in itertools.product(*corners)]
    total = terms[0] if len(terms) == 1 else writer.node("Sum", *terms)
    return [writer.reshape(total, [0, channels, *points])]


def _place(writer: Writer, grid: str, size: int, align: bool, padding: str) -> str:
    """A coordinate from -1 to 1 as a position among `size` elements, moved inside unless padding is zeros."""
    if align:
        place, low, high = writer.times(writer.plus(grid, 1.0), (size - 1) / 2), 0.0, size - 1.0
    else:
        place = writer.plus(writer.times(writer.plus(grid, 1.0), size / 2), -0.5)
        low, high = -0.5, size - 0.5
    if padding == "border":
        return _clamped(writer, place, size)
    if padding == "reflection":
        if high == low:
            return writer.times(place, 0.0)
        period = 2 * (high - low)
        past = writer.plus(place, -low)
        past = writer.node("Sub", past, writer.times(writer.node("Floor", writer.times(past, 1 / period)), period))
        back = writer.node("Sub", writer.constant(period), past)
        return writer.plus(writer.node("Min", past, back), low)
    return place


def _corner(
    writer: Writer, call: Call, x: str, channels: int, sizes: list[int], chosen: tuple[tuple[str, str | None], ...]
) -> str:
    """The elements at one corner of every point's cell, times their weights: (N, channels, points)."""
    number, factors, stride = "", [], 1
    for size, (place, weight) in reversed(list(zip(sizes, chosen, strict=True))):
        inside = _clamped(writer, place, size)
        step = writer.times(inside, float(stride))
        number = step if not number else writer.node("Add", number, step)
        stride *= size
        factors += [weight] if weight else []
        if call.get("padding_mode", "zeros") == "zeros":
            factors.append(writer.cast(writer.equal(inside, place), writer.dtype))
    index = writer.expand(writer.cast(number, "int64"), [1, channels, 1])
    value = writer.node("GatherElements", x, index, axis=2)
    for factor in factors:
        value = writer.node("Mul", value, factor)
    return value


def _clamped(writer: Writer, place: str, size: int) -> str:
    return writer.node("Max", writer.node("Min", place, writer.constant(size - 1.0)), writer.constant(0.0))


LOWERINGS: dict[str, Lowering] = {"GridSample": _grid_sample}
