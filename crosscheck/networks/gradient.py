"""Writes the input gradient of a user's model as an ONNX model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from crosscheck.errors import NetworkError
from crosscheck.networks.differentiate import differentiate
from crosscheck.networks.load import check_onnx, read_onnx

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
    floats. Both may be inside the graph. shapes: sizes for the open axes of inputs.

    Raises NetworkError, with the remedy, for a missing or invalid file, and for nodes without a rule, naming all.
    """
    if isinstance(model, onnx.ModelProto):
        source = "model"
        check_onnx(model, source, first_opset=1)
    else:
        source = os.fspath(model)
        model = read_onnx(Path(source), first_opset=1)
    if shapes:
        model = _with_shapes(model, shapes, source)
    return differentiate(
        model, training=training, wrt=[wrt] if isinstance(wrt, str) else wrt, output=output, source=source
    )


def _with_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]], source: str) -> onnx.ModelProto:
    """A copy with sizes for the open axes of inputs. Raises NetworkError where they contradict the model."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    stored = {item.name for item in model.graph.initializer}
    inputs = {item.name: item for item in fixed.graph.input if item.name not in stored}
    sizes_of: dict[str, int] = {}
    for name, sizes in shapes.items():
        if name not in inputs:
            raise NetworkError(f"{source}: has no input {name!r}; give --shape one of {', '.join(inputs)}.")
        axes = inputs[name].type.tensor_type.shape.dim
        known = [axis.dim_value if axis.HasField("dim_value") else None for axis in axes]
        if len(known) != len(sizes) or any(a not in (None, b) for a, b in zip(known, sizes, strict=False)):
            declared = ", ".join(axis.dim_param or (str(axis.dim_value) if axis.dim_value else "?") for axis in axes)
            raise NetworkError(
                f"{source}: input {name!r} has the shape ({declared}), not ({', '.join(map(str, sizes))}); "
                "give --shape sizes for its open axes, and its own for the others."
            )
        for axis, size in zip(axes, sizes, strict=True):
            if axis.dim_param:
                sizes_of[axis.dim_param] = size
            axis.dim_value = size
    # Inferred sizes replace those that the exporter left open, by name where it has one.
    del fixed.graph.value_info[:]
    for item in (*inputs.values(), *fixed.graph.output):
        for axis in item.type.tensor_type.shape.dim:
            if axis.dim_param in sizes_of:
                axis.dim_value = sizes_of[axis.dim_param]
    return fixed
