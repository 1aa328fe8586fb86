"""Parts of a network as networks of their own: up to a node, from a node on, without some nodes.

A part keeps the names of nodes and tensors, and the weights that it reads. Its name is that of the network, a colon and
what it is: `conv:pool` (up to), `conv:pool..` (from), `conv:without-relu1`. Exported files have no parts.

The oracle evaluates the network to find inner values and shapes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.networks.forms import Form, build_model
from crosscheck.networks.graph import Graph, Node, Value
from crosscheck.networks.network import Network, fixed_cotangent
from crosscheck.onnx_models.domains import opset_of
from crosscheck.oracle import layers

__all__ = ["as_vectors", "built", "data_inputs", "prefix", "renamed", "short", "suffix", "values", "without"]

#: Maximum length of what a part's name adds; longer ones are hashed, since names are also names of files.
LONGEST = 60


def prefix(network: Network, node: str) -> Network:
    """The nodes needed by `node`, and its output as the network's.

    The probe input stays; the cotangent is `fixed_cotangent` unless `node` already has the network's output.
    Raises NetworkError for an unknown node.
    """
    (output,) = _node(network, node)["outputs"]
    kept = output == network.graph["outputs"][0]["name"]
    return built(
        network,
        f"{network.name}:{short(node)}",
        f"{network.title}, up to {node}",
        output=output,
        cotangent=network.cotangent if kept else None,
        shape=_shapes(network)[output],
    )


def as_vectors(network: Network) -> Network:
    """The network with its output flattened; itself if a row of the output is a vector already."""
    if network.cotangent.ndim == 2:
        return network
    graph, name = network.graph, "as-vectors"
    last = graph["outputs"][0]["name"]
    flat = Node(op="Flatten", name=name, inputs=[last], outputs=[f"{last}.{name}"], attributes={"axis": 1})
    nodes, output = [*graph["nodes"], flat], f"{last}.{name}"
    return built(network, f"{network.name}:{name}", f"{network.title}, flattened", nodes=nodes, output=output)


@functools.lru_cache(maxsize=64)
def _shapes(network: Network) -> Mapping[str, tuple[int, ...]]:
    """The shape of every node's output."""
    return {name: value.shape for name, value in values(network).items()}


def suffix(network: Network, node: str) -> Network | None:
    """The network from the first input of `node` on; None if a later node reads the network's input by another way.

    The probe input is the oracle's inference-mode value of that tensor, float32; the cotangent stays. The input has the
    name of the network's input. Raises NetworkError for an unknown node.
    """
    first = network.graph["inputs"][0]["name"]
    start = _node(network, node)["inputs"][0]
    needed = _needed(network.graph["nodes"], network.graph["outputs"][0]["name"], {start})
    if start != first and any(first in item["inputs"] for item in needed):
        return None
    if not any(start in item["inputs"] for item in needed):
        return None
    nodes = [_reading(item, {start: first}) for item in needed]
    x = values(network)[start].astype(np.float32)
    return built(network, f"{network.name}:{short(node)}..", f"{network.title}, from {node}", nodes=nodes, x=x)


def without(network: Network, nodes: Collection[str]) -> Network | None:
    """The network in which `nodes` pass on their first input; None if one changes its shape, or none would be left.

    Nodes that nothing reads any more are removed, too, so that an Add without its second branch needs that branch no
    longer. Probe input and cotangent stay. Raises NetworkError for unknown nodes.
    """
    shapes = {tensor: value.shape for tensor, value in values(network).items()}
    passed: dict[str, str] = {}
    for item in [_node(network, name) for name in nodes]:
        if shapes[item["inputs"][0]] != shapes[item["outputs"][0]]:
            return None
        passed[item["outputs"][0]] = item["inputs"][0]
    sources = {tensor: _followed(tensor, passed) for tensor in passed}
    kept = [_reading(item, sources) for item in network.graph["nodes"] if item["outputs"][0] not in passed]
    output = network.graph["outputs"][0]["name"]
    output = sources.get(output, output)
    if output == network.graph["inputs"][0]["name"]:
        return None
    left_out = short("-".join(item["name"] for item in network.graph["nodes"] if item["name"] in nodes))
    return built(
        network,
        f"{network.name}:without-{left_out}",
        f"{network.title}, without {', '.join(sorted(nodes))}",
        nodes=kept,
        output=output,
        cotangent=network.cotangent,
    )


def renamed(network: Network, name: str, title: str) -> Network:
    """The same network under another name and title."""
    return built(network, name, title)


