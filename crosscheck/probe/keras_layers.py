"""The network in Keras's own layers, channels last, as a model of the functional API."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network

#: What Keras's layers call the node's inputs after the first.
ATTRIBUTES = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Conv": ("kernel", "bias"),
    "Gemm": ("kernel", "bias"),
}
#: Layers by the operator and the names of their weights, so that another network can be made of them.
Layers = Dict[Tuple[str, ...], Any]


class Place(NamedTuple):
    """Where a weight lies: a layer, and the name of the variable there."""

    layer: Any
    attribute: str

    @property
    def variable(self) -> Any:
        """The variable itself."""
        return getattr(self.layer, self.attribute)


def to_keras(attribute: str, value: Array) -> Array:
    """A weight as Keras has it: kernels are (*window, in, out), those of a dense layer (in, out)."""
    return np.transpose(value, tuple(range(2, value.ndim)) + (1, 0)) if attribute == "kernel" else value


def from_keras(attribute: str, value: Array) -> Array:
    """The inverse of `to_keras`."""
    if attribute != "kernel":
        return np.array(value)
    return np.transpose(value, (value.ndim - 1, value.ndim - 2) + tuple(range(value.ndim - 2)))


def shape(x: Any) -> Any:
    """The sizes of a symbolic tensor; Theano's has none of its own, and got it from Keras 2."""
    return getattr(x, "_keras_shape", x.shape)


class Maker:
    """Makes a functional model, node by node.

    keras: the Keras to build with; pad: (x, (before, after) for each axis, value) -> x padded, in the backend's words;
    norm: keywords of every batch normalization beyond epsilon and momentum.
    """

    def __init__(self, keras: Any, pad: Callable[..., Any], network: Network, made: Layers, norm: Mapping[str, Any]):
        self.keras = keras
        self.pad = pad
        self.weights = network.weights
        self.layers = made
        self.norm = norm
        self.places: Dict[str, Place] = {}
        self.fresh: List[Tuple[Any, List[Array]]] = []

    def model(self, graph: Mapping[str, Any]) -> Any:
        """The model; what its new layers are to begin with stands in `fresh`."""
        given, result = graph["inputs"][0], graph["outputs"][0]
        x = self.keras.layers.Input(shape=tuple(given["shape"][1:]))
        values = {given["name"]: self.channels_last(x, len(given["shape"]))}
        for node in graph["nodes"]:
            inputs = [values[name] for name in node["inputs"] if name in values]
            values[node["outputs"][0]] = OPERATORS[node["op"]](self, node, inputs)
        return self.keras.models.Model(x, self.channels_first(values[result["name"]]))

    def channels_last(self, x: Any, rank: int) -> Any:
        """(N, channels, *spatial) to (N, *spatial, channels)."""
        return self.keras.layers.Permute(tuple(range(2, rank)) + (1,))(x) if rank > 2 else x

    def channels_first(self, x: Any) -> Any:
        """The way back."""
        rank = len(shape(x))
        return self.keras.layers.Permute((rank - 1,) + tuple(range(1, rank - 1)))(x) if rank > 2 else x

    def layer(self, node: Mapping[str, Any], make: Callable[[], Any], x: Any) -> Any:
        """Apply the layer with this node's weights, made if no network that shares it has it."""
        key = (node["op"],) + tuple(node["inputs"][1:])
        known = key in self.layers
        if not known:
            self.layers[key] = make()
        layer = self.layers[key]
        y = layer(x)
        for name, attribute in zip(key[1:], ATTRIBUTES[node["op"]]):
            self.places[name] = Place(layer, attribute)
        if not known:
            names = zip(key[1:], ATTRIBUTES[node["op"]])
            self.fresh.append((layer, [to_keras(attribute, self.weights[name]) for name, attribute in names]))
        return y

    def padded(self, x: Any, pads: Sequence[int], value: float = 0.0) -> Any:
        """`x` with a border; ONNX's pads are all beginnings, then all ends."""
        axes = len(pads) // 2
        pairs = tuple(zip(pads[:axes], pads[axes:]))
        if not any(pads):
            return x
        if value == 0.0:
            layer = {1: self.keras.layers.ZeroPadding1D, 2: self.keras.layers.ZeroPadding2D}[axes]
            return layer(pairs if axes == 2 else pairs[0])(x)
        return self.keras.layers.Lambda(lambda x: self.pad(x, ((0, 0),) + pairs + ((0, 0),), value))(x)


