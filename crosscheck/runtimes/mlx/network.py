"""A network as source text: an `nn.Module`, channels last inside; input and output keep the graph's layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.family import numpy_like
from crosscheck.runtimes.family.graph import Graph, Node
from crosscheck.runtimes.family.layers import NAMES_OF_TORCH, class_with_layers, options
from crosscheck.runtimes.family.pools import average
from crosscheck.runtimes.source import Request, Source, Stored

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True
#: Names of a module's own.
TAKEN = (
    *("apply", "children", "clear", "copy", "eval", "first", "freeze", "get", "items", "keys", "modules"),
    *("parameters", "pop", "state", "train", "training", "unfreeze", "update", "values"),
)
#: What the nodes put out, in the graph's layout.
FIRST = """\
for name, value in layers.items():
    layers[name] = mx.moveaxis(value, -1, 1) if value.ndim > 2 else value
"""


def source(request: Request) -> Source:
    """The network."""
    graph = Graph.of(request, TAKEN, operators=numpy_like.MLX.operators)
    body, result = numpy_like.body(graph, lambda node, inputs: expression(node, inputs, "self"), "mx")
    init = ["super().__init__()", *graph.constructed(lambda node: layer(node, request.norm))]
    text = class_with_layers("Net(nn.Module)", init, [*body, f"return {result}"])
    text += ("" if request.first is None else "first = net\n") + "net = Net()\n"
    for node, number, key in graph.new_weights(NAMES_OF_TORCH):
        text += f"net.{node.id}.{key} = mx.array({value(node, number)})\n"
    looked = graph.shown(lambda node, inputs: expression(node, inputs, "net"))
    mode = "train" if request.intent == "training" else "eval"
    return Source(
        imports="import functools\n\nimport mlx.core as mx\nimport mlx.nn as nn\n",
        text=text,
        predict="net.eval()\ny = net(x)\n",
        tensor="mx.array({})",
        array="{}",
        layers=f"net.{mode}()\n" + "\n".join([*numpy_like.entry(graph, "mx"), *looked, FIRST]),
        tensors=graph.stored(place),
        leaves=("train", "eval"),
    )


def layer(node: Node, norm: Mapping[str, Any]) -> str:
    """The constructor of a layer; MLX calls momentum the part that is taken from the batch."""
    attributes = node.attributes
    match node.op:
        case "BatchNormalization":
            words = [f"eps={attributes['epsilon']}", f"momentum=1 - {attributes['momentum']}"]
            words += [f"{key}={value}" for key, value in norm.items()]
            return f"nn.BatchNorm({node.filters}, {', '.join(words)})"
        case "Conv":
            words = [window(node), *options(node, "dilation", "groups", "bias=False")]
            return f"nn.Conv{node.rank - 2}d({node.channels}, {node.filters}, {', '.join(words)})"
    return f"nn.Linear({node.channels}, {node.filters})"


def sizes(numbers: tuple[int, ...]) -> int | tuple[int, ...]:
    """A size an axis: a number where there is one axis."""
    return numbers[0] if len(numbers) == 1 else numbers


def window(node: Node) -> str:
    """How the window of a convolution or a pool moves; `padded` sees to uneven pads."""
    padding = f", padding={sizes(node.padding)}" if any(node.padding) else ""
    return f"{sizes(node.kernel)}, stride={sizes(node.strides)}{padding}"


def padded(node: Node, x: str, value: str) -> str:
    """`x`, channels last, with the pads that one number an axis cannot say."""
    if node.even:
        return x
    return f"mx.pad({x}, {((0, 0), *node.pads, (0, 0))}, constant_values={value})"


def expression(node: Node, inputs: list[str], owner: str) -> str:
    """A call of a layer, or a function."""
    x = inputs[0]
    match node.op:
        case "BatchNormalization" | "Gemm":
            return f"{owner}.{node.id}({x})"
        case "Conv":
            return f"{owner}.{node.id}({padded(node, x, '0')})"
        case "AveragePool":
            return average(node, x, lambda x: pool(node, "Avg", padded(node, x, "0")), "mx.ones_like({})")
        case "MaxPool":
            return pool(node, "Max", padded(node, x, "-mx.inf"))
    return numpy_like.function(node, inputs, "nn", "mx", numpy_like.MLX)


def pool(node: Node, kind: str, x: str) -> str:
    """A pool, which is a layer without weights."""
    return f"nn.{kind}Pool{node.rank - 2}d({window(node)})({x})"


def value(node: Node, number: int) -> str:
    """A weight as MLX has it: the kernel of a convolution is (out, *window, in / group)."""
    rank = len(node.weight_shapes[number])
    moved = f".transpose{(0, *range(2, rank), 1)}" if rank > 2 else ""
    return f"{node.values[number]}{moved}"


def place(node: Node, number: int) -> Stored:
    """Where a weight lies, in the graph's layout, not yet computed."""
    moved = ".moveaxis(-1, 1)" if len(node.weight_shapes[number]) > 2 else ""
    return f"net.{node.id}.{NAMES_OF_TORCH[node.op][number]}{moved}", None
