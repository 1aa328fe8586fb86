"""Networks of `tf.layers` and `tf.contrib.layers` in a graph, asked by a session."""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.keras_layers import from_keras, to_keras
from crosscheck.probe.modes import Call

#: What the variables of a layer are called, in the order of the node's inputs after the first.
VARIABLES = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Conv": ("kernel", "bias"),
    "Gemm": ("kernel", "bias"),
}


class Place(NamedTuple):
    """Where a weight lies: a variable of the graph, and what it is to its layer."""

    variable: Any
    attribute: str


class Home:
    """A graph and its session, which networks with shared layers have in common.

    scopes: that of a layer's variables, by its weights.
    """

    def __init__(self, v1: Any) -> None:
        self.graph = v1.Graph()
        threads = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        self.session = v1.Session(graph=self.graph, config=threads)
        self.scopes: Dict[Tuple[str, ...], str] = {}


def version_1(tf: Any) -> Any:
    """TensorFlow 1's names."""
    return tf.compat.v1 if hasattr(getattr(tf, "compat", None), "v1") else tf


class Graph:
    """A network in a graph, asked by `session.run`; `training` is fed, and False where it is not."""

    def __init__(self, tf: Any, network: Network, shares: Optional["Graph"], norm: Mapping[str, Any]) -> None:
        self.tf = v1 = version_1(tf)
        self.home: Home = shares.home if shares else Home(v1)
        self.session = self.home.session
        self.norm = norm
        self.network = network
        self.places: Dict[str, Place] = {}
        self.calls: Dict[str, Call] = {}
        with self.home.graph.as_default():
            given, result = network.graph["inputs"][0], network.graph["outputs"][0]
            collected = len(v1.get_collection(v1.GraphKeys.UPDATE_OPS))
            known = {variable.name for variable in v1.global_variables()}
            self.x = v1.placeholder(v1.float32, [None] + given["shape"][1:])
            self.training = v1.placeholder_with_default(False, [])
            self.cotangent = v1.placeholder(v1.float32, [None] + result["shape"][1:])
            self.y = self.outputs(self.x)
            (self.dx,) = v1.gradients(self.y, self.x, self.cotangent)
            self.updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)[collected:]
            weights = {place.variable.name for place in self.places.values()}
            self.hidden = [variable for variable in v1.global_variables() if variable.name not in weights]
            self.session.run(v1.variables_initializer([v for v in v1.global_variables() if v.name not in known]))
            for name, place in self.places.items():
                if place.variable.name not in known:
                    place.variable.load(to_keras(place.attribute, network.weights[name]), self.session)

    def outputs(self, x: Any) -> Any:
        """The network of x, channels first outside and last inside."""
        graph = self.network.graph
        values = {graph["inputs"][0]["name"]: channels_last(self.tf, x)}
        for node in graph["nodes"]:
            inputs = [values[name] for name in node["inputs"] if name in values]
            values[node["outputs"][0]] = OPERATORS[node["op"]](self, node, inputs)
        return channels_first(self.tf, values[graph["outputs"][0]["name"]])

    def scope(self, node: Mapping[str, Any]) -> str:
        """The scope of the node's variables: that of the network which had the layer first."""
        return self.home.scopes.setdefault(tuple(node["inputs"][1:]), node["name"].replace(".", "_"))

    def found(self, node: Mapping[str, Any], y: Any) -> Any:
        """Note where the layer's weights are, once it is there."""
        here = {variable.name: variable for variable in self.tf.global_variables()}
        for weight, own in zip(node["inputs"][1:], VARIABLES[node["op"]]):
            self.places[weight] = Place(here["{}/{}:0".format(self.scope(node), own)], own)
        return y

    def run(self, fetches: Any, x: Any, training: bool, cotangent: Any = None) -> Any:
        """`session.run`."""
        feed = {self.x: np.array(x), self.training: training}
        if cotangent is not None:
            feed[self.cotangent] = np.array(cotangent)
        return self.session.run(fetches, feed)

    def predict(self, x: Any) -> Any:
        """The output, nothing said about training."""
        return self.session.run(self.y, {self.x: np.array(x)})

    def state(self) -> Dict[str, Array]:
        """Every global variable: the network's under its names, others (of renormalization, debiasing) under theirs."""
        values = self.session.run({name: place.variable for name, place in self.places.items()})
        found = {name: from_keras(self.places[name].attribute, value) for name, value in values.items()}
        names = [variable.op.name for variable in self.hidden]
        found.update(zip(names, self.session.run(self.hidden)))
        return found

    def parameters(self) -> Dict[str, Array]:
        """What `tf.trainable_variables()` shows."""
        with self.home.graph.as_default():
            trainable = {variable.name for variable in self.tf.trainable_variables()}
        state = self.state()
        return {name: state[name] for name, place in self.places.items() if place.variable.name in trainable}


class Contrib(Graph):
    """The same with batch normalization from `tf.contrib.layers`."""

    def __init__(self, tf: Any, network: Network, shares: Optional[Graph], norm: Mapping[str, Any]) -> None:
        self.contrib = tf.contrib
        Graph.__init__(self, tf, network, shares, norm)


