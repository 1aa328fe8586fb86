"""The branches of an If: each as a model of its own, and as a branch that computes gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import helper

from crosscheck.gradients.call import Call
from crosscheck.gradients.writer import Writer
from crosscheck.onnx_models.facts import LARGEST_SHAPE
from crosscheck.onnx_models.fold import reads
from crosscheck.onnx_models.plain import plain

__all__ = ["branches_of", "gradient_branch", "model_of"]


def branches_of(call: Call) -> dict[str, onnx.GraphProto]:
    """The branches of an If, by the attribute's name."""
    return {item.name: item.g for item in call.node.attribute if item.HasField("g")}


def model_of(call: Call, branch: onnx.GraphProto) -> onnx.ModelProto:
    """A branch as a model, whose inputs are the tensors that it takes from outside; small constants keep their values.

    Branches in it are inlined where their conditions are constants. Raises NetworkError if a type is unknown.
    """
    own = {item.name for item in branch.initializer} | {name for node in branch.node for name in node.output}
    names = dict.fromkeys(
        [name for node in branch.node for name in reads(node)] + [item.name for item in branch.output]
    )
    inputs, initialisers = [], list(branch.initializer)
    for name in names:
        if name in own or not call.facts.typed(name):  # also what deeper branches have of their own
            continue
        value = call.facts.value(name)
        if value is not None and value.size <= LARGEST_SHAPE:
            initialisers.append(onnx.numpy_helper.from_array(value, name))
        else:
            kind = helper.np_dtype_to_tensor_dtype(call.facts.dtype(name))
            inputs.append(helper.make_tensor_value_info(name, kind, call.facts.shape(name)))
    outputs = [onnx.ValueInfoProto(name=item.name) for item in branch.output]
    graph = helper.make_graph(list(branch.node), branch.name or "branch", inputs, outputs, initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", call.facts.opset)])
    return plain(model, call.facts.source, call.facts.opset)


def gradient_branch(
    part: Writer, call: Call, graph: onnx.GraphProto, gradients: Mapping[str, str], tensors: Sequence[str]
) -> onnx.GraphProto:
    """A branch with the nodes of `part`, whose outputs are the gradients of `tensors`: zero where there is none.

    graph: that of `model_of`.
    """
    outputs = []
    for name in tensors:
        part.dtype = call.facts.dtype(name)
        result = part.fresh("branch.gradient")
        source = gradients.get(name) or part.zeros_like(name)
        part.nodes.append(helper.make_node("Identity", [source], [result], name=part.fresh("Identity.gradient")))
        kind = helper.np_dtype_to_tensor_dtype(call.facts.dtype(name))
        shape = call.facts.shape(name)
        sizes = None if shape is None else [size if isinstance(size, int) else None for size in shape]
        outputs.append(helper.make_tensor_value_info(result, kind, sizes))
    own = [item for item in graph.initializer if not call.facts.typed(item.name)]
    return helper.make_graph(part.nodes, part.fresh(f"{graph.name}.gradient"), [], outputs, [*own, *part.initialisers])
