"""The input gradient of a user's own model, as one more ONNX model."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from crosscheck.errors import NetworkError
from crosscheck.networks.differentiate import GRADIENT_OPSET, differentiate
from crosscheck.networks.load import check_onnx, read_onnx

__all__ = ["gradient"]


def gradient(model: onnx.ModelProto | str | os.PathLike[str], training: bool = False) -> onnx.ModelProto:
    """A model that computes what `model`, or the one in this file, computes, and its input gradient.

    After `model`'s own input x comes `<y>.cotangent`, after its first output y comes `<x>.gradient`, which is
    d sum(y * cotangent) / d x: plain operators of the same opset, for any runtime. x and y, and with them the cotangent
    and the gradient, keep their names, shapes and types, float32 or float64; an open batch axis stays open. With
    `training`, batch normalizations use the batch's own mean and population variance, the gradient goes through them,
    and the last outputs, `<statistic>.running`, are the moving statistics after one update.

    Raises NetworkError, with the remedy, for a file that is missing or no ONNX, an opset below 9, several inputs, and
    an operator without a rule.
    """
    if isinstance(model, onnx.ModelProto):
        source = "model"
        check_onnx(model, source, GRADIENT_OPSET)
    else:
        source = os.fspath(model)
        model = read_onnx(Path(source), GRADIENT_OPSET)
    stored = {item.name for item in model.graph.initializer}
    inputs = [item.name for item in model.graph.input if item.name not in stored]
    if len(inputs) != 1:
        told = f"{len(inputs)} inputs ({', '.join(inputs)})" if inputs else "no input"
        raise NetworkError(f"{source}: has {told}; a gradient is taken by one: make the others initialisers.")
    return differentiate(model, training=training, source=source)
