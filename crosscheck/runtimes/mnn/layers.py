"""A network in MNN's own modules, written layer by layer or imported for training, and its parameters by name."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Network, NotInRelease, Tensor

Node = Mapping[str, Any]


class Parameter(NamedTuple):
    """Where a module keeps a weight: the place in `module.parameters`, and the shape that the network gives it."""

    module: Any
    number: int
    shape: Tuple[int, ...]


class Trainable(NamedTuple):
    """A module that can be switched between training and evaluation.

    run: x -> output; outputs: x -> output of every node, where they can be had; both in NCHW.
    module: what `train` is called on; norms: its batch normalizations, where they can be had one by one.
    parameters: weight name -> place.
    """

    run: Callable[[Tensor], Tensor]
    outputs: Callable[[Tensor], Dict[str, Tensor]]
    module: Any
    norms: Sequence[Any]
    parameters: Dict[str, Parameter]


def written(mnn: Any, network: Network, shares: Optional[Trainable]) -> Trainable:
    """The network in `MNN.nn` layers; those of `shares` are taken where they have the same weights."""
    layers: Dict[str, Any] = {}
    parameters: Dict[str, Parameter] = {}
    for node in network.graph["nodes"]:
        if node["op"] not in PARAMETERS:
            continue
        names = PARAMETERS[node["op"]](node)
        theirs = {} if shares is None else shares.parameters
        if all(name in theirs for name in names):
            layers[node["name"]] = theirs[names[0]].module
            parameters.update({name: theirs[name] for name in names})
            continue
        weights = [network.weights[name] for name in names]
        layer = layers[node["name"]] = LAYERS[node["op"]](mnn, network, node)
        held = [variable(mnn, weight.reshape(now.shape)) for weight, now in zip(weights, layer.parameters)]
        layer.load_parameters(held)
        for index, (name, weight) in enumerate(zip(names, weights)):
            parameters[name] = Parameter(layer, index, weight.shape)

    expr = mnn.expr

    def outputs(x: Tensor) -> Dict[str, Tensor]:
        values = {network.graph["inputs"][0]["name"]: x}
        for node in network.graph["nodes"]:
            given = [values[name] for name in node["inputs"] if name in values]
            if node["name"] not in layers:
                y = FUNCTIONS[node["op"]](expr, node["attributes"], *given)
            elif node["op"] == "Gemm":
                y = layers[node["name"]].forward(expr.convert(given[0], expr.NCHW))
            else:
                y = layers[node["name"]].forward(given[0])
            values[node["outputs"][0]] = y
        return {name: expr.convert(value, expr.NCHW) for name, value in values.items() if value is not x}

    class Net(mnn.nn.Module):  # type: ignore[misc]
        """The nodes in their order."""

        def __init__(self) -> None:
            super(Net, self).__init__()
            for name, layer in layers.items():
                setattr(self, name, layer)

        def forward(self, x: Tensor) -> Tensor:
            return outputs(x)[network.graph["outputs"][0]["name"]]

    net = Net()
    norms = [layers[node["name"]] for node in network.graph["nodes"] if node["op"] == "BatchNormalization"]
    return Trainable(net.forward, outputs, net, norms, parameters)


def imported(mnn: Any, network: Network, path: str) -> Trainable:
    """The network from a file that was converted with `--forTraining`, as one module."""
    variables = mnn.expr.load_as_dict(path)
    x = variables[network.graph["inputs"][0]["name"]]
    y = variables[network.graph["outputs"][0]["name"]]
    module = mnn.nn.load_module([x], [y], True)

    def run(given: Tensor) -> Tensor:
        return mnn.expr.convert(module.forward(given), mnn.expr.NCHW)

    return Trainable(run, lambda given: {}, module, [], _found(network, module))


def variable(mnn: Any, value: Array) -> Tensor:
    """MNN's variable with these float32 numbers."""
    return mnn.expr.const(np.ascontiguousarray(value, np.float32), list(value.shape), mnn.expr.NCHW)


def _found(network: Network, module: Any) -> Dict[str, Parameter]:
    """Which weight is which parameter: an imported module's have no names, and come in an order of its own.

    A batch normalization's four follow each other, as does no other layer's; the rest are told by their numbers.
    """
    values = [np.array(one.read()).ravel() for one in module.parameters]
    left = {name: value.ravel() for name, value in network.weights.items()}
    places: Dict[int, str] = {}
    for names in [_norm(node) for node in network.graph["nodes"] if node["op"] == "BatchNormalization"]:
        for first in range(len(values) - 3):
            four = list(zip(names, values[first : first + 4]))
            if first not in places and all(np.array_equal(left[name], value) for name, value in four):
                places.update({first + offset: name for offset, name in enumerate(names)})
                break
    for index, value in enumerate(values):
        if index not in places:
            same = (name for name in left if name not in places.values() and np.array_equal(left[name], value))
            places[index] = next(same, "module.parameters.{}".format(index))
    return {
        name: Parameter(module, index, network.weights[name].shape if name in left else values[index].shape)
        for index, name in places.items()
    }


