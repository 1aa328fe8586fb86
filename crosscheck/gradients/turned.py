"""Gives a square weight that is used both as it is and transposed a constant for each of the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from crosscheck.gradients.writer import Writer

__all__ = ["turn_apart"]


#: The operators that may read an input with its axes in another order.
TRANSPOSING = {"Gemm", "Transpose"}


@dataclass(frozen=True)
class _Use:
    """Where a node takes a weight. axes: the order that the node reads the weight's axes in; None for their own."""

    node: int
    input: int
    axes: tuple[int, ...] | None


def turn_apart(writer: Writer, initialisers: Mapping[str, onnx.TensorProto]) -> list[onnx.NodeProto]:
    """The writer's nodes, with no initialiser of the same shape both ways used in both ways.

    OpenVINO 2025.4 to 2026.4 transposes both uses of a square weight where a graph has x W^T and z W. A constant of
    its own for the transposed one avoids that, and computes the same in every runtime.
    """
    stored = {**initialisers, **{item.name: item for item in writer.initialisers}}
    transposing = [(index, node) for index, node in enumerate(writer.nodes) if node.op_type in TRANSPOSING]
    uses: dict[str, list[_Use]] = {
        name: [] for index, node in transposing for name, use in _uses(node, index) if use.axes and name in stored
    }
    if not uses:
        return writer.nodes
    for index, node in enumerate(writer.nodes):
        for name, use in _uses(node, index):
            if name in uses:
                uses[name].append(use)
    nodes = list(writer.nodes)
    for name, places in uses.items():
        shape = tuple(stored[name].dims)
        turned = [use for use in places if use.axes is not None and tuple(shape[axis] for axis in use.axes) == shape]
        if not turned or len(turned) == len(places):
            continue
        weight = onnx.numpy_helper.to_array(stored[name])
        for use in turned:
            assert use.axes is not None
            constant = writer.constant(np.ascontiguousarray(np.transpose(weight, use.axes)))
            nodes[use.node] = _plain(nodes[use.node], use, constant)
    return nodes


def _uses(node: onnx.NodeProto, index: int) -> Iterator[tuple[str, _Use]]:
    """The weights that a node takes, and how."""
    attributes = {item.name: item for item in node.attribute}
    for place, name in enumerate(node.input):
        axes = None
        if node.op_type == "Gemm" and place < 2 and _flag(attributes, place):
            axes = (1, 0)
        elif node.op_type == "Transpose" and "perm" in attributes:
            axes = tuple(attributes["perm"].ints)
        elif node.op_type == "Transpose":
            axes = (1, 0)
        yield name, _Use(index, place, axes)


def _flag(attributes: Mapping[str, onnx.AttributeProto], place: int) -> bool:
    name = ("transA", "transB")[place]
    return name in attributes and bool(attributes[name].i)


def _plain(node: onnx.NodeProto, use: _Use, constant: str) -> onnx.NodeProto:
    """The same node with an input that is transposed already."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[use.input] = constant
    if node.op_type == "Transpose":
        copy.op_type = "Identity"
        del copy.attribute[:]
    else:
        kept = [item for item in node.attribute if item.name != ("transA", "transB")[use.input]]
        del copy.attribute[:]
        copy.attribute.extend(kept)
    return copy
