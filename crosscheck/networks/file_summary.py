"""What a user's file has: sizes, operators, and its batch normalizations with what the opset makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.networks.forms import TRAINING_OPSET
from crosscheck.networks.network import Network, fixed_cotangent
from crosscheck.onnx_models.facts import Facts
from crosscheck.records.run import BatchNormFacts, FileFacts, ValueFacts

__all__ = ["summary_of"]


def summary_of(network: Network) -> FileFacts:
    """The summary of a user's file, lowered or not."""
    file = network.as_it_is
    assert file is not None, f"{network.name} is no user's file"
    assert file.own is not None
    model, facts = file.model, Facts(file.model, file.name)
    values = {file.graph["inputs"][0]["name"]: file.x, **file.weights}
    first, *others = (item.name for item in model.graph.output)
    counts = Counter(node.op_type for node in model.graph.node if node.op_type != "Constant")
    return FileFacts(
        file=file.own.file_name,
        opset=facts.opset,
        ir=model.ir_version,
        nodes=len(model.graph.node),
        inputs=tuple(ValueFacts(name, str(value.dtype), value.shape) for name, value in values.items()),
        outputs=(
            ValueFacts(first, str(file.cotangent.dtype), file.cotangent.shape),
            *(ValueFacts(name, "", None) for name in others),
        ),
        operators=dict(sorted(counts.items())),
        batch_norms=tuple(_batch_norms(model, facts)),
        differentiated=_differentiated(file.cotangent) if file.differentiable else "",
        rows=file.own.rows,
        said=tuple(sentence.removeprefix(f"{file.own.words[1]}: ") for sentence in file.own.said),
    )


def _differentiated(cotangent: Array) -> str:
    if np.array_equal(cotangent, fixed_cotangent(cotangent.shape)):
        return "all numbers, with a different weight for each"
    if cotangent.ndim == 2 and np.array_equal(cotangent, np.eye(cotangent.shape[1])[cotangent.argmax(axis=1)]):
        return f"number {', '.join(map(str, sorted(set(cotangent.argmax(axis=1).tolist()))))} alone"
    return "all numbers, with the weights in the user's file"


def _batch_norms(model: onnx.ModelProto, facts: Facts) -> Iterator[BatchNormFacts]:
    alike: dict[tuple[str, str], list[tuple[str, int | str]]] = {}
    for index, node in enumerate(model.graph.node):
        if node.op_type == "BatchNormalization":
            attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
            (channels,) = facts.shape(node.input[1]) or (None,)
            said = _attributes(attributes), _statistics(node, attributes, facts.opset)
            alike.setdefault(said, []).append((node.name or str(index), channels or "?"))
    for (attributes_said, statistics), layers in alike.items():
        yield BatchNormFacts(attributes_said, statistics, tuple(layers))


def _attributes(attributes: dict[str, Any]) -> str:
    momentum = attributes.get("momentum", 0.9)
    usual = "" if "momentum" in attributes else " by default"
    kept = ", so that training keeps the old statistics and no leak can be seen" if momentum == 1 else ""
    spatial = "" if attributes.get("spatial", 1) else ", statistics of every entry (spatial = 0)"
    return f"epsilon {attributes.get('epsilon', 1e-5):.3g}, momentum {momentum:.3g}{usual}{kept}{spatial}"


def _statistics(node: onnx.NodeProto, attributes: dict[str, Any], opset: int) -> str:
    """Until opset 13 a layer is in training mode if it has more than one output, then by its attribute."""
    if opset >= TRAINING_OPSET:
        batch = bool(attributes.get("training_mode", 0))
        reason = f"training_mode = {int(batch)}" + ("" if "training_mode" in attributes else " by default")
    else:
        batch = any(node.output[1:])
        reason = "more than one output" if batch else "one output"
    return f"{'batch' if batch else 'moving'} statistics in opset {opset} ({reason})"
