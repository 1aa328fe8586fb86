"""onnx's reference evaluator with the layers of large networks by the oracle: right in training mode, and fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_average_pool, op_conv, op_conv_transpose, op_max_pool

from crosscheck.cells import Array
from crosscheck.onnx_models.evaluator import MENDED
from crosscheck.oracle.operators import OPERATORS, batch_mean_and_variance, normalize

__all__ = ["BATCH_NORM_DEFAULTS", "BatchNormalization", "Evaluator", "evaluate"]

#: The specification's defaults of absent attributes.
BATCH_NORM_DEFAULTS = {
    "epsilon": float(np.float32(1e-5)),
    "momentum": float(np.float32(0.9)),
    "spatial": 1,
    "training_mode": 0,
}


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """All outputs by onnx's evaluator, batch normalizations, convolutions and pools by the oracle.

    Raises whatever the evaluator raises.
    """
    return Evaluator(model).answers(feeds)


class Evaluator:
    """A model, made ready to be evaluated several times."""

    def __init__(self, model: onnx.ModelProto) -> None:
        new_ops: list[type[OpRun]] = [*MENDED, AveragePool, BatchNormalization, Conv, ConvTranspose, MaxPool]
        self._evaluator = _Forgetful(model, new_ops=new_ops)

    def answers(self, feeds: Mapping[str, Array]) -> list[Array]:
        """All outputs. Raises whatever the operators raise."""
        with np.errstate(all="ignore"):
            return [np.asarray(value) for value in self._evaluator.answers(feeds)]


class _Forgetful(ReferenceEvaluator):
    """onnx's evaluator, which forgets a tensor after its last use: a gradient of recurrent layers has gigabytes."""

    def answers(self, feeds: Mapping[str, Array]) -> list[Any]:
        """All outputs. Nodes with subgraphs may read any tensor, so that with these nothing is forgotten."""
        if any(node.need_context() for node in self.rt_nodes_):
            every: Any = self.run(None, dict(feeds))
            return list(every)
        last = {name: place for place, node in enumerate(self.rt_nodes_) for name in node.input}
        last |= dict.fromkeys(self.output_names, len(self.rt_nodes_))
        tensors: dict[str, Any] = {"": None, **self.rt_inits_, **feeds}
        for place, node in enumerate(self.rt_nodes_):
            outputs = node.run(*(tensors[name] for name in node.input))
            tensors.update(zip(node.output, outputs, strict=False))
            for name in {*node.input, *node.output} - {""}:
                if last.get(name, place) <= place:
                    del tensors[name]
        return [tensors[name] for name in self.output_names]


class BatchNormalization(OpRun):
    """The operator by the oracle; onnx's evaluator runs it in training mode from opset 9 to 13.

    Ignores `spatial`, which is a separate finding: readers that support it reject the file.
    """

    op_domain = ""

    def _run(self, x: Array, *parameters: Array, **attributes: Any) -> tuple[Array, ...]:
        values = BATCH_NORM_DEFAULTS | attributes
        if not values["training_mode"]:
            return (np.asarray(normalize(values, x, *parameters), x.dtype),)
        batch = batch_mean_and_variance(x)
        scale, bias = parameters[:2]
        y = normalize(values, x, scale, bias, *batch)
        kept, taken = values["momentum"], 1 - values["momentum"]
        updated = [kept * old + taken * new for old, new in zip(parameters[2:], batch, strict=True)]
        return tuple(np.asarray(value, x.dtype) for value in (y, *updated)[: len(self.onnx_node.output)])


class _ByOracle:
    """A convolution or pool of floats by the oracle, if its pads are explicit; else by onnx's operator, the next base.

    onnx's take minutes for a layer of a picture or a spectrum.
    """

    onnx_node: onnx.NodeProto

    def _run(self, x: Array, *parameters: Array, **attributes: Any) -> tuple[Array, ...]:
        given = {name: value for name, value in attributes.items() if value is not None}
        kernel = parameters[0].shape[2:] if parameters else given["kernel_shape"]
        if not self._known(x, given, bool(parameters)):
            outputs: tuple[Array, ...] = super()._run(x, *parameters, **attributes)  # type: ignore[misc]
            return outputs
        y = OPERATORS[self.onnx_node.op_type](_windows(given, kernel), x, *parameters)
        return (np.asarray(y, x.dtype),)

    def _known(self, x: Array, given: Mapping[str, Any], weighted: bool) -> bool:
        """Whether the oracle has the operator with these attributes; its pools have no dilations."""
        others = [
            given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"),
            given.get("output_shape"),
            given.get("ceil_mode"),
        ]
        apart = not weighted and any(step != 1 for step in given.get("dilations", ()))
        return x.dtype.kind == "f" and not any(others) and not apart and len(self.onnx_node.output) == 1


class AveragePool(_ByOracle, op_average_pool.AveragePool_19):  # type: ignore[misc]  # onnx's has its attributes as parameters
    """The operator as the evaluator finds it, by its name."""


class Conv(_ByOracle, op_conv.Conv):  # type: ignore[misc]  # as above
    """The same."""


class ConvTranspose(_ByOracle, op_conv_transpose.ConvTranspose):  # type: ignore[misc]  # as above
    """The same."""


class MaxPool(_ByOracle, op_max_pool.MaxPool):  # type: ignore[misc]  # as above
    """The same."""


def _windows(given: Mapping[str, Any], kernel: Sequence[int]) -> dict[str, Any]:
    """The attributes of a convolution or pool with the defaults that depend on its axes; onnx fills in the others."""
    axes = len(kernel)
    defaults = {
        "dilations": [1] * axes,
        "kernel_shape": list(kernel),
        "output_padding": [0] * axes,
        "pads": [0] * 2 * axes,
        "strides": [1] * axes,
    }
    return defaults | dict(given)
