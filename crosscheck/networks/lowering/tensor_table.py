"""A table of the tensors of an ONNX model while it is lowered: constants, shapes, and names in the plain graph."""

from __future__ import annotations

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.onnx_models.domains import opset_of
from crosscheck.onnx_models.facts import without_weights
from crosscheck.onnx_models.failures import FAILURES
from crosscheck.onnx_models.fresh_names import FreshNames
from crosscheck.probe.names import plain_name

__all__ = ["Shape", "TensorTable"]

Shape = list[int | str]


class TensorTable:
    """Maps the model's tensor names to the graph's.

    source: the model's name in messages.
    constants: initialisers and, once the pass reaches them, the values of Constant nodes.
    aliases: outputs of removed nodes -> their inputs.
    weights: the graph's name -> array, of every used parameter.
    """

    def __init__(self, model: onnx.ModelProto, source: str) -> None:
        self.source = source
        self.opset = opset_of(model)
        self.constants = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
        self.aliases: dict[str, str] = {}
        self.weights: dict[str, Array] = {}
        self._names: dict[str, str] = {}
        self._fresh = FreshNames(joint="_")
        self.input = self._only_input(model)
        self._shapes = self._infer_shapes(model)
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for tensor in node.input:
                self._readers.setdefault(tensor, []).append(node)

    def resolve(self, tensor: str) -> str:
        """Resolve aliases of `tensor`."""
        while tensor in self.aliases:
            tensor = self.aliases[tensor]
        return tensor

    def shape(self, tensor: str) -> Shape:
        """The shape of a computed tensor, "N" first."""
        return self._shapes[self.resolve(tensor)]

    def computed_shape(self, tensor: str) -> Shape | None:
        """The shape of a computed tensor; None for a constant."""
        return self._shapes.get(self.resolve(tensor))

    def readers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes of the file that read a tensor."""
        return self._readers.get(tensor, [])

    def name(self, text: str, fallback: str) -> str:
        """`text` in letters, digits, "_" and ".", and unique."""
        return self._fresh.of(plain_name(text, fallback))

    def data(self, where: str, tensor: str) -> str:
        """The graph's name of a computed tensor. Raises NetworkError for a constant; `where` names the node."""
        tensor = self.resolve(tensor)
        if tensor in self.constants:
            raise NetworkError(f"{where} takes the constant {tensor!r} where only computed tensors are supported.")
        if tensor not in self._names:
            self._names[tensor] = self.name(tensor, "tensor")
        return self._names[tensor]

    def constant(self, where: str, tensor: str) -> Array:
        """The numbers of a parameter. Raises NetworkError if they are computed or not float32."""
        tensor = self.resolve(tensor)
        if tensor not in self.constants:
            raise NetworkError(
                f"{where} takes the parameter {tensor!r}, which depends on the input; only constants are supported."
            )
        value = self.constants[tensor]
        if value.dtype != np.float32:
            raise NetworkError(f"{where} has the parameter {tensor!r} in {value.dtype}; export the model in float32.")
        return value

    def parameter(self, tensor: str, value: Array, shared: bool = True) -> str:
        """Store a parameter and return its name; equal values of one tensor are stored once if `shared`."""
        tensor = self.resolve(tensor)
        stored_name = self._names.get(tensor)
        if shared and stored_name is not None and np.array_equal(self.weights[stored_name], value):
            return stored_name
        name = self.name(tensor, "weight")
        self._names.setdefault(tensor, name)
        self.weights[name] = np.ascontiguousarray(value, np.float32)  # large models have no room for a further copy
        return name

    def _only_input(self, model: onnx.ModelProto) -> str:
        inputs = [item for item in model.graph.input if item.name not in self.constants]
        if not inputs:
            raise NetworkError(f"{self.source}: the output does not depend on any input; check the export.")
        if len(inputs) > 1:
            names = ", ".join(item.name for item in inputs)
            raise NetworkError(
                f"{self.source}: has {len(inputs)} inputs, {names}; export it with one, the others as constants."
            )
        data = inputs[0].type.tensor_type
        if data.elem_type != onnx.TensorProto.FLOAT:
            raise NetworkError(f"{self.source}: input {inputs[0].name!r} is not float32; export the model in float32.")
        sizes = data.shape.dim
        if len(sizes) < 2 or any(size.dim_value < 1 for size in sizes[1:]):
            raise NetworkError(
                f"{self.source}: input {inputs[0].name!r} needs a batch axis and a fixed size for every other axis; "
                "export the model with only its first axis dynamic."
            )
        return str(inputs[0].name)

    def _infer_shapes(self, model: onnx.ModelProto) -> dict[str, Shape]:
        """Every tensor's shape with a dynamic batch axis, also if the file fixes the number of rows.

        Fixed rows are inferred as they are, since constants may contain their number: 4 rows in the shape (4, -1, 8).
        """
        copy = without_weights(model)
        for output in copy.graph.output:
            output.type.tensor_type.ClearField("shape")
        del copy.graph.value_info[:]
        try:
            copy = onnx.shape_inference.infer_shapes(copy, strict_mode=True)
        except (onnx.shape_inference.InferenceError, *FAILURES) as problem:
            raise NetworkError(f"{self.source}: its shapes do not fit together: {problem}") from problem
        shapes: dict[str, Shape] = {}
        for item in (*copy.graph.input, *copy.graph.value_info, *copy.graph.output):
            if item.name not in self.constants:
                shapes[item.name] = ["N", *(size.dim_value for size in item.type.tensor_type.shape.dim[1:])]
        return shapes
