"""The reverse sweep over a model's nodes: a rule per operator propagates cotangents from outputs to inputs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from crosscheck.errors import NetworkError
from crosscheck.networks.differentiate.call import Call
from crosscheck.networks.differentiate.facts import Facts, without_weights
from crosscheck.networks.differentiate.rules import INDIFFERENT, RULES, batch_statistics
from crosscheck.networks.differentiate.writer import Writer

__all__ = ["GRADIENT_OPSET", "differentiate"]

#: The first opset with Where, and with ConstantOfShape.
GRADIENT_OPSET = 9


def differentiate(model: onnx.ModelProto, *, training: bool = False, source: str = "model") -> onnx.ModelProto:
    """A checked model with the inputs and outputs of `model`, and its gradient.

    One input comes last, `<output>.cotangent`, of the output's shape and type. The second output is
    `<input>.gradient`, of the input's: d(sum(output * cotangent)) / d(input), written in plain operators of the
    model's own opset. With `training`, every BatchNormalization is written with the batch's own mean and population
    variance instead of the moving ones, and further outputs are the updated statistics of ONNX's training form:
    `<statistic>.running` = statistic * momentum + batch's * (1 - momentum).

    The model has one input besides its weights and statistics (the first that is no initialiser), float32 or float64.
    Its first output is differentiated. `source` is the model's name in messages.
    Raises NetworkError for unsupported nodes, naming the node, its operator and the supported ones.
    """
    facts = Facts(model, source)
    _check(model, facts)
    initialisers = {item.name for item in model.graph.initializer}
    x = next(item for item in model.graph.input if item.name not in initialisers)
    y = model.graph.output[0]
    dtype = facts.dtype(x.name)
    if dtype not in (np.float32, np.float64):
        raise NetworkError(f"{source}: input {x.name!r} is {dtype}; only float32 and float64 have a gradient here.")
    names = {name for node in model.graph.node for name in (*node.input, *node.output)} | set(facts.names())
    seed, answer = f"{y.name}.cotangent", f"{x.name}.gradient"
    for name in (seed, answer):
        if name in names:
            raise NetworkError(f"{source}: has a tensor called {name!r} already; rename it.")
    writer = Writer(facts.opset, dtype, names | {seed, answer})
    calls = _calls(model, facts, x.name, training)
    updates: list[onnx.ValueInfoProto] = []
    for call in calls:
        if call.training and call.node.op_type == "BatchNormalization":
            updates += batch_statistics(writer, call)
        else:
            writer.nodes.append(call.node)
    cotangents = _backward(writer, calls, y.name, seed)
    gradient = cotangents.get(x.name)
    if gradient is None:
        raise NetworkError(f"{source}: the output {y.name!r} does not depend on the input {x.name!r}.")
    writer.nodes.append(helper.make_node("Identity", [gradient], [answer], name=writer.fresh("gradient")))
    return _model(model, writer, x, y, updates)


def _check(model: onnx.ModelProto, facts: Facts) -> None:
    if facts.opset < GRADIENT_OPSET:
        raise NetworkError(
            f"{facts.source}: is written in opset {facts.opset}; gradients need {GRADIENT_OPSET} or later. "
            "Export it anew, or convert it with onnx.version_converter."
        )
    for index, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx") or node.op_type not in (*RULES, *INDIFFERENT):
            supported = ", ".join(sorted((*RULES, *INDIFFERENT)))
            raise NetworkError(
                f"{facts.source}: node {node.name or index!r} ({node.op_type}) has no rule for its gradient. "
                f"Supported: {supported}."
            )


def _calls(model: onnx.ModelProto, facts: Facts, x: str, training: bool) -> list[Call]:
    """Every node, with flags for inputs that depend on `x`; integers and booleans carry no gradient."""
    active = {x}
    calls = []
    for index, node in enumerate(model.graph.node):
        call = Call(node, index, facts, [name in active for name in node.input], training)
        if any(call.wanted) and node.op_type not in INDIFFERENT:
            active |= {name for name in node.output if name and facts.floating(name)}
        calls.append(call)
    return calls


def _backward(writer: Writer, calls: list[Call], y: str, seed: str) -> dict[str, str]:
    """The gradient of every tensor reached by the sweep: tensor -> name of its gradient."""
    cotangents = {y: seed}
    for call in reversed(calls):
        output_cotangents = [cotangents.get(name) if name else None for name in call.outputs]
        if not any(call.wanted) or not any(output_cotangents) or call.node.op_type in INDIFFERENT:
            continue
        # A Cast changes the element type within a network.
        writer.dtype = next(
            call.facts.dtype(name) for name, part in zip(call.outputs, output_cotangents, strict=True) if part
        )
        for name, wanted, part in zip(
            call.inputs, call.wanted, RULES[call.node.op_type](writer, call, output_cotangents), strict=True
        ):
            if wanted and part is not None:
                cotangents[name] = part if name not in cotangents else writer.node("Add", cotangents[name], part)
    return cotangents


def _model(
    model: onnx.ModelProto,
    writer: Writer,
    x: onnx.ValueInfoProto,
    y: onnx.ValueInfoProto,
    updates: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """The finished model, checked."""
    # Until IR 3 initialisers must also be inputs; later versions have the same operators without that rule.
    result = onnx.ModelProto(ir_version=max(model.ir_version, 4), producer_name="crosscheck")
    result.opset_import.extend(model.opset_import)
    graph = result.graph
    graph.name, graph.doc_string = model.graph.name, model.graph.doc_string
    graph.node.extend(writer.nodes)
    graph.input.extend([*model.graph.input, _named(y, f"{y.name}.cotangent")])
    graph.output.extend([y, _named(x, f"{x.name}.gradient"), *model.graph.output[1:], *updates])
    # Weights are appended last, the writer's one by one, so that memory holds one copy.
    result.graph.initializer.extend(model.graph.initializer)
    while writer.initialisers:
        result.graph.initializer.append(writer.initialisers.pop(0))
    onnx.checker.check_model(without_weights(result), full_check=True)
    return result


def _named(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy
