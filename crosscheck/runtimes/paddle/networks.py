"""The network in Paddle's own layers: a `Layer` whose `forward` runs the nodes; Paddle's layout is ONNX's."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from crosscheck.probe.adapter import Network
from crosscheck.probe.modes import Norm

#: Operator -> what its layer calls the node's inputs after the first.
ROLES = {
    "BatchNormalization": ("weight", "bias", "_mean", "_variance"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


class Place(NamedTuple):
    """Where a weight lies: its layer, the attribute there, and whether that is the transpose of the graph's."""

    layer: Any
    attribute: str
    transposed: bool

    def tensor(self) -> Any:
        """The layer's own tensor."""
        return getattr(self.layer, self.attribute)

    def value(self, tensor: Any) -> Any:
        """The numbers of the weight, or of its gradient, in the graph's layout."""
        if not self.transposed:
            return tensor
        return (tensor.numpy() if hasattr(tensor, "numpy") else tensor).T


class Model(NamedTuple):
    """A layer that is the network, and where the graph's weights lie in it.

    layers: layers by the names of their weights, so that another network can be made of them.
    shape: of the probe input, whose batch axis is None.
    """

    net: Any
    places: Dict[str, Place]
    layers: Dict[Tuple[str, ...], Any]
    shape: List[Optional[int]]


class Kit(NamedTuple):
    """How one generation of Paddle's API writes a network.

    base: Paddle, or what stands for it -> its class of layers.
    layers: operator -> what makes its layer: (paddle, attributes, weights, rank of the input, norm) -> layer.
    functions: operator without parameters -> (paddle, attributes, *inputs) -> y, for tensors and for the variables of
        static programs.
    """

    base: Callable[[Any], Any]
    layers: Mapping[str, Callable[..., Any]]
    functions: Mapping[str, Callable[..., Any]]


def build(paddle: Any, kit: Kit, network: Network, shares: Optional[Model], norm: Norm) -> Model:
    """The network with its weights, in training mode like every new layer; layers of `shares` as they are."""
    known: Dict[Tuple[str, ...], Any] = {} if shares is None else dict(shares.layers)
    places: Dict[str, Place] = {}
    layers: Dict[str, Any] = {}
    ranks = tensor_ranks(network.graph)
    for node in network.graph["nodes"]:
        if node["op"] not in ROLES:
            continue
        names = tuple(node["inputs"][1:])
        weights = [network.weights[name] for name in names]
        if names not in known:
            known[names] = kit.layers[node["op"]](paddle, node["attributes"], weights, ranks[node["inputs"][0]], norm)
            for role, value in zip(ROLES[node["op"]], weights):
                getattr(known[names], role).set_value(value.T if transposed(node, value) else value)
        layers[node["name"]] = known[names]
        for name, role, value in zip(names, ROLES[node["op"]], weights):
            places[name] = Place(known[names], role, transposed(node, value))
    shape = [None] + list(network.graph["inputs"][0]["shape"][1:])
    return Model(module(paddle, kit, network.graph, layers), places, known, shape)


def transposed(node: Mapping[str, Any], weight: Any) -> bool:
    """Whether Paddle's layer holds the transpose of a weight: matrices of dense layers are (in, out)."""
    return bool(node["op"] == "Gemm" and weight.ndim == 2)


def tensor_ranks(graph: Mapping[str, Any]) -> Dict[str, int]:
    """How many axes each computed tensor has."""
    ranks = {graph["inputs"][0]["name"]: len(graph["inputs"][0]["shape"])}
    for node in graph["nodes"]:
        ranks[node["outputs"][0]] = 2 if node["op"] in ("Flatten", "Gemm") else ranks[node["inputs"][0]]
    return ranks


