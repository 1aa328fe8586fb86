"""Pools. Of several largest entries of a window, the first in C order gets the whole cotangent.

ONNX's `Indices` output, torch and TensorFlow do the same; sharing the cotangent is another valid subgradient.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from crosscheck.cells import Array
from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, as_input, only
from crosscheck.gradients.rules.windows import Windows, apart, spread, together, windows_of
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]

#: Value of max-pool pads, also in float64 networks: until opset 11 Pad takes a float32 value.
LOWEST = float(np.finfo(np.float32).min)
#: The most entries of a window that are compared with each other: 64 x 64.
LARGEST_WINDOW = 4096
#: The first opset whose Slice has steps.
SLICE_STEPS = 10
#: The first opset with Range.
RANGE = 11


def _max_pool(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Select the largest entry of every window by comparison, and add the cotangent there.

    Comparisons are exact in any runtime.
    """
    cotangent = only(cotangents)
    channels, windows = call.sizes(0, 1)[0], _windows(call)
    if math.prod(windows.kernel) > LARGEST_WINDOW:
        sizes = " x ".join(map(str, windows.kernel))
        raise call.refusal(f"has windows of {sizes} entries; up to {LARGEST_WINDOW} have a rule, a node each")
    if any(cotangents[1:]):
        raise call.refusal("passes its indices on to the differentiated output; they have no gradient")
    entries = _entries(writer, apart(writer, call.inputs[0], windows.sizes), windows)
    count = len(entries)
    largest = writer.node("ArgMax", writer.node("Concat", *entries, axis=1), axis=1, keepdims=1)
    numbers = writer.constant(np.arange(count, dtype=np.int64).reshape(1, count, *[1] * len(windows.kernel)))
    chosen = writer.masked(apart(writer, cotangent, windows.positions), writer.node("Equal", largest, numbers))
    one_hot = np.eye(count, dtype=call.dtype(0)).reshape(count, 1, *windows.kernel)
    return [together(writer, spread(writer, chosen, writer.constant(one_hot), windows), channels, windows.sizes)]


def _entries(writer: Writer, x: str, windows: Windows) -> list[str]:
    """The first entries of all windows, then the second ones, etc.: (N * channels, 1, *positions) each, in C order."""
    ends = [max(0, width) for width in windows.end]
    if any((*windows.begin, *ends)):
        lowest = float(np.finfo(np.float16).min) if writer.dtype == np.float16 else LOWEST
        x = writer.pad(x, [0, 0, *windows.begin, 0, 0, *ends], lowest)
    entries = []
    for offset in itertools.product(*map(range, windows.kernel)):
        starts = [entry * step for entry, step in zip(offset, windows.dilations, strict=True)]
        stops = [
            start + (count - 1) * stride + 1
            for start, count, stride in zip(starts, windows.positions, windows.strides, strict=True)
        ]
        entries.append(_stepped(writer, x, starts, stops, windows.strides))
    return entries


def _stepped(writer: Writer, x: str, starts: list[int], stops: list[int], steps: Sequence[int]) -> str:
    """x[:, :, start:stop:step, ...]; without steps in Slice, a strided pool of 1-entry windows."""
    axes = list(range(2, 2 + len(starts)))
    if writer.opset >= SLICE_STEPS or all(step == 1 for step in steps):
        return writer.slice(x, starts, stops, axes, [] if all(step == 1 for step in steps) else steps)
    part = writer.slice(x, starts, stops, axes)
    return writer.node("MaxPool", part, kernel_shape=[1] * len(steps), strides=list(steps))


def _average_pool(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Every entry of a window gets the cotangent divided by the number of counted entries."""
    cotangent = only(cotangents)
    channels, windows = call.sizes(0, 1)[0], _windows(call)
    counts = _counts(call, windows).astype(call.dtype(0))
    cotangent = apart(writer, cotangent, windows.positions)
    ones = np.ones((1, 1, *windows.kernel), call.dtype(0))
    if counts.min() == counts.max():
        weight = writer.constant(ones / counts.flat[0])
    else:
        weight, cotangent = writer.constant(ones), writer.node("Div", cotangent, writer.constant(counts[None, None]))
    return [together(writer, spread(writer, cotangent, weight, windows), channels, windows.sizes)]


def _counts(call: Call, windows: Windows) -> Array:
    """The number of counted entries of each window: the input's and, with count_include_pad, those in pads."""
    axes = len(windows.kernel)
    padded = call.get("pads", [0] * 2 * axes) if call.get("auto_pad", "NOTSET") == "NOTSET" else None
    along = []
    for axis in range(axes):
        size, begin = windows.sizes[axis], windows.begin[axis]
        starts = np.arange(windows.positions[axis]) * windows.strides[axis] - begin
        places = starts[:, None] + np.arange(windows.kernel[axis]) * windows.dilations[axis]
        first, last = 0, size
        if call.get("count_include_pad", 0):
            # With ceil_mode the last window may extend beyond the pads; entries there never count.
            end = padded[axes + axis] if padded is not None else max(0, windows.end[axis])
            first, last = -begin, size + end
        along.append(((places >= first) & (places < last)).sum(axis=1))
    counts: Array = along[0]
    for more in along[1:]:
        counts = counts[..., None] * more
    return counts


def _global_average_pool(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    if _is_open(call):
        part = writer.node("Div", only(cotangents), writer.cast(_count(writer, call), writer.dtype))
        return [writer.expand_like(part, call.inputs[0])]
    sizes = call.sizes(0, 2)
    share = np.full((1, 1, *sizes), 1 / math.prod(sizes), call.dtype(0))
    return [writer.node("Mul", only(cotangents), writer.constant(share))]


def _global_max_pool(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    if _is_open(call) and writer.opset >= RANGE:
        numbers = writer.node("Range", writer.integers(0), _count(writer, call), writer.integers(1))
    else:
        count = math.prod(call.sizes(0, 2))
        numbers = writer.constant(np.arange(count, dtype=np.int64).reshape(1, 1, count))
    cotangent, x = (writer.reshape(name, [0, 0, -1]) for name in (only(cotangents), call.inputs[0]))
    largest = writer.node("ArgMax", x, axis=2, keepdims=1)
    chosen = writer.node("Equal", largest, numbers)
    return [as_input(writer, call, writer.masked(cotangent, chosen))]


def _is_open(call: Call) -> bool:
    return not all(isinstance(size, int) for size in call.shape(0)[2:])


def _count(writer: Writer, call: Call) -> str:
    """The number of entries in the window of a global pool."""
    return writer.node("Div", *(writer.node("Size", name) for name in (call.inputs[0], call.outputs[0])))


def _windows(call: Call) -> Windows:
    windows = windows_of(call, call.get("kernel_shape", ()), call.sizes(0, 2), call.output_sizes(2))
    starts = ((count - 1) * stride for count, stride in zip(windows.positions, windows.strides, strict=True))
    ends = (size + begin for size, begin in zip(windows.sizes, windows.begin, strict=True))
    if any(start >= end for start, end in zip(starts, ends, strict=True)):
        # ONNX counted such a window until opset 22; ONNX Runtime leaves it out in every opset.
        raise call.refusal("has a last window that lies in its pads alone, which not all runtimes count; crop its pads")
    return windows


RULES: dict[str, Rule] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "MaxPool": _max_pool,
}
