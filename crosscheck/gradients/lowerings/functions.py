"""Operators that the ONNX specification defines by a function body."""

from __future__ import annotations

import onnx

from crosscheck.gradients.call import Call
from crosscheck.gradients.lowerings.lowering import Lowering
from crosscheck.gradients.writer import Writer
from crosscheck.onnx_models.plain import inline_functions, plain

__all__ = ["body_of"]


def body_of(op: str, opset: int) -> Lowering | None:
    """The function body of an operator, as a lowering; None if the opset's specification has none."""
    try:
        schema = onnx.defs.get_schema(op, opset, "")
    except onnx.defs.SchemaError:
        return None
    has_body = schema.has_function or schema.has_context_dependent_function  # type: ignore[attr-defined]
    return _inlined if has_body else None


def _inlined(writer: Writer, call: Call) -> list[str | None]:
    """The body's nodes, inlined by onnx for the types and constants of the node's inputs."""
    model = call.alone()
    opsets = {item.version for item in model.opset_import}
    expanded = plain(inline_functions(model, [call.node.op_type]), call.facts.source, call.facts.opset)
    if opsets != {item.version for item in expanded.opset_import} or any(
        node.op_type == call.node.op_type for node in expanded.graph.node
    ):
        raise call.refusal("has a function body that onnx cannot inline; export the model with plain operators")
    names: dict[str, str] = {name: name for name in call.inputs}
    for node in expanded.graph.node:
        for output in filter(None, node.output):
            names[output] = writer.fresh(f"{call.node.op_type.lower()}.gradient")
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        node.name = writer.fresh(f"{node.op_type}.gradient")
        writer.nodes.append(node)
    return [names[name] if name else None for name in call.outputs]
