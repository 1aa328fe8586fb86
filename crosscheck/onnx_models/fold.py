"""Folds constants of an ONNX model and removes nodes beside the path to its output, with onnx alone.

Shapes come from onnx's shape inference with data propagation, values from onnx's reference evaluator, node by node.
The alternatives were left out for these reasons: onnxruntime is a runtime under test, and its basic level fuses batch
normalizations into convolutions, as onnxslim and onnxsim do by default; onnxoptimizer folds no constants. Folding node
by node keeps all others, with their names, and leaves a node that the evaluator cannot compute as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, MutableSequence, Sequence
from typing import Any

import onnx
from onnx import numpy_helper

from crosscheck.onnx_models.facts import Facts

__all__ = ["folded", "pruned", "reads"]

#: A constant with more elements stays computed (ConstantOfShape, Expand, Tile): 16 MB in float32, or a few times as
#: many as the file stores, so that a few numbers do not become gigabytes.
LARGEST, TIMES_STORED = 2**22, 4


def pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove, in place, nodes that the first output does not need, with their weights and inputs; and other outputs."""
    graph = model.graph
    del graph.output[1:]
    needed = {graph.output[0].name}
    nodes = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed.update(reads(node))
            nodes.append(node)
    if len(nodes) < len(graph.node):
        _keep(graph, nodes[::-1])
    for items in (graph.initializer, graph.input, graph.sparse_initializer):
        _delete(items, [place for place, item in enumerate(items) if _name(item) not in needed])
    made = {name for node in graph.node for name in node.output}
    _delete(graph.value_info, [place for place, item in enumerate(graph.value_info) if item.name not in made])
    return model


def _delete(items: MutableSequence[Any], places: Sequence[int]) -> None:
    """Delete the items at these places, in increasing order; `remove` would compare each with all before it."""
    if len(places) == len(items):
        del items[:]
        return
    for place in reversed(places):
        del items[place]


def folded(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    """Replace, in place, nodes whose inputs are all constants by initialisers; also what they read of known shapes.

    `source` is the model's name in messages. Raises NetworkError if the sizes of the model contradict each other.
    """
    stored = sum(math.prod(item.dims) for item in model.graph.initializer)
    facts = Facts(model, source, max(LARGEST, TIMES_STORED * stored))
    gone: set[str] = set()
    for node in model.graph.node:
        values = {name: facts.value(name) for name in node.output if name}
        known = {name: value for name, value in values.items() if value is not None}
        if len(known) == len(values):
            gone.update(known)
            model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in known.items())
    if gone:
        # Until IR 3 initialisers must also be inputs; later versions have the same operators without that rule.
        model.ir_version = max(model.ir_version, 4)
        _keep(model.graph, [node for node in model.graph.node if not gone & set(node.output)])
    return pruned(model)


def _keep(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    kept = onnx.GraphProto(node=nodes)
    del graph.node[:]
    graph.node.extend(kept.node)


def _inner(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node, or a subgraph of it, reads."""
    yield from node.input
    for graph in _inner(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from reads(inner)


def _name(item: onnx.TensorProto | onnx.ValueInfoProto | onnx.SparseTensorProto) -> str:
    return str(item.values.name if isinstance(item, onnx.SparseTensorProto) else item.name)
