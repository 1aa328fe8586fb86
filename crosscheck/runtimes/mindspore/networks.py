"""The network in MindSpore's own cells, in a cell whose `construct` is written out as its users write one."""

import importlib.util
import itertools
import os
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from crosscheck.probe.adapter import Network
from crosscheck.probe.modes import Norm

#: Operator -> what its cell calls the node's inputs after the first.
ROLES = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}
HEAD = '''"""The network {name}."""

from mindspore import nn, ops


class Network(nn.Cell):
    def __init__(self, cells):
        super(Network, self).__init__()
        for name, cell in cells.items():
            setattr(self, name, cell)

    def construct(self, x):
'''
COUNT = itertools.count()


class Model(NamedTuple):
    """A cell that is the network, where the graph's weights lie, and the cells by the names of their weights."""

    net: Any
    places: Dict[str, Tuple[Any, str]]
    cells: Dict[Tuple[str, ...], Any]
    example: Tuple[int, ...]


def build(mindspore: Any, network: Network, shares: Optional[Model], norm: Norm) -> Model:
    """The network with its weights, in evaluation like every new cell; cells of `shares` as they are."""
    known: Dict[Tuple[str, ...], Any] = {} if shares is None else dict(shares.cells)
    places: Dict[str, Tuple[Any, str]] = {}
    cells: Dict[str, Any] = {}
    ranks = {network.graph["inputs"][0]["name"]: len(network.graph["inputs"][0]["shape"])}
    for number, node in enumerate(network.graph["nodes"]):
        rank = ranks[node["inputs"][0]]
        ranks[node["outputs"][0]] = 2 if node["op"] in ("Flatten", "Gemm") else rank
        if node["op"] in ROLES:
            names = tuple(node["inputs"][1:])
            if names not in known:
                weights = [mindspore.Tensor(network.weights[name]) for name in names]
                known[names] = CELLS[node["op"]](mindspore.nn, node["attributes"], weights, rank, norm)
            cells["cell{}".format(number)] = known[names]
            places.update((name, (known[names], role)) for name, role in zip(names, ROLES[node["op"]]))
        elif node["op"] in POOLS:
            cells["cell{}".format(number)] = POOLS[node["op"]](mindspore.nn, node["attributes"])
    example = (network.batch,) + tuple(network.graph["inputs"][0]["shape"][1:])
    return Model(network_class(network)(cells), places, known, example)


def network_class(network: Network) -> Any:
    """The class, from a file in the trial's folder: graph mode compiles a cell's source code."""
    name = "network_{}".format(next(COUNT))
    path = os.path.join(network.scratch, name + ".py")
    with open(path, "w") as file:
        file.write(source(network.graph))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where graph mode looks a cell's names up
    spec.loader.exec_module(module)
    return module.Network


def source(graph: Mapping[str, Any]) -> str:
    """A module's source code: one line a node, tensors numbered in the order in which they are computed."""
    local = {graph["inputs"][0]["name"]: "x"}
    lines: List[str] = []
    for number, node in enumerate(graph["nodes"]):
        inputs = [local[name] for name in node["inputs"] if name in local]
        local[node["outputs"][0]] = "t{}".format(number)
        if node["op"] in ROLES:
            value = "self.cell{}({})".format(number, inputs[0])
        elif node["op"] in POOLS:
            value = pooled(number, node["op"], node["attributes"], inputs[0])
        else:
            value = EXPRESSIONS[node["op"]](node["attributes"], inputs)
        lines.append("        t{} = {}\n".format(number, value))
    lines.append("        return {}\n".format(local[graph["outputs"][0]["name"]]))
    return HEAD.format(name=graph["name"]) + "".join(lines)


def flat(attributes: Mapping[str, Any], op: str) -> None:
    """Refuse what is not over two axes."""
    if len(attributes["kernel_shape"]) != 2:
        raise NotImplementedError("{} over one axis is not among the cells made here".format(op))


def convolution(nn: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.Conv2d`; its padding is top, bottom, left, right."""
    flat(attributes, "Conv")
    top, left, bottom, right = attributes["pads"]
    weight = weights[0]
    bias = {"has_bias": True, "bias_init": weights[1]} if len(weights) > 1 else {"has_bias": False}
    return nn.Conv2d(
        weight.shape[1] * attributes["group"],
        weight.shape[0],
        tuple(attributes["kernel_shape"]),
        stride=tuple(attributes["strides"]),
        pad_mode="pad",
        padding=(top, bottom, left, right),
        dilation=tuple(attributes["dilations"]),
        group=attributes["group"],
        weight_init=weight,
        **bias,
    )


def dense(nn: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.Dense`."""
    out, inside = weights[0].shape
    return nn.Dense(inside, out, weight_init=weights[0], bias_init=weights[1])


def batch_norm(nn: Any, attributes: Mapping[str, Any], weights: Sequence[Any], rank: int, norm: Norm) -> Any:
    """`nn.BatchNorm1d` or `nn.BatchNorm2d`, whose momentum is ONNX's."""
    kind = nn.BatchNorm2d if rank == 4 else nn.BatchNorm1d
    return kind(
        weights[0].shape[0],
        eps=attributes["epsilon"],
        momentum=attributes["momentum"],
        gamma_init=weights[0],
        beta_init=weights[1],
        moving_mean_init=weights[2],
        moving_var_init=weights[3],
        **norm,
    )


CELLS: Dict[str, Callable[..., Any]] = {"BatchNormalization": batch_norm, "Conv": convolution, "Gemm": dense}


def pool(kind: str) -> Callable[..., Any]:
    """A pool over what was padded before it."""

    def make(nn: Any, attributes: Mapping[str, Any]) -> Any:
        flat(attributes, kind)
        return getattr(nn, kind)(tuple(attributes["kernel_shape"]), tuple(attributes["strides"]), pad_mode="valid")

    return make


POOLS: Dict[str, Callable[..., Any]] = {"AveragePool": pool("AvgPool2d"), "MaxPool": pool("MaxPool2d")}


def pooled(number: int, op: str, attributes: Mapping[str, Any], x: str) -> str:
    """A pool of `x`, with ONNX's pads. Where padding does not count, the share of real entries is divided out."""
    top, left, bottom, right = attributes["pads"]
    call = "self.cell{}({{}})".format(number)
    if not any(attributes["pads"]):
        return call.format(x)
    value = 'float("-inf")' if op == "MaxPool" else "0.0"
    padded = 'ops.pad({{}}, ({}, {}, {}, {}), "constant", {})'.format(left, right, top, bottom, value)
    whole = call.format(padded.format(x))
    if op == "MaxPool" or attributes["count_include_pad"]:
        return whole
    return "{} / {}".format(whole, call.format(padded.format("ops.ones_like({})".format(x))))


#: Operators without parameters and settings: (attributes, inputs) -> the line's right-hand side.
EXPRESSIONS: Dict[str, Callable[[Mapping[str, Any], List[str]], str]] = {
    "Add": lambda attributes, inputs: "{} + {}".format(*inputs),
    "Concat": lambda attributes, inputs: "ops.cat(({},), {})".format(", ".join(inputs), attributes["axis"]),
    "Flatten": lambda attributes, inputs: "ops.flatten({}, start_dim=1)".format(*inputs),
    "GlobalAveragePool": lambda attributes, inputs: "ops.mean({}, (2, 3), True)".format(*inputs),
    "Relu": lambda attributes, inputs: "ops.relu({})".format(*inputs),
    "Softmax": lambda attributes, inputs: "ops.softmax({}, {})".format(inputs[0], attributes["axis"]),
}
