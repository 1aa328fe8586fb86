"""Lowers a checked ONNX model to the plain graph and its weights; fills in defaults, removes constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.networks.graph import Graph, Node, Value
from crosscheck.networks.lowering import arrangement, composed, elementwise, layers, resampling
from crosscheck.networks.lowering.step import Step
from crosscheck.networks.lowering.tensor_table import TensorTable
from crosscheck.onnx_models.domains import ONNX_DOMAIN
from crosscheck.onnx_models.failures import FAILURES, contradiction

__all__ = ["ANY_RANK", "lower"]

#: Operator -> its rule: takes a `Step` and adds plain nodes to it; may raise NetworkError.
RULES: Mapping[str, Callable[[Step], Any]] = {
    **layers.RULES,
    **elementwise.RULES,
    **arrangement.RULES,
    **composed.RULES,
    **resampling.RULES,
}
#: Operators that are the same for (rows,) and for (rows, 1).
ANY_RANK = frozenset({"Add", "BatchNormalization", "Constant", "Dropout", "Identity", "Relu"})

#: Operators removed by lowering.
DISSOLVED = ("Constant", "Dropout", "Identity")
#: Operators whose rules know several outputs.
SEVERAL = ("LayerNormalization", "Split")
#: A refused node: its index, itself, and the reason.
Refused = tuple[int, onnx.NodeProto, str]
#: The names of refused nodes in a message, for each reason.
SHOWN = 3


def lower(model: onnx.ModelProto, name: str, source: str) -> tuple[Graph, dict[str, Array]]:
    """The graph and the weights (tensor name -> float32 array) of `model`.

    `name` becomes the graph's name; `source` is the model's name in messages. In node and tensor names,
    characters other than letters, digits, "_" and "." become "_".
    Raises NetworkError for models outside `crosscheck.networks.graph`, naming all nodes that are, and a remedy.
    """
    # Checked first, so that the message names operators unknown to onnx.
    _refuse(
        source,
        [
            (index, proto, "is not supported")
            for index, proto in enumerate(model.graph.node)
            if proto.domain not in ONNX_DOMAIN or proto.op_type not in (*RULES, *DISSOLVED)
        ],
    )
    table = TensorTable(model, source)
    first = Value(name=table.data(source, table.input), shape=table.shape(table.input))
    nodes: list[Node] = []
    refused: list[Refused] = []
    for index, proto in enumerate(model.graph.node):
        where = _where(source, proto, index)
        try:
            nodes += _lowered(table, where, proto, index)
        except NetworkError as problem:
            refused.append((index, proto, str(problem).removeprefix(where).strip(" .")))
        except FAILURES as problem:
            refused.append((index, proto, contradiction(problem)))
    _refuse(source, refused)
    if len(model.graph.output) != 1:
        raise NetworkError(f"{source}: has {len(model.graph.output)} outputs; keep only the one to differentiate.")
    last = model.graph.output[0].name
    if not nodes or table.resolve(last) in (table.input, *table.constants):
        raise NetworkError(f"{source}: the output does not depend on the input; check the export.")
    graph = Graph(
        name=name,
        inputs=[first],
        outputs=[Value(name=table.data(source, last), shape=table.shape(last))],
        nodes=nodes,
    )
    return graph, table.weights


def _where(source: str, proto: onnx.NodeProto, index: int) -> str:
    return f"{source}: node {_label(proto, index)} ({proto.op_type})"


def _label(proto: onnx.NodeProto, index: int) -> str:
    return repr(proto.name or index)


def _refuse(source: str, refused: Sequence[Refused]) -> None:
    """Raise NetworkError if any nodes are refused, in one sentence; nodes of one operator and reason stand together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for index, proto, reason in refused:
        operator = f"{proto.domain}.{proto.op_type}" if proto.domain not in ONNX_DOMAIN else proto.op_type
        groups.setdefault((operator, reason), []).append(_label(proto, index))
    if not groups:
        return
    parts = []
    for (operator, reason), labels in groups.items():
        more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
        parts.append(f"{operator} (node{'s' * (len(labels) > 1)} {', '.join(labels[:SHOWN])}{more}) {reason}")
    raise NetworkError(f"{source}: {'; '.join(parts)}.")


def _lowered(table: TensorTable, where: str, proto: onnx.NodeProto, index: int) -> list[Node]:
    """The nodes in the graph; none for one that is removed."""
    step = Step(table, where, proto, index)
    if proto.op_type == "Constant":
        table.constants[proto.output[0]] = _literal(where, step.attributes)
    elif proto.op_type in DISSOLVED:
        _check_inference(table, where, proto)
        step.same()
    elif proto.op_type not in SEVERAL and sum(bool(output) for output in proto.output) > 1:
        raise step.refusal("has more than one output; export the model in inference mode")
    else:
        RULES[proto.op_type](step)
    return step.nodes


def _check_inference(table: TensorTable, where: str, proto: onnx.NodeProto) -> None:
    """Refuse a Dropout enabled by its third input."""
    if proto.op_type == "Dropout" and len(proto.input) > 2 and proto.input[2]:
        training = table.constants.get(table.resolve(proto.input[2]))
        if training is None or training.any():
            raise NetworkError(f"{where} is in training form; export the model in inference mode.")


def _literal(where: str, attributes: dict[str, Any]) -> Array:
    """The value of a Constant node."""
    if "value" in attributes:
        return onnx.numpy_helper.to_array(attributes["value"])
    for key, kind in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if key in attributes:
            return np.array(attributes[key], kind)
    raise NetworkError(f"{where} has a constant of a type that no supported operator accepts; remove it.")