def values(network: Network) -> dict[str, Array]:
    """The probe input and the output of every node in inference mode, float64, by tensor name.

    Raises NetworkError for an exported file.
    """
    if network.file is not None:
        raise NetworkError(
            f"{network.name}: is a file that a runtime exported; only networks that were lowered have parts."
        )
    graph = network.graph
    with np.errstate(all="ignore"):
        inner = layers(graph, network.weights, network.x)
    return {graph["inputs"][0]["name"]: np.asarray(network.x, np.float64), **inner}


def data_inputs(network: Network, node: Node) -> list[str]:
    """The inputs of a node that are no parameters."""
    return [tensor for tensor in node["inputs"] if tensor not in network.weights]


def built(
    network: Network,
    name: str,
    title: str,
    *,
    nodes: Sequence[Node] | None = None,
    weights: Mapping[str, Array] | None = None,
    x: Array | None = None,
    output: str | None = None,
    cotangent: Array | None = None,
    shape: tuple[int, ...] | None = None,
) -> Network:
    """A network like another one, but for the given parts; unneeded nodes and weights are removed.

    A cotangent that does not fit the new output, and one that is None though `output` is given, becomes
    `fixed_cotangent`. shape: of the output, if it is known. Held-out images, labels and target stay as long as inputs
    and outputs have their shape.
    Raises NetworkError if onnx or the oracle does not accept the result.
    """
    graph = network.graph
    first, last = graph["inputs"][0]["name"], graph["outputs"][0]["name"] if output is None else output
    needed = _needed(graph["nodes"] if nodes is None else nodes, last, {first})
    read = {tensor for node in needed for tensor in node["inputs"]}
    every = network.weights if weights is None else weights
    kept = {tensor: _frozen(value) for tensor, value in every.items() if tensor in read}
    x = network.x if x is None else x
    made = Graph(name=name, inputs=[_value(first, x.shape)], outputs=[_value(last, ())], nodes=needed)
    try:
        with np.errstate(all="ignore"):
            shape = layers(made, kept, x)[last].shape if shape is None else shape
        made["outputs"] = [_value(last, shape)]
        opset = opset_of(network.model)
        model = build_model(made, kept, Form(opset), doc_string=title)
    except Exception as problem:  # the oracle, onnx's checker and its shape inference each have errors of their own
        raise NetworkError(f"{name}: is no valid network ({' '.join(str(problem).split())}).") from problem
    if cotangent is None and output is None:
        cotangent = network.cotangent
    if cotangent is None or cotangent.shape != shape:
        cotangent = fixed_cotangent(shape)
    part = Network(name, title, network.description, model, made, kept, _frozen(x), _frozen(cotangent))
    if network.x.shape[1:] == x.shape[1:] and network.cotangent.shape[1:] == shape[1:]:
        return replace(part, images=network.images, labels=network.labels, target=network.target)
    return part


def short(text: str) -> str:
    """The text itself, or eight hexadecimal digits of its digest if it is long."""
    return text if len(text) <= LONGEST else hashlib.sha256(text.encode()).hexdigest()[:8]


def _node(network: Network, name: str) -> Node:
    for node in network.graph["nodes"]:
        if node["name"] == name:
            return node
    there = ", ".join(node["name"] for node in network.graph["nodes"])
    raise NetworkError(f"{network.name}: has no node '{name}'. There are: {there}.")


def _needed(nodes: Sequence[Node], output: str, given: Collection[str]) -> list[Node]:
    """The nodes that `output` depends on when the tensors in `given` are known, in order of execution."""
    wanted, needed = {output}, []
    for node in reversed(nodes):
        if node["outputs"][0] in wanted and node["outputs"][0] not in given:
            wanted.update(node["inputs"])
            needed.append(node)
    return needed[::-1]


def _reading(node: Node, sources: Mapping[str, str]) -> Node:
    """The node with other names of its inputs."""
    return Node(
        op=node["op"],
        name=node["name"],
        inputs=[sources.get(tensor, tensor) for tensor in node["inputs"]],
        outputs=list(node["outputs"]),
        attributes=dict(node["attributes"]),
    )


def _followed(tensor: str, passed: Mapping[str, str]) -> str:
    while tensor in passed:
        tensor = passed[tensor]
    return tensor


def _value(name: str, shape: Iterable[int]) -> Value:
    return Value(name=name, shape=["N", *list(shape)[1:]])


def _frozen(array: Array) -> Array:
    """A read-only float32 array in C order; the same one if it is that already."""
    if array.dtype == np.float32 and array.flags.c_contiguous and not array.flags.writeable:
        return array
    frozen = np.array(array, np.float32, order="C")
    frozen.flags.writeable = False
    return frozen
