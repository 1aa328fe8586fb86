"""Operators that select, repeat or pad elements: the cotangent returns to each element's source."""

from __future__ import annotations

import numpy as np

from crosscheck.cells import Array
from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, as_input, only
from crosscheck.gradients.writer import SLICE_BY_INPUT, Writer
from crosscheck.onnx_models.facts import Shape

__all__ = ["RULES", "element_numbers", "put_back", "scatter_back"]

#: The first opsets with operators that scatter elements to dynamic indices.
RANGE, SCATTER_ADD = 11, 16
#: The first opset whose Pad takes its axes as an input.
PAD_SOME_AXES = 18
#: The end of every axis.
END = 2**31 - 1
#: Most entries of an axis whose copies are looked up in a table: 8 bytes each in the gradient, and several times that
#: while it is made.
LONGEST = 2**20


def _slice(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    cotangent, rest = only(cotangents), [None] * (len(call.inputs) - 1)
    cuts = _cuts(writer, call)
    shape = call.shape(0)
    if cuts is None or not all(isinstance(shape[axis], int) for axis in cuts):
        return [put_back(writer, call, cotangent), *rest]
    sizes = {axis: size for axis in cuts if isinstance(size := shape[axis], int)}
    sources = {axis: np.arange(size)[cuts[axis]] for axis, size in sizes.items()}
    if not all(map(len, sources.values())):
        return [writer.zeros_like(call.inputs[0]), *rest]
    for axis, size in sizes.items():
        cotangent = _returned(writer, cotangent, len(shape), axis, sources[axis], size)
    return [cotangent, *rest]


def _cuts(writer: Writer, call: Call) -> dict[int, slice] | None:
    """Axis -> slice, with Python's semantics; None for a computed slice."""
    rank = call.rank(0)
    if writer.opset < SLICE_BY_INPUT:
        starts, ends = call.get("starts", []), call.get("ends", [])
        axes, steps = call.get("axes", list(range(len(starts)))), [1] * len(starts)
    else:
        inputs = {index: call.facts.value(call.inputs[index]) for index in range(1, 5) if call.has(index)}
        values = {index: value.tolist() for index, value in inputs.items() if value is not None}
        if len(values) < len(inputs):
            return None
        starts, ends = values[1], values[2]
        axes, steps = values.get(3, list(range(len(starts)))), values.get(4, [1] * len(starts))
    return {
        int(axis) % rank: slice(start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }


def _gather(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Elements selected several times get the sum."""
    cotangent, shape = only(cotangents), call.shape(0)
    axis = int(call.get("axis", 0)) % len(shape)
    size, indices = shape[axis], call.facts.value(call.inputs[1])
    if indices is None or not isinstance(size, int):
        return [put_back(writer, call, cotangent, repeated=True), None]
    _bounded(call, axis, max(size, indices.size))
    if indices.ndim == 0:
        cotangent = writer.unsqueeze(cotangent, [axis])
    elif indices.ndim > 1:
        cotangent = writer.reshape(cotangent, _joined(call, shape, axis, indices))
    return [_returned(writer, cotangent, len(shape), axis, indices.reshape(-1) % size, size), None]


def _joined(call: Call, shape: Shape, axis: int, indices: Array) -> list[int]:
    """The output's shape with the axes of the indices merged into one."""
    after = [size if isinstance(size, int) else -1 for size in shape[axis + 1 :]]
    if after.count(-1) > 1:
        raise call.refusal(f"has several unknown sizes after axis {axis}; export it with fixed ones")
    return [*[0] * axis, indices.size, *after]


def _gather_elements(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return [put_back(writer, call, only(cotangents), repeated=True), None]


def _pad(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """A constant border is dropped; copies (reflect, edge, wrap) are added to their sources."""
    call.only_first("its pad value")
    cotangent, rank = only(cotangents), call.rank(0)
    mode, pads = str(call.get("mode", "constant")), _pads(writer, call)
    if mode == "constant":
        cotangent = _cropped(writer, cotangent, rank, pads)
    else:
        for axis, (before, after) in pads.items():
            size = call.sizes(0, axis)[0] if isinstance(call.shape(0)[axis], int) else None
            if size is None:
                raise call.refusal(f"has mode {mode!r} on axis {axis}, of unknown size; export it with a fixed one")
            _bounded(call, axis, size + max(0, before) + max(0, after))
            kept = np.arange(size)[max(0, -before) : size - max(0, -after)]
            sources = np.pad(kept, (max(0, before), max(0, after)), mode=mode)  # type: ignore[call-overload]
            cotangent = _returned(writer, cotangent, rank, axis, sources, size)
    return [cotangent, *[None] * (len(call.inputs) - 1)]


def _bounded(call: Call, axis: int, entries: int) -> None:
    """Refuse an axis so long that the table of its copies would not fit into memory."""
    if entries > LONGEST:
        raise call.refusal(f"copies along axis {axis}, of {entries} entries; up to {LONGEST} have a rule")


def _pads(writer: Writer, call: Call) -> dict[int, tuple[int, int]]:
    """Axis -> entries added before and after it; unpadded axes are omitted."""
    pads = [int(pad) for pad in (call.constant(1, "pads") if call.has(1) else call.get("pads", []))]
    axes = list(range(call.rank(0)))
    if writer.opset >= PAD_SOME_AXES and call.has(3):
        axes = [int(axis) % len(axes) for axis in call.constant(3, "axes")]
    pairs = zip(axes, zip(pads[: len(axes)], pads[len(axes) :], strict=True), strict=True)
    return {axis: pair for axis, pair in pairs if pair != (0, 0)}


def _cropped(writer: Writer, cotangent: str, rank: int, pads: dict[int, tuple[int, int]]) -> str:
    """Remove added entries; insert zeros for entries that a negative pad removed."""
    added = {axis: (max(0, before), max(0, after)) for axis, (before, after) in pads.items()}
    if any(pair != (0, 0) for pair in added.values()):
        ends = [-after if after else END for _, after in added.values()]
        cotangent = writer.slice(cotangent, [before for before, _ in added.values()], ends, list(added))
    lost = {axis: (max(0, -before), max(0, -after)) for axis, (before, after) in pads.items()}
    return _bordered(writer, cotangent, rank, lost)


def _bordered(writer: Writer, cotangent: str, rank: int, zeros: dict[int, tuple[int, int]]) -> str:
    """Pad with zeros; axis -> entries before and after it."""
    if all(pair == (0, 0) for pair in zeros.values()):
        return cotangent
    sides = [[zeros.get(axis, (0, 0))[side] for axis in range(rank)] for side in range(2)]
    return writer.pad(cotangent, sides[0] + sides[1])


def _returned(writer: Writer, cotangent: str, rank: int, axis: int, sources: Array, size: int) -> str:
    """Undo an operator whose output has, along `axis`, the input's elements at `sources`: (n,) numbers from 0 to size.

    cotangent: n > 0 along `axis`. Returns a tensor with `size` along it: each element's sum over its copies.
    """
    if np.array_equal(sources, np.arange(sources[0], sources[0] + len(sources))):
        return _bordered(writer, cotangent, rank, {axis: (int(sources[0]), size - int(sources[-1]) - 1)})
    # Every element gathers its copies; elements with fewer copies gather zeros from an entry past the end.
    table = _copies(sources, size)
    if np.any(table == len(sources)):
        cotangent = _bordered(writer, cotangent, rank, {axis: (0, 1)})
    if table.shape[1] == 1:
        return writer.node("Gather", cotangent, writer.constant(table[:, 0]), axis=axis)
    gathered = writer.node("Gather", cotangent, writer.constant(table), axis=axis)
    return writer.reduce("ReduceSum", gathered, [axis + 1], keepdims=False)


def _copies(sources: Array, size: int) -> Array:
    """The positions in `sources` of each number from 0 to `size`: (size, most copies), filled up with len(sources)."""
    order = np.argsort(sources, kind="stable")
    counts = np.bincount(sources, minlength=size)
    table = np.full((size, counts.max()), len(sources), np.int64)
    nth = np.arange(len(sources)) - (np.cumsum(counts) - counts)[sources[order]]
    table[sources[order], nth] = order
    return table


def put_back(writer: Writer, call: Call, cotangent: str, repeated: bool = False) -> str:
    """Undo an operator that selects elements by dynamic indices.

    The operator is applied to the elements' indices, to which the cotangent is then scattered. With `repeated` an
    element may be selected several times.
    """
    first = SCATTER_ADD if repeated else RANGE
    if writer.opset < first:
        raise call.refusal(
            f"selects by computed indices along an axis of unknown size; make them fixed, or export it in opset {first}"
        )
    every = element_numbers(writer, call.inputs[0])
    attributes = dict(call.attributes)
    picked = writer.node(call.node.op_type, every, *call.inputs[1:], **attributes)
    return scatter_back(writer, call, cotangent, picked, repeated)


def element_numbers(writer: Writer, x: str) -> str:
    """The position of every element of x in C order, in x's shape."""
    every = writer.node("Range", writer.integers(0), writer.node("Size", x), writer.integers(1))
    return writer.reshape_like(every, x)


def scatter_back(writer: Writer, call: Call, cotangent: str, picked: str, repeated: bool) -> str:
    """Add every entry of the cotangent to the element of the first input whose number `picked` has there."""
    zeros = writer.zeros_like(writer.reshape(call.inputs[0], [-1]))
    how = {"reduction": "add"} if repeated else {}
    flat = writer.node(
        "ScatterElements", zeros, writer.reshape(picked, [-1]), writer.reshape(cotangent, [-1]), axis=0, **how
    )
    return as_input(writer, call, flat)


RULES: dict[str, Rule] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Pad": _pad,
    "Slice": _slice,
}
