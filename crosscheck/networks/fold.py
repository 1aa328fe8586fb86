"""Folds constants of an ONNX model and removes nodes beside the path to its output, with onnx alone.

Shapes come from onnx's shape inference with data propagation, values from onnx's reference evaluator, node by node.
The alternatives were left out for these reasons: onnxruntime is a runtime under test, and its basic level fuses batch
normalizations into convolutions, as onnxslim and onnxsim do by default; onnxoptimizer folds no constants. Folding node
by node keeps all others, with their names, and leaves a node that the evaluator cannot compute as it is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from crosscheck.networks.differentiate.facts import without_weights
from crosscheck.networks.graph import Array

__all__ = ["folded", "inferred_shapes", "pruned"]

#: Operators that differ from call to call, and one that the evaluator gets wrong from opset 9 to 13.
NEVER_FOLDED = frozenset(
    {
        "BatchNormalization",
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
#: A constant with more elements is not stored if its node has smaller inputs (ConstantOfShape, Expand, Tile): 512 MB in
#: float32, more than the largest dense layer of a common classifier.
LARGEST = 2**27


def pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove, in place, nodes that the first output does not need, with their weights and inputs; and other outputs."""
    graph = model.graph
    del graph.output[1:]
    needed = {graph.output[0].name}
    nodes = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed.update(_reads(node))
            nodes.append(node)
    if len(nodes) < len(graph.node):
        _keep(graph, nodes[::-1])
    for items in (graph.initializer, graph.input, graph.sparse_initializer):
        for item in [item for item in items if _name(item) not in needed]:
            items.remove(item)
    made = {name for node in graph.node for name in node.output}
    for item in [item for item in graph.value_info if item.name not in made]:
        graph.value_info.remove(item)
    return model


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace, in place, nodes whose inputs are all constants by initialisers; also Shape and Size of known shapes."""
    opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
    while True:
        constants = {item.name: item for item in model.graph.initializer}
        shapes = inferred_shapes(model)
        news: list[onnx.NodeProto] = []
        for node in model.graph.node:
            values = _values(node, constants, shapes, opset)
            if values is not None:
                news.append(node)
                for name, value in zip(node.output, values, strict=True):
                    constants[name] = numpy_helper.from_array(value, name)
        if not news:
            return pruned(model)
        # Until IR 3 initialisers must also be inputs; later versions have the same operators without that rule.
        model.ir_version = max(model.ir_version, 4)
        model.graph.initializer.extend(constants[name] for node in news for name in node.output if name)
        gone = {name for node in news for name in node.output if name}
        _keep(model.graph, [node for node in model.graph.node if not gone & set(node.output)])


def _keep(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    kept = onnx.GraphProto(node=nodes)
    del graph.node[:]
    graph.node.extend(kept.node)


def inferred_shapes(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    """The sizes of every tensor with a known rank, None for an unknown size; empty if sizes disagree."""
    bare = without_weights(model)
    try:
        graph = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError):
        return {}
    return {
        item.name: [size.dim_value if size.HasField("dim_value") else None for size in item.type.tensor_type.shape.dim]
        for item in (*graph.input, *graph.value_info, *graph.output)
        if item.type.tensor_type.HasField("shape")
    }


def _values(
    node: onnx.NodeProto,
    constants: dict[str, onnx.TensorProto],
    shapes: dict[str, list[int | None]],
    opset: int,
) -> list[Array] | None:
    """The outputs of a node, in order; None if they are not constant, or not known."""
    if node.domain not in ("", "ai.onnx") or node.op_type in NEVER_FOLDED or any(_inner(node)):
        return None
    if node.op_type in ("Shape", "Size") and None not in (sizes := shapes.get(node.input[0], [None])):
        feeds = {node.input[0]: np.broadcast_to(np.float32(0), [size for size in sizes if size is not None])}
    elif all(name in constants for name in node.input if name):
        largest = max((math.prod(constants[name].dims) for name in node.input if name), default=0)
        elements = [math.prod(size or 0 for size in shapes.get(name, [])) for name in node.output]
        if node.op_type != "Constant" and max(elements, default=0) > max(largest, LARGEST):
            return None
        feeds = {name: numpy_helper.to_array(constants[name]) for name in node.input if name}
    else:
        return None
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    single = helper.make_model(
        helper.make_graph([node], "constant", inputs, outputs), opset_imports=[helper.make_opsetid("", opset)]
    )
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = iter(ReferenceEvaluator(single).run(None, feeds))
            return [np.asarray(next(found) if name else ()) for name in node.output]
    except Exception:  # the evaluator raises any exception for operators and types that it lacks
        return None


def _inner(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node, or a subgraph of it, reads."""
    yield from node.input
    for graph in _inner(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from _reads(inner)


def _name(item: onnx.TensorProto | onnx.ValueInfoProto | onnx.SparseTensorProto) -> str:
    return str(item.values.name if isinstance(item, onnx.SparseTensorProto) else item.name)
