"""Writes a network as ONNX in every opset, in inference and in training form, with and without `momentum`.

Names of forms: `opset-9`, `opset-9-no-momentum`, `opset-15-training`, `opset-15-training-no-momentum`, and
`opset-15-training-unread`, whose new statistics are outputs of the nodes, but not of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper

from crosscheck.networks.graph import Array, Graph, Node
from crosscheck.networks.network import Network

__all__ = ["FORMS", "Form", "build_model", "running_name", "write"]

#: BatchNormalization has had `training_mode` since this opset.
TRAINING_OPSET = 14
#: Until this IR version every initialiser must be a graph input, too.
LAST_IR_WITH_WEIGHT_INPUTS = 3


@dataclass(frozen=True)
class Form:
    """One way of writing a network as ONNX.

    training: every BatchNormalization has training_mode = 1, and its new running mean and variance are graph outputs.
    read: whether the new statistics are graph outputs; exporters in training mode leave them inside the graph.
    momentum: whether the attribute is written; left out, readers have to assume ONNX's default, 0.9.
    """

    opset: int
    training: bool
    momentum: bool
    read: bool = True

    @property
    def ir(self) -> int:
        """The lowest IR version that has the opset."""
        return int(helper.find_min_ir_version_for([helper.make_opsetid("", self.opset)]))

    @property
    def name(self) -> str:
        """The form's name, which is also its file's."""
        training = f"{'-training' * self.training}{'-unread' * (not self.read)}"
        return f"opset-{self.opset}{training}{'-no-momentum' * (not self.momentum)}"


#: Every form that the installed onnx can check, by name, from opset 7 on.
FORMS: dict[str, Form] = {
    form.name: form
    for opset in range(7, onnx.defs.onnx_opset_version() + 1)
    for training in (False, True)
    for momentum in (True, False)
    for read in (True, False)
    if (opset >= TRAINING_OPSET or not training) and (read or training)
    for form in [Form(opset, training, momentum, read)]
}


def write(network: Network, opset: int, training: bool = False, momentum: bool = True) -> onnx.ModelProto:
    """The network in one form, checked; the first output is the network's own. Batch axes are called "N".

    In training form each batch normalization adds two outputs, called by `running_name` after its mean and variance.
    Raises KeyError for a form that is not in `FORMS`.
    """
    return build_model(network.graph, network.weights, FORMS[Form(opset, training, momentum).name])


def running_name(statistic: str) -> str:
    """What the training form calls the updated value of a moving mean or variance."""
    return f"{statistic}.running"


def build_model(graph: Graph, weights: Mapping[str, Array], form: Form, doc_string: str = "") -> onnx.ModelProto:
    """A plain graph as a checked ONNX model in one form. Raises onnx.checker.ValidationError."""
    outputs = [_value(item["name"], list(item["shape"])) for item in graph["outputs"]]
    nodes = []
    for node in graph["nodes"]:
        produced = list(node["outputs"])
        if node["op"] == "BatchNormalization" and form.training:
            statistics = node["inputs"][3:]
            produced += [running_name(name) for name in statistics]
            if form.read:
                outputs += [_value(running_name(name), list(weights[name].shape)) for name in statistics]
        nodes.append(
            helper.make_node(node["op"], node["inputs"], produced, name=node["name"], **_attributes(node, form))
        )
    inputs = [_value(item["name"], list(item["shape"])) for item in graph["inputs"]]
    if form.ir <= LAST_IR_WITH_WEIGHT_INPUTS:
        inputs += [_value(name, list(value.shape)) for name, value in weights.items()]
    initialisers = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, graph["name"], inputs, outputs, initialisers),
        producer_name="crosscheck",
        doc_string=doc_string,
        ir_version=form.ir,
        opset_imports=[helper.make_opsetid("", form.opset)],
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _attributes(node: Node, form: Form) -> dict[str, Any]:
    attributes = dict(node["attributes"])
    if node["op"] == "BatchNormalization":
        if not form.momentum:
            del attributes["momentum"]
        if form.training:
            attributes["training_mode"] = 1
    return attributes


def _value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
