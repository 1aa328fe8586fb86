"""Networks that are ONNX files, read byte for byte: those that runtimes exported, and users' own."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import onnx

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from crosscheck.networks.forms import TRAINING_OPSET, running_name
from crosscheck.networks.graph import Graph, Node, Value
from crosscheck.networks.network import Network, Written
from crosscheck.onnx_models.facts import Facts
from crosscheck.onnx_models.failures import FAILURES
from crosscheck.onnx_models.fresh_names import FreshNames
from crosscheck.onnx_models.memory import check_inner_sizes, limited
from crosscheck.onnx_models.plain import plain
from crosscheck.onnx_models.read import parsed

__all__ = [
    "BATCH_GRADIENT",
    "EXPORTED_FORMS",
    "FLOATS",
    "GRADIENT",
    "INTEGERS",
    "TRAINING",
    "check_sizes",
    "digest_of",
    "file_forms",
    "file_gradient",
    "file_graph",
    "file_training",
    "missing_forms",
    "written_network",
]

#: The names of a file's forms, and of the modes that read them: with crosscheck's gradient, by the moving statistics
#: and by the batch's, and with batch normalizations in training mode.
GRADIENT, BATCH_GRADIENT, TRAINING = "file-gradient", "file-batch-gradient", "file-training"
#: Those that readers are asked about in a file that a runtime exported.
EXPORTED_FORMS = ("file", GRADIENT)

#: Element types that have a gradient, and that NumPy has.
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
#: Why some files have no form with a gradient.
INTEGERS = "its inputs are integers: no input gradient"


def written_network(content: bytes, name: str, source: Network) -> Network:
    """The network in a file exported from `source`, with the probe input and cotangent of `source`.

    The first output is the network's; further ones are the new statistics of a training form.
    Raises NetworkError for invalid ONNX, for a graph without exactly one input, and where weights are elsewhere.
    """
    with limited(name, len(content)):
        return _written(content, name, source)


def _written(content: bytes, name: str, source: Network) -> Network:
    model = parsed(content, name)
    if not model.graph.node or not model.graph.output:
        raise NetworkError(f"{name}: has no ONNX graph with an output in it.")
    stored = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in stored]
    if len(inputs) != 1:
        raise NetworkError(f"{name}: has {len(inputs)} inputs besides its weights, where the network has one.")
    check_sizes(model, name, inputs[0].name, source.x)
    return replace(
        source,
        name=name,
        title=f"{source.title}, as a runtime wrote it",
        description="",
        model=model,
        graph=file_graph(model, name, {inputs[0].name: source.x}, source.cotangent),
        weights={},
        images=None,
        labels=None,
        target=None,
        file=Written(content, source),
        own=None,
    )


def check_sizes(model: onnx.ModelProto, name: str, x: str, value: Array) -> None:
    """Raise NetworkError for a node with absurd sizes; a file in which they are unknown is left to its readers."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for item in sized.graph.input:
        if item.name == x:
            kind = item.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
            item.CopyFrom(onnx.helper.make_tensor_value_info(x, kind, value.shape))
    for output in sized.graph.output:
        output.type.tensor_type.ClearField("shape")
    del sized.graph.value_info[:]
    try:
        facts = Facts(sized, name, strict=False)
    except MemoryError:
        raise
    except (NetworkError, StopIteration, *FAILURES):
        return
    check_inner_sizes(sized, facts)


def file_graph(model: onnx.ModelProto, name: str, inputs: Mapping[str, Array], cotangent: Array) -> Graph:
    """A graph with the file's own names and operators, without attributes: nothing is lowered.

    inputs: the probe's values, that of the differentiated input first. It lists only nodes whose first output is known
    to be floats and no further output of the file, the node of the first output last.
    """
    last, *others = (item.name for item in model.graph.output)
    shown = _floats(model).keys() - set(others)
    nodes = [
        Node(
            op=proto.op_type,
            name=proto.name or f"{proto.op_type.lower()}{index}",
            inputs=list(proto.input),
            outputs=[proto.output[0]],
            attributes={},
        )
        for index, proto in enumerate(model.graph.node)
        if proto.op_type != "Constant" and (proto.output[0] == last or proto.output[0] in shown)
    ]
    return Graph(
        name=name,
        inputs=[Value(name=key, shape=["N", *value.shape[1:]]) for key, value in inputs.items()],
        outputs=[Value(name=last, shape=["N", *cotangent.shape[1:]])],
        nodes=sorted(nodes, key=lambda node: node["outputs"][0] == last),
    )


