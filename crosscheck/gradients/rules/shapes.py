"""Operators that reshape, permute, repeat, join or split tensors."""

from __future__ import annotations

import numpy as np

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, as_input, only, unbroadcast
from crosscheck.gradients.writer import SLICE_BY_INPUT, Writer

__all__ = ["RULES"]


def _reshaped(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Back to the input's shape; a second input holds a shape or axes."""
    return [as_input(writer, call, only(cotangents)), *[None] * (len(call.inputs) - 1)]


def _transpose(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The inverse permutation."""
    order = call.get("perm", list(reversed(range(call.rank(0)))))
    return [writer.node("Transpose", only(cotangents), perm=np.argsort(order).tolist())]


def _expand(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Sums over the axes that were repeated."""
    return [unbroadcast(writer, call, only(cotangents), 0), None]


def _concat(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Every input's part of the cotangent."""
    cotangent, axis = only(cotangents), int(call.get("axis", 0)) % call.rank(0)
    sizes = [call.shape(index)[axis] for index in range(len(call.inputs))]
    if not all(isinstance(size, int) for size in sizes):
        return _concat_computed(writer, call, cotangent, axis)
    ends = np.cumsum([size for size in sizes if isinstance(size, int)]).tolist()
    return [
        writer.slice(cotangent, [start], [end], [axis]) if wanted else None
        for start, end, wanted in zip([0, *ends[:-1]], ends, call.wanted, strict=True)
    ]


def _concat_computed(writer: Writer, call: Call, cotangent: str, axis: int) -> Gradients:
    """The parts, by the runtime sizes of the inputs."""
    if writer.opset < SLICE_BY_INPUT:
        raise call.refusal(f"joins unknown sizes along axis {axis}; export it with fixed ones, or in a newer opset")
    gradients: Gradients = []
    start = writer.integers([0])
    for name, wanted in zip(call.inputs, call.wanted, strict=True):
        end = writer.node("Add", start, writer.slice(writer.node("Shape", name), [axis], [axis + 1], [0]))
        gradients.append(writer.node("Slice", cotangent, start, end, writer.integers([axis])) if wanted else None)
        start = end
    return gradients


def _split(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The concatenated cotangents of the parts, zeros for unused parts."""
    parts = [
        cotangent if cotangent is not None else writer.zeros_like(name)
        for name, cotangent in zip(call.outputs, cotangents, strict=True)
    ]
    joined = writer.node("Concat", *parts, axis=int(call.get("axis", 0)))
    return [joined, *[None] * (len(call.inputs) - 1)]


def _range(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """y = start + i * step, for i from 0 on; the end only decides how many there are."""
    cotangent, y = only(cotangents), call.outputs[0]
    gradients: Gradients = [None, None, None]
    if call.wanted[0]:
        gradients[0] = writer.reduce("ReduceSum", cotangent, [0], keepdims=False)
    if call.wanted[2]:
        numbers = writer.node("Range", writer.integers(0), writer.node("Size", y), writer.integers(1))
        product = writer.node("Mul", cotangent, writer.cast(numbers, writer.dtype))
        gradients[2] = writer.reduce("ReduceSum", product, [0], keepdims=False)
    return gradients


def _tile(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Sums over the copies: every axis is split into copies and elements."""
    copies = [int(count) for count in call.constant(1, "its repeats")]
    pairs = [(count, size if isinstance(size, int) else -1) for count, size in zip(copies, call.shape(0), strict=True)]
    if sum(size == -1 for _, size in pairs) > 1:
        raise call.refusal("repeats a tensor with several unknown sizes; export it with fixed ones")
    apart = writer.reshape(only(cotangents), [size for pair in pairs for size in pair])
    return [writer.reduce("ReduceSum", apart, list(range(0, 2 * len(pairs), 2)), keepdims=False), None]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _reshaped),
    "Concat": _concat,
    "Expand": _expand,
    "Range": _range,
    "Split": _split,
    "Tile": _tile,
    "Transpose": _transpose,
}
