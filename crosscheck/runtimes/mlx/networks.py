"""The network as an `nn.Module`, channels last inside; input and output keep the graph's layout, channels first."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network

#: Operator -> what its layer calls the node's inputs after the first.
ROLES = {
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


class Place(NamedTuple):
    """Where a weight lies: the name of its layer in the module, and the attribute there."""

    layer: str
    attribute: str


class Model:
    """A module, where the graph's weights lie in it, and the calls that modes have made of it."""

    def __init__(self, network: Network, module: Any, places: Mapping[str, Place]) -> None:
        self.network = network
        self.module = module
        self.places = dict(places)
        self.calls: Dict[str, Callable[..., Any]] = {}

    def predict(self, x: Any) -> Any:
        """In evaluation."""
        self.module.eval()
        return self.module(x)

    def weights(self) -> Dict[str, Any]:
        """Every tensor in the graph's layout."""
        return {
            name: to_graph(getattr(self.module[place.layer], place.attribute)) for name, place in self.places.items()
        }


def layer_name(node: Mapping[str, Any]) -> str:
    """A node's name without the dots, at which saved names of parameters are taken apart."""
    return str(node["name"]).replace(".", "_")


def build(mlx: Any, network: Network, shares: Optional[Model]) -> Model:
    """The network as a module; layers that `shares` has for the same weights become its layers, too."""
    places: Dict[str, Place] = {}
    layers: Dict[str, Any] = {}
    for node in network.graph["nodes"]:
        if node["op"] not in ROLES:
            continue
        name = layer_name(node)
        named = dict(zip(node["inputs"][1:], ROLES[node["op"]]))
        places.update((weight, Place(name, role)) for weight, role in named.items())
        if shares is not None and node["inputs"][1] in shares.places:
            layers[name] = shares.module[shares.places[node["inputs"][1]].layer]
            continue
        layers[name] = LAYERS[node["op"]](mlx.nn, node, network.weights[node["inputs"][1]])
        for weight, role in named.items():
            setattr(layers[name], role, mlx.core.array(to_mlx(network.weights[weight])))
    return Model(network, module(mlx, network, layers), places)


def module(mlx: Any, network: Network, layers: Mapping[str, Any]) -> Any:
    """A module that runs the network's nodes one after the other."""
    mx = mlx.core

    class Graph(mlx.nn.Module):  # type: ignore[misc]
        """The network."""

        def __init__(self) -> None:
            super().__init__()
            for name, layer in layers.items():
                setattr(self, name, layer)

        def __call__(self, x: Any) -> Any:
            """The network's output."""
            return self.values(x)[network.graph["outputs"][0]["name"]]

        def values(self, x: Any) -> Dict[str, Any]:
            """What every node puts out, by tensor name, in the graph's layout; the input is among it."""
            found = {network.graph["inputs"][0]["name"]: channels_last(mx, x)}
            for node in network.graph["nodes"]:
                inputs = [found[name] for name in node["inputs"] if name in found]
                if node["op"] == "Conv":
                    inputs = [padded(mx, inputs[0], node["attributes"]["pads"], 0.0)]
                if node["op"] in ROLES:
                    value = self[layer_name(node)](*inputs)
                else:
                    value = FUNCTIONS[node["op"]](mlx, node["attributes"], *inputs)
                found[node["outputs"][0]] = value
            return {name: channels_first(mx, value) for name, value in found.items()}

    return Graph()


def batch_norm(nn: Any, node: Mapping[str, Any], scale: Array) -> Any:
    """`nn.BatchNorm`, whose momentum is the part that is taken from the batch."""
    attributes = node["attributes"]
    return nn.BatchNorm(len(scale), eps=attributes["epsilon"], momentum=1 - attributes["momentum"])


