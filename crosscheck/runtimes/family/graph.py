"""A walk over a plain graph for writers of source text: identifiers, shapes, variables, pads, layouts."""

from __future__ import annotations

import builtins
import keyword
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from crosscheck.runtimes.source import Array, Request, Stored, Unwritten

__all__ = [
    "ABSENCES",
    "AFFINE_OFF",
    "BASIC",
    "BROADCAST",
    "GROUPED",
    "LAYERS",
    "NO_STATISTICS",
    "SIGNS",
    "STEPS",
    "WITH_ARRAY",
    "WITH_NUMBER",
    "Graph",
    "Node",
    "concluded",
    "indented",
    "kernel_from_last",
    "kernel_to_last",
    "last_axis",
    "last_value",
]

#: The operators that every runtime's writer knows, on computed tensors of equal shapes.
BASIC = frozenset(
    {
        *("Add", "AveragePool", "BatchNormalization", "Concat", "Conv", "Flatten", "Gemm", "GlobalAveragePool"),
        *("MaxPool", "Relu", "Softmax"),
    }
)
#: Arithmetic, on two computed tensors, or on one and a constant.
SIGNS = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}
#: Stands among a writer's operators for arithmetic with a number, with an array, and of shapes that broadcast.
WITH_NUMBER, WITH_ARRAY, BROADCAST = "arithmetic with a constant", "arithmetic with an array", "broadcasting"
#: Likewise.
STEPS, GROUPED = "Slice with a step", "ConvTranspose with groups"
#: Operators that have weights.
LAYERS = ("BatchNormalization", "Conv", "ConvTranspose", "Gemm")
#: What batch normalizations are told not to have by a False in a mode's `norm`: word -> which of their weights.
ABSENCES: Mapping[str, slice] = {"affine": slice(2), "track_running_stats": slice(2, 4)}
#: Batch normalizations without scale and offset, and without statistics, as fields of a mode.
AFFINE_OFF: Mapping[str, Any] = {"norm": {"affine": False}, "unit_scale": True, "zero_bias": True}
NO_STATISTICS: Mapping[str, Any] = {"norm": {"track_running_stats": False}, "batch_prediction": True}
#: Operator -> what a runtime's layer calls its weights, in ONNX's order.
Keys = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Node:
    """One operator. `id` is a Python identifier, unique in the graph.

    inputs: the computed tensors that it takes; weights: the names of its weights, in ONNX's order.
    input_shapes, weight_shapes: of these, (rows, ...) and in ONNX's layout. scalar: the weight of an operator without a
    layer, if it is one number.
    """

    op: str
    name: str
    id: str
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]
    input_shapes: tuple[tuple[int, ...], ...]
    weight_shapes: tuple[tuple[int, ...], ...]
    scalar: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its first input."""
        return self.input_shapes[0]

    @property
    def kind(self) -> str:
        """The operator and, if runtimes have some of its ways only, the way."""
        if self.op != "Resize":
            return self.op
        way = "nearest" if self.attributes["mode"] == "nearest" else f"linear, {self.attributes['coordinates']}"
        return f"Resize ({way})"

    @property
    def rank(self) -> int:
        """The number of axes of its first input, the batch axis included."""
        return len(self.shape)

    @property
    def channels(self) -> int:
        """The size of axis 1 of its first input."""
        return self.shape[1]

    @property
    def filters(self) -> int:
        """The size of axis 1 of its output."""
        return self.output_shape[1]

    @property
    def values(self) -> list[str]:
        """The expressions of its weights' numbers, in ONNX's layout."""
        return [f'weights["{name}"]' for name in self.weights]

    @property
    def biased(self) -> bool:
        """Whether it has a bias."""
        return len(self.weights) > 1

    @property
    def kernel(self) -> tuple[int, ...]:
        """The sizes of the window of a convolution or a pool, an axis each."""
        return tuple(self.attributes["kernel_shape"])

    @property
    def strides(self) -> tuple[int, ...]:
        """The steps of that window."""
        return tuple(self.attributes["strides"])

    @property
    def strided(self) -> bool:
        """Whether one of them is not 1."""
        return set(self.strides) != {1}

    @property
    def dilations(self) -> tuple[int, ...]:
        """The steps within that window, which in a pool are 1."""
        return tuple(self.attributes.get("dilations", [1] * len(self.kernel)))

    @property
    def dilated(self) -> bool:
        """Whether one of them is not 1."""
        return set(self.dilations) != {1}

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """What the input is padded by: beginning and end of every axis."""
        pads = self.attributes.get("pads", ())
        half = len(pads) // 2
        return tuple(zip(pads[:half], pads[half:], strict=True))

    @property
    def padded(self) -> bool:
        """Whether the input is padded at all."""
        return any(map(any, self.pads))

    @property
    def even(self) -> bool:
        """Whether beginning and end are equal on every axis, so that one number an axis says it."""
        return all(low == high for low, high in self.pads)

    @property
    def padding(self) -> tuple[int, ...]:
        """One number an axis, for layers that pad both ends alike; 0 where ends differ, and `x` is padded before."""
        return tuple(low if self.even else 0 for low, _ in self.pads)

    @property
    def further(self) -> tuple[int, ...]:
        """The output padding of a transposed convolution; where pads are uneven, of one whose output is cut later."""
        given = self.attributes["output_padding"]
        if self.even:
            return tuple(given)
        return tuple(max(0, more - high) for more, (_, high) in zip(given, self.pads, strict=True))

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of its output."""
        rows, *sizes = self.shape
        match self.op:
            case "Gemm":
                return (rows, self.weight_shapes[0][0])
            case "Flatten":
                return (rows, math.prod(sizes))
            case "Reshape":
                return (rows, *self.attributes["shape"])
            case "Transpose":
                return tuple(self.shape[axis] for axis in self.attributes["perm"])
            case "ReduceMean":
                axes = self.attributes["axes"]
                return tuple(1 if axis in axes else size for axis, size in enumerate(self.shape))
            case "Slice":
                axis = self.attributes["axis"]
                part = range(self.attributes["start"], self.attributes["end"], self.attributes["step"])
                return (*self.shape[:axis], len(part), *self.shape[axis + 1 :])
            case "Pad":
                return tuple(size + low + high for size, (low, high) in zip(self.shape, self.pads, strict=True))
            case "MatMul":
                right = self.weight_shapes[0] if self.weights else self.input_shapes[1]
                return (*self.shape[:-1], right[-1])
            case "Add" | "Sub" | "Mul" | "Div":
                return tuple(map(max, *self.input_shapes)) if len(self.inputs) > 1 else self.shape
            case "Concat":
                axis = self.attributes["axis"]
                joined = sum(shape[axis] for shape in self.input_shapes)
                return (*self.shape[:axis], joined, *self.shape[axis + 1 :])
            case "GlobalAveragePool":
                return (*self.shape[:2], *[1] * (self.rank - 2))
            case "Resize":
                scaled = zip(sizes[1:], self.attributes["scales"], strict=True)
                return (rows, self.channels, *(math.floor(size * scale) for size, scale in scaled))
            case "ConvTranspose":
                spread = zip(sizes[1:], self.strides, self.kernel, self.dilations, strict=True)
                whole = [(size - 1) * stride + (width - 1) * step + 1 for size, stride, width, step in spread]
                cut = zip(whole, self.attributes["output_padding"], self.pads, strict=True)
                channels = self.weight_shapes[0][1] * self.attributes["group"]
                return (rows, channels, *(size + more - sum(pad) for size, more, pad in cut))
            case "Conv" | "MaxPool" | "AveragePool":
                channels = self.weight_shapes[0][0] if self.op == "Conv" else self.channels
                moves = zip(sizes[1:], self.pads, self.kernel, self.dilations, self.strides, strict=True)
                spatial = [
                    (size + sum(pad) - (width - 1) * step - 1) // stride + 1 for size, pad, width, step, stride in moves
                ]
                return (rows, channels, *spatial)
        return self.shape


