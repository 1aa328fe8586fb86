"""Rewrites a model as one graph of ONNX's own operators: converts old opsets, inlines functions and branches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import onnx
from onnx import inliner, version_converter

from crosscheck.errors import NetworkError
from crosscheck.onnx_models.domains import opset_of
from crosscheck.onnx_models.facts import Facts, without_weights
from crosscheck.onnx_models.fresh_names import FreshNames

__all__ = ["every_node", "inline_functions", "plain"]


def plain(model: onnx.ModelProto, source: str, first_opset: int) -> onnx.ModelProto:
    """The model in `first_opset` or later, without functions, and without an If whose condition is a constant.

    `source` is the model's name in messages. Raises NetworkError where onnx cannot inline the functions, or convert an
    older opset.
    """
    try:
        inlined = inline_functions(model)
    except (RuntimeError, version_converter.ConvertError) as problem:
        message = " ".join(str(problem).split())
        raise NetworkError(
            f"{source}: onnx cannot inline its functions ({message}); export the network without functions."
        ) from problem
    return _inline_branches(_converted(inlined, source, first_opset), source)


def _converted(model: onnx.ModelProto, source: str, first_opset: int) -> onnx.ModelProto:
    opset = opset_of(model)
    if opset >= first_opset:
        return model
    try:
        converted = version_converter.convert_version(model, first_opset)
        onnx.checker.check_model(without_weights(converted))
    except (RuntimeError, version_converter.ConvertError, onnx.checker.ValidationError) as problem:
        message = " ".join(str(problem).split())
        raise NetworkError(
            f"{source}: is written in opset {opset}, and onnx cannot convert it to opset {first_opset} ({message}); "
            f"export it in opset {first_opset} or later."
        ) from problem
    return converted


def inline_functions(model: onnx.ModelProto, operators: Collection[str] = ()) -> onnx.ModelProto:
    """The model with its own functions inlined, and `operators`, which ONNX defines as functions."""
    present = {node.op_type for node in model.graph.node if not node.domain} & set(operators)
    if not model.functions and not present:
        return model
    # The inliner serialises the model: weights stay outside.
    bare = without_weights(model)
    bare.functions.extend(model.functions)
    bare.graph.input.extend(  # the inliner takes types from inputs alone
        onnx.helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in bare.graph.initializer
    )
    if model.functions:
        bare = inliner.inline_local_functions(bare, convert_version=True)
    if present:
        bare = inliner.inline_selected_functions(
            bare, [("", operator) for operator in sorted(present)], inline_schema_functions=True
        )
    domains = {"", "ai.onnx", *(node.domain for node in every_node(bare.graph))}
    return _with_nodes(model, bare.graph.node, [item for item in bare.opset_import if item.domain in domains])


def _inline_branches(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    """The model with the taken branch of every If whose condition is a constant, however nested."""
    while any(node.op_type == "If" for node in model.graph.node):
        facts = Facts(model, source)
        used = {name for node in every_node(model.graph) for name in (*node.input, *node.output)}
        names = FreshNames(used.union(facts.names()))
        nodes: list[onnx.NodeProto] = []
        initialisers: list[onnx.TensorProto] = []
        taken = 0
        for index, node in enumerate(model.graph.node):
            condition = facts.value(node.input[0]) if node.op_type == "If" and not node.domain else None
            if condition is None or condition.size != 1:
                nodes.append(node)
                continue
            chosen = "then_branch" if condition.item() else "else_branch"
            branch = next(item.g for item in node.attribute if item.name == chosen)
            _inline(branch, node, f"{node.name or f'If{index}'}.{chosen}", names, nodes, initialisers)
            taken += 1
        if not taken:
            break
        model = _with_nodes(model, nodes)
        model.graph.initializer.extend(initialisers)
    return model


def _inline(
    branch: onnx.GraphProto,
    node: onnx.NodeProto,
    prefix: str,
    fresh: FreshNames,
    nodes: list[onnx.NodeProto],
    initialisers: list[onnx.TensorProto],
) -> None:
    """Add a branch's nodes and initialisers, under new names except for the outputs of `node`."""
    names: dict[str, str] = {}
    for name in (
        *(item.name for item in branch.initializer),
        *(name for inner in branch.node for name in inner.output if name),
    ):
        names[name] = fresh.of(f"{prefix}.{name}")
    for item in branch.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(item)
        copy.name = names[item.name]
        initialisers.append(copy)
    for inner in branch.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(inner)
        copied.name = f"{prefix}.{inner.name}" if inner.name else ""
        _rename(copied, names)
        nodes.append(copied)
    for item, output in zip(branch.output, node.output, strict=True):
        if output:  # one tensor of the branch may be several outputs, or a tensor from outside
            nodes.append(onnx.helper.make_node("Identity", [names.get(item.name, item.name)], [output]))


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename a node's inputs and outputs, and what its subgraphs take from outside."""
    for values in (node.input, node.output):
        values[:] = [names.get(name, name) for name in values]
    for item in node.attribute:
        if item.HasField("g"):
            own = {value.name for value in (*item.g.input, *item.g.initializer)}
            own |= {name for inner in item.g.node for name in inner.output}
            outside = {name: new for name, new in names.items() if name not in own}
            for inner in item.g.node:
                _rename(inner, outside)
            for value in item.g.output:
                value.name = outside.get(value.name, value.name)


def every_node(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of its subgraphs."""
    for node in graph.node:
        yield node
        for item in node.attribute:
            if item.HasField("g"):
                yield from every_node(item.g)


def _with_nodes(
    model: onnx.ModelProto,
    nodes: Collection[onnx.NodeProto],
    opsets: Collection[onnx.OperatorSetIdProto] | None = None,
) -> onnx.ModelProto:
    """A model with the same inputs, outputs and weights, and other nodes; inner types are left out."""
    result = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    result.opset_import.extend(model.opset_import if opsets is None else opsets)
    result.graph.name, result.graph.doc_string = model.graph.name, model.graph.doc_string
    result.graph.node.extend(nodes)
    for name in ("input", "output", "initializer"):
        getattr(result.graph, name).extend(getattr(model.graph, name))
    return result
