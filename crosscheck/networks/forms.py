"""Writes a network as ONNX in every opset and form, as exporters and the gradient pass do.

A form's name is the opset, such as `opset-9`, followed by its suffixes in this order:

    -training     every BatchNormalization has training_mode = 1, and its new statistics are graph outputs
    -batch        batch statistics by plain operators, as `crosscheck gradient --training` writes them
    -unread       the new statistics are outputs of the nodes, but not of the graph
    -no-momentum  without the attribute `momentum`
    -fed          the moving statistics are graph inputs, fed with every call
    -exposed      the output of every node is an output of the graph
    -gradient     also computes the gradient; the cotangent is a further input
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from crosscheck.cells import Array
from crosscheck.gradients import GRADIENT_OPSET, differentiate
from crosscheck.networks.graph import Graph, Node
from crosscheck.networks.network import Network
from crosscheck.onnx_models.domains import FIRST_OPSET

__all__ = ["FORMS", "Form", "build_model", "exposed_name", "no_form", "running_name", "write"]

#: BatchNormalization has had `training_mode` since this opset.
TRAINING_OPSET = 14
#: The opsets since which attributes are inputs, and the first with Erf.
ERF, SLICE_INPUTS, CLIP_INPUTS, PAD_INPUTS, REDUCE_INPUTS = 9, 10, 11, 11, 18
#: The first opset whose Resize has coordinates.
RESIZE = 11
#: The last IR version that requires every initialiser to be a graph input.
LAST_IR_WITH_WEIGHT_INPUTS = 3


@dataclass(frozen=True)
class Form:
    """One way of writing a network as ONNX.

    training: every BatchNormalization has training_mode = 1, and its new running mean and variance are graph outputs.
    momentum: whether the attribute is written; without it, ONNX's default is 0.9.
    read: whether the new statistics are graph outputs; exporters in training mode leave them inside the graph.
    fed: whether the moving statistics are graph inputs instead of initialisers.
    gradient: whether the graph also computes the gradient (`crosscheck.gradients`).
    exposed: whether the output of every node is an output of the graph.
    batch: whether the gradient uses batch statistics, computed by plain operators.
    """

    opset: int
    training: bool = False
    momentum: bool = True
    read: bool = True
    fed: bool = False
    gradient: bool = False
    batch: bool = False
    exposed: bool = False

    @property
    def ir(self) -> int:
        """The lowest IR version with this opset."""
        return int(helper.find_min_ir_version_for([helper.make_opsetid("", self.opset)]))

    @property
    def name(self) -> str:
        """The name of the form and of its file."""
        parts = {
            "-training": self.training,
            "-batch": self.batch,
            "-unread": not self.read,
            "-no-momentum": not self.momentum,
            "-fed": self.fed,
            "-exposed": self.exposed,
            "-gradient": self.gradient,
        }
        return f"opset-{self.opset}" + "".join(part for part, here in parts.items() if here)

    @property
    def possible(self) -> bool:
        """Whether the form is valid in ONNX."""
        if self.opset < (TRAINING_OPSET if self.training else GRADIENT_OPSET if self.gradient else FIRST_OPSET):
            return False
        if (self.batch and (self.training or not self.gradient)) or (self.exposed and self.gradient):
            return False
        return self.read or (self.training and not self.gradient)


#: Every form supported by the installed onnx, by name.
FORMS: dict[str, Form] = {
    form.name: form
    for opset in range(FIRST_OPSET, onnx.defs.onnx_opset_version() + 1)
    for switches in itertools.product((False, True), repeat=7)
    for form in [Form(opset, *switches)]
    if form.possible
}


def write(network: Network, opset: int, training: bool = False, momentum: bool = True) -> onnx.ModelProto:
    """The network in one form, checked; the first output is the network's own. Batch axes are called "N".

    In training form each batch normalization adds two outputs, named by `running_name`.
    Raises KeyError for a form not in `FORMS`.
    """
    return build_model(network.graph, network.weights, FORMS[Form(opset, training, momentum).name])


def exposed_name(form: str) -> str:
    """The name of the form that exposes every node's output."""
    return f"{form}-exposed"


def running_name(statistic: str) -> str:
    """The name of an updated moving mean or variance in the training form."""
    return f"{statistic}.running"


def build_model(graph: Graph, weights: Mapping[str, Array], form: Form, doc_string: str = "") -> onnx.ModelProto:
    """A plain graph as a checked ONNX model in one form. Raises onnx.checker.ValidationError."""
    outputs = [_value(item["name"], list(item["shape"])) for item in graph["outputs"]]
    nodes = []
    further: dict[str, Array] = {}
    for node in graph["nodes"]:
        produced = list(node["outputs"])
        if node["op"] == "BatchNormalization" and form.training:
            statistics = node["inputs"][3:]
            produced += [running_name(name) for name in statistics]
            if form.read:
                outputs += [_value(running_name(name), list(weights[name].shape)) for name in statistics]
        attributes, constants = _written(node, form)
        further |= constants
        taken = [*node["inputs"], *constants]
        nodes.append(helper.make_node(node["op"], taken, produced, name=node["name"], **attributes))
    fed = set(_statistics(graph)) if form.fed else set()
    if form.exposed:  # the graph already outputs the last node
        outputs += [onnx.ValueInfoProto(name=node["outputs"][0]) for node in graph["nodes"][:-1]]
    inputs = [_value(item["name"], list(item["shape"])) for item in graph["inputs"]]
    inputs += [
        _value(name, list(value.shape))
        for name, value in weights.items()
        if name in fed or form.ir <= LAST_IR_WITH_WEIGHT_INPUTS
    ]
    initialisers = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items() if name not in fed]
    for name, value in further.items():
        initialisers.append(onnx.numpy_helper.from_array(value, name))
        if form.ir <= LAST_IR_WITH_WEIGHT_INPUTS:
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            inputs.append(helper.make_tensor_value_info(name, kind, value.shape))
    model = helper.make_model(
        helper.make_graph(nodes, graph["name"], inputs, outputs, initialisers),
        producer_name="crosscheck",
        doc_string=doc_string,
        ir_version=form.ir,
        opset_imports=[helper.make_opsetid("", form.opset)],
    )
    if form.exposed:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)  # outputs need declared types
    onnx.checker.check_model(model, full_check=True)
    return differentiate(model, training=form.batch, wrt=[graph["inputs"][0]["name"]]) if form.gradient else model


def _statistics(graph: Graph) -> list[str]:
    return [name for node in graph["nodes"] if node["op"] == "BatchNormalization" for name in node["inputs"][3:]]


def _written(node: Node, form: Form) -> tuple[dict[str, Any], dict[str, Array]]:
    """A node's attributes, and what became inputs in the form's opset: constants by name, in their order."""
    attributes = dict(node["attributes"])
    given: dict[str, Array] = {}
    match node["op"]:
        case "BatchNormalization":
            if not form.momentum:
                del attributes["momentum"]
            if form.training:
                attributes["training_mode"] = 1
        case "Clip" if form.opset >= CLIP_INPUTS:
            given = {bound: np.array(attributes.pop(bound), np.float32) for bound in ("min", "max")}
        case "Pad" if form.opset >= PAD_INPUTS:
            pads, value = attributes.pop("pads"), attributes.pop("value")
            given = {"pads": np.array(pads, np.int64), "value": np.array(value, np.float32)}
        case "ReduceMean":
            attributes["keepdims"] = 1
            if form.opset >= REDUCE_INPUTS:
                given = {"axes": np.array(attributes.pop("axes"), np.int64)}
        case "Reshape":
            given = {"shape": np.array([-1, *attributes.pop("shape")], np.int64)}
        case "Resize":
            attributes["coordinate_transformation_mode"] = attributes.pop("coordinates")
            attributes["nearest_mode"] = "floor"
            given = {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, *attributes.pop("scales")], np.float32)}
        case "Slice":
            axis, start, end, step = (attributes.pop(name) for name in ("axis", "start", "end", "step"))
            numbers = {"starts": [start], "ends": [end], "axes": [axis], "steps": [step]}
            if form.opset >= SLICE_INPUTS:
                given = {name: np.array(value, np.int64) for name, value in numbers.items()}
            else:
                attributes = {name: numbers[name] for name in ("starts", "ends", "axes")}
    return attributes, {f"{node['name']}.{name}": value for name, value in given.items()}


def no_form(graph: Graph, opset: int) -> str | None:
    """Why a plain graph has no form in an opset; None if it has."""
    for node in graph["nodes"]:
        if node["op"] == "Erf" and opset < ERF:
            return f"Erf came with opset {ERF}"
        if node["op"] == "Resize" and opset < RESIZE:
            return f"Resize has coordinates since opset {RESIZE}"
        if node["op"] == "Slice" and opset < SLICE_INPUTS and node["attributes"]["step"] > 1:
            return f"steps of Slice came with opset {SLICE_INPUTS}"
    return None


def _value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