def _norm(node: Node) -> List[str]:
    """The order in which MNN's batch normalization has its parameters: scale, bias, variance, mean."""
    _, scale, bias, mean, variance = node["inputs"]
    return [scale, bias, variance, mean]


def _conv(mnn: Any, network: Network, node: Node) -> Any:
    weight = network.weights[node["inputs"][1]]
    attributes, outputs = node["attributes"], len(weight)
    inputs = weight.shape[1] * attributes["group"]
    pads = attributes["pads"]
    half = len(pads) // 2
    depthwise = attributes["group"] == inputs == outputs and inputs > 1
    if half != 2 or pads[:half] != pads[half:] or not (depthwise or attributes["group"] == 1):
        raise NotInRelease("nn.conv has two axes, pads both ends alike, and knows groups of one channel only")
    return mnn.nn.conv(
        inputs, outputs, attributes["kernel_shape"], attributes["strides"], pads[:half], attributes["dilations"],
        depthwise, len(node["inputs"]) > 2, mnn.expr.Padding_Mode.CAFFE,
    )  # fmt: skip


def _batch_norm(mnn: Any, network: Network, node: Node) -> Any:
    channels = len(network.weights[node["inputs"][1]])
    attributes = node["attributes"]
    return mnn.nn.batch_norm(channels, _rank(network, node), attributes["momentum"], attributes["epsilon"])


def _rank(network: Network, node: Node) -> int:
    """The number of axes that reach a batch normalization: two after a dense layer or on rows, four on images."""
    producers = {output: one for one in network.graph["nodes"] for output in one["outputs"]}
    name = node["inputs"][0]
    while name in producers:
        if producers[name]["op"] in ("Conv", "MaxPool", "AveragePool", "GlobalAveragePool"):
            return 4
        if producers[name]["op"] in ("Flatten", "Gemm"):
            return 2
        name = producers[name]["inputs"][0]
    return len(network.graph["inputs"][0]["shape"])


def _linear(mnn: Any, network: Network, node: Node) -> Any:
    outputs, inputs = network.weights[node["inputs"][1]].shape
    return mnn.nn.linear(inputs, outputs, True)


def _max_pool(expr: Any, attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    return expr.max_pool(
        x, attributes["kernel_shape"], attributes["strides"], expr.Padding_Mode.CAFFE, _pads(attributes)
    )


def _average_pool(expr: Any, attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    return expr.avg_pool(
        x, attributes["kernel_shape"], attributes["strides"], expr.Padding_Mode.CAFFE, _pads(attributes)
    )


def _pads(attributes: Mapping[str, Any]) -> List[int]:
    pads: List[int] = attributes["pads"]
    if len(pads) != 4 or pads[:2] != pads[2:]:
        raise NotInRelease("expr.max_pool and expr.avg_pool have two axes, and pad both ends alike")
    return pads[:2]


def _all(expr: Any, attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    return expr.avg_pool(x, x.shape[2:], [1, 1])


def _flatten(expr: Any, attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    return expr.reshape(expr.convert(x, expr.NCHW), [0, -1])


def _softmax(expr: Any, attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    return expr.softmax(expr.convert(x, expr.NCHW), -1)


def _add(expr: Any, attributes: Mapping[str, Any], left: Tensor, right: Tensor) -> Tensor:
    return expr.add(expr.convert(left, expr.NCHW), expr.convert(right, expr.NCHW))


def _concat(expr: Any, attributes: Mapping[str, Any], *parts: Tensor) -> Tensor:
    return expr.concat([expr.convert(part, expr.NCHW) for part in parts], attributes["axis"])


def _relu(expr: Any, attributes: Mapping[str, Any], x: Tensor) -> Tensor:
    return expr.relu(x)


#: Operator -> the names of its weights, in the order in which MNN's module has them.
PARAMETERS: Dict[str, Callable[[Node], List[str]]] = {
    "BatchNormalization": _norm,
    "Conv": lambda node: node["inputs"][:0:-1],
    "Gemm": lambda node: node["inputs"][:0:-1],
}
#: Operator with weights -> its module.
LAYERS: Dict[str, Callable[[Any, Network, Node], Any]] = {
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "Gemm": _linear,
}
#: Operator without weights -> its expression.
FUNCTIONS: Dict[str, Callable[..., Tensor]] = {
    "Add": _add,
    "AveragePool": _average_pool,
    "Concat": _concat,
    "Flatten": _flatten,
    "GlobalAveragePool": _all,
    "MaxPool": _max_pool,
    "Relu": _relu,
    "Softmax": _softmax,
}
