"""One node of a model while it is lowered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.networks.graph import Node
from crosscheck.networks.lowering.tensor_table import Shape, TensorTable

__all__ = ["Step"]


class Step:
    """A node of the file, with its attributes as the file has them, and the plain nodes that stand for it.

    where: the model and the node in messages.
    """

    def __init__(self, table: TensorTable, where: str, proto: onnx.NodeProto, index: int) -> None:
        self.table, self.where, self.proto = table, where, proto
        self.attributes: dict[str, Any] = {item.name: onnx.helper.get_attribute_value(item) for item in proto.attribute}
        self.nodes: list[Node] = []
        self._title = proto.name or f"{proto.op_type.lower()}{index}"

    def refusal(self, reason: str) -> NetworkError:
        """An error that names the node."""
        return NetworkError(f"{self.where} {reason}.")

    def has(self, index: int) -> bool:
        """Whether the node has the i-th input."""
        return len(self.proto.input) > index and bool(self.proto.input[index])

    def is_constant(self, index: int) -> bool:
        """Whether the i-th input is a constant."""
        return self.table.resolve(self.proto.input[index]) in self.table.constants

    def constant(self, index: int) -> Array:
        """The numbers of the i-th input, float32. Raises NetworkError if they are computed or of another type."""
        return self.table.constant(self.where, self.proto.input[index])

    def integers(self, index: int) -> list[int]:
        """The i-th input, constant integers. Raises NetworkError if they are computed."""
        name = self.table.resolve(self.proto.input[index])
        if name not in self.table.constants:
            raise self.refusal(f"takes {name!r}, which depends on the input; only constants are supported")
        return [int(number) for number in np.asarray(self.table.constants[name]).reshape(-1)]

    def rank(self, index: int) -> int:
        """The number of axes of the i-th input, a constant."""
        return int(np.ndim(self.table.constants[self.table.resolve(self.proto.input[index])]))

    def data(self, index: int = 0) -> str:
        """The graph's name of the i-th input, a computed tensor. Raises NetworkError for a constant."""
        return self.table.data(self.where, self.proto.input[index])

    def shape(self, index: int = 0) -> Shape:
        """The shape of the i-th input, a computed tensor, "N" first. Raises NetworkError for a constant."""
        self.data(index)
        return self.table.shape(self.proto.input[index])

    def sizes(self, index: int = 0) -> list[int]:
        """The sizes of the i-th input without the batch axis. Raises NetworkError if one is unknown."""
        return self._known(self.shape(index))

    def output_sizes(self) -> list[int]:
        """Those of the first output."""
        return self._known(self.table.shape(self.proto.output[0]))

    def _known(self, shape: Shape) -> list[int]:
        sizes = [int(size) for size in shape[1:]]
        if 0 in sizes:
            raise self.refusal(f"has a tensor of unknown shape ({', '.join(map(str, shape))}); fix the sizes")
        return sizes

    def axes(self, axes: Sequence[int]) -> list[int]:
        """Axes of the first input, counted from 0, in order. Raises NetworkError for the batch axis."""
        rank = len(self.shape())
        counted = sorted(axis % rank for axis in axes)
        if 0 in counted:
            raise self.refusal("works along the batch axis; only the other axes are supported")
        return counted

    def parameter(self, index: int, value: Array, shared: bool = True) -> str:
        """Store the i-th input as a parameter of this value; equal values of one tensor are stored once if `shared`."""
        return self.table.parameter(self.proto.input[index], value, shared)

    def number(self, value: Array | float, rank: int) -> str:
        """Store a constant that no input of the file is, broadcast to `rank` axes."""
        array = np.asarray(value, np.float32)
        name = self.table.name(f"{self._title}.constant", "constant")
        self.table.weights[name] = np.ascontiguousarray(array.reshape((1,) * (rank - array.ndim) + array.shape))
        return name

    def add(self, op: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None = None) -> str:
        """Add an inner node; the name of its output."""
        name = self.table.name(f"{self._title}.{op.lower()}", op.lower())
        output = self.table.name(f"{self.proto.output[0]}.{op.lower()}", "tensor")
        self.nodes.append(
            Node(op=op, name=name, inputs=list(inputs), outputs=[output], attributes=dict(attributes or {}))
        )
        return output

    def end(self, op: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None = None, output: int = 0) -> None:
        """Add the node that has the i-th output of the file's node."""
        name = self.table.name(self._title, op.lower())
        tensor = self.table.data(self.where, self.proto.output[output])
        self.nodes.append(
            Node(op=op, name=name, inputs=list(inputs), outputs=[tensor], attributes=dict(attributes or {}))
        )

    def same(self) -> None:
        """The output is the first input."""
        self.table.aliases[self.proto.output[0]] = self.proto.input[0]
