"""The network in torch's own layers, in a module whose `forward` is written out as its users write one."""

import itertools
import keyword
import linecache
import sys
import types
import weakref
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Network
from crosscheck.probe.modes import Norm

HEAD = '''"""The network {name}."""

import torch
from torch.nn import functional as F


class Network(torch.nn.Module):
    def __init__(self, layers):
        super(Network, self).__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, {input}):
'''
#: What torch's layers call the node's inputs after the first.
PARAMETERS = {
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}
COUNT = itertools.count()
#: Module -> the mode of each of its parts, as its user set it last.
SWITCHED: "weakref.WeakKeyDictionary[Any, List[bool]]" = weakref.WeakKeyDictionary()


class Model(NamedTuple):
    """A network in torch.

    module: the network itself.
    names: what the graph calls a tensor, by its key in the module's `state_dict`.
    layers: the layers by the names of their weights, so that another network can be made of them.
    example: an input of the shape that the network is probed with, for tracers.
    again: makes a second network of the same kind, with the weights that this one began with.
    switches: whether the module can be put into training and evaluation mode.
    """

    module: Any
    names: Dict[str, str]
    layers: Dict[Tuple[str, ...], Any]
    example: Any
    again: Callable[[], Any]
    switches: bool = True


def build(torch: Any, network: Network, shares: Optional[Model], norm: Norm) -> Model:
    """The network with its weights, in training mode like every new module; layers of `shares` as they are."""
    made: Dict[Tuple[str, ...], Any] = {} if shares is None else dict(shares.layers)
    layers: Dict[str, Any] = {}
    names: Dict[str, str] = {}
    called = attributes(torch, network)
    ranks = {network.graph["inputs"][0]["name"]: len(network.graph["inputs"][0]["shape"])}
    for node in network.graph["nodes"]:
        rank = ranks[node["inputs"][0]]
        ranks[node["outputs"][0]] = 2 if node["op"] in ("Flatten", "Gemm") else rank
        if node["op"] not in LAYERS:
            continue
        key = (node["op"],) + tuple(node["inputs"][1:])
        weights = [network.weights[name] for name in node["inputs"][1:]]
        if key not in made:
            made[key] = layer = LAYERS[node["op"]](torch, node["attributes"], weights, rank, norm)
            tensors = layer.state_dict()
            for own, value in zip(PARAMETERS[node["op"]], weights):
                if own in tensors:
                    tensors[own] = torch.from_numpy(value.copy())
            layer.load_state_dict(tensors)
        name = called[node["name"]]
        layers[name] = made[key]
        names.update({name + "." + own: given for own, given in zip(PARAMETERS[node["op"]], key[1:])})
        names[name + ".num_batches_tracked"] = node["name"] + ".num_batches_tracked"
    module = network_class(network, called, ranks)(layers)
    SWITCHED[module] = [part.training for part in module.modules()]
    kept = module.state_dict()
    shape = [network.batch] + list(network.graph["inputs"][0]["shape"][1:])
    count = int(np.prod(shape))
    return Model(
        module=module,
        names={key: name for key, name in names.items() if key in kept},
        layers=made,
        example=(torch.arange(count, dtype=torch.float32) / count).reshape(shape),
        again=lambda: build(torch, network, None, norm),
    )


def switch(module: Any, training: bool, frozen: Sequence[Any] = ()) -> Any:
    """The user's `train()` or `eval()`, with some layers in evaluation whatever the module is in."""
    module.train(training)
    for layer in frozen:
        layer.eval()
    SWITCHED[module] = [part.training for part in module.modules()]
    return module


def left_switched(module: Any) -> List[bool]:
    """For each part of the module, whether somebody else than the user has switched its mode."""
    now = [part.training for part in module.modules()]
    return [one != other for one, other in zip(now, SWITCHED.get(module, now))]


def attributes(torch: Any, network: Network) -> Dict[str, str]:
    """Node name -> attribute of the module that holds its layer."""
    taken = set(dir(torch.nn.Module()))
    found: Dict[str, str] = {}
    for node in network.graph["nodes"]:
        name = node["name"].replace(".", "_")
        if not name.isidentifier() or keyword.iskeyword(name):
            name = "node_" + name
        while name in taken:
            name += "_"
        taken.add(name)
        found[node["name"]] = name
    return found


def network_class(network: Network, called: Mapping[str, str], ranks: Mapping[str, int]) -> Any:
    """The class. TorchScript reads a module's source code; one ONNX exporter writes into its file where that lies."""
    text = source(network, called, ranks)
    # A name that is the same in every trial, and no file behind it: linecache is where `inspect` finds the lines then.
    name = "network_{}.py".format(next(COUNT))
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    defined: Dict[str, Any] = {"__name__": name[: -len(".py")]}
    exec(compile(text, name, "exec"), defined)  # noqa: S102 - written above, from a checked graph
    sys.modules[defined["__name__"]] = types.ModuleType(defined["__name__"])
    vars(sys.modules[defined["__name__"]]).update(defined)
    return defined["Network"]


def source(network: Network, called: Mapping[str, str], ranks: Mapping[str, int]) -> str:
    """A module's source code: one line a node, tensors numbered in the order in which they are computed."""
    graph = network.graph
    local = {graph["inputs"][0]["name"]: "x"}
    lines: List[str] = []
    for number, node in enumerate(graph["nodes"]):
        inputs = [local[name] for name in node["inputs"] if name in local]
        local[node["outputs"][0]] = "t{}".format(number)
        if node["op"] == "Conv":
            inputs[0] = padded(inputs[0], node["attributes"]["pads"], 0.0)
        if node["op"] in LAYERS:
            expression = "self.{}({})".format(called[node["name"]], inputs[0])
        else:
            expression = EXPRESSIONS[node["op"]](dict(node["attributes"], rank=ranks[node["inputs"][0]]), inputs)
        lines.append("        t{} = {}\n".format(number, expression))
    lines.append("        return {}\n".format(local[graph["outputs"][0]["name"]]))
    return HEAD.format(name=graph["name"], input="x") + "".join(lines)


