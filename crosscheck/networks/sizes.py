"""Sizes of an input that a model leaves open: which are tried, and whether a model takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx

from crosscheck.errors import NetworkError
from crosscheck.networks.facts import Facts

__all__ = ["LARGEST", "candidates", "fits"]

#: The sizes of an open axis that are tried first, as most networks of pictures take one of them; then all from 1 to
#: `LARGEST`.
USUAL = (224, 256, 192, 128, 96, 64, 48, 32)
LARGEST = 512


def candidates(model: onnx.ModelProto, x: str, shape: Sequence[int | None]) -> Iterator[list[int]]:
    """Complete shapes: channels as the first layer has them, all other open axes of one size."""
    first = _first_layer(model, x)
    known = [first.get(axis - len(shape), first.get(axis)) if size is None else size for axis, size in enumerate(shape)]
    usual = USUAL if any(size is None for size in known[1:]) else ()
    for number in (*usual, *range(1, LARGEST + 1)):
        yield [number if size is None else size for size in known]


def _first_layer(model: onnx.ModelProto, x: str) -> dict[int, int]:
    """Axis -> size, where a layer that reads the input has weights of a fixed size."""
    dims = {item.name: list(item.dims) for item in model.graph.initializer}
    found: dict[int, int] = {}
    for node in model.graph.node:
        weight = dims.get(node.input[1], []) if len(node.input) > 1 and node.input[0] == x else []
        attributes = {item.name: item.i for item in node.attribute}
        if node.op_type == "Conv" and weight:
            found[1] = weight[1] * attributes.get("group", 1)
        elif node.op_type == "Gemm" and weight:
            found[1] = weight[1 if attributes.get("transB") else 0]
        elif node.op_type == "BatchNormalization" and weight:
            found[1] = weight[0]
        elif node.op_type == "MatMul" and len(weight) > 1:
            found[-1] = weight[-2]
    return found


def fits(model: onnx.ModelProto) -> bool:
    """Whether all sizes agree and are positive. Shape inference does not compare them with those of weights."""
    try:
        facts = Facts(model, "")
    except NetworkError:
        return False
    known = {name: facts.shape(name) or () for name in facts.names()}
    empty = [name for name, shape in known.items() if any(isinstance(size, int) and size < 1 for size in shape)]
    if any(facts.value(name) is None for name in empty):  # an optional input may be an empty constant
        return False
    dims = {item.name: list(item.dims) for item in model.graph.initializer}
    for node in model.graph.node:
        data = known.get(node.input[0]) if node.input else None
        weight = dims.get(node.input[1]) if len(node.input) > 1 else None
        if not data or not weight:
            continue
        attributes = {item.name: item.i for item in node.attribute}
        if node.op_type == "Conv" and _differ(data[1], weight[1] * (attributes.get("group") or 1)):
            return False
        if node.op_type == "Conv" and _too_small(node, data[2:], weight[2:]):
            return False
        features = weight[1 if attributes.get("transB") else 0]
        if node.op_type == "Gemm" and not attributes.get("transA") and _differ(data[-1], features):
            return False
        if node.op_type == "BatchNormalization" and len(data) > 1 and _differ(data[1], weight[0]):
            return False
    return True


def _too_small(node: onnx.NodeProto, sizes: Sequence[int | str | None], kernel: Sequence[int]) -> bool:
    """Whether no window of a convolution fits into its padded input; shape inference rounds to one window."""
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return False
    axes = len(kernel)
    pads, dilations = attributes.get("pads", [0] * 2 * axes), attributes.get("dilations", [1] * axes)
    return any(
        isinstance(size, int) and size + pads[axis] + pads[axes + axis] < (width - 1) * dilations[axis] + 1
        for axis, (size, width) in enumerate(zip(sizes, kernel, strict=True))
    )


def _differ(size: int | str | None, needed: int) -> bool:
    return isinstance(size, int) and size != needed