def convolution(nn: Any, node: Mapping[str, Any], weight: Array) -> Any:
    """`nn.Conv1d` or `nn.Conv2d`; the padding is done before it, since it may be uneven."""
    attributes = node["attributes"]
    sizes: List[Any] = [attributes["kernel_shape"], attributes["strides"], attributes["dilations"]]
    kernel, stride, dilation = (size[0] if len(size) == 1 else tuple(size) for size in sizes)
    layer = nn.Conv1d if len(attributes["kernel_shape"]) == 1 else nn.Conv2d
    return layer(
        weight.shape[1] * attributes["group"],
        weight.shape[0],
        kernel,
        stride=stride,
        dilation=dilation,
        groups=attributes["group"],
        bias=len(node["inputs"]) > 2,
    )


def dense(nn: Any, node: Mapping[str, Any], weight: Array) -> Any:
    """`nn.Linear`."""
    return nn.Linear(weight.shape[1], weight.shape[0])


LAYERS: Dict[str, Callable[..., Any]] = {"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense}


def to_mlx(value: Array) -> Array:
    """A weight as MLX has it: kernels are (out, *window, in / group)."""
    return np.moveaxis(value, 1, -1) if value.ndim > 2 else value


def to_graph(value: Any) -> Any:
    """The inverse of `to_mlx`, lazily."""
    return value.moveaxis(-1, 1) if value.ndim > 2 else value


def channels_last(mx: Any, x: Any) -> Any:
    """(N, channels, *spatial) to (N, *spatial, channels)."""
    return mx.moveaxis(x, 1, -1) if x.ndim > 2 else x


def channels_first(mx: Any, x: Any) -> Any:
    """The way back."""
    return mx.moveaxis(x, -1, 1) if x.ndim > 2 else x


def axis(number: int, rank: int) -> int:
    """The axis of ONNX's layout in MLX's."""
    number %= rank
    return rank - 1 if number == 1 else max(number - 1, 0)


def padded(mx: Any, x: Any, pads: Sequence[int], value: float) -> Any:
    """`x`, channels last, with ONNX's pads, all beginnings and then all ends."""
    if not any(pads):
        return x
    half = len(pads) // 2
    widths: List[Tuple[int, int]] = [(0, 0), *zip(pads[:half], pads[half:]), (0, 0)]
    return mx.pad(x, widths, constant_values=value)


def pool(mlx: Any, kind: str, attributes: Mapping[str, Any], x: Any, value: float) -> Any:
    """`nn.MaxPool2d`, `nn.AvgPool1d` and so on, over an input padded with `value`."""
    kernel, stride = attributes["kernel_shape"], attributes["strides"]
    layer = getattr(mlx.nn, "{}Pool{}d".format(kind, len(kernel)))
    whole = padded(mlx.core, x, attributes["pads"], value)
    return layer(kernel[0] if len(kernel) == 1 else tuple(kernel), stride[0] if len(kernel) == 1 else tuple(stride))(
        whole
    )


def average_pool(mlx: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """AveragePool; where ONNX does not count the padding, the share of real entries is divided out."""
    average = pool(mlx, "Avg", attributes, x, 0.0)
    if attributes["count_include_pad"] or not any(attributes["pads"]):
        return average
    return average / pool(mlx, "Avg", attributes, mlx.core.ones_like(x), 0.0)


#: Operators without parameters: (mlx, attributes, *inputs) -> output, channels last.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda mlx, attributes, a, b: a + b,
    "AveragePool": average_pool,
    "Concat": lambda mlx, attributes, *inputs: mlx.core.concatenate(
        list(inputs), axis=axis(attributes["axis"], inputs[0].ndim)
    ),
    "Flatten": lambda mlx, attributes, x: channels_first(mlx.core, x).reshape(x.shape[0], -1),
    "GlobalAveragePool": lambda mlx, attributes, x: x.mean(axis=tuple(range(1, x.ndim - 1)), keepdims=True),
    "MaxPool": lambda mlx, attributes, x: pool(mlx, "Max", attributes, x, float("-inf")),
    "Relu": lambda mlx, attributes, x: mlx.nn.relu(x),
    "Softmax": lambda mlx, attributes, x: mlx.core.softmax(x, axis=axis(attributes["axis"], x.ndim)),
}
