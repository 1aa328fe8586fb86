"""The graph's operators in MXNet's; `ops` is `mx.sym`, `mx.nd`, or whichever of them a HybridBlock is given."""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Sequence, Tuple

from crosscheck.probe.adapter import Array, Network

#: BatchNorm's, for keywords that need not be written.
DEFAULTS = {"eps": 1e-3, "momentum": 0.9}


class Node(NamedTuple):
    """One operator of the graph.

    units: output channels of a Conv or Gemm.
    norm: further keywords of a BatchNorm; None leaves one out that would say what MXNet's default is.
    rank: how many axes the network's input has, and so what is normalised.
    """

    op: str
    name: str
    inputs: Tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    units: int
    norm: Mapping[str, Any]
    rank: int


def nodes(network: Network, norm: Mapping[str, Any]) -> Sequence[Node]:
    """The network's nodes; `norm`: further keywords of all batch normalizations."""
    return [
        Node(
            op=node["op"],
            name=node["name"],
            inputs=tuple(node["inputs"]),
            output=node["outputs"][0],
            attributes=node["attributes"],
            units=len(network.weights[node["inputs"][1]]) if node["op"] in ("Conv", "Gemm") else 0,
            norm=norm,
            rank=len(network.graph["inputs"][0]["shape"]),
        )
        for node in network.graph["nodes"]
    ]


def apply(ops: Any, node: Node, inputs: Sequence[Any]) -> Any:
    """One node's output, given its inputs as symbols or arrays. Raises KeyError for an operator that is not lowered."""
    return OPERATORS[node.op](ops, node, *inputs)


def convolution(ops: Any, node: Node, x: Any, weight: Any, *bias: Any) -> Any:
    """Conv, 1-D or 2-D."""
    attributes = node.attributes
    x, pad = padded(ops, x, attributes["pads"], 0.0)
    return ops.Convolution(
        x,
        weight,
        *bias,
        kernel=tuple(attributes["kernel_shape"]),
        stride=tuple(attributes["strides"]),
        dilate=tuple(attributes["dilations"]),
        pad=pad,
        num_filter=node.units,
        num_group=attributes["group"],
        no_bias=not bias,
    )


def batch_norm(ops: Any, node: Node, x: Any, *parameters: Any) -> Any:
    """BatchNormalization: x, gamma, beta and the moving statistics, MXNet's auxiliary states."""
    keywords = {"eps": node.attributes["epsilon"], "momentum": node.attributes["momentum"], "fix_gamma": False}
    for name, value in node.norm.items():
        if value is not None:
            keywords[name] = value
        elif keywords[name] == DEFAULTS[name]:
            del keywords[name]
    if keywords.get("axis") != -1:
        return ops.BatchNorm(x, *parameters, **keywords)
    last, back = (0,) + tuple(range(2, node.rank)) + (1,), (0, node.rank - 1) + tuple(range(1, node.rank - 1))
    return ops.transpose(ops.BatchNorm(ops.transpose(x, axes=last), *parameters, **keywords), axes=back)


def max_pool(ops: Any, node: Node, x: Any) -> Any:
    """MaxPool."""
    x, pad = padded(ops, x, node.attributes["pads"], -3e38)
    return ops.Pooling(x, pool_type="max", pad=pad, **window(node))


def average_pool(ops: Any, node: Node, x: Any) -> Any:
    """AveragePool. MXNet before 1.3 counts the padding in any case; there the share of real entries is divided out."""
    counts_padding = bool(node.attributes["count_include_pad"]) or not any(node.attributes["pads"])
    if counts_padding:
        x, pad = padded(ops, x, node.attributes["pads"], 0.0)
        return ops.Pooling(x, pool_type="avg", pad=pad, **window(node))
    ones, _ = padded(ops, x * 0 + 1, node.attributes["pads"], 0.0)
    x, pad = padded(ops, x, node.attributes["pads"], 0.0)
    share = ops.Pooling(ones, pool_type="avg", pad=pad, **window(node))
    return ops.Pooling(x, pool_type="avg", pad=pad, **window(node)) / share


def window(node: Node) -> Dict[str, Any]:
    """How a pool's window moves."""
    return {"kernel": tuple(node.attributes["kernel_shape"]), "stride": tuple(node.attributes["strides"])}


def padded(ops: Any, x: Any, pads: Sequence[int], value: float) -> Tuple[Any, Tuple[int, ...]]:
    """ONNX's pads, beginnings and then ends, as MXNet's one number an axis; unequal ones by an operator."""
    begins, ends = tuple(pads[: len(pads) // 2]), tuple(pads[len(pads) // 2 :])
    if begins == ends:
        return x, begins
    widths = (0, 0, 0, 0) + tuple(width for pair in zip(begins, ends) for width in pair)
    return ops.Pad(x, mode="constant", constant_value=value, pad_width=widths), (0,) * len(begins)


def global_average_pool(ops: Any, node: Node, x: Any) -> Any:
    """GlobalAveragePool; the kernel has to be given and is not used."""
    return ops.Pooling(x, pool_type="avg", global_pool=True, kernel=(1, 1))


def dense(ops: Any, node: Node, x: Any, weight: Any, bias: Any) -> Any:
    """Gemm with transB=1: MXNet's dense layer."""
    return ops.FullyConnected(x, weight, bias, num_hidden=node.units)


OPERATORS: Dict[str, Callable[..., Any]] = {
    "Add": lambda ops, node, a, b: a + b,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Concat": lambda ops, node, *inputs: ops.Concat(*inputs, dim=node.attributes["axis"]),
    "Conv": convolution,
    "Flatten": lambda ops, node, x: ops.Flatten(x),
    "Gemm": dense,
    "GlobalAveragePool": global_average_pool,
    "MaxPool": max_pool,
    "Relu": lambda ops, node, x: ops.Activation(x, act_type="relu"),
    "Softmax": lambda ops, node, x: ops.softmax(x, axis=node.attributes["axis"]),
}


def run(ops: Any, program: Sequence[Node], values: Dict[str, Any], output: str) -> Any:
    """The graph's output, `values` holding its input and, under their names, its parameters."""
    values = dict(values)
    for node in program:
        values[node.output] = apply(ops, node, [values[name] for name in node.inputs])
    return values[output]


def symbol(mx: Any, network: Network, norm: Mapping[str, Any]) -> Any:
    """The network as a symbol, its variables named like the graph's input and initialisers."""
    program = nodes(network, norm)
    names = [name for node in program for name in node.inputs] + [input_name(network)]
    computed = {node.output for node in program}
    variables = {name: mx.sym.Variable(name) for name in names if name not in computed}
    return run(mx.sym, program, variables, output_name(network))


def input_name(network: Network) -> str:
    """The graph's one input."""
    return str(network.graph["inputs"][0]["name"])


def output_name(network: Network) -> str:
    """The graph's one output."""
    return str(network.graph["outputs"][0]["name"])


def input_shape(network: Network, rows: int) -> Tuple[int, ...]:
    """The shape of an input of that many rows."""
    return (rows,) + tuple(network.graph["inputs"][0]["shape"][1:])


def weights(mx: Any, network: Network) -> Dict[str, Any]:
    """The network's initialisers as NDArrays."""
    return {name: ndarray(mx, value) for name, value in network.weights.items()}


def ndarray(mx: Any, value: Array) -> Any:
    """`value` as an NDArray of the same shape and dtype."""
    return mx.nd.array(value, dtype=value.dtype)
