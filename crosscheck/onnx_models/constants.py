"""Values of tensors that are computed from constants alone, and from sizes that the model fixes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from crosscheck.cells import Array
from crosscheck.onnx_models.domains import ONNX_DOMAIN
from crosscheck.onnx_models.evaluator import MENDED
from crosscheck.onnx_models.failures import FAILURES

__all__ = ["LARGEST_EVALUATED", "Constants"]

Sizes = tuple[int | str | None, ...]

#: Maximum elements of an evaluated tensor where the nodes stay: larger ones are weights, no shapes or axes.
LARGEST_EVALUATED = 2**16
#: Operators whose outputs are no larger than their inputs, for which shape inference knows no size.
NEVER_LARGER = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Reshape", "Slice", "Split", "Squeeze", "Unique"})
#: The most elements of a constant that is given to shape inference, as it may be a shape.
LARGEST_GIVEN = 64
#: Operators whose results differ from one evaluation to the next.
NEVER_EVALUATED = frozenset(
    {
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


class Constants:
    """Evaluates constant tensors on demand, with onnx's reference evaluator.

    shape: looks up a tensor's inferred shape, None for an unknown rank. largest: the elements of a tensor above which
    it is not evaluated.
    """

    def __init__(
        self, model: onnx.ModelProto, shape: Callable[[str], Sizes | None], largest: int = LARGEST_EVALUATED
    ) -> None:
        self._shape = shape
        self._largest = largest
        self._opsets = model.opset_import
        self._initialisers = {item.name: item for item in model.graph.initializer}
        self._producers: dict[str, onnx.NodeProto] = {}
        self._shape_sources: dict[str, str] = {}
        self._values: dict[str, Array | None] = {"": None}
        for node in model.graph.node:
            if node.op_type == "Shape" and not node.attribute:
                self._shape_sources[node.output[0]] = node.input[0]
            if self._is_constant(node):
                self._producers.update({name: node for name in node.output if name})

    def value(self, tensor: str) -> Array | None:
        """The numbers of a constant tensor; None for any other, or a large one that is computed."""
        if tensor in self._initialisers:  # not cached: it would duplicate the weights
            return onnx.numpy_helper.to_array(self._initialisers[tensor])
        if tensor not in self._values and tensor in self._producers:
            self._evaluate(self._producers[tensor])
        return self._values.get(tensor)

    def _is_constant(self, node: onnx.NodeProto) -> bool:
        """Whether a node's inputs are constants, or all that it reads of a tensor is a fixed size."""
        if node.domain not in ONNX_DOMAIN or node.op_type in NEVER_EVALUATED:
            return False
        if any(item.HasField("g") for item in node.attribute):
            return False
        if node.op_type == "BatchNormalization" and not _uses_batch(node):
            return False
        if node.op_type == "Constant":
            return True
        if node.op_type in ("Shape", "Size"):
            shape = self._shape(node.input[0])
            return shape is not None and all(isinstance(size, int) for size in shape)
        if self._picked_sizes(node) is not None:
            return True
        names = [name for name in node.input if name]
        return bool(names) and all(name in self._initialisers or name in self._producers for name in names)

    def _picked_sizes(self, node: onnx.NodeProto) -> Array | None:
        """What a Gather picks from a Shape, if these sizes are fixed even though others are not."""
        if node.op_type != "Gather" or node.input[0] not in self._shape_sources:
            return None
        shape, picked = self._shape(self._shape_sources[node.input[0]]), self.value(node.input[1])
        if shape is None or picked is None:
            return None
        sizes = [shape[index] for index in picked.reshape(-1).tolist()]
        fixed = [size for size in sizes if isinstance(size, int)]
        return np.array(fixed, np.int64).reshape(picked.shape) if len(fixed) == len(sizes) else None

    def _evaluate(self, node: onnx.NodeProto) -> None:
        """Store the values of a node's outputs, None where they are too large or cannot be computed."""
        self._values.update(dict.fromkeys(filter(None, node.output)))
        known = self._known(node)
        if known is not None:
            self._values[node.output[0]] = known
            return
        feeds = {name: self.value(name) for name in node.input if name}
        if any(value is None for value in feeds.values()) or self._too_large(node, feeds):
            return
        names = [name for name in node.output if name]
        graph = onnx.helper.make_graph(
            [node],
            "constant",
            [onnx.ValueInfoProto(name=name) for name in feeds],
            [onnx.ValueInfoProto(name=name) for name in names],
        )
        model = onnx.helper.make_model(graph, opset_imports=self._opsets)
        try:
            with np.errstate(all="ignore"):
                results = ReferenceEvaluator(model, new_ops=MENDED).run(None, feeds)
        except FAILURES:
            return
        for name, result in zip(names, results, strict=True):
            if isinstance(result, (np.ndarray, np.generic)):
                self._values[name] = np.asarray(result)

    def _known(self, node: onnx.NodeProto) -> Array | None:
        """The value of a node that needs no evaluation."""
        if node.op_type == "Constant":
            return _literal(node)
        if node.op_type in ("Shape", "Size"):
            shape = self._shape(node.input[0]) or ()
            attributes = {item.name: item.i for item in node.attribute}
            sizes = np.array(shape, np.int64)
            if node.op_type == "Size":
                return np.asarray(np.prod(sizes, dtype=np.int64))
            return sizes[attributes.get("start", 0) : attributes.get("end", len(sizes))]
        return self._picked_sizes(node)

    def _too_large(self, node: onnx.NodeProto, feeds: Mapping[str, Array | None]) -> bool:
        """Whether an output has too many elements, or a number of them that cannot be known before it is computed."""
        shapes = {name: self._shape(name) for name in node.output if name}
        if not all(map(_is_fixed, shapes.values())):
            shapes |= self._shapes_alone(node, feeds)
        if not all(map(_is_fixed, shapes.values())):
            return node.op_type not in NEVER_LARGER
        return any(math.prod(shape or ()) > self._largest for shape in shapes.values())  # type: ignore[arg-type]

    def _shapes_alone(self, node: onnx.NodeProto, feeds: Mapping[str, Array | None]) -> dict[str, Sizes | None]:
        """The shapes of a node's outputs as inferred from the values of its inputs."""
        given = {name: value for name, value in feeds.items() if value is not None}
        small = {name: value for name, value in given.items() if value.size <= LARGEST_GIVEN}
        try:
            inputs = [
                onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                for name, value in given.items()
                if name not in small
            ]
            stored = [onnx.numpy_helper.from_array(value, name) for name, value in small.items()]
            outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
            graph = onnx.helper.make_graph([node], "alone", inputs, outputs, stored)
            model = onnx.helper.make_model(graph, opset_imports=self._opsets)
            inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except (onnx.shape_inference.InferenceError, *FAILURES):
            return {}
        return {
            item.name: tuple(size.dim_value if size.HasField("dim_value") else None for size in shape.dim)
            for item in inferred.graph.output
            for shape in [item.type.tensor_type.shape]
            if item.type.tensor_type.HasField("shape")
        }


def _is_fixed(shape: Sizes | None) -> bool:
    return shape is not None and all(isinstance(size, int) for size in shape)


def _literal(node: onnx.NodeProto) -> Array | None:
    """The value of a Constant node, from whichever attribute holds it; None for sparse tensors and texts."""
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return onnx.numpy_helper.to_array(value)
        if attribute.name in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.array(value, np.int64)
    return None


def _uses_batch(node: onnx.NodeProto) -> bool:
    """Whether a batch normalization is in training mode, as those that standardize weights are.

    Others stay, as a network's layers: they are what is asked about, and the evaluator gets opsets 9 to 13 wrong.
    """
    return any(item.name == "training_mode" and item.i for item in node.attribute)
