"""The network as a `jittor.nn.Module` of `jittor.nn`'s layers; the layout is ONNX's."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from crosscheck.probe.adapter import Network
from crosscheck.probe.modes import Norm

#: Operator -> what its layer calls the node's inputs after the first.
ROLES = {
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


class Place(NamedTuple):
    """Where a weight lies: the attribute of the module that is its layer, the layer, and that one's attribute."""

    attribute: str
    layer: Any
    role: str


class Model:
    """A network in Jittor.

    net: the module. places: weight name -> place. layers: the layers by their operators and the names of their
    weights, so that another network can be made of them. again: makes a second one of the same kind, all weights zero.
    switched: the flags of its layers and variables as its user left them last, see `flags`.
    """

    def __init__(
        self,
        net: Any,
        places: Mapping[str, Place],
        layers: Mapping[Tuple[str, ...], Any],
        again: Callable[[], "Model"],
    ) -> None:
        self.net = net
        self.places = dict(places)
        self.layers = dict(layers)
        self.again = again
        self.switched = self.flags()

    def flags(self) -> List[bool]:
        """Whether each layer is in training, and whether each variable takes gradients."""
        layers = [bool(layer.is_training()) for layer in self.layers.values()]
        return layers + [not variable.is_stop_grad() for variable in self.variables().values()]

    def variables(self) -> Dict[str, Any]:
        """Every variable of every layer under the name of its weight."""
        return {name: getattr(place.layer, place.role) for name, place in self.places.items()}

    def switch(self, training: bool, then: Optional[Callable[[Any], None]] = None) -> None:
        """The user's `train()` or `eval()`, and what the user does to each batch normalization besides."""
        self.net.train() if training else self.net.eval()
        if then is not None:
            for layer in self.batch_norms():
                then(layer)
        self.switched = self.flags()

    def batch_norms(self) -> List[Any]:
        """The batch normalizations."""
        return [layer for key, layer in self.layers.items() if key[0] == "BatchNormalization"]


def build(jittor: Any, network: Network, shares: Optional[Model], norm: Norm) -> Model:
    """The network with its weights, in training like every new module; layers of `shares` as they are."""
    known: Dict[Tuple[str, ...], Any] = {} if shares is None else dict(shares.layers)
    layers: Dict[Tuple[str, ...], Any] = {}
    places: Dict[str, Place] = {}
    attributes: Dict[str, str] = {}
    held: Dict[str, Any] = {}
    for number, node in enumerate(network.graph["nodes"]):
        if node["op"] not in ROLES:
            continue
        key = (node["op"],) + tuple(node["inputs"][1:])
        if key not in known:
            weights = [network.weights[name] for name in key[1:]]
            known[key] = LAYERS[node["op"]](jittor.nn, node["attributes"], weights, norm)
            known[key].load_state_dict(dict(zip(ROLES[node["op"]], weights)))
        layers[key] = known[key]
        attribute = attributes[node["name"]] = "layer{}".format(number)
        held[attribute] = layers[key]
        places.update((name, Place(attribute, layers[key], role)) for name, role in zip(key[1:], ROLES[node["op"]]))
    zeros = {name: value * 0 for name, value in network.weights.items()}
    return Model(
        net=module_class(jittor, network, attributes)(held),
        places=places,
        layers=layers,
        again=lambda: build(jittor, network._replace(weights=zeros), None, norm),
    )


def module_class(jittor: Any, network: Network, attributes: Mapping[str, str]) -> Any:
    """The class, whose attributes are the layers."""
    graph = network.graph

    class Net(jittor.nn.Module):  # type: ignore[misc]
        def __init__(self, layers: Mapping[str, Any]) -> None:
            for name, layer in layers.items():
                setattr(self, name, layer)

        def execute(self, x: Any) -> Any:
            return self.values(x)[graph["outputs"][0]["name"]]

        def values(self, x: Any) -> Dict[str, Any]:
            """What every node puts out, by tensor name; the input is among it."""
            found = {graph["inputs"][0]["name"]: x}
            for node in graph["nodes"]:
                inputs = [found[name] for name in node["inputs"] if name in found]
                if node["name"] in attributes:
                    value = apply(jittor.nn, getattr(self, attributes[node["name"]]), node, inputs[0])
                else:
                    value = FUNCTIONS[node["op"]](jittor, node["attributes"], *inputs)
                found[node["outputs"][0]] = value
            return found

    return Net


