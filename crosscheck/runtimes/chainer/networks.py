"""The network as a `Chain`: links where there are parameters, functions elsewhere; Chainer's layout is ONNX's."""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Network
from crosscheck.probe.modes import Norm

#: Operator -> what its link calls the node's inputs after the first.
ROLES = {
    "BatchNormalization": ("gamma", "beta", "avg_mean", "avg_var"),
    "Conv": ("W", "b"),
    "Gemm": ("W", "b"),
}


class Place(NamedTuple):
    """Where a weight lies: the name of its link in the chain, and the attribute there."""

    link: str
    attribute: str


class Model(NamedTuple):
    """A chain, and where the graph's weights lie in it."""

    chain: Any
    places: Dict[str, Place]


def build(chainer: Any, network: Network, shares: Optional[Model], norm: Norm) -> Model:
    """The network as a chain; links that `shares` has for the same weights become its links, too."""
    weights = network.weights
    known = {} if shares is None else {name: shares.chain[place.link] for name, place in shares.places.items()}
    places: Dict[str, Place] = {}
    links: Dict[str, Any] = {}
    for node in network.graph["nodes"]:
        if node["op"] in ROLES:
            names = node["inputs"][1:]
            places.update((name, Place(node["name"], role)) for name, role in zip(names, ROLES[node["op"]]))
            link = known.get(names[0])
            links[node["name"]] = link if link is not None else LINKS[node["op"]](chainer, node, weights, norm)
    return Model(chain(chainer, network, links, norm), places)


def array_of(chain: Any, place: Place) -> Array:
    """A weight's array, the link's own."""
    value = getattr(chain[place.link], place.attribute)
    return value.array if hasattr(value, "array") else value


def chain(chainer: Any, network: Network, links: Mapping[str, Any], norm: Norm) -> Any:
    """A chain that runs the network's nodes one after the other."""

    def as_it_is(method: Any) -> Any:
        return method

    static = chainer.static_graph if norm.get("static") else as_it_is

    class Graph(chainer.Chain):  # type: ignore[misc]
        """The network."""

        def __init__(self) -> None:
            super(Graph, self).__init__()
            with self.init_scope():
                for name, link in links.items():
                    setattr(self, name, link)

        @static  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:
            """The network's output."""
            return self.values(x)[network.graph["outputs"][0]["name"]]

        def values(self, x: Any) -> Dict[str, Any]:
            """What every node puts out, by tensor name; the input is among it."""
            found = {network.graph["inputs"][0]["name"]: x}
            for node in network.graph["nodes"]:
                inputs = [found[name] for name in node["inputs"] if name in found]
                if node["op"] == "BatchNormalization":
                    value = normalized(chainer, self[node["name"]], inputs[0], norm)
                elif node["op"] in ROLES:
                    x = padded(chainer, inputs[0], node["attributes"], 0.0) if node["op"] == "Conv" else inputs[0]
                    value = self[node["name"]](x)
                else:
                    value = FUNCTIONS[node["op"]](chainer, node["attributes"], *inputs)
                found[node["outputs"][0]] = value
            return found

    return Graph()


def normalized(chainer: Any, link: Any, x: Any, norm: Norm) -> Any:
    """One batch normalization, the way the mode's networks are written."""
    functions = chainer.functions
    if norm.get("frozen"):
        with chainer.using_config("train", False):
            return link(x)
    if norm.get("finetune"):
        return link(x, finetune=True)
    if norm.get("function") == "fixed" or (norm.get("function") and not chainer.config.train):
        return functions.fixed_batch_normalization(x, link.gamma, link.beta, link.avg_mean, link.avg_var, eps=link.eps)
    if norm.get("function") == "batch":
        return functions.batch_normalization(x, link.gamma, link.beta, eps=link.eps)
    return link(x)


def batch_norm(chainer: Any, node: Mapping[str, Any], weights: Mapping[str, Array], norm: Norm) -> Any:
    """`L.BatchNormalization`, whose `decay` is ONNX's momentum."""
    gamma, beta, mean, variance = (weights[name] for name in node["inputs"][1:])
    attributes = node["attributes"]
    link = chainer.links.BatchNormalization(
        len(gamma),
        decay=norm.get("decay", attributes["momentum"]),
        eps=attributes["epsilon"],
        initial_gamma=gamma,
        initial_beta=beta,
    )
    link.avg_mean[...] = mean
    link.avg_var[...] = variance
    link.N = norm.get("counted", 0)
    return link


