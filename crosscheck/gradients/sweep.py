"""The reverse sweep over a model's nodes: a rule per operator propagates cotangents from outputs to inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from crosscheck.errors import NetworkError
from crosscheck.gradients.branches import branches_of, gradient_branch, model_of
from crosscheck.gradients.call import Call
from crosscheck.gradients.ends import find_output, find_sources
from crosscheck.gradients.lowerings import LOWERINGS, Lowering, body_of
from crosscheck.gradients.refusals import Refusals
from crosscheck.gradients.rules import INDIFFERENT, MOVING, RULES, batch_statistics
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule
from crosscheck.gradients.rules.statistics import Updates
from crosscheck.gradients.turned import turn_apart
from crosscheck.gradients.writer import Writer
from crosscheck.onnx_models.domains import ONNX_DOMAIN
from crosscheck.onnx_models.facts import LARGEST_SHAPE, Facts, without_weights
from crosscheck.onnx_models.failures import FAILURES
from crosscheck.onnx_models.plain import every_node, plain

__all__ = ["GRADIENT_OPSET", "differentiate"]

#: The first opset with Where, and with ConstantOfShape: that of every gradient model or later.
GRADIENT_OPSET = 9


def differentiate(
    model: onnx.ModelProto,
    *,
    training: bool = False,
    wrt: Sequence[str] = (),
    output: str | None = None,
    source: str = "model",
) -> onnx.ModelProto:
    """A checked model with the inputs and outputs of `model`, and its gradient.

    One input comes last, `<output>.cotangent`, of the output's shape and type. The first output is the differentiated
    one, `output` or the model's first of floats; `<tensor>.gradient` follow, in the order of `wrt`, by default one for
    every input of floats: d(sum(output * cotangent)) / d(tensor), written in plain operators of the model's own opset.
    Both ends may be tensors inside the graph. A default input that the output does not depend on has no gradient.

    With `training`, every BatchNormalization is written with the batch's own mean and population variance instead of
    the moving ones, and further outputs are the updated statistics of ONNX's training form:
    `<statistic>.running` = statistic * momentum + batch's * (1 - momentum). A layer that runs several times updates its
    statistics as often, in the order of the nodes.

    Opsets before 9 are converted to opset 9; functions, and the taken branch of an If with a constant condition, are
    inlined. `source` is the model's name in messages.
    Raises NetworkError, naming every node between the two ends that cannot be differentiated.
    """
    model = plain(model, source, GRADIENT_OPSET)
    facts = Facts(model, source)
    y = find_output(model, facts, output)
    sources = find_sources(model, facts, wrt)
    seed, answers = f"{y.name}.cotangent", {item.name: f"{item.name}.gradient" for item in sources}
    names = {name for node in model.graph.node for name in (*node.input, *node.output)} | set(facts.names())
    for name in (seed, *answers.values()):
        if name in names:
            raise NetworkError(f"{source}: has a tensor called {name!r} already; rename it.")
    writer = Writer(facts.opset, facts.dtype(y.name), names | {seed, *answers.values()})
    calls = _calls(model, facts, set(answers), training)
    refusals = Refusals(source)
    updates = _forward(writer, calls, refusals)
    cotangents = _backward(writer, calls, {y.name: seed}, refusals)
    refusals.check()
    reached = [item for item in sources if item.name in cotangents]
    missing = [item.name for item in sources if item not in reached]
    if not reached or (wrt and missing):
        raise NetworkError(
            f"{source}: the output {y.name!r} does not depend on {' and '.join(map(repr, missing))}; "
            "choose another output with --output, or other tensors with --wrt."
        )
    for item in reached:
        writer.nodes.append(
            helper.make_node("Identity", [cotangents[item.name]], [answers[item.name]], name=writer.fresh("gradient"))
        )
    writer.nodes = turn_apart(writer, {item.name: item for item in model.graph.initializer})
    return _model(model, facts, writer, y, [seed, *(answers[item.name] for item in reached)], reached, updates)


def _calls(model: onnx.ModelProto, facts: Facts, sources: set[str], training: bool) -> list[Call]:
    """Every node, with flags for inputs that depend on `sources`.

    Integers and booleans carry no gradient, except for quantized numbers until they are dequantized.
    """
    active, quantized = set(sources), set[str]()
    calls = []
    for index, node in enumerate(model.graph.node):
        call = Call(node, index, facts, active, training)
        if call.active and node.op_type not in INDIFFERENT:
            outputs = {name for name in node.output if name}
            floats = {name for name in outputs if facts.floating(name)}
            if node.op_type == "QuantizeLinear" or quantized.intersection(node.input):
                quantized |= outputs - floats
            active |= floats | (quantized & outputs)
        calls.append(call)
    return calls


def _forward(writer: Writer, calls: Sequence[Call], refusals: Refusals) -> list[onnx.ValueInfoProto]:
    """Write the model's own nodes; returns the updated statistics of layers that use the batch's own."""
    updates = Updates(calls)
    for call in calls:
        if call.training and call.node.op_type == "BatchNormalization":
            with refusals.of(call):
                batch_statistics(writer, call, updates)
        else:
            writer.nodes.append(call.node)
    return updates.outputs


def _backward(writer: Writer, calls: Sequence[Call], seeds: dict[str, str], refusals: Refusals) -> dict[str, str]:
    """The gradient of every tensor reached by the sweep: tensor -> name of its gradient."""
    cotangents = dict(seeds)
    for call in reversed(calls):
        output_cotangents = [cotangents.get(name) if name else None for name in call.outputs]
        if not call.active or not any(output_cotangents) or call.node.op_type in INDIFFERENT:
            continue
        # After a refusal the sweep goes on with any cotangent at all, to find every node that stops it.
        placeholder = next(filter(None, output_cotangents))
        gradients: list[str | None] = [placeholder] * len(call.inputs)
        reached = next(name for name, part in zip(call.outputs, output_cotangents, strict=True) if part)
        floats = call.facts.floating(reached)
        if call.node.op_type == "If":
            with refusals.of(call):
                for name, gradient in _through_branches(writer, call, output_cotangents).items():
                    _add(writer, cotangents, name, gradient)
        elif not _has_rule(call, floats):
            refusals.without_rule(call)
        else:
            with refusals.of(call):
                # A Cast changes the element type within a network; cotangents of quantized numbers are float32.
                writer.dtype = call.facts.dtype(reached) if floats else np.dtype(np.float32)
                gradients = _rule_of(call)(writer, call, output_cotangents)
        for name, wanted, part in zip(call.inputs, call.wanted, gradients, strict=True):
            if wanted and part is not None:
                _add(writer, cotangents, name, part)
    return cotangents


def _add(writer: Writer, cotangents: dict[str, str], name: str, part: str) -> None:
    cotangents[name] = part if name not in cotangents else writer.node("Add", cotangents[name], part)


def _has_rule(call: Call, floats: bool) -> bool:
    """Whether a node whose output holds floats, or else quantized numbers, can be differentiated."""
    if call.node.domain not in ONNX_DOMAIN:
        return False
    return call.node.op_type in RULES or _lowering_of(call) is not None if floats else call.node.op_type in MOVING


def _lowering_of(call: Call) -> Lowering | None:
    return LOWERINGS.get(call.node.op_type) or body_of(call.node.op_type, call.facts.opset)


def _rule_of(call: Call) -> Rule:
    return RULES.get(call.node.op_type, _by_lowering)


def _by_lowering(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Sweep over the plain operators that compute the same as the node."""
    lowering = _lowering_of(call)
    assert lowering is not None
    part = writer.part()
    outputs = lowering(part, call)
    model = call.alone()
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(part.nodes)
    model.graph.initializer.extend(part.initialisers)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name)
    seeds: dict[str, str] = {}
    for name, cotangent in zip(outputs, cotangents, strict=True):
        if cotangent is not None:
            assert name is not None, "lowerings compute every output that the node names"
            seeds[name] = cotangent
    writer.nodes += part.nodes
    writer.initialisers += part.initialisers
    wanted = [name for name, here in zip(call.inputs, call.wanted, strict=True) if here]
    refusals = Refusals(call.facts.source)
    gradients = _backward(writer, _calls(model, Facts(model, call.facts.source), set(wanted), False), seeds, refusals)
    reasons = refusals.text()
    if reasons:
        raise call.refusal(f"is differentiated by parts, and {reasons}")
    # A tensor that is several inputs has its whole gradient at the first.
    return [gradients.pop(name, None) if here else None for name, here in zip(call.inputs, call.wanted, strict=True)]