def channels_last(v1: Any, x: Any) -> Any:
    """(N, channels, *spatial) to (N, *spatial, channels)."""
    rank = len(x.shape)
    return v1.transpose(x, (0,) + tuple(range(2, rank)) + (1,)) if rank > 2 else x


def channels_first(v1: Any, x: Any) -> Any:
    """The way back."""
    rank = len(x.shape)
    return v1.transpose(x, (0, rank - 1) + tuple(range(1, rank - 1))) if rank > 2 else x


def padded(v1: Any, x: Any, pads: Sequence[int], value: float = 0.0) -> Any:
    """`tf.pad`; ONNX's pads are all beginnings, then all ends."""
    axes = len(pads) // 2
    pairs = [[0, 0]] + [[pads[axis], pads[axis + axes]] for axis in range(axes)] + [[0, 0]]
    return v1.pad(x, pairs, constant_values=value) if any(pads) else x


def batch_norm(model: Graph, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`tf.layers.batch_normalization`, or that of contrib."""
    attributes = node["attributes"]
    if isinstance(model, Contrib):
        y = model.contrib.layers.batch_norm(
            inputs[0],
            decay=attributes["momentum"],
            epsilon=attributes["epsilon"],
            scale=True,
            is_training=model.training,
            scope=model.scope(node),
            reuse=model.tf.AUTO_REUSE,
            **model.norm,
        )
    else:
        y = model.tf.layers.batch_normalization(
            inputs[0],
            momentum=attributes["momentum"],
            epsilon=attributes["epsilon"],
            training=model.training,
            name=model.scope(node),
            reuse=model.tf.AUTO_REUSE,
            **model.norm,
        )
    return model.found(node, y)


def convolution(model: Graph, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`tf.layers.conv1d` or `conv2d`."""
    attributes = node["attributes"]
    if attributes["group"] != 1:
        raise NotImplementedError("tf.layers has no convolution in groups, as {} is".format(node["name"]))
    kernel = attributes["kernel_shape"]
    layer = {1: model.tf.layers.conv1d, 2: model.tf.layers.conv2d}[len(kernel)]
    y = layer(
        padded(model.tf, inputs[0], attributes["pads"]),
        len(model.network.weights[node["inputs"][1]]),
        kernel,
        strides=attributes["strides"],
        dilation_rate=attributes["dilations"],
        use_bias=len(node["inputs"]) > 2,
        name=model.scope(node),
        reuse=model.tf.AUTO_REUSE,
    )
    return model.found(node, y)


def dense(model: Graph, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """`tf.layers.dense`."""
    units = len(model.network.weights[node["inputs"][1]])
    return model.found(node, model.tf.layers.dense(inputs[0], units, name=model.scope(node), reuse=model.tf.AUTO_REUSE))


def pooled(model: Graph, kind: str, x: Any, attributes: Mapping[str, Any], value: float) -> Any:
    """`tf.nn.pool` over a border of that value."""
    x = padded(model.tf, x, attributes["pads"], value)
    kernel = attributes["kernel_shape"]
    return model.tf.nn.pool(x, kernel, kind, "VALID", strides=attributes["strides"])


def average_pool(model: Graph, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """The mean over a border of zeros; where that does not count, its share is divided out."""
    attributes = node["attributes"]
    mean = pooled(model, "AVG", inputs[0], attributes, 0.0)
    if attributes["count_include_pad"] or not any(attributes["pads"]):
        return mean
    return mean / pooled(model, "AVG", model.tf.ones_like(inputs[0]), attributes, 0.0)


def flatten(model: Graph, node: Mapping[str, Any], inputs: Sequence[Any]) -> Any:
    """Channel by channel, as the weights of the layer behind it count."""
    return model.tf.reshape(
        channels_first(model.tf, inputs[0]), [-1, int(np.prod([int(size) for size in inputs[0].shape[1:]]))]
    )


#: (model, node, tensors) -> tensor
OPERATORS: Dict[str, Callable[[Graph, Mapping[str, Any], Sequence[Any]], Any]] = {
    "Add": lambda model, node, inputs: inputs[0] + inputs[1],
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Concat": lambda model, node, inputs: model.tf.concat(
        list(inputs), -1 if node["attributes"]["axis"] == 1 else node["attributes"]["axis"] - 1
    ),
    "Conv": convolution,
    "Flatten": flatten,
    "Gemm": dense,
    "GlobalAveragePool": lambda model, node, inputs: model.tf.reduce_mean(
        inputs[0], list(range(1, len(inputs[0].shape) - 1)), True
    ),
    "MaxPool": lambda model, node, inputs: pooled(model, "MAX", inputs[0], node["attributes"], float("-inf")),
    "Relu": lambda model, node, inputs: model.tf.nn.relu(inputs[0]),
    "Softmax": lambda model, node, inputs: channels_last(
        model.tf, model.tf.nn.softmax(channels_first(model.tf, inputs[0]))
    ),
}