def even(pads: Sequence[int]) -> bool:
    """Whether ONNX's pads, all beginnings and then all ends, are one number an axis, which torch's layers take."""
    return list(pads[: len(pads) // 2]) == list(pads[len(pads) // 2 :])


def padding(pads: Sequence[int]) -> List[int]:
    """That one number an axis; none where an operator before the layer pads."""
    half = len(pads) // 2
    return list(pads[:half]) if even(pads) else [0] * half


def padded(x: str, pads: Sequence[int], value: float) -> str:
    """`x`, or where pads are uneven `F.pad` of it, which takes beginning and end of the last axis first."""
    if even(pads):
        return x
    half = len(pads) // 2
    widths = [width for axis in reversed(range(half)) for width in (pads[axis], pads[axis + half])]
    return 'F.pad({}, {}, value=float("{}"))'.format(x, widths, value)


def convolution(torch: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.Conv1d` or `nn.Conv2d`."""
    out, inside = weights[0].shape[:2]
    group, kernel = attributes["group"], attributes["kernel_shape"]
    return getattr(torch.nn, "Conv{}d".format(len(kernel)))(
        inside * group,
        out,
        tuple(kernel),
        stride=tuple(attributes["strides"]),
        padding=tuple(padding(attributes["pads"])),
        dilation=tuple(attributes["dilations"]),
        groups=group,
        bias=len(weights) > 1,
    )


def dense(torch: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.Linear`, whose weight is ONNX's transposed."""
    out, inside = weights[0].shape
    return torch.nn.Linear(inside, out)


def batch_norm(torch: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.BatchNorm1d` or `nn.BatchNorm2d`, whose momentum is the part taken; rounded as a user would write it."""
    channels = len(weights[0])
    keywords = dict({"momentum": round(1 - attributes["momentum"], 7)}, **norm)
    keywords["eps"] = attributes["epsilon"]
    functional, counted = keywords.pop("functional", None), keywords.pop("counted", 0)
    if functional is not None:
        return functional_norm(torch, channels, functional == "with-statistics", keywords)
    layer = (torch.nn.BatchNorm2d if rank == 4 else torch.nn.BatchNorm1d)(channels, **keywords)
    if counted:
        layer.num_batches_tracked.fill_(counted)
    return layer


def functional_norm(torch: Any, channels: int, with_statistics: bool, keywords: Mapping[str, Any]) -> Any:
    """`F.batch_norm` in a module of the user's own; in training mode it is given the running statistics, or None."""

    class FunctionalNorm(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super(FunctionalNorm, self).__init__()
            self.weight = torch.nn.Parameter(torch.ones(channels))
            self.bias = torch.nn.Parameter(torch.zeros(channels))
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))

        def forward(self, x: Any) -> Any:
            statistics = (self.running_mean, self.running_var)
            if self.training and not with_statistics:
                statistics = (None, None)
            return torch.nn.functional.batch_norm(
                x, statistics[0], statistics[1], self.weight, self.bias, training=self.training, **keywords
            )

    return FunctionalNorm()


LAYERS: Dict[str, Callable[..., Any]] = {"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense}


def max_pool(attributes: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """`F.max_pool1d` or `F.max_pool2d`."""
    kernel, pads = attributes["kernel_shape"], attributes["pads"]
    x = padded(inputs[0], pads, float("-inf"))
    return "F.max_pool{}d({}, {}, stride={}, padding={})".format(
        len(kernel), x, list(kernel), list(attributes["strides"]), padding(pads)
    )


def average_pool(attributes: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """`F.avg_pool1d` or `F.avg_pool2d`; where pads are uneven and do not count, their share is divided out."""
    kernel, pads, counts = attributes["kernel_shape"], attributes["pads"], bool(attributes["count_include_pad"])
    form = "F.avg_pool{}d({{}}, {}, stride={}, padding={}, count_include_pad={})".format(
        len(kernel), list(kernel), list(attributes["strides"]), padding(pads), counts
    )
    pool = form.format(padded(inputs[0], pads, 0.0))
    if even(pads) or counts:
        return pool
    return pool + " / " + form.format(padded("torch.ones_like({})".format(inputs[0]), pads, 0.0))


def global_average_pool(attributes: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """`F.adaptive_avg_pool1d` or `F.adaptive_avg_pool2d`."""
    axes = attributes["rank"] - 2
    return "F.adaptive_avg_pool{}d({}, {})".format(axes, inputs[0], [1] * axes)


#: Operators without weights, as expressions; `rank` is one of their attributes.
EXPRESSIONS: Dict[str, Callable[[Mapping[str, Any], Sequence[str]], str]] = {
    "Add": lambda attributes, inputs: "{} + {}".format(*inputs),
    "AveragePool": average_pool,
    "Concat": lambda attributes, inputs: "torch.cat([{}], dim={})".format(", ".join(inputs), attributes["axis"]),
    "Flatten": lambda attributes, inputs: "torch.flatten({}, {})".format(inputs[0], attributes["axis"]),
    "GlobalAveragePool": global_average_pool,
    "MaxPool": max_pool,
    "Relu": lambda attributes, inputs: "F.relu({})".format(inputs[0]),
    "Softmax": lambda attributes, inputs: "F.softmax({}, dim={})".format(inputs[0], attributes["axis"]),
}