def file_forms(network: Network) -> dict[str, onnx.ModelProto]:
    """The forms of a file, by name, as far as it has them: unchanged, exposed, with gradients, in training mode."""
    return {name: model for name, model in _made(network).items() if not isinstance(model, str)}


def missing_forms(network: Network) -> dict[str, str]:
    """The forms that a file does not have, and why."""
    return {name: reason for name, reason in _made(network).items() if isinstance(reason, str)}


@functools.lru_cache(maxsize=64)
def _made(network: Network) -> Mapping[str, onnx.ModelProto | str]:
    makers: dict[str, Callable[[Network], onnx.ModelProto]] = {GRADIENT: file_gradient}
    if network.own is not None:
        makers |= {BATCH_GRADIENT: lambda network: file_gradient(network, training=True), TRAINING: file_training}
    made: dict[str, onnx.ModelProto | str] = {"file": network.model, "file-exposed": _exposed(network)}
    for name, make in makers.items():
        try:
            with limited(network.name, network.model.ByteSize()):
                made[name] = make(network)
        except NetworkError as problem:
            made[name] = str(problem)
    return made


def file_gradient(network: Network, training: bool = False) -> onnx.ModelProto:
    """The file with its gradient in a mode, by crosscheck's pass. Raises NetworkError for unsupported operators."""
    y, x = network.graph["outputs"][0]["name"], network.graph["inputs"][0]["name"]
    if not network.differentiable:
        raise NetworkError(f"{network.name}: {INTEGERS}.")
    try:
        onnx.checker.check_model(network.model)
        return differentiate(network.model, training=training, wrt=[x], output=y, source=network.name)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, *FAILURES) as problem:
        raise NetworkError(f"{network.name}: onnx refuses it ({' '.join(str(problem).split())}).") from problem


def digest_of(content: bytes) -> str:
    """Eight hexadecimal digits of the file's digest."""
    return hashlib.sha256(content).hexdigest()[:8]


def _floats(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Types of the tensors that shape inference finds to be floats; excludes outputs of foreign operators."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, *FAILURES):
        return {}
    return {
        item.name: item
        for item in (*inferred.value_info, *inferred.output)
        if item.type.tensor_type.elem_type in FLOATS
    }


def _exposed(network: Network) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    types = _floats(network.model)
    for node in network.graph["nodes"][:-1]:  # the graph already outputs the last node
        model.graph.output.append(types[node["outputs"][0]])
    return model


def file_training(network: Network) -> onnx.ModelProto:
    """The file with every batch normalization in training mode, and its new statistics as further outputs.

    Raises NetworkError for a file without batch normalizations.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(network.model)
    model = plain(copy, network.name, TRAINING_OPSET)
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    if not norms:
        raise NetworkError(f"{network.name}: has no batch normalization.")
    kinds = {item.name: item.data_type for item in model.graph.initializer}
    names = FreshNames(name for node in model.graph.node for name in node.output)
    for node in norms:
        for item in [item for item in node.attribute if item.name == "training_mode"]:
            node.attribute.remove(item)
        node.attribute.append(onnx.helper.make_attribute("training_mode", 1))
        del node.output[1:]
        for statistic in node.input[3:5]:
            name = names.of(running_name(statistic))
            node.output.append(name)
            kind = kinds.get(statistic, onnx.TensorProto.FLOAT)
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, [None]))
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, *FAILURES) as problem:
        raise NetworkError(f"{network.name}: has no training form ({' '.join(str(problem).split())}).") from problem
    return model
