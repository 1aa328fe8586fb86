"""Writes the input gradient of a user's model as an ONNX model."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from crosscheck.errors import NetworkError
from crosscheck.networks.differentiate import GRADIENT_OPSET, differentiate
from crosscheck.networks.read import check_onnx, read_onnx

__all__ = ["gradient"]


def gradient(model: onnx.ModelProto | str | os.PathLike[str], training: bool = False) -> onnx.ModelProto:
    """Extend a model, or a model file, to compute its input gradient as well.

    Input `<y>.cotangent` follows the input x, and output `<x>.gradient`, d sum(y * cotangent) / d x, follows the first
    output y, in plain operators of the same opset, for any runtime. x and y keep their names, shapes and types, float32
    or float64; an open batch axis stays open. The cotangent has the shape and type of y, the gradient those of x. With
    `training`, batch normalizations use the batch's own mean and population variance, the gradient includes them, and
    the last outputs, `<statistic>.running`, are the moving statistics after one update.

    Raises NetworkError, with the remedy, for a missing or invalid file, an opset below 9, several inputs, and operators
    without a rule.
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
        description = f"{len(inputs)} inputs ({', '.join(inputs)})" if inputs else "no input"
        raise NetworkError(
            f"{source}: has {description}; the gradient needs exactly one: make the others initialisers."
        )
    return differentiate(model, training=training, source=source)
