"""One node of the model with its attributes, inputs, and their known types and values, for use in a rule."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.onnx_models.facts import LARGEST_SHAPE, Facts, Shape
from crosscheck.onnx_models.fold import reads

__all__ = ["Call"]


class Call:
    """A node of the model.

    wanted: whether the i-th input depends on a differentiated tensor, one of `active`.
    taken: the tensors that subgraphs take from outside and that depend on a differentiated one.
    active: whether any input does, or such a tensor.
    training: whether a batch normalization uses the batch's own statistics, regardless of its attributes.
    """

    def __init__(
        self, node: onnx.NodeProto, index: int, facts: Facts, active: Collection[str], training: bool = False
    ) -> None:
        self.node = node
        self.index = index
        self.facts = facts
        self.wanted = [name in active for name in node.input]
        self.taken = [name for name in dict.fromkeys(reads(node)) if name in active and name not in node.input]
        self.active = any(self.wanted) or bool(self.taken)
        self.training = training
        self.inputs: list[str] = list(node.input)
        self.outputs: list[str] = list(node.output)
        self.attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        self.title = repr(node.name or index)
        self.where = f"{facts.source}: node {self.title} ({node.op_type})"

    def has(self, index: int) -> bool:
        """Whether the optional input is present."""
        return index < len(self.inputs) and bool(self.inputs[index])

    def get(self, name: str, default: Any) -> Any:
        """An attribute, text decoded, or the operator's default; numbers are float32, the default included."""
        value = self.attributes.get(name, default)
        if isinstance(value, float):
            return float(np.float32(value))
        return value.decode() if isinstance(value, bytes) else value

    def shape(self, index: int) -> Shape:
        """The shape of the i-th input. Raises NetworkError if the rank is unknown."""
        shape = self.facts.shape(self.inputs[index])
        if shape is None:
            raise self.refusal(f"takes {self.inputs[index]!r}, whose rank is unknown; export the model with shapes")
        return shape

    def rank(self, index: int) -> int:
        """The number of axes of the i-th input."""
        return len(self.shape(index))

    def sizes(self, index: int, start: int = 0) -> tuple[int, ...]:
        """The i-th input's sizes from axis `start` on. Raises NetworkError unless all are numbers."""
        return self._fixed(f"takes {self.inputs[index]!r}", self.shape(index), start)

    def output_sizes(self, start: int = 0) -> tuple[int, ...]:
        """The first output's sizes from axis `start` on. Raises NetworkError unless all are numbers."""
        shape = self.facts.shape(self.outputs[0])
        if shape is None:
            raise self.refusal("has an output whose rank is unknown; export the model with shapes")
        return self._fixed(f"gives {self.outputs[0]!r}", shape, start)

    def constant(self, index: int, what: str) -> Array:
        """The numbers of the i-th input, which must be a constant; `what` names it in messages."""
        value = self.facts.value(self.inputs[index])
        if value is None:
            raise self.refusal(f"takes {what} from {self.inputs[index]!r}, which is computed; make it a constant")
        return value

    def only_first(self, what: str) -> None:
        """Raise NetworkError if an input besides the first depends on the differentiated input; `what` names it."""
        for name, wanted in list(zip(self.inputs, self.wanted, strict=True))[1:]:
            if wanted:
                raise self.refusal(
                    f"takes {what} from {name!r}, which depends on the model's input; make it a constant"
                )

    def dtype(self, index: int) -> np.dtype[Any]:
        """The element type of the i-th input."""
        return self.facts.dtype(self.inputs[index])

    def alone(self) -> onnx.ModelProto:
        """A model of this node, with its inputs' types; small constants keep their values."""
        inputs, initialisers = [], []
        for name in dict.fromkeys(filter(None, self.inputs)):
            value = self.facts.value(name)
            if value is not None and value.size <= LARGEST_SHAPE:
                initialisers.append(onnx.numpy_helper.from_array(value, name))
            else:
                kind = onnx.helper.np_dtype_to_tensor_dtype(self.facts.dtype(name))
                inputs.append(onnx.helper.make_tensor_value_info(name, kind, self.facts.shape(name)))
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs if name]
        graph = onnx.helper.make_graph([self.node], self.node.op_type, inputs, outputs, initialisers)
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", self.facts.opset)])

    def refusal(self, why: str) -> NetworkError:
        """An error about this node."""
        return NetworkError(f"{self.where} {why}.")

    def _fixed(self, what: str, shape: Shape, start: int) -> tuple[int, ...]:
        sizes = tuple(size for size in shape[start:] if isinstance(size, int))
        if len(sizes) < len(shape[start:]):
            sizes_text = ", ".join("?" if size is None else str(size) for size in shape)
            raise self.refusal(
                f"{what} of shape ({sizes_text}); export it with fixed sizes from axis {start} on, "
                "or fix the model's inputs with --shape"
            )
        return sizes
