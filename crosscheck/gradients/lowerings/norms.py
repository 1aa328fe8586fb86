"""Norms over an axis and over windows, and products: operators made of a few others."""

from __future__ import annotations

import numpy as np

from crosscheck.gradients.call import Call
from crosscheck.gradients.lowerings.lowering import Lowering
from crosscheck.gradients.writer import Writer

__all__ = ["LOWERINGS"]


def _lp_normalization(writer: Writer, call: Call) -> list[str | None]:
    """x divided by its norm; where the norm is zero, by one."""
    x, axis = call.inputs[0], int(call.get("axis", -1)) % call.rank(0)
    norm = writer.reduce("ReduceL1" if int(call.get("p", 2)) == 1 else "ReduceL2", x, [axis])
    safe = writer.node("Where", writer.equal(norm, writer.constant(0.0)), writer.constant(1.0), norm)
    return [writer.node("Div", x, safe)]


def _lp_pool(writer: Writer, call: Call) -> list[str | None]:
    """The p-norm of every window: the root of a convolution of |x|^p with ones, for each channel alone."""
    if int(call.get("ceil_mode", 0)):
        raise call.refusal("has ceil_mode = 1, for which there is no rule; pad the input instead")
    kernel = list(call.get("kernel_shape", ()))
    sizes, power = call.sizes(0, 1), float(call.get("p", 2))
    powers = writer.reshape(_powers(writer, call.inputs[0], power), [-1, 1, *sizes[1:]])
    kept = {key: call.attributes[key] for key in ("auto_pad", "pads", "strides", "dilations") if key in call.attributes}
    ones = writer.constant(np.ones((1, 1, *kernel), writer.dtype))
    total = writer.node("Conv", powers, ones, kernel_shape=kernel, **kept)
    together = writer.reshape(total, [-1, sizes[0], *call.output_sizes(2)])
    return [_root(writer, together, power)]


def _global_lp_pool(writer: Writer, call: Call) -> list[str | None]:
    power = float(call.get("p", 2))
    powers = _powers(writer, call.inputs[0], power)
    return [_root(writer, writer.reduce("ReduceSum", powers, list(range(2, call.rank(0)))), power)]


def _powers(writer: Writer, x: str, power: float) -> str:
    """|x|^p."""
    if power == 2:
        return writer.square(x)
    size = writer.node("Abs", x)
    return size if power == 1 else writer.node("Pow", size, writer.constant(power))


def _root(writer: Writer, x: str, power: float) -> str:
    """The p-th root, of slope zero where x is zero."""
    if power == 1:
        return x
    zero = writer.equal(x, writer.constant(0.0))
    root = writer.node("Pow", writer.node("Where", zero, writer.constant(1.0), x), writer.constant(1 / power))
    return writer.node("Where", zero, writer.constant(0.0), root)


def _cumulative_product(writer: Writer, call: Call) -> list[str | None]:
    """Products over masked copies, one for every entry along the axis, so that zeros do no harm."""
    axis = int(call.constant(1, "its axis")) % call.rank(0)
    size = call.shape(0)[axis]
    if not isinstance(size, int):
        raise call.refusal(f"multiplies along axis {axis} of unknown size; export it with a fixed one")
    mask = np.tri(size, size, -1 if call.get("exclusive", 0) else 0, dtype=bool)
    if call.get("reverse", 0):
        mask = mask.T if not call.get("exclusive", 0) else np.tri(size, size, -1, dtype=bool).T
    shape = [size if place in (axis, axis + 1) else 1 for place in range(call.rank(0) + 1)]
    copies = writer.unsqueeze(call.inputs[0], [axis])
    masked = writer.node("Where", writer.constant(mask.reshape(shape)), copies, writer.constant(1.0))
    return [writer.reduce("ReduceProd", masked, [axis + 1], keepdims=False)]


LOWERINGS: dict[str, Lowering] = {
    "CumProd": _cumulative_product,
    "GlobalLpPool": _global_lp_pool,
    "LpNormalization": _lp_normalization,
    "LpPool": _lp_pool,
}
