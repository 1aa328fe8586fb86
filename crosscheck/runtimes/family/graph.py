"""A walk over a plain graph for writers of source text: identifiers, shapes, variables, pads, layouts."""

from __future__ import annotations

import builtins
import keyword
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crosscheck.runtimes.source import Request, Stored

__all__ = [
    "LAYERS",
    "Node",
    "even",
    "indented",
    "kernel_from_last",
    "kernel_to_last",
    "last_axis",
    "nodes",
    "pairs",
    "returned",
    "shared_layers",
    "statements",
    "stored",
]

#: Operators that have weights.
LAYERS = ("BatchNormalization", "Conv", "Gemm")


@dataclass(frozen=True)
class Node:
    """One operator. `id` is a Python identifier, unique in the graph.

    inputs: the computed tensors that it takes; weights: the names of its weights, in ONNX's order.
    shape: of its first input, (rows, ...); output_shape likewise. weight_shapes: of its weights.
    """

    op: str
    name: str
    id: str
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    output: str
    attributes: dict[str, Any]
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weight_shapes: tuple[tuple[int, ...], ...]

    @property
    def rank(self) -> int:
        """The number of axes of its first input, the batch axis included."""
        return len(self.shape)

    @property
    def channels(self) -> int:
        """The size of axis 1 of its first input."""
        return self.shape[1]


def nodes(request: Request, taken: Collection[str] = ()) -> list[Node]:
    """The graph's nodes in their order; no identifier is one of `taken`, a keyword or a builtin."""
    used = {*taken, *keyword.kwlist, *dir(builtins), "x", "y", "net"}
    shapes = {request.input: request.input_shape}
    found = []
    for node in request.graph["nodes"]:
        weights = tuple(name for name in node["inputs"] if name in request.weights)
        inputs = tuple(name for name in node["inputs"] if name not in request.weights)
        name = _identifier(node["name"], used)
        used.add(name)
        weight_shapes = tuple(tuple(request.weights[name].shape) for name in weights)
        output_shape = _output_shape(node, [shapes[name] for name in inputs], weight_shapes)
        shapes[node["outputs"][0]] = output_shape
        found.append(
            Node(
                op=node["op"],
                name=node["name"],
                id=name,
                inputs=inputs,
                weights=weights,
                output=node["outputs"][0],
                attributes=dict(node["attributes"]),
                shape=shapes[inputs[0]],
                output_shape=output_shape,
                weight_shapes=weight_shapes,
            )
        )
    return found


def _identifier(name: str, used: Collection[str]) -> str:
    wanted = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
    if not wanted.isidentifier():
        wanted = f"node_{wanted}"
    while wanted in used:
        wanted += "_"
    return wanted


def _output_shape(
    node: dict[str, Any], inputs: Sequence[tuple[int, ...]], weights: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    first, attributes = inputs[0], node["attributes"]
    match node["op"]:
        case "Gemm":
            return (first[0], weights[0][0])
        case "Flatten":
            return (first[0], math.prod(first[1:]))
        case "Concat":
            axis = attributes["axis"]
            return (*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :])
        case "GlobalAveragePool":
            return (*first[:2], *[1] * (len(first) - 2))
        case "Conv" | "MaxPool" | "AveragePool":
            kernel, strides = attributes["kernel_shape"], attributes["strides"]
            steps = attributes.get("dilations", [1] * len(kernel))
            channels = weights[0][0] if node["op"] == "Conv" else first[1]
            spatial = [
                (size + sum(pad) - (width - 1) * step - 1) // stride + 1
                for size, pad, width, step, stride in zip(
                    first[2:], pairs(attributes["pads"]), kernel, steps, strides, strict=True
                )
            ]
            return (first[0], channels, *spatial)
    return first


def statements(
    graph: Sequence[Node], entry: str, expression: Callable[[Node, list[str]], str]
) -> tuple[list[str], dict[str, str]]:
    """One line `variable = expression(node, variables of its inputs)` a node; and tensor name -> variable.

    entry: the name of the graph's input, which is the variable `x`. A tensor is `x` again wherever no older `x` is
    needed any more, as users write it; else it is called after its node.
    """
    last_use = {name: number for number, node in enumerate(graph) for name in node.inputs}
    variables = {entry: "x"}
    holder = entry
    lines = []
    for number, node in enumerate(graph):
        value = expression(node, [variables[name] for name in node.inputs])
        free = last_use.get(holder, -1) <= number
        variables[node.output] = "x" if free else node.id + "_out"
        if free:
            holder = node.output
        lines.append(f"{variables[node.output]} = {value}")
    return lines, variables


def returned(lines: Sequence[str], variable: str) -> list[str]:
    """The lines of `statements`, with a `return` of the variable; of its value where the last line assigns that."""
    target, equals, value = lines[-1].partition(" = ")
    return [*lines[:-1], f"return {value}"] if equals and target == variable else [*lines, f"return {variable}"]


def shared_layers(graph: Sequence[Node], request: Request) -> list[Node]:
    """The nodes with weights that `request.first` has as well; none without it."""
    if request.first is None:
        return []
    first = {tuple(name for name in node["inputs"][1:]) for node in request.first["nodes"] if node["op"] in LAYERS}
    return [node for node in graph if node.op in LAYERS and node.weights in first]


def stored(graph: Iterable[Node], expression: Callable[[Node, int], Stored]) -> dict[str, Stored]:
    """Weight name -> `expression(node, number of the weight)`, for every layer."""
    return {
        name: expression(node, number)
        for node in graph
        if node.op in LAYERS
        for number, name in enumerate(node.weights)
    }


def pairs(pads: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """ONNX's pads, all beginnings and then all ends, as a pair an axis."""
    half = len(pads) // 2
    return tuple(zip(pads[:half], pads[half:], strict=True))


def even(pads: Sequence[int]) -> bool:
    """Whether beginning and end are equal on every axis, so that one number an axis says it."""
    return all(low == high for low, high in pairs(pads))


def last_axis(axis: int, rank: int) -> int:
    """ONNX's axis (batch, channels, spatial) in a layout with channels last."""
    return 0 if axis == 0 else rank - 1 if axis == 1 else axis - 1


def kernel_to_last(rank: int) -> tuple[int, ...]:
    """The order of axes that makes (*window, in, out) of ONNX's (out, in, *window); `rank` is the weight's."""
    return (*range(2, rank), 1, 0)


def kernel_from_last(rank: int) -> tuple[int, ...]:
    """The inverse of `kernel_to_last`."""
    return (rank - 1, rank - 2, *range(rank - 2))


def indented(lines: Iterable[str], depth: int = 1) -> str:
    """The lines with four spaces a level, each ended."""
    return "".join(f"{'    ' * depth}{line}".rstrip() + "\n" for line in lines)