@dataclass(frozen=True)
class Graph:
    """The network of a request, as nodes in their order; iterates over them.

    absences: the runtime's words for what its batch normalizations may lack, as `ABSENCES`.
    """

    request: Request
    nodes: tuple[Node, ...]
    absences: Mapping[str, slice] = field(default_factory=lambda: ABSENCES)

    @classmethod
    def of(
        cls,
        request: Request,
        taken: Collection[str] = (),
        absences: Mapping[str, slice] = ABSENCES,
        operators: Collection[str] = BASIC,
    ) -> Graph:
        """The request's own graph; no identifier is one of `taken`, a keyword or a builtin.

        operators: what the writer knows. Raises Unwritten for any other.
        """
        used = {*taken, *keyword.kwlist, *dir(builtins), "x", "y", "net"}
        shapes = {request.input: request.input_shape}
        found = []
        for node in request.graph["nodes"]:
            name = _identifier(node["name"], used)
            used.add(name)
            weights = tuple(name for name in node["inputs"] if name in request.weights)
            inputs = tuple(name for name in node["inputs"] if name not in request.weights)
            found.append(
                Node(
                    op=node["op"],
                    name=node["name"],
                    id=name,
                    inputs=inputs,
                    weights=weights,
                    output=node["outputs"][0],
                    attributes=node["attributes"],
                    input_shapes=tuple(shapes[name] for name in inputs),
                    weight_shapes=tuple(tuple(request.weights[name].shape) for name in weights),
                    scalar=_scalar(node["op"], [request.weights[name] for name in weights]),
                )
            )
            shapes[found[-1].output] = found[-1].output_shape
        if unknown := sorted({need for node in found for need in _needs(node)} - set(operators)):
            raise Unwritten(" and ".join(unknown))
        return cls(request, tuple(found), absences)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the network's output for the probe input."""
        return self.nodes[-1].output_shape

    @cached_property
    def layers(self) -> tuple[Node, ...]:
        """The nodes with weights."""
        return tuple(node for node in self if node.op in LAYERS)

    @cached_property
    def norms(self) -> tuple[Node, ...]:
        """The batch normalizations."""
        return tuple(node for node in self if node.op == "BatchNormalization")

    @cached_property
    def shared(self) -> tuple[Node, ...]:
        """The layers that `request.first` has as well; none without it."""
        if self.request.first is None:
            return ()
        first = {tuple(node["inputs"][1:]) for node in self.request.first["nodes"] if node["op"] in LAYERS}
        return tuple(node for node in self.layers if node.weights in first)

    @cached_property
    def own(self) -> tuple[Node, ...]:
        """The layers that `request.first` lacks."""
        return tuple(node for node in self.layers if node not in self.shared)

    @cached_property
    def absent(self) -> frozenset[str]:
        """The names of what batch normalizations are told not to have."""
        cuts = [cut for word, cut in self.absences.items() if not self.request.norm.get(word, True)]
        return frozenset(name for node in self.norms for cut in cuts for name in node.weights[cut])

    def held(self, node: Node) -> list[int]:
        """The numbers of the weights that a layer has."""
        return [number for number, name in enumerate(node.weights) if name not in self.absent]

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of the layers' weights."""
        return tuple(node.weights[number] for node in self.layers for number in self.held(node))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The same without the moving statistics."""
        return tuple(node.weights[number] for node in self.layers for number in self.held(node) if number < 2)

    def statements(self, expression: Callable[[Node, list[str]], str]) -> tuple[list[str], str]:
        """One line `variable = expression(node, variables of its inputs)` a node; and the output's variable.

        The graph's input is the variable `x`. A tensor is `x` again wherever no older `x` is needed any more, as users
        write it; else it is called after its node.
        """
        last_use = {name: number for number, node in enumerate(self) for name in node.inputs}
        holder = self.request.input
        variables = {holder: "x"}
        lines = []
        for number, node in enumerate(self):
            value = expression(node, [variables[name] for name in node.inputs])
            free = last_use.get(holder, -1) <= number
            variables[node.output] = "x" if free else node.id + "_out"
            if free:
                holder = node.output
            lines.append(f"{variables[node.output]} = {value}")
        return lines, variables[self.request.output]

    def shown(self, expression: Callable[[Node, list[str]], str]) -> list[str]:
        """Lines that set `layers`, tensor of the graph -> its value; `expression` as for `statements`."""

        def variable(name: str) -> str:
            return "x" if name == self.request.input else f'layers["{name}"]'

        return [
            "layers = {}",
            *(f"{variable(node.output)} = {expression(node, [*map(variable, node.inputs)])}" for node in self),
        ]

    def constructed(self, layer: Callable[[Node], str]) -> list[str]:
        """Lines of `__init__`: every layer; those that are shared are the network `first`'s."""
        return [
            f"self.{node.id} = {f'first.{node.id}' if node in self.shared else layer(node)}" for node in self.layers
        ]

    def adopting(self, made: str = "net = Net()\n") -> str:
        """Makes `net`, by the statement `made`, and gives it the layers that it shares with the network `first`."""
        renamed = "" if self.request.first is None else "first = net\n"
        return renamed + made + "".join(f"net.{node.id} = first.{node.id}\n" for node in self.shared)

    def new_weights(self, keys: Keys) -> Iterator[tuple[Node, int, str]]:
        """(layer, number, key) of every weight that `request.first` lacks."""
        for node in self.own:
            for number in self.held(node):
                yield node, number, keys[node.op][number]

    def stored(self, place: Callable[[Node, int], Stored]) -> dict[str, Stored]:
        """Weight name -> `place(layer, number of the weight)`."""
        return {node.weights[number]: place(node, number) for node in self.layers for number in self.held(node)}

    def attributes(self, keys: Keys) -> dict[str, Stored]:
        """The same where weights are attributes of layers, which are attributes of `net`, in ONNX's layout."""
        return self.stored(lambda node, number: (f"net.{node.id}.{keys[node.op][number]}", None))


