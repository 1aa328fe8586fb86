"""The graph's operators in Haiku's layout, channels last, and where Haiku keeps what the graph calls its weights."""

import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network


class Node(NamedTuple):
    """One operator of the graph; `units`: output channels of a Conv or Gemm; `module`: the name of Haiku's module."""

    op: str
    name: str
    inputs: Tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    units: int
    module: str


#: Operators whose modules have parameters, and what a module calls the node's inputs after the first; `/` leads on to
#: an average's own module.
KEYS = {
    "BatchNormalization": ("scale", "offset", "mean_ema", "var_ema"),
    "Conv": ("w", "b"),
    "Gemm": ("w", "b"),
}


def nodes(network: Network) -> List[Node]:
    """The network's nodes, in an order in which they can be executed."""
    return [
        Node(
            op=node["op"],
            name=node["name"],
            inputs=tuple(node["inputs"]),
            output=node["outputs"][0],
            attributes=node["attributes"],
            units=len(network.weights[node["inputs"][1]]) if node["op"] in KEYS else 0,
            module=module_name(node["name"]),
        )
        for node in network.graph["nodes"]
    ]


def module_name(name: str) -> str:
    """A node's name, or, where Haiku would not take that, one like it."""
    return name if name.isidentifier() else "node_" + re.sub(r"\W", "_", name)


def weights_of(program: Sequence[Node]) -> List[Tuple[str, Node, str]]:
    """Every weight's name, its node, and its key there."""
    return [
        (name, node, key) for node in program if node.op in KEYS for name, key in zip(node.inputs[1:], KEYS[node.op])
    ]


def to_haiku(key: str, value: Array) -> Array:
    """A kernel as Haiku has it: (*window, in / group, out), without a window for a dense layer."""
    return np.transpose(value, tuple(range(2, value.ndim)) + (1, 0)) if key == "w" else value


def from_haiku(key: str, value: Any) -> Array:
    """The inverse; a batch normalization's parameters have axes of length one in Haiku, for all but the channels."""
    value = np.asarray(value)
    if key != "w":
        return value.reshape(-1)
    return np.transpose(value, (value.ndim - 1, value.ndim - 2) + tuple(range(value.ndim - 2)))


def pads(node: Node) -> Tuple[Tuple[int, int], ...]:
    """ONNX's pads, beginnings and then ends, as a pair an axis."""
    numbers = node.attributes["pads"]
    return tuple(zip(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]))


def convolution(hk: Any, node: Node, x: Any) -> Any:
    """Conv as `hk.ConvND`."""
    layer = hk.ConvND(
        len(node.attributes["kernel_shape"]),
        node.units,
        tuple(node.attributes["kernel_shape"]),
        stride=tuple(node.attributes["strides"]),
        rate=tuple(node.attributes["dilations"]),
        padding=pads(node),
        with_bias=len(node.inputs) == 3,
        feature_group_count=node.attributes["group"],
        name=node.module,
    )
    return layer(x)


def batch_norm(hk: Any, node: Node, x: Any, **mode: bool) -> Any:
    """BatchNormalization; like ONNX, Haiku's decay rate is the part that is kept."""
    layer = hk.BatchNorm(
        create_scale=True,
        create_offset=True,
        decay_rate=node.attributes["momentum"],
        eps=node.attributes["epsilon"],
        name=node.module,
    )
    return layer(x, **mode)


def pooled(jax: Any, pool: Callable[..., Any], node: Node, x: Any, fill: float) -> Any:
    """A pool of `x` with explicit borders: Haiku's own are "SAME" and "VALID". Windows have an entry for every axis."""
    padded = jax.numpy.pad(x, ((0, 0),) + pads(node) + ((0, 0),), constant_values=fill)
    window, strides = ((1,) + tuple(node.attributes[name]) + (1,) for name in ("kernel_shape", "strides"))
    return pool(padded, window, strides, "VALID")


def average_pool(jax: Any, hk: Any, node: Node, x: Any) -> Any:
    """AveragePool; where padding does not count, the share of real entries is divided out."""
    y = pooled(jax, hk.avg_pool, node, x, 0.0)
    if node.attributes["count_include_pad"] or not any(node.attributes["pads"]):
        return y
    return y / pooled(jax, hk.avg_pool, node, jax.numpy.ones_like(x), 0.0)


def axis(number: int, rank: int) -> int:
    """The axis of ONNX's layout in Haiku's."""
    return rank - 1 if number == 1 else max(number - 1, 0)


#: Operators without parameters: (jax, hk, node, *inputs) -> output.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda jax, hk, node, a, b: a + b,
    "AveragePool": average_pool,
    "Concat": lambda jax, hk, node, *inputs: jax.numpy.concatenate(
        inputs, axis=axis(node.attributes["axis"], inputs[0].ndim)
    ),
    "Flatten": lambda jax, hk, node, x: jax.numpy.moveaxis(x, -1, 1).reshape(x.shape[0], -1),
    "GlobalAveragePool": lambda jax, hk, node, x: x.mean(axis=tuple(range(1, x.ndim - 1)), keepdims=True),
    "MaxPool": lambda jax, hk, node, x: pooled(jax, hk.max_pool, node, x, -np.inf),
    "Relu": lambda jax, hk, node, x: jax.nn.relu(x),
    "Softmax": lambda jax, hk, node, x: jax.nn.softmax(x, axis=axis(node.attributes["axis"], x.ndim)),
}


def forward(hk: Any, jax: Any, network: Network) -> Callable[..., Any]:
    """The network as a function that `hk.transform_with_state` takes: of x and the mode, in ONNX's layout."""
    program = nodes(network)

    def network_of(x: Any, **mode: bool) -> Any:
        values = {network.graph["inputs"][0]["name"]: jax.numpy.moveaxis(x, 1, -1)}
        for node in program:
            x = values[node.inputs[0]]
            if node.op == "BatchNormalization":
                y = batch_norm(hk, node, x, **mode)
            elif node.op == "Conv":
                y = convolution(hk, node, x)
            elif node.op == "Gemm":
                y = hk.Linear(node.units, name=node.module)(x)
            else:
                y = FUNCTIONS[node.op](jax, hk, node, *(values[name] for name in node.inputs))
            values[node.output] = y
        return jax.numpy.moveaxis(values[network.graph["outputs"][0]["name"]], -1, 1)

    return network_of