def name_of(node: Mapping[str, Any]) -> str:
    """What Keras accepts as a layer's name: it begins with a letter or a digit."""
    name = str(node["name"]).replace(".", "_")
    return name if name[0].isalnum() else "layer" + name


def batch_norm(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`BatchNormalization`; like ONNX, Keras calls the part that is kept momentum."""
    attributes = node["attributes"]
    keywords = dict({"momentum": attributes["momentum"], "epsilon": attributes["epsilon"]}, **maker.norm)
    return maker.layer(
        node, lambda: maker.keras.layers.BatchNormalization(axis=-1, name=name_of(node), **keywords), inputs[0]
    )


def convolution(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`Conv1D` or `Conv2D`, its border a layer of its own."""
    attributes = node["attributes"]
    kernel = attributes["kernel_shape"]
    groups = {} if attributes["group"] == 1 else {"groups": attributes["group"]}

    def make() -> Any:
        return getattr(maker.keras.layers, "Conv{}D".format(len(kernel)))(
            len(maker.weights[node["inputs"][1]]),
            tuple(kernel),
            strides=tuple(attributes["strides"]),
            dilation_rate=tuple(attributes["dilations"]),
            use_bias=len(node["inputs"]) > 2,
            kernel_initializer="zeros",
            name=name_of(node),
            **groups,
        )

    return maker.layer(node, make, maker.padded(inputs[0], attributes["pads"]))


def dense(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`Dense`."""
    units = len(maker.weights[node["inputs"][1]])
    return maker.layer(
        node, lambda: maker.keras.layers.Dense(units, kernel_initializer="zeros", name=name_of(node)), inputs[0]
    )


def max_pool(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`MaxPooling`; its border is below every number."""
    attributes = node["attributes"]
    kernel = attributes["kernel_shape"]
    layer = getattr(maker.keras.layers, "MaxPooling{}D".format(len(kernel)))
    return layer(tuple(kernel), strides=tuple(attributes["strides"]))(
        maker.padded(inputs[0], attributes["pads"], float("-inf"))
    )


def average_pool(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`AveragePooling`, over a border of zeros; where that does not count, its share is divided out."""
    attributes = node["attributes"]
    kernel, layers = attributes["kernel_shape"], maker.keras.layers

    def pool(x: Any) -> Any:
        layer = getattr(layers, "AveragePooling{}D".format(len(kernel)))
        return layer(tuple(kernel), strides=tuple(attributes["strides"]))(maker.padded(x, attributes["pads"]))

    if attributes["count_include_pad"] or not any(attributes["pads"]):
        return pool(inputs[0])
    ones = layers.Lambda(lambda x: x * 0 + 1)(inputs[0])
    return layers.Lambda(lambda pair: pair[0] / pair[1])([pool(inputs[0]), pool(ones)])


def global_average_pool(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`GlobalAveragePooling`, which drops the axes, and those axes again."""
    axes = len(shape(inputs[0])) - 2
    pooled = getattr(maker.keras.layers, "GlobalAveragePooling{}D".format(axes))()(inputs[0])
    return maker.keras.layers.Reshape((1,) * axes + (int(shape(inputs[0])[-1]),))(pooled)


def flatten(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """Channel by channel, as the weights of the layer behind it count."""
    return maker.keras.layers.Flatten()(maker.channels_first(inputs[0]))


def concat(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`Concatenate`, along what is the axis in Keras's order."""
    axis = node["attributes"]["axis"]
    return maker.keras.layers.Concatenate(axis=-1 if axis == 1 else axis - 1)(list(inputs))


def softmax(maker: Maker, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """Over ONNX's last axis, which with images is not Keras's."""
    if len(shape(inputs[0])) == 2:
        return maker.keras.layers.Activation("softmax")(inputs[0])
    return maker.keras.layers.Softmax(axis=-2)(inputs[0])


#: (maker, node, tensors) -> tensor
OPERATORS: Dict[str, Callable[[Maker, Mapping[str, Any], Sequence[Any]], Any]] = {
    "Add": lambda maker, node, inputs: maker.keras.layers.Add()(list(inputs)),
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Concat": concat,
    "Conv": convolution,
    "Flatten": flatten,
    "Gemm": dense,
    "GlobalAveragePool": global_average_pool,
    "MaxPool": max_pool,
    "Relu": lambda maker, node, inputs: maker.keras.layers.Activation("relu")(inputs[0]),
    "Softmax": softmax,
}
