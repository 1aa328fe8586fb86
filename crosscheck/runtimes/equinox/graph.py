"""The graph's operators in Equinox's: for one example, without the batch axis, which `vmap` puts around all of them."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

from crosscheck.probe.adapter import Network

#: The name of the batch axis, over which batch normalization takes its means.
BATCH = "batch"


class Node(NamedTuple):
    """One operator of the graph; `shape` is that of its first parameter, if it has one."""

    op: str
    name: str
    inputs: Tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    shape: Tuple[int, ...]


#: Operators whose layers have parameters, and what a layer calls the node's inputs after the first.
KEYS = {"BatchNormalization": ("weight", "bias"), "Conv": ("weight", "bias"), "Gemm": ("weight", "bias")}


def nodes(network: Network) -> List[Node]:
    """The network's nodes, in an order in which they can be executed."""
    return [
        Node(
            op=node["op"],
            name=node["name"],
            inputs=tuple(node["inputs"]),
            output=node["outputs"][0],
            attributes=node["attributes"],
            shape=tuple(network.weights[node["inputs"][1]].shape) if node["op"] in KEYS else (),
        )
        for node in network.graph["nodes"]
    ]


def pads(node: Node) -> Tuple[Tuple[int, int], ...]:
    """ONNX's pads, beginnings and then ends, as a pair an axis."""
    numbers = node.attributes["pads"]
    return tuple(zip(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]))


def convolution(eqx: Any, node: Node, key: Any) -> Any:
    """Conv as `eqx.nn.Conv`."""
    return eqx.nn.Conv(
        len(node.shape) - 2,
        node.shape[1] * node.attributes["group"],
        node.shape[0],
        tuple(node.attributes["kernel_shape"]),
        stride=tuple(node.attributes["strides"]),
        padding=pads(node),
        dilation=tuple(node.attributes["dilations"]),
        groups=node.attributes["group"],
        use_bias=len(node.inputs) == 3,
        key=key,
    )


def dense(eqx: Any, node: Node, key: Any) -> Any:
    """Gemm as `eqx.nn.Linear`."""
    return eqx.nn.Linear(node.shape[1], node.shape[0], key=key)


def pool(eqx: Any, kind: str, node: Node) -> Any:
    """`eqx.nn.MaxPool2d` and its like."""
    dimensions = len(node.attributes["kernel_shape"])
    return getattr(eqx.nn, "{}Pool{}d".format(kind, dimensions))(
        tuple(node.attributes["kernel_shape"]), stride=tuple(node.attributes["strides"]), padding=pads(node)
    )


def average_pool(jax: Any, eqx: Any, node: Node, x: Any) -> Any:
    """AveragePool: Equinox's counts the padding; where ONNX's does not, the share of real entries is divided out."""
    layer = pool(eqx, "Avg", node)
    if node.attributes["count_include_pad"] or not any(node.attributes["pads"]):
        return layer(x)
    return layer(x) / layer(jax.numpy.ones_like(x))


#: Operators without parameters: (jax, eqx, node, *inputs) -> output.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda jax, eqx, node, a, b: a + b,
    "AveragePool": average_pool,
    "Concat": lambda jax, eqx, node, *inputs: jax.numpy.concatenate(inputs, axis=node.attributes["axis"] - 1),
    "Flatten": lambda jax, eqx, node, x: x.reshape(-1),
    "GlobalAveragePool": lambda jax, eqx, node, x: x.mean(axis=tuple(range(1, x.ndim)), keepdims=True),
    "MaxPool": lambda jax, eqx, node, x: pool(eqx, "Max", node)(x),
    "Relu": lambda jax, eqx, node, x: jax.nn.relu(x),
    "Softmax": lambda jax, eqx, node, x: jax.nn.softmax(x, axis=node.attributes["axis"] - 1),
}