def convolution(chainer: Any, node: Mapping[str, Any], weights: Mapping[str, Array], norm: Norm) -> Any:
    """`L.Convolution2D`, or `L.ConvolutionND` for one axis."""
    attributes = node["attributes"]
    weight = weights[node["inputs"][1]]
    bias = weights[node["inputs"][2]] if len(node["inputs"]) > 2 else None
    keywords = {"nobias": bias is None, "initialW": weight, "initial_bias": bias}
    # Release 3 knows neither groups nor dilation here: it is told of them only where there are any.
    if attributes["group"] != 1:
        keywords["groups"] = attributes["group"]
    if set(attributes["dilations"]) != {1}:
        keywords["dilate"] = tuple(attributes["dilations"])
    channels = (weight.shape[1] * attributes["group"], weight.shape[0])
    if len(attributes["kernel_shape"]) == 2:
        return chainer.links.Convolution2D(*channels, **window(attributes), **keywords)
    return chainer.links.ConvolutionND(1, *channels, **window(attributes), **keywords)


def dense(chainer: Any, node: Mapping[str, Any], weights: Mapping[str, Array], norm: Norm) -> Any:
    """`L.Linear`."""
    weight, bias = (weights[name] for name in node["inputs"][1:])
    return chainer.links.Linear(weight.shape[1], weight.shape[0], initialW=weight, initial_bias=bias)


LINKS: Dict[str, Callable[..., Any]] = {"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense}


def window(attributes: Mapping[str, Any]) -> Dict[str, Any]:
    """How a convolution's or a pool's window moves; uneven pads are put there by `padded`."""
    pads = attributes["pads"]
    half = len(pads) // 2
    return {
        "ksize": tuple(attributes["kernel_shape"]),
        "stride": tuple(attributes["strides"]),
        "pad": tuple(pads[:half]) if pads[:half] == pads[half:] else 0,
    }


def padded(chainer: Any, x: Any, attributes: Mapping[str, Any], value: float) -> Any:
    """`x` with ONNX's pads, all beginnings and then all ends, where Chainer's one number an axis cannot say them."""
    pads = attributes["pads"]
    half = len(pads) // 2
    if pads[:half] == pads[half:]:
        return x
    widths = [(0, 0), (0, 0)] + list(zip(pads[:half], pads[half:]))
    return chainer.functions.pad(x, widths, "constant", constant_values=value)


def max_pool(chainer: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """MaxPool; `cover_all` would keep the last, incomplete window."""
    x = padded(chainer, x, attributes, -np.inf)
    return chainer.functions.max_pooling_nd(x, cover_all=False, **window(attributes))


def average_pool(chainer: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """AveragePool. Chainer counts the padding; where ONNX does not, the share of real entries is divided out."""

    def pool(x: Any) -> Any:
        return chainer.functions.average_pooling_nd(padded(chainer, x, attributes, 0.0), **window(attributes))

    if attributes["count_include_pad"] or not any(attributes["pads"]):
        return pool(x)
    return pool(x) / pool(np.ones(x.shape, np.float32))


def global_average_pool(chainer: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """GlobalAveragePool."""
    return chainer.functions.average_pooling_nd(x, tuple(x.shape[2:]))


#: Operators without parameters: (chainer, attributes, *inputs) -> output.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda chainer, attributes, a, b: a + b,
    "AveragePool": average_pool,
    "Concat": lambda chainer, attributes, *inputs: chainer.functions.concat(inputs, axis=attributes["axis"]),
    "Flatten": lambda chainer, attributes, x: chainer.functions.reshape(x, (len(x), -1)),
    "GlobalAveragePool": global_average_pool,
    "MaxPool": max_pool,
    "Relu": lambda chainer, attributes, x: chainer.functions.relu(x),
    "Softmax": lambda chainer, attributes, x: chainer.functions.softmax(x, axis=attributes["axis"]),
}
