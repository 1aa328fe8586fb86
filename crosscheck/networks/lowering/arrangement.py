"""Rules of operators that arrange entries or reduce them: shapes, parts, borders, means."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from crosscheck.networks.lowering.step import Step

__all__ = ["RULES"]


def _concat(step: Step) -> None:
    (axis,) = step.axes([step.attributes["axis"]])
    step.end("Concat", [step.data(index) for index in range(len(step.proto.input))], {"axis": axis})


def _flatten(step: Step) -> None:
    if step.attributes.get("axis", 1) % len(step.shape()) != 1:
        raise step.refusal(f"has axis {step.attributes['axis']}; only axis 1 is supported")
    if len(step.shape()) == 2:
        step.same()
    else:
        step.end("Flatten", [step.data()], {"axis": 1})


def _reshape(step: Step) -> None:
    """Any change of shape that keeps the rows: Reshape, Squeeze, Unsqueeze."""
    before, after = step.sizes(), step.output_sizes()
    if math.prod(before) != math.prod(after):
        raise step.refusal(f"makes {after} a row of {before}, so it mixes rows; only the other axes may change")
    if before == after:
        step.same()
    elif len(after) == 1:
        step.end("Flatten", [step.data()], {"axis": 1})
    else:
        step.end("Reshape", [step.data()], {"shape": after})


def _transpose(step: Step) -> None:
    rank = len(step.shape())
    order = list(step.attributes.get("perm", range(rank)[::-1]))
    if order[0] != 0:
        raise step.refusal("moves the batch axis; only the other axes may move")
    if order == list(range(rank)):
        step.same()
    else:
        step.end("Transpose", [step.data()], {"perm": order})


def _reduce_mean(step: Step) -> None:
    rank = len(step.shape())
    given = step.integers(1) if step.has(1) else step.attributes.get("axes", range(rank))
    axes, kept = step.axes(list(given)), bool(step.attributes.get("keepdims", 1))
    op, attributes = "ReduceMean", {"axes": axes}
    if axes == list(range(2, rank)):
        op, attributes = "GlobalAveragePool", {}
    if kept:
        step.end(op, [step.data()], attributes)
        return
    sizes = [size for axis, size in enumerate(step.sizes(), 1) if axis not in axes]
    mean = step.add(op, [step.data()], attributes)
    if len(sizes) == 1:
        step.end("Flatten", [mean], {"axis": 1})
    else:
        step.end("Reshape", [mean], {"shape": sizes})


def _split(step: Step) -> None:
    (axis,) = step.axes([step.attributes.get("axis", 0)])
    size, count = step.sizes()[axis - 1], len(step.proto.output)
    widest = -(-size // count)
    given = step.integers(1) if step.has(1) else step.attributes.get("split")
    start = 0
    for number, width in enumerate(given or [min(widest, size - widest * index) for index in range(count)]):
        if step.proto.output[number]:
            part = {"axis": axis, "start": start, "end": start + width, "step": 1}
            step.end("Slice", [step.data()], part, number)
        start += width


def _slice(step: Step) -> None:
    """One plain node an axis; an axis of which everything is taken has none."""
    inputs = step.table.opset >= 10
    starts, ends = (
        (step.integers(1), step.integers(2)) if inputs else (step.attributes["starts"], step.attributes["ends"])
    )
    axes = step.integers(3) if step.has(3) else step.attributes.get("axes", range(len(starts)))
    steps = step.integers(4) if step.has(4) else [1] * len(starts)
    rank, sizes = len(step.shape()), step.sizes()
    parts = []
    for axis, start, end, stride in zip(axes, starts, ends, steps, strict=True):
        if stride < 1:
            raise step.refusal("runs backwards; only positive steps are supported")
        if axis % rank == 0:
            if start == 0 and stride == 1 and end >= 2**31 - 1:
                continue
            raise step.refusal("takes some rows only; only the other axes are supported")
        first, last, stride = slice(start, end, stride).indices(sizes[axis % rank - 1])
        if (first, last, stride) != (0, sizes[axis % rank - 1], 1):
            parts.append({"axis": axis % rank, "start": first, "end": last, "step": stride})
    if not parts:
        step.same()
        return
    data = step.data()
    for part in parts[:-1]:
        data = step.add("Slice", [data], part)
    step.end("Slice", [data], parts[-1])


def _pad(step: Step) -> None:
    if step.attributes.get("mode", b"constant") != b"constant":
        raise step.refusal(f"has the mode {step.attributes['mode'].decode()}; only constant borders are supported")
    pads = step.integers(1) if step.has(1) else list(step.attributes["pads"])
    rank = len(step.shape())
    if step.has(3):  # axes
        axes, half = [axis % rank for axis in step.integers(3)], len(pads) // 2
        whole = [0] * 2 * rank
        for place, axis in enumerate(axes):
            whole[axis], whole[rank + axis] = pads[place], pads[half + place]
        pads = whole
    value = float(step.constant(2).item()) if step.has(2) else float(step.attributes.get("value", 0.0))
    if any(pad < 0 for pad in pads) or pads[0] or pads[rank]:
        raise step.refusal("has a border of rows, or a negative one")
    if not any(pads):
        step.same()
        return
    step.end("Pad", [step.data()], {"pads": pads, "value": value})


def _softmax(step: Step) -> None:
    rank = len(step.shape())
    axis = step.attributes.get("axis", -1 if step.table.opset >= 13 else 1) % rank
    if axis == rank - 1:
        step.end("Softmax", [step.data()], {"axis": axis})
        return
    # Before opset 13 the operator flattens all axes from this one on.
    if step.table.opset < 13 and axis == 1:
        flat = step.add("Softmax", [step.add("Flatten", [step.data()], {"axis": 1})], {"axis": 1})
        step.end("Reshape", [flat], {"shape": step.sizes()})
        return
    if step.table.opset < 13 or axis == 0:
        raise step.refusal(f"runs over axis {axis} of {rank}; only the last axis is supported")
    order = list(range(rank))
    order[axis], order[-1] = rank - 1, axis
    last = step.add("Softmax", [step.add("Transpose", [step.data()], {"perm": order})], {"axis": rank - 1})
    step.end("Transpose", [last], {"perm": order})


#: Operator -> its rule; may raise NetworkError.
RULES: Mapping[str, Callable[[Step], Any]] = {
    "Concat": _concat,
    "Flatten": _flatten,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