def _through_branches(writer: Writer, call: Call, cotangents: Cotangents) -> dict[str, str]:
    """The gradients of the tensors that the branches of an If take from outside, from an If with the same condition.

    Its branches compute what the node's own branches compute, and their gradients.
    """
    inner = (node for branch in branches_of(call).values() for node in every_node(branch))
    if call.training and any(node.op_type == "BatchNormalization" for node in inner):
        raise call.refusal("has a batch normalization in a branch, whose updates would depend on the data")
    tensors = [name for name in call.taken if call.facts.floating(name)]
    graphs = {}
    for attribute, branch in branches_of(call).items():
        part, model = writer.part(), model_of(call, branch)
        part.nodes.extend(model.graph.node)
        seeds: dict[str, str] = {}
        for item, cotangent in zip(branch.output, cotangents, strict=True):
            if cotangent is not None:
                _add(part, seeds, item.name, cotangent)
        refusals = Refusals(call.facts.source)
        facts = Facts(model, call.facts.source)
        gradients = _backward(part, _calls(model, facts, set(tensors), call.training), seeds, refusals)
        if reasons := refusals.text():
            raise call.refusal(f"has the branch {attribute}, and {reasons}")
        graphs[attribute] = gradient_branch(part, call, model.graph, gradients, tensors)
    return dict(zip(tensors, writer.nodes_outputs("If", call.inputs, len(tensors), **graphs), strict=True))


