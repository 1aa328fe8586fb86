"""Writes the input gradient of a user's model as an ONNX model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from crosscheck.networks.differentiate import differentiate
from crosscheck.networks.file_options import with_shapes
from crosscheck.networks.read import check_onnx, read_onnx

__all__ = ["gradient"]


def gradient(
    model: onnx.ModelProto | str | os.PathLike[str],
    training: bool = False,
    wrt: str | Sequence[str] = (),
    output: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> onnx.ModelProto:
    """Extend a model, or a model file, to compute its input gradient as well.

    Input `<y>.cotangent` follows the model's inputs, and output `<x>.gradient`, d sum(y * cotangent) / d x, follows the
    differentiated output y, which comes first, in plain operators of the same opset, for any runtime. x and y keep
    their names, shapes and types; an open batch axis stays open. The cotangent has the shape and type of y, the
    gradient those of x. With `training`, batch normalizations use the batch's own mean and population variance, the
    gradient includes them, and the last outputs, `<statistic>.running`, are the moving statistics after one update.

    wrt: the tensors x, by default every input of floats that y depends on. output: y, by default the first output of
    floats. Both may be inside the graph. shapes: sizes of inputs, for their open axes and the batch axis.

    Raises NetworkError, with the remedy, for a missing or invalid file, and for nodes without a rule, naming all.
    """
    if isinstance(model, onnx.ModelProto):
        source = "model"
        check_onnx(model, source, first_opset=1)
    else:
        source = os.fspath(model)
        model = read_onnx(Path(source), first_opset=1)
    if shapes:
        model = with_shapes(model, shapes, source)
    return differentiate(
        model, training=training, wrt=[wrt] if isinstance(wrt, str) else wrt, output=output, source=source
    )