def apply(nn: Any, layer: Any, node: Mapping[str, Any], x: Any) -> Any:
    """A layer's output; the input is padded first where a layer's own padding cannot be told each side's."""
    if node["op"] == "Conv":
        x = padded(nn, x, node["attributes"]["pads"], 0.0)
    return layer(x)


def even(pads: Sequence[int]) -> bool:
    """Whether ONNX's pads, all beginnings and then all ends, are one number an axis, which Jittor's layers take."""
    return list(pads[: len(pads) // 2]) == list(pads[len(pads) // 2 :])


def padding(pads: Sequence[int]) -> Tuple[int, ...]:
    """That one number an axis; none where the input was padded before the layer."""
    half = len(pads) // 2
    return tuple(pads[:half]) if even(pads) else (0,) * half


def padded(nn: Any, x: Any, pads: Sequence[int], value: float) -> Any:
    """The input, or where pads are uneven `nn.ConstantPad2d` of it: left, right, top, bottom."""
    if even(pads):
        return x
    top, left, bottom, right = pads
    return nn.ConstantPad2d((left, right, top, bottom), value)(x)


def flat(attributes: Mapping[str, Any], op: str) -> None:
    """Refuse what is not over two axes."""
    if len(attributes["kernel_shape"]) != 2:
        raise NotImplementedError("{} over one axis is not among the layers made here".format(op))


def convolution(nn: Any, attributes: Mapping[str, Any], weights: Sequence[Any], norm: Norm) -> Any:
    """`nn.Conv`."""
    flat(attributes, "Conv")
    out, inside = weights[0].shape[:2]
    return nn.Conv(
        inside * attributes["group"],
        out,
        tuple(attributes["kernel_shape"]),
        stride=tuple(attributes["strides"]),
        padding=padding(attributes["pads"]),
        dilation=tuple(attributes["dilations"]),
        groups=attributes["group"],
        bias=len(weights) > 1,
    )


def dense(nn: Any, attributes: Mapping[str, Any], weights: Sequence[Any], norm: Norm) -> Any:
    """`nn.Linear`."""
    out, inside = weights[0].shape
    return nn.Linear(inside, out)


def batch_norm(nn: Any, attributes: Mapping[str, Any], weights: Sequence[Any], norm: Norm) -> Any:
    """`nn.BatchNorm`, whose momentum is the part that is taken from the batch, rounded as a user would write it."""
    keywords = dict({"momentum": round(1 - attributes["momentum"], 7)}, **norm)
    return nn.BatchNorm(len(weights[0]), eps=attributes["epsilon"], **keywords)


LAYERS: Dict[str, Callable[..., Any]] = {"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense}


def max_pool(jittor: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """`nn.max_pool2d`."""
    flat(attributes, "MaxPool")
    pads = attributes["pads"]
    x = padded(jittor.nn, x, pads, float("-inf"))
    return jittor.nn.max_pool2d(x, tuple(attributes["kernel_shape"]), tuple(attributes["strides"]), padding(pads))


def average_pool(jittor: Any, attributes: Mapping[str, Any], x: Any) -> Any:
    """`nn.avg_pool2d`; where padding does not count, the share of real entries is divided out."""
    flat(attributes, "AveragePool")
    pads = attributes["pads"]
    window = (tuple(attributes["kernel_shape"]), tuple(attributes["strides"]), padding(pads))

    def pool(x: Any) -> Any:
        return jittor.nn.avg_pool2d(padded(jittor.nn, x, pads, 0.0), *window)

    if attributes["count_include_pad"] or not any(pads):
        return pool(x)
    return pool(x) / pool(jittor.ones_like(x))


#: Operators without parameters: (jittor, attributes, *inputs) -> output.
FUNCTIONS: Dict[str, Callable[..., Any]] = {
    "Add": lambda jittor, attributes, a, b: a + b,
    "AveragePool": average_pool,
    "Concat": lambda jittor, attributes, *inputs: jittor.concat(list(inputs), dim=attributes["axis"]),
    "Flatten": lambda jittor, attributes, x: jittor.flatten(x, 1),
    "GlobalAveragePool": lambda jittor, attributes, x: x.mean(dims=(2, 3), keepdims=True),
    "MaxPool": max_pool,
    "Relu": lambda jittor, attributes, x: jittor.nn.relu(x),
    "Softmax": lambda jittor, attributes, x: jittor.nn.softmax(x, dim=attributes["axis"]),
}