def _model(
    model: onnx.ModelProto,
    facts: Facts,
    writer: Writer,
    y: onnx.ValueInfoProto,
    names: Sequence[str],
    sources: Sequence[onnx.ValueInfoProto],
    updates: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """The finished model, checked. names: of the cotangent, then of the gradients by `sources`."""
    # Until IR 3 initialisers must also be inputs; later versions have the same operators without that rule.
    result = onnx.ModelProto(ir_version=max(model.ir_version, 4), producer_name="crosscheck")
    result.opset_import.extend(model.opset_import)
    graph = result.graph
    graph.name, graph.doc_string = model.graph.name, model.graph.doc_string
    graph.node.extend(writer.nodes)
    writer.nodes.clear()  # each is a few kilobytes by itself, which the checker needs
    graph.input.extend([*model.graph.input, _named(y, names[0])])
    gradients = [_named(item, name) for item, name in zip(sources, names[1:], strict=True)]
    others = [item for item in model.graph.output if item.name != y.name]
    graph.output.extend([y, *gradients, *others, *updates])
    # Weights are appended last, the writer's one by one, so that memory holds one copy.
    result.graph.initializer.extend(model.graph.initializer)
    while writer.initialisers:
        result.graph.initializer.append(writer.initialisers.pop(0))
    # A copy takes as much memory as all nodes; it is made only where it leaves weights out.
    weighty = any(math.prod(item.dims) > LARGEST_SHAPE for item in result.graph.initializer)
    try:
        onnx.checker.check_model(without_weights(result) if weighty else result, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, *FAILURES) as problem:
        message = " ".join(str(problem).split())
        raise NetworkError(
            f"{facts.source}: opset {facts.opset} cannot express its gradient ({message}); convert it to a newer one."
        ) from problem
    return result


def _named(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy
