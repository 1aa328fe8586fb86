"""Networks from ONNX files that runtimes exported; other runtimes read them byte for byte."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from crosscheck.errors import NetworkError
from crosscheck.networks.differentiate import differentiate
from crosscheck.networks.graph import Graph, Node, Value
from crosscheck.networks.network import Network, Written

__all__ = [
    "GRADIENT",
    "digest_of",
    "file_forms",
    "file_gradient",
    "foreign_operators",
    "opset_of",
    "written_network",
]

#: The name of the form with crosscheck's gradient, and of the modes that read it.
GRADIENT = "file-gradient"

#: The domains of the operators that ONNX itself defines for inference.
ONNX_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


def written_network(content: bytes, name: str, source: Network) -> Network:
    """The network in a file exported from `source`, with the probe input and cotangent of `source`.

    Its graph has the file's own names and operators, without attributes: nothing is lowered. It lists only nodes whose
    first output is known to be float32, the node of the network's output last.
    The first output is the network's; further ones are the new statistics of a training form.
    Raises NetworkError for invalid ONNX, and for a graph without exactly one input.
    """
    try:
        model = onnx.load_from_string(content)
    except DecodeError as problem:
        raise NetworkError(f"{name}: cannot be read as ONNX ({problem}).") from problem
    if not model.graph.node or not model.graph.output:
        raise NetworkError(f"{name}: has no ONNX graph with an output in it.")
    stored = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in stored]
    if len(inputs) != 1:
        raise NetworkError(f"{name}: has {len(inputs)} inputs besides its weights, where the network has one.")
    last = model.graph.output[0].name
    float_tensors = _floats(model)
    nodes = [
        Node(
            op=proto.op_type,
            name=proto.name or f"{proto.op_type.lower()}{index}",
            inputs=list(proto.input),
            outputs=[proto.output[0]],
            attributes={},
        )
        for index, proto in enumerate(model.graph.node)
        if proto.op_type != "Constant" and (proto.output[0] == last or proto.output[0] in float_tensors)
    ]
    graph = Graph(
        name=name,
        inputs=[Value(name=inputs[0].name, shape=["N", *source.x.shape[1:]])],
        outputs=[Value(name=last, shape=["N", *source.cotangent.shape[1:]])],
        nodes=sorted(nodes, key=lambda node: node["outputs"][0] == last),
    )
    return replace(
        source,
        name=name,
        title=f"{source.title}, as a runtime wrote it",
        description="",
        model=model,
        graph=graph,
        weights={},
        images=None,
        labels=None,
        target=None,
        file=Written(content, source),
        own=None,
    )


def file_forms(network: Network) -> dict[str, onnx.ModelProto]:
    """The forms of a file, by name: unchanged, exposed, and with crosscheck's gradient if it has one."""
    forms = {"file": network.model, "file-exposed": _exposed(network)}
    with contextlib.suppress(NetworkError):
        forms[GRADIENT] = file_gradient(network)
    return forms


def file_gradient(network: Network, training: bool = False) -> onnx.ModelProto:
    """The file with its gradient in a mode, by crosscheck's pass. Raises NetworkError for unsupported operators."""
    try:
        onnx.checker.check_model(network.model)
        return differentiate(network.model, training=training, source=network.name)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as problem:
        raise NetworkError(f"{network.name}: onnx refuses it ({' '.join(str(problem).split())}).") from problem


def digest_of(content: bytes) -> str:
    """Eight hexadecimal digits of the file's digest."""
    return hashlib.sha256(content).hexdigest()[:8]


def opset_of(model: onnx.ModelProto) -> int | None:
    """The opset of a file; None if it declares none."""
    return next((int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx")), None)


def foreign_operators(model: onnx.ModelProto) -> list[str]:
    """Operators outside ONNX's domains, such as `com.microsoft.FusedConv`; other runtimes may not support them."""
    return sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in ONNX_DOMAINS})


def _floats(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Types of the tensors that shape inference finds to be float32; excludes outputs of foreign operators."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, RuntimeError):
        return {}
    return {
        item.name: item
        for item in (*inferred.value_info, *inferred.output)
        if item.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }


def _exposed(network: Network) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    types = _floats(network.model)
    for node in network.graph["nodes"][:-1]:  # the graph already outputs the last node
        model.graph.output.append(types[node["outputs"][0]])
    return model
