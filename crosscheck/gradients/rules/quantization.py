"""Quantization with straight-through gradients: rounding counts as the identity, and saturation as a bound.

An integer tensor between the two operators has the cotangent of the number that it stands for before the zero point
is subtracted, in float32.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, only
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]


def _quantize(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Where the rounded quotient fits the integer type: dx = dy / scale."""
    call.only_first("its scale or zero point")
    x, scale = _as_type(writer, call, 0), _scale(writer, call)
    kind = call.facts.dtype(call.outputs[0])
    if not np.issubdtype(kind, np.integer) and not kind.name.startswith(("int", "uint")):
        raise call.refusal(f"quantizes to {kind.name}; only integers have a rule")
    level = writer.node("Round", writer.node("Div", x, scale))
    if call.has(2):
        level = writer.node("Add", level, _along(writer, call, _as_type(writer, call, 2)))
    limits: Any = ml_dtypes.iinfo(kind)  # type: ignore[no-untyped-call]
    outside = writer.node(
        "Or",
        writer.node("Less", level, writer.constant(float(limits.min))),
        writer.node("Greater", level, writer.constant(float(limits.max))),
    )
    slope = writer.node("Div", only(cotangents), scale)
    gradient = writer.masked(slope, writer.node("Not", outside))
    if call.dtype(0) != writer.dtype:
        gradient = writer.cast(gradient, call.dtype(0))
    return [gradient, *[None] * (len(call.inputs) - 1)]


def _dequantize(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """dy = dz * scale, and dscale = dz * (y - zero point), summed."""
    kind, cotangent = writer.dtype, only(cotangents)
    writer.dtype = np.dtype(np.float32)
    if kind != writer.dtype:
        cotangent = writer.cast(cotangent, writer.dtype)
    gradients: Gradients = [None] * len(call.inputs)
    if call.wanted[0]:
        gradients[0] = writer.node("Mul", cotangent, _scale(writer, call))
    if call.wanted[1]:
        level = _as_type(writer, call, 0)
        if call.has(2):
            level = writer.node("Sub", level, _along(writer, call, _as_type(writer, call, 2)))
        axis = int(call.get("axis", 1)) % max(call.rank(0), 1)
        summed = [other for other in range(call.rank(0)) if call.rank(1) == 0 or other != axis]
        total = writer.reduce("ReduceSum", writer.node("Mul", cotangent, level), summed, keepdims=False)
        gradients[1] = writer.cast(total, call.dtype(1)) if call.dtype(1) != writer.dtype else total
    return gradients


def _scale(writer: Writer, call: Call) -> str:
    return _along(writer, call, _as_type(writer, call, 1))


def _along(writer: Writer, call: Call, values: str) -> str:
    """A scale or zero point, one number or one for every entry along an axis, in a shape that broadcasts."""
    if call.rank(1) > 1:
        raise call.refusal("quantizes in blocks, for which there is no rule; export it with one scale per axis")
    if call.rank(1) == 0:
        return values
    axis = int(call.get("axis", 1)) % call.rank(0)
    return writer.reshape(values, [-1 if other == axis else 1 for other in range(call.rank(0))])


def _as_type(writer: Writer, call: Call, index: int) -> str:
    name = call.inputs[index]
    return name if call.dtype(index) == writer.dtype else writer.cast(name, writer.dtype)


RULES: dict[str, Rule] = {"DequantizeLinear": _dequantize, "QuantizeLinear": _quantize}
