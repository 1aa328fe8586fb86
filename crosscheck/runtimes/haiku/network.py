"""A network as source text: a function that Haiku transforms, and the parameters and the state that its user keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.family import numpy_like
from crosscheck.runtimes.family.graph import Graph, Node, indented, kernel_from_last, last_value
from crosscheck.runtimes.family.layers import options
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["source"]

#: Operator -> what its module calls its weights.
KEYS = {
    "BatchNormalization": ("scale", "offset", "mean_ema", "var_ema"),
    "Conv": ("w", "b"),
    "Gemm": ("w", "b"),
}
AVERAGES = ("mean_ema", "var_ema")
#: What a batch normalization's two counters are called among the tensors. They count the same.
COUNTERS = {"mean_ema": "counter", "var_ema": "var_ema.counter"}
#: An average as Haiku keeps it. Long trained is after so many batches that the decay rate to that power is 0.
TRAINED = """\
def ema(value):  # after many batches
    return {"counter": jnp.int32(100000), "hidden": jnp.array(value), "average": jnp.array(value)}
"""
FRESH = """\
def ema(value):  # before the first batch
    return {"counter": jnp.int32(0), "hidden": jnp.zeros_like(value), "average": jnp.array(value)}
"""


def source(request: Request) -> Source:
    """The network, with layers that are fresh if the mode says so, or have long been trained."""
    taken = ("apply", "ema", "is_training", "network", "params", "state", "test_local_stats")
    graph = Graph.of(request, taken, operators=numpy_like.JAX.operators)
    body, result = numpy_like.body(graph, lambda node, inputs: expression(node, inputs, request.norm))
    text = (
        "def network(x, is_training, test_local_stats=False):\n"
        + indented([*body, f"return {result}"])
        + "\n\nnet = hk.transform_with_state(network)\n"
        + (kept(graph) if request.first is None else added(graph))
    )
    tensors = graph.stored(place)
    for node in graph.norms:
        tensors |= hidden(node)
    return Source(
        imports="import functools\n\nimport haiku as hk\nimport jax\nimport jax.numpy as jnp\n",
        text=text + 'apply = jax.jit(net.apply, static_argnames=("is_training", "test_local_stats"))\n',
        predict="y, _ = apply(params, state, None, x, is_training=False)\n",
        tensor="jnp.array({})",
        array="{}",
        tensors=tensors,
        public=graph.parameters,
        carried=("state",),
    )


def expression(node: Node, inputs: list[str], norm: Mapping[str, Any]) -> str:
    """A module and its call, or a function."""
    x, attributes = inputs[0], node.attributes
    match node.op:
        case "BatchNormalization":
            made = norm.get("affine", True)
            words = f"{made}, {made}, {attributes['momentum']}, {attributes['epsilon']}"
            if norm.get("synced"):
                words += ', cross_replica_axis="batch"'
            return f'hk.BatchNorm({words}, name="{node.id}")({x}, is_training, test_local_stats)'
        case "Conv":
            return f'hk.Conv{node.rank - 2}D({node.filters}, {convolution(node)}, name="{node.id}")({x})'
        case "Gemm":
            return f'hk.Linear({node.filters}, name="{node.id}")({x})'
        case "AveragePool":
            return average(node, x, lambda x: pool(node, "avg", x, "0"), "jnp.ones_like({})")
        case "MaxPool":
            return pool(node, "max", x, "-jnp.inf")
    return numpy_like.function(node, inputs)


def convolution(node: Node) -> str:
    """How the window of a convolution moves."""
    words = [str(node.kernel), *[f"stride={node.strides}"] * node.strided, f"padding={node.pads}"]
    return ", ".join(words + options(node, "rate", "feature_group_count", "with_bias=False"))


def pool(node: Node, kind: str, x: str, fill: str) -> str:
    """A pool over explicit borders, since Haiku's own are "SAME" and "VALID"; a window has a size for every axis."""
    if node.padded:
        x = f"jnp.pad({x}, {((0, 0), *node.pads, (0, 0))}, constant_values={fill})"
    window, strides = (1, *node.kernel, 1), (1, *node.strides, 1)
    return f'hk.{kind}_pool({x}, {window}, {strides}, "VALID")'


def kept(graph: Graph) -> str:
    """The parameters and the state, whole."""
    entries = {node.id: parameters(graph, node) for node in graph.layers}
    text = "params = {\n" + indented(f'"{name}": {entry},' for name, entry in entries.items() if entry != "{}") + "}\n"
    text += "params = jax.tree_util.tree_map(jnp.array, params)\n"
    if not graph.norms:
        return text + "state = {}\n"
    lines = [
        f'"{node.id}/~/{key}": ema({value(node, number)}),'
        for node in graph.norms
        for number, key in enumerate(KEYS[node.op])
        if key in AVERAGES
    ]
    ema = FRESH if graph.request.norm.get("fresh") else TRAINED
    return f"{text}\n{ema}\nstate = {{\n{indented(lines)}}}\n"


def added(graph: Graph) -> str:
    """What the network has besides the parameters and the state of the first one, which it shares."""
    return "".join(
        f'params["{node.id}"] = jax.tree_util.tree_map(jnp.array, {parameters(graph, node)})\n' for node in graph.own
    )


def parameters(graph: Graph, node: Node) -> str:
    """A module's entry among the parameters."""
    held = [
        f'"{KEYS[node.op][number]}": {value(node, number)}'
        for number in graph.held(node)
        if KEYS[node.op][number] not in AVERAGES
    ]
    return "{" + ", ".join(held) + "}"


def value(node: Node, number: int) -> str:
    """A weight as Haiku has it: those of a batch normalization have the axes of its input, one entry wide."""
    array = last_value(node, number)
    return f"{array}.reshape{(*[1] * (node.rank - 1), -1)}" if node.op == "BatchNormalization" else array


def place(node: Node, number: int) -> Stored:
    """Where a weight lies; of an average, what the layer normalises by."""
    key = KEYS[node.op][number]
    if key in AVERAGES:
        return f'state["{node.id}/~/{key}"]["average"].ravel()', None
    entry = f'params["{node.id}"]["{key}"]'
    if node.op == "BatchNormalization":
        return f"{entry}.ravel()", None
    return entry, kernel_from_last(node, number)


def hidden(node: Node) -> dict[str, Stored]:
    """What the averages are computed from."""
    found: dict[str, Stored] = {}
    for key in AVERAGES:
        entry = f'state["{node.id}/~/{key}"]'
        found[f"{node.name}.{key}.hidden"] = f'{entry}["hidden"].ravel()', None
        found[f"{node.name}.{COUNTERS[key]}"] = f'{entry}["counter"]', None
    return found
