"""Static facts about a model's tensors: element types, shapes, and the values of constants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.onnx_models.constants import LARGEST_EVALUATED, Constants
from crosscheck.onnx_models.domains import ONNX_DOMAIN, opset_of
from crosscheck.onnx_models.failures import FAILURES

__all__ = ["LARGEST_SHAPE", "Facts", "Shape", "without_weights"]

#: A size is a number, the name of a dynamic size, or None if unknown.
Shape = tuple[int | str | None, ...]

#: Maximum elements of an initialiser passed to shape inference: larger ones are no shapes or axes.
LARGEST_SHAPE = 64


class Facts:
    """Looks tensors up by name. `source` is the model's name in messages.

    opset: of the default domain. largest: the elements of a tensor above which it is not evaluated. strict: whether
    shapes that contradict each other are an error; else those that follow from them are unknown.
    """

    def __init__(
        self, model: onnx.ModelProto, source: str, largest: int = LARGEST_EVALUATED, strict: bool = True
    ) -> None:
        self.source = source
        self._strict = strict
        self.opset = opset_of(model)
        self._initialisers = {item.name: item for item in model.graph.initializer}
        self._types: dict[str, onnx.TypeProto.Tensor] = {}
        bare = without_weights(model)
        _name_sizes(bare.graph)
        while True:
            self._types |= self._infer(bare)
            self._constants = Constants(model, self.shape, largest)
            if not _fold(bare.graph, self._constants):
                break

    def value(self, tensor: str) -> Array | None:
        """The numbers of a tensor that is constant, or computed from constants; None for any other."""
        return self._constants.value(tensor)

    def shape(self, tensor: str) -> Shape | None:
        """The shape, possibly with unknown sizes; None for an unknown rank."""
        if tensor in self._initialisers:
            return tuple(self._initialisers[tensor].dims)
        if tensor not in self._types or not self._types[tensor].HasField("shape"):
            return None
        return tuple(
            size.dim_value if size.HasField("dim_value") else size.dim_param or None
            for size in self._types[tensor].shape.dim
        )

    def dtype(self, tensor: str) -> np.dtype[Any]:
        """The element type. Raises NetworkError if shape inference finds none."""
        if tensor in self._initialisers:
            number = self._initialisers[tensor].data_type
        else:
            number = self._types[tensor].elem_type if tensor in self._types else onnx.TensorProto.UNDEFINED
        if number == onnx.TensorProto.UNDEFINED:
            raise NetworkError(
                f"{self.source}: the element type of {tensor!r} is unknown; export the model with shapes."
            )
        return onnx.helper.tensor_dtype_to_np_dtype(number)

    def floating(self, tensor: str) -> bool:
        """Whether the elements are floats; unknown types count as floats (old statistics)."""
        return not self.typed(tensor) or _holds_floats(self.dtype(tensor))

    def typed(self, tensor: str) -> bool:
        """Whether the element type is known."""
        return tensor in self._initialisers or bool(tensor in self._types and self._types[tensor].elem_type)

    def names(self) -> Iterable[str]:
        """Every tensor with a type."""
        return (*self._initialisers, *self._types)

    def _infer(self, bare: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
        """Every tensor's type. Other domains have no types, which strict inference takes for an error."""
        strict = self._strict and all(node.domain in ONNX_DOMAIN for node in bare.graph.node)
        while True:
            try:
                inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=strict, data_prop=True).graph
            except MemoryError:  # onnx keeps the values of every shape; `limited` says so
                raise
            except (onnx.shape_inference.InferenceError, *FAILURES) as problem:
                message = " ".join(str(problem).split())
                raise NetworkError(f"{self.source}: its shapes do not fit together: {message}") from problem
            types = {
                item.name: item.type.tensor_type for item in (*inferred.input, *inferred.value_info, *inferred.output)
            }
            if not _add_ranks(bare.graph, types):
                return types


def _holds_floats(dtype: np.dtype[Any]) -> bool:
    """Whether an element type holds floats; bfloat16 is none of NumPy's own."""
    return bool(np.issubdtype(dtype, np.floating)) or dtype.name == "bfloat16"


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with large initialisers as inputs, for checks of types only."""
    bare = onnx.ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.output.extend(model.graph.output)
    bare.graph.value_info.extend(model.graph.value_info)
    initialisers = {item.name for item in model.graph.initializer}
    bare.graph.input.extend(item for item in model.graph.input if item.name not in initialisers)
    for item in model.graph.initializer:
        if np.prod(item.dims, dtype=np.int64) > LARGEST_SHAPE:
            bare.graph.input.append(onnx.helper.make_tensor_value_info(item.name, item.data_type, item.dims))
        else:
            bare.graph.initializer.append(item)
    return bare


def _name_sizes(graph: onnx.GraphProto) -> None:
    """Name unknown input sizes, so that inference recognises equal ones; clear names that no input has.

    Exporters name the batch axes of inputs and outputs differently.
    """
    size_names = set()
    for item in graph.input:
        for axis, size in enumerate(item.type.tensor_type.shape.dim):
            if not size.HasField("dim_value"):
                size.dim_param = size.dim_param or f"{item.name}.{axis}"
                size_names.add(size.dim_param)
    for item in (*graph.value_info, *graph.output):
        for size in item.type.tensor_type.shape.dim:
            if size.dim_param and size.dim_param not in size_names:
                size.ClearField("dim_param")


def _fold(graph: onnx.GraphProto, constants: Constants) -> bool:
    """Replace small computed constants by initialisers, from which inference knows more; True if there were any."""
    kept, folded = [], {}
    for node in graph.node:
        values = {name: constants.value(name) for name in node.output if name}
        small = {name: value for name, value in values.items() if value is not None and value.size <= LARGEST_SHAPE}
        if node.op_type == "Constant" or len(small) < len(values):
            kept.append(node)
        else:
            folded.update(small)
    outputs = {item.name for item in graph.output}
    if not folded or outputs & folded.keys():
        return False
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in folded.items())
    return True


def _add_ranks(graph: onnx.GraphProto, types: dict[str, onnx.TypeProto.Tensor]) -> bool:
    """Add the ranks of tensors reshaped to a computed shape of known length; True if any was new.

    Before opset 13 inference resolves few concatenated shapes.
    """
    typed = {item.name: item for item in (*graph.value_info, *graph.output)}
    news = False
    for node in graph.node:
        if node.op_type != "Reshape" or not {node.output[0], node.input[1]} <= types.keys():
            continue
        if types[node.output[0]].HasField("shape"):
            continue
        lengths = types[node.input[1]].shape.dim
        if len(lengths) == 1 and lengths[0].HasField("dim_value"):
            name = node.output[0]
            sizes = [f"{name}.{axis}" for axis in range(lengths[0].dim_value)]
            value_info = onnx.helper.make_tensor_value_info(name, types[name].elem_type, sizes)
            if name in typed:
                typed[name].CopyFrom(value_info)
            else:
                graph.value_info.append(value_info)
            news = True
    return news
