"""The graph's operators in Flax's layout, channels last, and where each API keeps what the graph calls its weights."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network


class Node(NamedTuple):
    """One operator of the graph."""

    op: str
    name: str
    inputs: Tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


class Place(NamedTuple):
    """Where a weight lies: the name of its layer, the attribute or key there, and linen's collection of such."""

    layer: str
    key: str
    collection: str


#: Operator -> what its layer calls the node's inputs after the first.
KEYS = {
    "BatchNormalization": ("scale", "bias", "mean", "var"),
    "Conv": ("kernel", "bias"),
    "Gemm": ("kernel", "bias"),
}
STATISTICS = ("mean", "var")


def nodes(network: Network) -> List[Node]:
    """The network's nodes, in an order in which they can be executed."""
    return [
        Node(node["op"], node["name"], tuple(node["inputs"]), node["outputs"][0], node["attributes"])
        for node in network.graph["nodes"]
    ]


def places(program: Sequence[Node]) -> Dict[str, Place]:
    """Weight name -> where it lies."""
    return {
        weight: Place(node.name, key, "batch_stats" if key in STATISTICS else "params")
        for node in program
        if node.op in KEYS
        for weight, key in zip(node.inputs[1:], KEYS[node.op])
    }


def to_flax(place: Place, value: Array) -> Array:
    """A weight as Flax has it: kernels are (*window, in / group, out), without a window for a dense layer."""
    return np.transpose(value, tuple(range(2, value.ndim)) + (1, 0)) if place.key == "kernel" else value


def from_flax(place: Place, value: Any) -> Array:
    """The inverse of `to_flax`, as a numpy array."""
    value = np.asarray(value)
    if place.key != "kernel":
        return value
    return np.transpose(value, (value.ndim - 1, value.ndim - 2) + tuple(range(value.ndim - 2)))


def pads(attributes: Mapping[str, Any]) -> Tuple[Tuple[int, int], ...]:
    """ONNX's pads, beginnings and then ends, as a pair an axis."""
    numbers = attributes["pads"]
    return tuple(zip(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]))


def convolution(node: Node) -> Dict[str, Any]:
    """The keywords that `linen.Conv` and `nnx.Conv` share."""
    return {
        "kernel_size": tuple(node.attributes["kernel_shape"]),
        "strides": tuple(node.attributes["strides"]),
        "padding": pads(node.attributes),
        "kernel_dilation": tuple(node.attributes["dilations"]),
        "feature_group_count": node.attributes["group"],
        "use_bias": len(node.inputs) == 3,
    }


def normalization(node: Node) -> Dict[str, Any]:
    """The keywords that both `BatchNorm`s share; like ONNX, Flax calls the part that is kept momentum."""
    return {"epsilon": node.attributes["epsilon"], "momentum": node.attributes["momentum"]}


def channels_last(jax: Any, x: Any) -> Any:
    """(N, channels, *spatial) to (N, *spatial, channels)."""
    return jax.numpy.moveaxis(x, 1, -1)


def channels_first(jax: Any, x: Any) -> Any:
    """The way back."""
    return jax.numpy.moveaxis(x, -1, 1)


def axis(number: int, rank: int) -> int:
    """The axis of ONNX's layout in Flax's."""
    return rank - 1 if number == 1 else max(number - 1, 0)


def window(node: Node) -> Dict[str, Any]:
    """How a pool's window moves."""
    return {
        "window_shape": tuple(node.attributes["kernel_shape"]),
        "strides": tuple(node.attributes["strides"]),
        "padding": pads(node.attributes),
    }


#: Operators without parameters: (jax, linen, node, *inputs) -> output. nnx takes its functions from linen.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda jax, linen, node, a, b: a + b,
    "AveragePool": lambda jax, linen, node, x: linen.avg_pool(
        x, count_include_pad=bool(node.attributes["count_include_pad"]), **window(node)
    ),
    "Concat": lambda jax, linen, node, *inputs: jax.numpy.concatenate(
        inputs, axis=axis(node.attributes["axis"], inputs[0].ndim)
    ),
    "Flatten": lambda jax, linen, node, x: channels_first(jax, x).reshape(x.shape[0], -1),
    "GlobalAveragePool": lambda jax, linen, node, x: x.mean(axis=tuple(range(1, x.ndim - 1)), keepdims=True),
    "MaxPool": lambda jax, linen, node, x: linen.max_pool(x, **window(node)),
    "Relu": lambda jax, linen, node, x: linen.relu(x),
    "Softmax": lambda jax, linen, node, x: linen.softmax(x, axis=axis(node.attributes["axis"], x.ndim)),
}


def run(jax: Any, linen: Any, network: Network, program: Sequence[Node], layer: Callable[..., Any], x: Any) -> Any:
    """The network's output for x, both in ONNX's layout; `layer(node, x)` applies a node that has parameters."""
    values = {network.graph["inputs"][0]["name"]: channels_last(jax, x)}
    for node in program:
        if node.op in KEYS:
            values[node.output] = layer(node, values[node.inputs[0]])
        else:
            values[node.output] = FUNCTIONS[node.op](jax, linen, node, *(values[name] for name in node.inputs))
    return channels_first(jax, values[network.graph["outputs"][0]["name"]])
