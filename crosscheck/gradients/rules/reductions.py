"""Reductions, with axes as an attribute or (later opsets) an input, and cumulative sums.

Several largest or smallest elements share the cotangent equally. ReduceL1 and ReduceL2 have slope zero where the
element, or all elements, are zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, only
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]

#: (writer, call, axes, cotangent, output) -> gradient; both tensors have axes of size one where the operator reduced.
Formula = Callable[[Writer, Call, list[int], str, str], str]


def _reduction(formula: Formula) -> Rule:
    """The rule of a reduction, with and without `keepdims`; a second input holds axes."""

    def rule(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
        axes = _axes(call)
        cotangent, y = only(cotangents), call.outputs[0]
        if axes and not call.get("keepdims", 1):
            cotangent, y = (writer.unsqueeze(tensor, axes) for tensor in (cotangent, y))
        return [formula(writer, call, axes, cotangent, y), *[None] * (len(call.inputs) - 1)]

    return rule


def _axes(call: Call) -> list[int]:
    """The reduced axes, in ascending order; without named axes all, or none with `noop_with_empty_axes`."""
    rank = call.rank(0)
    named = call.constant(1, "its axes").reshape(-1).tolist() if call.has(1) else call.get("axes", [])
    if not named and not call.get("noop_with_empty_axes", 0):
        return list(range(rank))
    return sorted(int(axis) % rank for axis in named)


def _sum(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    sizes = [size if axis in axes else 1 for axis, size in enumerate(call.shape(0))]
    if all(isinstance(size, int) for size in sizes):
        return writer.expand(cotangent, [int(size) for size in sizes if isinstance(size, int)])
    return writer.expand_like(cotangent, call.inputs[0])


def _mean(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    sizes = [call.shape(0)[axis] for axis in axes]
    if all(isinstance(size, int) for size in sizes):
        count = writer.constant(float(np.prod([size for size in sizes if isinstance(size, int)])))
    else:
        sizes_of_all = (writer.node("Size", name) for name in (call.inputs[0], y))
        count = writer.cast(writer.node("Div", *sizes_of_all), writer.dtype)
    return _sum(writer, call, axes, writer.node("Div", cotangent, count), y)


def _l1(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    return writer.node("Mul", cotangent, writer.node("Sign", call.inputs[0]))


def _l2(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    """The slope is x / y, zero where y is zero."""
    divisor = _without_zeros(writer, y)
    return writer.node("Mul", cotangent, writer.node("Div", call.inputs[0], divisor))


def _sum_square(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    return writer.node("Mul", cotangent, writer.times(call.inputs[0], 2.0))


def _log_sum(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    return _sum(writer, call, axes, writer.node("Div", cotangent, writer.node("Exp", y)), y)


def _log_sum_exp(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    return writer.node("Mul", cotangent, writer.node("Exp", writer.node("Sub", call.inputs[0], y)))


def _extreme(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    chosen = writer.cast(writer.equal(call.inputs[0], y), writer.dtype)
    share = writer.node("Div", cotangent, _total(writer, chosen, axes))
    return writer.node("Mul", share, chosen)


def _prod(writer: Writer, call: Call, axes: list[int], cotangent: str, y: str) -> str:
    """The product of the other elements; zeros are counted separately, since y / x fails for them."""
    x = call.inputs[0]
    zero = writer.cast(writer.equal(x, writer.constant(0.0)), writer.dtype)
    divisor = _without_zeros(writer, x)
    product = writer.reduce("ReduceProd", divisor, axes) if axes else divisor
    others = writer.node("Sub", _total(writer, zero, axes), zero)  # the number of zeros among the other elements
    slope = writer.masked(writer.node("Div", product, divisor), writer.equal(others, writer.constant(0.0)))
    return writer.node("Mul", cotangent, slope)


def _without_zeros(writer: Writer, x: str) -> str:
    """Replace zeros by ones, for division."""
    return writer.node("Where", writer.equal(x, writer.constant(0.0)), writer.constant(1.0), x)


def _total(writer: Writer, x: str, axes: list[int]) -> str:
    return writer.reduce("ReduceSum", x, axes) if axes else x


def _cumulative_sum(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """A cumulative sum in the opposite direction."""
    exclusive, reverse = int(call.get("exclusive", 0)), 1 - int(call.get("reverse", 0))
    return [writer.node("CumSum", only(cotangents), call.inputs[1], exclusive=exclusive, reverse=reverse), None]


RULES: dict[str, Rule] = {
    "CumSum": _cumulative_sum,
    "ReduceL1": _reduction(_l1),
    "ReduceL2": _reduction(_l2),
    "ReduceLogSum": _reduction(_log_sum),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ReduceMax": _reduction(_extreme),
    "ReduceMean": _reduction(_mean),
    "ReduceMin": _reduction(_extreme),
    "ReduceProd": _reduction(_prod),
    "ReduceSum": _reduction(_sum),
    "ReduceSumSquare": _reduction(_sum_square),
}
