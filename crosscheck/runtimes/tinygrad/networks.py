"""The network as layers of `tinygrad.nn`, and methods of `Tensor` for the rest; the layout is ONNX's."""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.modes import Norm

#: Operator -> what its layer calls the node's inputs after the first.
ROLES = {
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


class Place(NamedTuple):
    """Where a weight lies: the name of its node, and the attribute of its layer."""

    node: str
    attribute: str


class Model:
    """A network, callable; `layers`: node name -> layer, `places`: weight name -> place.

    `jitted`: what a mode made once and calls again, as a user keeps a jitted function.
    """

    def __init__(self, network: Network, layers: Mapping[str, Any], places: Mapping[str, Place]) -> None:
        self.network = network
        self.layers = dict(layers)
        self.places = dict(places)
        self.jitted: Dict[str, Any] = {}

    def __call__(self, x: Any) -> Any:
        """The network's output."""
        return self.values(x)[self.network.graph["outputs"][0]["name"]]

    def values(self, x: Any) -> Dict[str, Any]:
        """What every node puts out, by tensor name; the input is among it."""
        found = {self.network.graph["inputs"][0]["name"]: x}
        for node in self.network.graph["nodes"]:
            inputs = [found[name] for name in node["inputs"] if name in found]
            layer = self.layers.get(node["name"])
            value = FUNCTIONS[node["op"]](node["attributes"], *inputs) if layer is None else layer(*inputs)
            found[node["outputs"][0]] = value
        return found

    def tensor(self, name: str) -> Any:
        """A weight's tensor, the layer's own."""
        place = self.places[name]
        return getattr(self.layers[place.node], place.attribute)


def build(tinygrad: Any, network: Network, shares: Optional[Model], norm: Norm) -> Model:
    """The network; layers that `shares` has for the same weights become its layers, too."""
    weights = network.weights
    places: Dict[str, Place] = {}
    layers: Dict[str, Any] = {}
    for node in network.graph["nodes"]:
        if node["op"] not in ROLES:
            continue
        named = dict(zip(node["inputs"][1:], ROLES[node["op"]]))
        places.update((name, Place(node["name"], role)) for name, role in named.items())
        if shares is not None and node["inputs"][1] in shares.places:
            layers[node["name"]] = shares.layers[shares.places[node["inputs"][1]].node]
            continue
        layer = LAYERS[node["op"]](tinygrad.nn, node, weights[node["inputs"][1]], norm)
        values = {role: tinygrad.Tensor(weights[name]) for name, role in named.items()}
        values = {role: value for role, value in values.items() if getattr(layer, role, None) is not None}
        tinygrad.nn.state.load_state_dict(layer, values, strict=False, verbose=False)
        layers[node["name"]] = layer
    return Model(network, layers, places)


def batch_norm(nn: Any, node: Mapping[str, Any], scale: Array, norm: Norm) -> Any:
    """`nn.BatchNorm`, whose momentum is the part that is taken from the batch."""
    attributes = node["attributes"]
    return nn.BatchNorm(len(scale), eps=attributes["epsilon"], momentum=1 - attributes["momentum"], **norm)


def convolution(nn: Any, node: Mapping[str, Any], weight: Array, norm: Norm) -> Any:
    """`nn.Conv2d`, which takes kernels of one axis, too."""
    attributes = node["attributes"]
    return nn.Conv2d(
        weight.shape[1] * attributes["group"],
        weight.shape[0],
        tuple(attributes["kernel_shape"]),
        stride=tuple(attributes["strides"]),
        padding=padding(attributes["pads"]),
        dilation=tuple(attributes["dilations"]),
        groups=attributes["group"],
        bias=len(node["inputs"]) > 2,
    )


def dense(nn: Any, node: Mapping[str, Any], weight: Array, norm: Norm) -> Any:
    """`nn.Linear`."""
    return nn.Linear(weight.shape[1], weight.shape[0])


LAYERS: Dict[str, Callable[..., Any]] = {"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense}


def padding(pads: Sequence[int]) -> Sequence[int]:
    """ONNX's pads, all beginnings and then all ends, as tinygrad has them: a pair an axis, the last axis first."""
    half = len(pads) // 2
    return tuple(width for axis in reversed(range(half)) for width in (pads[axis], pads[half + axis]))


def pool(attributes: Mapping[str, Any]) -> Dict[str, Any]:
    """How a pool's window moves."""
    return {
        "kernel_size": tuple(attributes["kernel_shape"]),
        "stride": tuple(attributes["strides"]),
        "padding": padding(attributes["pads"]),
    }


#: Operators without parameters: (attributes, *inputs) -> output.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda attributes, a, b: a + b,
    "AveragePool": lambda attributes, x: x.avg_pool2d(
        count_include_pad=bool(attributes["count_include_pad"]), **pool(attributes)
    ),
    "Concat": lambda attributes, first, *rest: first.cat(*rest, dim=attributes["axis"]),
    "Flatten": lambda attributes, x: x.flatten(1),
    "GlobalAveragePool": lambda attributes, x: x.mean(axis=tuple(range(2, x.ndim)), keepdim=True),
    "MaxPool": lambda attributes, x: x.max_pool2d(**pool(attributes)),
    "Relu": lambda attributes, x: x.relu(),
    "Softmax": lambda attributes, x: x.softmax(axis=attributes["axis"]),
}


def count(layer: Any) -> Any:
    """How many batches a batch normalization has seen in training, as an array of one number."""
    return np.array(layer.num_batches_tracked.numpy()).reshape(())
