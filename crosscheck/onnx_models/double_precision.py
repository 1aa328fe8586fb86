"""An ONNX model computed in float64: the same numbers, without float32's rounding of what lies between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["float_types", "in_float64"]

DOUBLE = onnx.TensorProto.DOUBLE
#: What is widened.
NARROW = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
#: Attributes that name an element type.
TYPES = ("to", "dtype", "output_datatype")
#: Operators that make float32 unless an attribute says otherwise: the attribute, and a value for float64.
FLOAT_BY_DEFAULT: Mapping[str, tuple[str, Any]] = {
    "ConstantOfShape": ("value", numpy_helper.from_array(np.zeros(1, np.float64))),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix"), ("output_datatype", DOUBLE)),
    **dict.fromkeys(("RandomNormal", "RandomUniform"), ("dtype", DOUBLE)),
}


def in_float64(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with every narrower float as float64: inputs, outputs, weights, constants, and the targets of Cast.

    Attributes that are numbers (epsilon) keep their float32 value. Subgraphs and local functions are included.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _widen(copy.graph)
    for function in copy.functions:
        for node in function.node:
            _widen_node(node)
    return copy


def float_types(model: onnx.ModelProto) -> frozenset[int]:
    """The element types of floats, as ONNX numbers them, in inputs, outputs, weights, constants and targets of Cast."""
    return frozenset(_floats(model.graph) | {kind for item in model.functions for kind in _floats_of(item.node)})


def _floats(graph: onnx.GraphProto) -> set[int]:
    declared = {item.type.tensor_type.elem_type for item in (*graph.input, *graph.output, *graph.value_info)}
    declared |= {tensor.data_type for tensor in graph.initializer}
    return {kind for kind in declared if kind in (*NARROW, DOUBLE)} | _floats_of(graph.node)


def _floats_of(nodes: Iterable[onnx.NodeProto]) -> set[int]:
    kinds: set[int] = set()
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.name in TYPES:
            kinds.add(attribute.i)
        if attribute.HasField("t"):
            kinds.add(attribute.t.data_type)
        for graph in _graphs(attribute):
            kinds |= _floats(graph)
    return {kind for kind in kinds if kind in (*NARROW, DOUBLE)}


def _widen(graph: onnx.GraphProto) -> None:
    for item in (*graph.input, *graph.output, *graph.value_info):
        if item.type.tensor_type.elem_type in NARROW:
            item.type.tensor_type.elem_type = DOUBLE
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for node in graph.node:
        _widen_node(node)


def _widen_node(node: onnx.NodeProto) -> None:
    if node.op_type in FLOAT_BY_DEFAULT:
        name, value = FLOAT_BY_DEFAULT[node.op_type]
        if all(attribute.name != name for attribute in node.attribute):
            node.attribute.append(onnx.helper.make_attribute(name, value))
    for attribute in node.attribute:
        if attribute.name in TYPES and attribute.i in NARROW:
            attribute.i = DOUBLE
        if attribute.HasField("t"):
            _widen_tensor(attribute.t)
        for graph in _graphs(attribute):
            _widen(graph)
    if node.op_type == "Constant" and node.attribute and node.attribute[0].name in ("value_float", "value_floats"):
        (number,) = node.attribute
        values = number.f if number.name == "value_float" else list(number.floats)
        tensor = numpy_helper.from_array(np.asarray(values, np.float64))
        number.CopyFrom(onnx.helper.make_attribute("value", tensor))


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in NARROW:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def _graphs(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs
