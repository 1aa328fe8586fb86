"""Resize and Upsample. Both are linear and separable, so each axis's gradient is a product with a matrix.

Row i of an axis's matrix has the weights of the input's entries in the i-th output entry, by the formulas of the ONNX
specification; the gradient is the product with its transpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck.cells import Array
from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, only
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]

#: The first opset whose Resize has attributes and the inputs x, roi, scales and sizes.
COORDINATE_MODES = 11
#: The most entries of a resized axis, each of which takes microseconds, and of its matrix, 64 MB in the file.
LONGEST, LARGEST = 2**16, 2**24


@dataclass(frozen=True)
class _Axis:
    """One resized axis: its sizes before and after, its scale (a float32 if the model has it), the roi's two ends."""

    before: int
    after: int
    scale: Any
    roi: tuple[float, float]


def _resize(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    cotangent = only(cotangents)
    call.only_first("a scale or size")
    if call.get("antialias", 0):
        raise call.refusal("has antialias = 1, for which there is no rule; export it with antialias = 0")
    for axis, resized in enumerate(_axes(call)):
        if resized is not None:
            cotangent = _along(writer, cotangent, axis, call.rank(0), _matrix(call, resized).astype(call.dtype(0)))
    return [cotangent, *[None] * (len(call.inputs) - 1)]


def _axes(call: Call) -> list[_Axis | None]:
    """The resampling of every axis; None for an unchanged axis."""
    shape, rank = call.shape(0), call.rank(0)
    named = [axis % rank for axis in call.get("axes", range(rank))]
    scales, sizes = _scales(call, named)
    roi = np.concatenate([np.zeros(len(named)), np.ones(len(named))])
    if call.get("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        roi = call.constant(1, "its region of interest").astype(np.float64)
    axes: list[_Axis | None] = [None] * rank
    for index, axis in enumerate(named):
        ends = float(roi[index]), float(roi[index + len(named)])
        size = shape[axis]
        if not isinstance(size, int):
            # A dynamic batch axis must stay unchanged.
            if scales is None or scales[index] != 1 or ends != (0, 1):
                call.sizes(0, axis)
            continue
        wanted = None if sizes is None else int(sizes[index])
        scale = scales[index] if scales is not None else np.float64(wanted or 0) / size
        after = int(np.floor(np.float32(size) * np.float32(ends[1] - ends[0]) * np.float32(scale)))
        after = after if wanted is None else wanted
        if after != size or scale != 1 or ends != (0, 1):
            axes[axis] = _Axis(size, after, scale, ends)
    return axes


def _scales(call: Call, named: list[int]) -> tuple[Any, Any]:
    """The scales and sizes of the named axes; None if computed from the other."""
    first = 2 if call.node.op_type == "Resize" and call.facts.opset >= COORDINATE_MODES else 1
    if call.has(first):
        scales = call.constant(first, "its scales")
        if scales.size:
            return scales, None
    sizes = call.constant(3, "its sizes")
    policy = call.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return None, sizes
    before = np.array([call.sizes(0, axis)[0] for axis in named], np.float64)
    scale = (np.min if policy == "not_larger" else np.max)(sizes / before)
    return np.full(len(named), scale), np.floor(scale * before + 0.5)


def _along(writer: Writer, cotangent: str, axis: int, rank: int, matrix: Array) -> str:
    """Multiply by the matrix's transpose, (before, after), along an axis of `after` entries."""
    if axis == rank - 2:
        return writer.node("MatMul", writer.constant(matrix.T), cotangent)
    if axis == rank - 1:
        return writer.node("MatMul", cotangent, writer.constant(matrix))
    swap = list(range(rank))
    swap[axis], swap[-1] = rank - 1, axis
    last = writer.node("MatMul", writer.node("Transpose", cotangent, perm=swap), writer.constant(matrix))
    return writer.node("Transpose", last, perm=swap)


def _matrix(call: Call, axis: _Axis) -> Array:
    """The weights of the input's entries in the output's: (after, before), float64."""
    mode = call.get("mode", "nearest")
    if axis.after > LONGEST or axis.after * axis.before > LARGEST:
        raise call.refusal(
            f"resizes an axis of {axis.before} entries to {axis.after}, for which a matrix would be too large; make it "
            "shorter"
        )
    matrix = np.zeros((axis.after, axis.before))
    # The nearest entry may depend on the last bit; ONNX Runtime and others compute coordinates in float32.
    places = _places(call, axis, np.float32 if mode == "nearest" else np.float64)
    for row, place in enumerate(places):
        outside = place < 0 or place > axis.before - 1
        if outside and call.get("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
            continue  # a constant, extrapolation_value
        for entry, weight in _entries(call, mode, place, axis):
            matrix[row, min(max(entry, 0), axis.before - 1)] += weight
    return matrix


def _places(call: Call, axis: _Axis, dtype: Any) -> Array:
    """The coordinate in the input of each output entry."""
    where: Array = np.arange(axis.after, dtype=dtype)
    scale, before, after, half, one = map(dtype, (axis.scale, axis.before, axis.after, 0.5, 1))
    mode = "asymmetric"
    if call.node.op_type == "Resize" and call.facts.opset >= COORDINATE_MODES:
        mode = call.get("coordinate_transformation_mode", "half_pixel")
    if mode == "asymmetric":
        where = where / scale
    elif mode == "align_corners":
        where = where * (before - one) / max(after - one, one)
    elif mode == "tf_crop_and_resize":
        start, end = map(dtype, axis.roi)
        if axis.after == 1:
            where = where + half * (start + end) * (before - one)
        else:
            where = start * (before - one) + where * (end - start) * (before - one) / (after - one)
    elif mode in ("half_pixel", "half_pixel_symmetric") or (mode == "pytorch_half_pixel" and axis.after > 1):
        where = (where + half) / scale - half
        if mode == "half_pixel_symmetric":
            where = where + before * half * (one - after / (scale * before))
    elif mode != "pytorch_half_pixel":
        raise call.refusal(f"has coordinate_transformation_mode = {mode}, for which there is no rule")
    return where


def _entries(call: Call, mode: str, place: Any, axis: _Axis) -> list[tuple[int, float]]:
    """Indices and weights of the input's entries; indices outside are clamped to the outermost entry."""
    if mode == "nearest":
        return [(_nearest(call, place, axis), 1.0)]
    left, over = int(np.floor(place)), float(place - np.floor(place))
    if mode in ("linear", "bilinear"):
        entries = [(left, 1 - over), (left + 1, over)]
    elif mode == "cubic":
        a = float(call.get("cubic_coeff_a", -0.75))
        entries = [(left + step, _cubic(abs(over - step), a)) for step in (-1, 0, 1, 2)]
    else:
        raise call.refusal(f"has mode = {mode}, for which there is no rule")
    if call.get("exclude_outside", 0):
        entries = [(entry, weight) for entry, weight in entries if 0 <= entry < axis.before]
        total = sum(weight for _, weight in entries)
        entries = [(entry, weight / total) for entry, weight in entries]
    return entries


def _nearest(call: Call, place: Any, axis: _Axis) -> int:
    if call.node.op_type == "Upsample" or call.facts.opset < COORDINATE_MODES:
        # Without nearest_mode: round down, or up for a shrinking axis, as ONNX Runtime does.
        return int(np.ceil(place) if axis.scale < 1 else np.floor(place))
    rounding = call.get("nearest_mode", "round_prefer_floor")
    if rounding == "round_prefer_floor":
        return int(np.ceil(place - place.dtype.type(0.5)))
    if rounding == "round_prefer_ceil":
        return int(np.floor(place + place.dtype.type(0.5)))
    return int(np.floor(place) if rounding == "floor" else np.ceil(place))


def _cubic(distance: float, a: float) -> float:
    """Keys 1981, equation (4), for distances below 2."""
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance**2 + 1
    return a * (((distance - 5) * distance + 8) * distance - 4)


RULES: dict[str, Rule] = {"Resize": _resize, "Upsample": _resize}