def module(paddle: Any, kit: Kit, graph: Mapping[str, Any], layers: Mapping[str, Any]) -> Any:
    """A `Layer` that runs the graph's nodes one after the other."""

    class Net(kit.base(paddle)):  # type: ignore[misc]
        """The network."""

        def __init__(self) -> None:
            super(Net, self).__init__()
            # Attributes, because Paddle's compiler of source code loses the variables of an enclosing function.
            self.graph = graph
            self.paddle = paddle
            self.functions = kit.functions
            self.parts = dict(layers)
            for number, layer in enumerate(layers.values()):
                self.add_sublayer("part{}".format(number), layer)

        def forward(self, x: Any) -> Any:
            """The network's output."""
            return self.values(x)[self.graph["outputs"][0]["name"]]

        def values(self, x: Any) -> Dict[str, Any]:
            """What every node puts out, by tensor name; the input is among it."""
            found = {self.graph["inputs"][0]["name"]: x}
            for node in self.graph["nodes"]:
                inputs = [found[name] for name in node["inputs"] if name in found]
                if node["op"] in ROLES:
                    value = self.parts[node["name"]](*inputs)
                else:
                    value = self.functions[node["op"]](self.paddle, node["attributes"], *inputs)
                found[node["outputs"][0]] = value
            return found

    return Net()


def padding(pads: Sequence[int]) -> List[int]:
    """ONNX's pads, all beginnings and then all ends, as Paddle takes them: beginning and end, axis by axis."""
    half = len(pads) // 2
    return [width for axis in range(half) for width in (pads[axis], pads[axis + half])]


def convolution(paddle: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.Conv1D` or `nn.Conv2D`."""
    group = attributes["group"]
    return getattr(paddle.nn, "Conv{}D".format(rank - 2))(
        weights[0].shape[1] * group,
        weights[0].shape[0],
        list(attributes["kernel_shape"]),
        stride=list(attributes["strides"]),
        padding=padding(attributes["pads"]),
        dilation=list(attributes["dilations"]),
        groups=group,
        bias_attr=None if len(weights) > 1 else False,
    )


def dense(paddle: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.Linear`, whose weight is (in, out)."""
    return paddle.nn.Linear(weights[0].shape[1], weights[0].shape[0])


def batch_norm(paddle: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.BatchNorm1D` or `nn.BatchNorm2D`, or the older `nn.BatchNorm`; their momentum is ONNX's."""
    kind = "BatchNorm" if "trainable_statistics" in norm else "BatchNorm{}D".format(max(rank - 2, 1))
    words = {"momentum": attributes["momentum"], "epsilon": attributes["epsilon"]}
    return getattr(paddle.nn, kind)(len(weights[0]), **dict(words, **norm))


LAYERS: Dict[str, Callable[..., Any]] = {"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense}


def window(attributes: Mapping[str, Any]) -> Dict[str, Any]:
    """How a pool's window moves."""
    return {
        "kernel_size": list(attributes["kernel_shape"]),
        "stride": list(attributes["strides"]),
        "padding": padding(attributes["pads"]),
    }


def average_pool(paddle: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """AveragePool."""
    pool = getattr(paddle.nn.functional, "avg_pool{}d".format(len(attributes["kernel_shape"])))
    return pool(x, exclusive=not attributes["count_include_pad"], **window(attributes))


def max_pool(paddle: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """MaxPool."""
    pool = getattr(paddle.nn.functional, "max_pool{}d".format(len(attributes["kernel_shape"])))
    return pool(x, **window(attributes))


FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda paddle, attributes, a, b: a + b,
    "AveragePool": average_pool,
    "Concat": lambda paddle, attributes, *inputs: paddle.concat(list(inputs), axis=attributes["axis"]),
    "Flatten": lambda paddle, attributes, x: paddle.flatten(x, start_axis=1),
    "GlobalAveragePool": lambda paddle, attributes, x: paddle.mean(x, axis=list(range(2, len(x.shape))), keepdim=True),
    "MaxPool": max_pool,
    "Relu": lambda paddle, attributes, x: paddle.nn.functional.relu(x),
    "Softmax": lambda paddle, attributes, x: paddle.nn.functional.softmax(x, axis=attributes["axis"]),
}

KIT = Kit(lambda paddle: paddle.nn.Layer, LAYERS, FUNCTIONS)
