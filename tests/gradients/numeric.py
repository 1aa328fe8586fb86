"""Models of a few nodes: evaluation, gradient models, and finite differences.

Uses onnx's reference evaluator; the classes here replace its operators that violate the specification or lose
float64 precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from crosscheck.cells import Array
from crosscheck.gradients import differentiate

__all__ = ["NEWEST", "evaluator", "finite_differences", "gradient_of", "model_of", "predict"]

NEWEST = onnx.defs.onnx_opset_version()
#: In float64 the error of a central difference is about STEP**2, plus 1e-16 / STEP for rounding.
STEP = 1e-5


#: The first opset whose softmax runs over one axis.
ONE_AXIS = 13


class Erf(OpRun):
    """In float64; onnx's rounds to float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),)


class Gelu(OpRun):
    """In float64; onnx's rounds to float32."""

    op_domain = ""

    def _run(self, x: Array, approximate: str = "none") -> tuple[Array]:
        if approximate == "tanh":
            return ((0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))).astype(x.dtype),)
        erf = np.vectorize(math.erf, otypes=[np.float64])
        return ((0.5 * x * (1 + erf(x / math.sqrt(2)))).astype(x.dtype),)


class LogSoftmax(OpRun):
    """Over all axes from `axis` on until opset 12, over one from then on; onnx's always runs over one."""

    op_domain = ""

    def _run(self, x: Array, axis: int | None = None) -> tuple[Array]:
        flattened = self.run_params["opsets"][""] < ONE_AXIS
        given = [item.i for item in self.onnx_node.attribute if item.name == "axis"]
        first = (given[0] if given else 1 if flattened else -1) % x.ndim
        axes = tuple(range(first, x.ndim)) if flattened else (first,)
        shifted = x - x.max(axis=axes, keepdims=True)
        return (shifted - np.log(np.exp(shifted).sum(axis=axes, keepdims=True)),)


class Softmax(LogSoftmax):
    """Axes as in LogSoftmax."""

    def _run(self, x: Array, axis: int | None = None) -> tuple[Array]:
        return (np.exp(super()._run(x, axis)[0]),)


class Scatter(OpRun):
    """Of opsets 9 and 10; onnx's evaluator lacks it."""

    op_domain = ""

    def _run(self, x: Array, indices: Array, updates: Array, axis: int = 0) -> tuple[Array]:
        y = x.copy()
        np.put_along_axis(y, indices, updates, axis)
        return (y,)


class Pad(OpRun):
    """Negative pads crop; onnx's raises."""

    op_domain = ""

    def _run(self, x: Array, pads: Any, value: Any = 0, axes: Any = None, mode: str = "constant") -> tuple[Array]:
        every = np.zeros((x.ndim, 2), np.int64)
        every[slice(None) if axes is None else axes] = np.reshape(pads, (2, -1)).T
        kept = tuple(
            slice(max(0, -before), size - max(0, -after)) for size, (before, after) in zip(x.shape, every, strict=True)
        )
        more: Any = {"constant_values": 0 if value is None else value} if mode == "constant" else {}
        padded: Array = np.pad(x[kept], np.maximum(every, 0).tolist(), mode=mode, **more)  # type: ignore[call-overload]
        return (padded,)


#: Further replacements.
MORE: list[type[OpRun]] = []


def evaluator(model: onnx.ModelProto) -> Callable[[Mapping[str, Array]], list[Array]]:
    """onnx's evaluator for a model, with the replacements."""
    session = ReferenceEvaluator(model, new_ops=[Erf, Gelu, LogSoftmax, Pad, Scatter, Softmax, *MORE])
    return lambda feeds: [np.asarray(output) for output in session.run(None, dict(feeds))]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array],
    shape: Sequence[int | str | None],
    opset: int,
    dtype: Any = np.float64,
) -> onnx.ModelProto:
    """A model from x (`shape`, `dtype`) to y; float constants get the same type."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    stored = {
        name: np.asarray(value, dtype) if value.dtype == np.float64 else value for name, value in constants.items()
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    model.graph.output[0].CopyFrom(inferred.graph.output[0])
    if not model.graph.output[0].type.tensor_type.HasField("shape"):  # a file must declare at least the rank
        y = predict(model, np.ones([1 if size is None or isinstance(size, str) else size for size in shape], dtype))
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", kind, [None] * y.ndim))
    return model


def predict(model: onnx.ModelProto, x: Array) -> Array:
    """The first output for x."""
    return evaluator(model)({model.graph.input[0].name: x})[0]


def gradient_of(model: onnx.ModelProto, x: Array, cotangent: Array) -> tuple[Array, Array]:
    """The first output and its gradient, both computed by the gradient model."""
    made = differentiate(model)
    feeds = {made.graph.input[0].name: x, made.graph.input[-1].name: cotangent}
    y, gradient = evaluator(made)(feeds)[:2]
    return y, gradient


def finite_differences(
    model: onnx.ModelProto, x: Array, cotangent: Array, directions: Iterable[Array] | None = None
) -> Array:
    """The derivatives of sum(y * cotangent) along the directions, by central differences.

    Without directions: along each axis, the gradient.
    """
    compute, name = evaluator(model), model.graph.input[0].name
    slopes = []
    for direction in np.eye(x.size).reshape(x.size, *x.shape) if directions is None else directions:
        up, down = (compute({name: x + step * direction})[0] for step in (STEP, -STEP))
        slopes.append(np.sum((up - down) * cotangent) / (2 * STEP))
    return np.array(slopes).reshape(x.shape if directions is None else -1)
