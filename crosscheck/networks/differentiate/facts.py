"""What is known of a model's tensors before it runs: element types, shapes, and the values of constants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx

from crosscheck.errors import NetworkError
from crosscheck.networks.graph import Array

__all__ = ["Facts", "Shape"]

#: A size is a number, a name for one that is only known when the model runs, or None where even that is unknown.
Shape = tuple[int | str | None, ...]

#: Initialisers of more elements cannot be a shape, axes or the like; shape inference is spared them.
LARGEST_SHAPE = 64


class Facts:
    """Looks tensors up by name. `source` is how messages call the model.

    opset: of the default domain. dtype: of the input that is differentiated, float32 or float64.
    """

    def __init__(self, model: onnx.ModelProto, source: str) -> None:
        self.source = source
        self.opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
        self._initialisers = {item.name: item for item in model.graph.initializer}
        self._values: dict[str, Array] = {}
        self._types = self._infer(model)
        for node in model.graph.node:
            if node.op_type == "Constant":
                self._values[node.output[0]] = _literal(node)

    def value(self, tensor: str) -> Array | None:
        """The numbers of a constant tensor; None for one that is computed or fed."""
        if tensor not in self._values and tensor in self._initialisers:
            self._values[tensor] = onnx.numpy_helper.to_array(self._initialisers[tensor])
        return self._values.get(tensor)

    def shape(self, tensor: str) -> Shape | None:
        """The shape as far as it is known; None where not even the rank is."""
        if tensor in self._initialisers:
            return tuple(self._initialisers[tensor].dims)
        if tensor not in self._types or not self._types[tensor].HasField("shape"):
            return None
        return tuple(
            size.dim_value if size.HasField("dim_value") else size.dim_param or None
            for size in self._types[tensor].shape.dim
        )

    def dtype(self, tensor: str) -> np.dtype[Any]:
        """The element type. Raises NetworkError where shape inference could not tell."""
        number = self._initialisers[tensor].data_type if tensor in self._initialisers else self._types[tensor].elem_type
        return onnx.helper.tensor_dtype_to_np_dtype(number)

    def names(self) -> Iterable[str]:
        """Every tensor that has a type."""
        return (*self._initialisers, *self._types)

    def _infer(self, model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
        """Every tensor's type. Large weights go to shape inference as inputs, without their numbers."""
        bare = onnx.ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
        bare.graph.name = model.graph.name
        bare.graph.node.extend(model.graph.node)
        bare.graph.output.extend(model.graph.output)
        bare.graph.value_info.extend(model.graph.value_info)
        bare.graph.input.extend(item for item in model.graph.input if item.name not in self._initialisers)
        for name, item in self._initialisers.items():
            if np.prod(item.dims, dtype=np.int64) > LARGEST_SHAPE:
                bare.graph.input.append(onnx.helper.make_tensor_value_info(name, item.data_type, item.dims))
            else:
                bare.graph.initializer.append(item)
        try:
            bare = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True)
        except onnx.shape_inference.InferenceError as problem:
            raise NetworkError(f"{self.source}: its shapes do not fit together: {problem}") from problem
        return {
            item.name: item.type.tensor_type for item in (*bare.graph.input, *bare.graph.value_info, *bare.graph.output)
        }


def _literal(node: onnx.NodeProto) -> Array:
    """The value of a Constant node, in whichever attribute it is."""
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return onnx.numpy_helper.to_array(value)
        if attribute.name in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.array(value, np.int64)
    return np.array([])
