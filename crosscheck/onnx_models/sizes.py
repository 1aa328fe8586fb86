"""Sizes of an input that a model leaves open: which are tried, and whether a model takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import onnx

from crosscheck.errors import NetworkError
from crosscheck.onnx_models.facts import Facts, Shape

__all__ = ["LARGEST", "candidates", "fits", "misfit"]

Weights = Mapping[int, list[int]]
Check = Callable[[onnx.NodeProto, Mapping[str, int], Shape, Weights], str | None]

#: The axes that the weights of a layer have at least.
LEAST_AXES = {"Conv": 3, "Gemm": 2}
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
        if len(weight) < LEAST_AXES.get(node.op_type, 1):
            continue
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
    return misfit(model, facts) is None


def misfit(model: onnx.ModelProto, facts: Facts) -> str | None:
    """The first layer whose stored weights are for another input than it has, and why; None if there is none."""
    dims = {item.name: list(item.dims) for item in model.graph.initializer}
    for index, node in enumerate(model.graph.node):
        data = facts.shape(node.input[0]) if node.input else None
        weights = {place: dims[name] for place, name in enumerate(node.input) if place and name in dims}
        check = WEIGHTS.get(node.op_type)
        if data and weights and check is not None:
            attributes = {item.name: item.i for item in node.attribute}
            if reason := check(node, attributes, data, weights):
                return f"node {(node.name or index)!r} ({node.op_type}) {reason}"
    return None


def _conv(node: onnx.NodeProto, attributes: Mapping[str, int], data: Shape, weights: Weights) -> str | None:
    weight, group = weights.get(1), attributes.get("group", 1) or 1
    if weight is None:
        return None
    if reason := _grouped(data, weights, weight, group, transposed=False):
        return reason
    if _too_small(node, data[2:], weight[2:]):
        return "has a window that is larger than its padded input"
    return _channels(data[1], weight[1] * group)


def _conv_transpose(node: onnx.NodeProto, attributes: Mapping[str, int], data: Shape, weights: Weights) -> str | None:
    weight, group = weights.get(1), attributes.get("group", 1) or 1
    if weight is None:
        return None
    return _grouped(data, weights, weight, group, transposed=True) or _channels(data[1], weight[0])


def _grouped(data: Shape, weights: Weights, weight: Sequence[int], group: int, transposed: bool) -> str | None:
    """Axes, groups and bias of a convolution."""
    if len(weight) != len(data) or len(weight) < 3:
        return f"has weights of {len(weight)} axes for an input of {len(data)}"
    if weight[0] % group:
        return f"has {weight[0]} channels of {'input' if transposed else 'output'} in {group} groups"
    channels = weight[1] * group if transposed else weight[0]
    if weights.get(2, [channels]) != [channels]:
        return f"has a bias of {weights[2]} for {channels} channels of output"
    return None


def _gemm(node: onnx.NodeProto, attributes: Mapping[str, int], data: Shape, weights: Weights) -> str | None:
    weight = weights.get(1)
    if weight is None or attributes.get("transA"):
        return None
    if len(weight) != 2:
        return f"has weights of {len(weight)} axes"
    return _channels(data[-1], weight[1 if attributes.get("transB") else 0])


def _per_channel(node: onnx.NodeProto, attributes: Mapping[str, int], data: Shape, weights: Weights) -> str | None:
    if len(data) == 1:
        return None
    if wrong := [weight for weight in weights.values() if len(weight) != 1]:
        return f"has parameters of the shape {wrong[0]} where each channel has one"
    return next(filter(None, (_channels(data[1], weight[0]) for weight in weights.values())), None)


def _layer_norm(node: onnx.NodeProto, attributes: Mapping[str, int], data: Shape, weights: Weights) -> str | None:
    normalized = data[attributes.get("axis", -1) :]
    for weight in weights.values():
        pairs = zip(reversed(weight), reversed(normalized), strict=False)
        if len(weight) > len(normalized) or any(size != 1 and _differ(other, size) for size, other in pairs):
            return f"has parameters of the shape {weight} for {list(normalized)}"
    return None


def _channels(size: int | str | None, needed: int) -> str | None:
    return f"has weights for {needed} channels and an input of {size}" if _differ(size, needed) else None


#: Operator -> what is wrong with its stored weights, by place, for an input of that shape.
WEIGHTS: Mapping[str, Check] = {
    "BatchNormalization": _per_channel,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "InstanceNormalization": _per_channel,
    "LayerNormalization": _layer_norm,
}


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
