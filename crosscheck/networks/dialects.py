"""ONNX forms of older exporters: the same network with attributes and lists that some readers reject.

A dialect's name is that of a form followed by its differences, in this order:

    opset-6...    BatchNormalization has `is_test`, Gemm has `broadcast`
    -no-defaults  without attributes equal to the operator's default
    -spatial      BatchNormalization has `spatial = 1`, the default of opset 6 to 8
    -per-entry    BatchNormalization has `spatial = 0`: parameters and statistics per entry of a row, here equal within
                  a channel, so that predictions stay the same
    -listed       initialisers are also graph inputs, as required until IR version 3
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from crosscheck.cells import Array
from crosscheck.networks.forms import FORMS, build_model, no_form
from crosscheck.networks.graph import Graph

__all__ = ["DIALECTS", "Dialect", "build_dialect", "unwritable"]

#: Changes a model in place.
Rewrite = Callable[[onnx.ModelProto], None]

#: Operators that a dialect of opset 6 converts.
OPSET_6 = frozenset(
    {
        *("Add", "AveragePool", "BatchNormalization", "Concat", "Conv", "Flatten", "Gemm", "GlobalAveragePool"),
        *("MaxPool", "Relu", "Softmax"),
    }
)
#: Further outputs of BatchNormalization in training form until opset 13.
SAVED = ("saved_mean", "saved_variance")


class Dialect:
    """The name of a form in `crosscheck.networks.forms`, and the rewrites applied to it, in order."""

    def __init__(self, form: str, *rewrites: Rewrite) -> None:
        self.form = form
        self.rewrites = rewrites


def build_dialect(graph: Graph, weights: Mapping[str, Array], dialect: Dialect) -> onnx.ModelProto:
    """A plain graph as a checked ONNX model in one dialect. Raises onnx.checker.ValidationError."""
    model = build_model(graph, weights, FORMS[dialect.form])
    for rewrite in dialect.rewrites:
        rewrite(model)
    onnx.checker.check_model(model)
    return model


def unwritable(graph: Graph, form: str) -> str | None:
    """Why a plain graph has no form or dialect of that name; None if it has."""
    dialect = DIALECTS.get(form)
    if dialect is not None and opset_6 in dialect.rewrites:
        lacks = sorted({node["op"] for node in graph["nodes"]} - OPSET_6)
        return f"crosscheck converts no {' and no '.join(lacks)} to opset 6" if lacks else None
    name = form if dialect is None else dialect.form
    return no_form(graph, FORMS[name].opset)


def opset_6(model: onnx.ModelProto) -> None:
    """Convert from opset 7 or, in training form, 14."""
    model.opset_import[0].version, model.ir_version = 6, 3
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        attributes = {item.name: item for item in node.attribute}
        if node.op_type == "AveragePool":
            if attributes["count_include_pad"].i:  # opset 6 lacks the attribute
                model.graph.node.append(_pad(node, list(attributes["pads"].ints)))
                node.attribute.remove(attributes["pads"])
            node.attribute.remove(attributes["count_include_pad"])
        if node.op_type == "BatchNormalization":
            training = "training_mode" in attributes
            if training:
                node.attribute.remove(attributes["training_mode"])
                node.output.extend(f"{node.name}.{name}" for name in SAVED)
            node.attribute.append(helper.make_attribute("is_test", int(not training)))
        if node.op_type == "Gemm":
            node.attribute.append(helper.make_attribute("broadcast", 1))
        model.graph.node.append(node)


def _pad(pool: onnx.NodeProto, pads: list[int]) -> onnx.NodeProto:
    """Move the pool's pads to a Pad node before it; returns that node."""
    half, padded = len(pads) // 2, f"{pool.name}.padded"
    node = helper.make_node(
        "Pad", [pool.input[0]], [padded], name=padded, pads=[0, 0, *pads[:half], 0, 0, *pads[half:]]
    )
    pool.input[0] = padded
    return node


def listed(model: onnx.ModelProto) -> None:
    """Add all initialisers to the graph inputs."""
    here = {item.name for item in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in here:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))


def no_defaults(model: onnx.ModelProto) -> None:
    """Remove default attributes of BatchNormalization, whose defaults differ among runtimes."""
    opset = model.opset_import[0].version
    for node in _batch_norms(model):
        schema_attributes = onnx.defs.get_schema(node.op_type, opset).attributes
        for item in list(node.attribute):
            default = helper.get_attribute_value(schema_attributes[item.name].default_value)
            if np.float32(helper.get_attribute_value(item)) == np.float32(default):
                node.attribute.remove(item)


def spatial(model: onnx.ModelProto) -> None:
    """Write the default of opset 6 to 8."""
    for node in _batch_norms(model):
        node.attribute.append(helper.make_attribute("spatial", 1))


def per_entry(model: onnx.ModelProto) -> None:
    """Expand parameters and statistics from (channels,) to (channels, *spatial)."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        item.name: [size.dim_value for size in item.type.tensor_type.shape.dim][1:]
        for item in itertools.chain(inferred.value_info, inferred.input)
    }
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    inputs = {item.name: item for item in model.graph.input}
    for node in _batch_norms(model):
        node.attribute.append(helper.make_attribute("spatial", 0))
        shape = shapes[node.input[0]]
        for name in node.input[1:]:
            value = numpy_helper.to_array(tensors[name])
            spread = np.broadcast_to(value.reshape(-1, *[1] * (len(shape) - 1)), shape)
            tensors[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(spread), name))
            inputs[name].CopyFrom(helper.make_tensor_value_info(name, tensors[name].data_type, shape))


def _batch_norms(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == "BatchNormalization"]


#: Every dialect, by name.
DIALECTS: dict[str, Dialect] = {
    "opset-6": Dialect("opset-7", opset_6),
    "opset-6-training-unread": Dialect("opset-14-training-unread", opset_6, listed),
    "opset-6-no-defaults": Dialect("opset-7", opset_6, no_defaults),
    "opset-6-spatial": Dialect("opset-7", opset_6, spatial),
    "opset-7-no-defaults": Dialect("opset-7", no_defaults),
    "opset-7-spatial": Dialect("opset-7", spatial),
    "opset-7-per-entry": Dialect("opset-7", per_entry),
    "opset-8-per-entry": Dialect("opset-8", per_entry),
    **{
        f"{form}-listed": Dialect(form, listed)
        for opset in range(9, 16)
        for form in (f"opset-{opset}", f"opset-{opset}-training", f"opset-{opset}-training-unread")
        if form in FORMS
    },
    **{f"opset-{opset}-no-defaults-listed": Dialect(f"opset-{opset}", no_defaults, listed) for opset in (9, 15)},
}
