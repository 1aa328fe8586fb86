"""Operators that write, pick or move elements at computed places."""

from __future__ import annotations

import numpy as np

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, as_input, only
from crosscheck.gradients.rules.selections import element_numbers, put_back, scatter_back
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]

#: The first opset with GatherElements, GatherND and ScatterElements.
GATHER_ELEMENTS = 11


def _scatter(gather: str) -> Rule:
    """The rule of an operator whose updates replace elements of its first input, or are added to them.

    gather: the operator that picks elements by the same indices.
    """

    def rule(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
        _, indices, updates = call.inputs
        cotangent, reduction = only(cotangents), call.get("reduction", "none")
        if reduction not in ("none", "add"):
            raise call.refusal(f"has reduction = {reduction!r}, for which there is no rule; export it with another")
        gradients: Gradients = [None, None, None]
        if call.wanted[0]:
            attributes = {key: value for key, value in call.attributes.items() if key != "reduction"}
            written = writer.node(call.node.op_type, cotangent, indices, writer.zeros_like(updates), **attributes)
            gradients[0] = written if reduction == "none" else cotangent
        if call.wanted[2]:
            if writer.opset < GATHER_ELEMENTS:
                raise call.refusal("writes elements that depend on the model's input; export it in opset 11")
            axis = {"axis": call.attributes["axis"]} if "axis" in call.attributes else {}
            gradients[2] = writer.node(gather, cotangent, indices, **axis)
        return gradients

    return rule


def _picked(repeated: bool) -> Rule:
    """The rule of an operator that picks elements of its first input, once at most or several times."""

    def rule(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
        gradient = put_back(writer, call, only(cotangents), repeated)
        return [gradient, *[None] * (len(call.inputs) - 1)]

    return rule


def _same_again(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The operator itself, applied to the cotangent."""
    gradient = writer.node(call.node.op_type, only(cotangents), *call.inputs[1:], **call.attributes)
    return [gradient, *[None] * (len(call.inputs) - 1)]


def _top_k(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The cotangents of the values go to their places; the places themselves are integers."""
    scatter = "ScatterElements" if writer.opset >= GATHER_ELEMENTS else "Scatter"
    axis = int(call.get("axis", -1)) % call.rank(0)
    zeros = writer.zeros_like(call.inputs[0])
    return [writer.node(scatter, zeros, call.outputs[1], only(cotangents), axis=axis), *[None] * (len(call.inputs) - 1)]


def _unique(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The cotangent of each value goes to its first occurrence."""
    first = writer.nodes_outputs("Unique", call.inputs, 2, **call.attributes)[1]
    every = element_numbers(writer, call.inputs[0])
    if "axis" not in call.attributes:
        every = writer.reshape(every, [-1])
    picked = writer.node("Gather", every, first, axis=int(call.get("axis", 0)))
    return [scatter_back(writer, call, only(cotangents), picked, repeated=False)]


def _max_unpool(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Each element's cotangent is where its index points to."""
    if call.has(2):
        raise call.refusal("has an output_shape, for which there is no rule; crop or pad behind it instead")
    flat = writer.reshape(only(cotangents), [-1])
    return [writer.node("Gather", flat, call.inputs[1], axis=0), None]


def _one_hot(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The values off and on get the sums over the places that have them."""
    indices, depth, _ = call.inputs
    cotangent = only(cotangents)
    ends = writer.constant(np.array([0, 1], writer.dtype))
    hot = writer.node("OneHot", indices, depth, ends, axis=int(call.get("axis", -1)))
    on = writer.node("Mul", cotangent, hot)
    axes = list(range(call.rank(0) + 1))
    sums = [writer.reduce("ReduceSum", part, axes, keepdims=False) for part in (writer.node("Sub", cotangent, on), on)]
    return [None, None, writer.node("Concat", *(writer.reshape(total, [1]) for total in sums), axis=0)]


def _depth_to_space(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """SpaceToDepth, whose channels are ordered as in mode DCR."""
    size = int(call.get("blocksize", 1))
    back = writer.node("SpaceToDepth", only(cotangents), blocksize=size)
    if call.get("mode", "DCR") == "CRD":
        channels = call.shape(0)[1]
        if not isinstance(channels, int):
            raise call.refusal("has an unknown number of channels; export it with a fixed one")
        order = np.arange(channels).reshape(size * size, -1).T.reshape(-1)
        back = writer.node("Gather", back, writer.constant(order), axis=1)
    return [back]


def _space_to_depth(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return [writer.node("DepthToSpace", only(cotangents), **call.attributes)]


def _column_to_image(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Every entry of a block gets the cotangent of the pixel that it was added to; entries in pads get zero."""
    image = [int(size) for size in call.constant(1, "its image shape")]
    block = [int(size) for size in call.constant(2, "its block shape")]
    axes = len(image)
    pads = list(call.get("pads", [0] * 2 * axes))
    strides, dilations = (list(call.get(name, [1] * axes)) for name in ("strides", "dilations"))
    padded = [size + pads[axis] + pads[axes + axis] for axis, size in enumerate(image)]
    numbers = np.arange(np.prod(image), dtype=np.int64).reshape(image)
    outside = int(np.prod(image))
    sides = list(zip(pads[:axes], pads[axes:], strict=True))
    numbers = np.pad(numbers, sides, constant_values=outside)
    entries, starts = [], []
    for axis in range(axes):
        reach = (block[axis] - 1) * dilations[axis] + 1
        entries.append(np.arange(block[axis]) * dilations[axis])
        starts.append(np.arange(0, padded[axis] - reach + 1, strides[axis]))
    places = np.ix_(*entries, *starts)
    index = tuple(places[axis] + places[axes + axis] for axis in range(axes))
    table = numbers[index].reshape(-1)  # (entries of a block * blocks,)
    flat = writer.reshape(only(cotangents), [0, 0, outside])
    flat = writer.pad(flat, [0, 0, 0, 0, 0, 1])
    return [as_input(writer, call, writer.node("Gather", flat, writer.constant(table), axis=2)), None, None]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("ReverseSequence", "Trilu"), _same_again),
    **dict.fromkeys(("Scatter", "ScatterElements"), _scatter("GatherElements")),
    "Col2Im": _column_to_image,
    "Compress": _picked(repeated=False),
    "DepthToSpace": _depth_to_space,
    "GatherND": _picked(repeated=True),
    "MaxUnpool": _max_unpool,
    "OneHot": _one_hot,
    "ScatterND": _scatter("GatherND"),
    "SpaceToDepth": _space_to_depth,
    "TopK": _top_k,
    "Unique": _unique,
}