def _needs(node: Node) -> Iterator[str]:
    """What a writer has to know for a node."""
    yield node.kind
    if node.op == "ConvTranspose" and node.attributes["group"] > 1:
        yield GROUPED
    elif node.op in SIGNS and node.weights:
        yield WITH_ARRAY if node.scalar is None else WITH_NUMBER
    elif node.op in SIGNS and len(set(node.input_shapes)) > 1:
        yield BROADCAST
    elif node.op == "Slice" and node.attributes["step"] > 1:
        yield STEPS


def _scalar(op: str, weights: Sequence[Array]) -> float | None:
    if op in LAYERS or len(weights) != 1 or weights[0].size != 1:
        return None
    return float(weights[0].reshape(()))


def _identifier(name: str, used: Collection[str]) -> str:
    wanted = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
    if not wanted.isidentifier():
        wanted = f"node_{wanted}"
    while wanted in used:
        wanted += "_"
    return wanted


def concluded(lines: Sequence[str], value: str, ending: str = "return ") -> list[str]:
    """The lines of `Graph.statements`, ended with a value: in place of the last line's target, if that is the value."""
    assigned = f"{value} = "
    if lines[-1].startswith(assigned):
        return [*lines[:-1], ending + lines[-1].removeprefix(assigned)]
    return [*lines, ending + value]


def last_axis(axis: int, rank: int) -> int:
    """ONNX's axis (batch, channels, spatial) in a layout with channels last."""
    return 0 if axis == 0 else rank - 1 if axis == 1 else axis - 1


def kernel_to_last(node: Node, number: int) -> tuple[int, ...] | None:
    """The order of axes that makes (*window, in, out) of a kernel, which ONNX has as (out, in, *window).

    A dense layer's has no window. None for weights that are no kernels.
    """
    rank = len(node.weight_shapes[number])
    return (*range(2, rank), 1, 0) if rank > 1 else None


def kernel_from_last(node: Node, number: int) -> tuple[int, ...] | None:
    """The inverse of `kernel_to_last`."""
    rank = len(node.weight_shapes[number])
    return (rank - 1, rank - 2, *range(rank - 2)) if rank > 1 else None


def last_value(node: Node, number: int) -> str:
    """The expression of a weight's numbers in the order of `kernel_to_last`."""
    moved = kernel_to_last(node, number)
    return node.values[number] + (f".transpose{moved}" if moved else "")


def indented(lines: Iterable[str], depth: int = 1) -> str:
    """The lines with four spaces a level, each ended."""
    return "".join(f"{'    ' * depth}{line}".rstrip() + "\n" for line in lines)
