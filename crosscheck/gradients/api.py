"""Writes the input gradient of a user's model as an ONNX model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from crosscheck.errors import NetworkError
from crosscheck.gradients.sweep import differentiate
from crosscheck.onnx_models.file_options import FileOptions, inputs_of, sized, with_shapes
from crosscheck.onnx_models.memory import bounded
from crosscheck.onnx_models.output_shapes import runs
from crosscheck.onnx_models.read import check_onnx, external_files, read_onnx

__all__ = ["gradient", "sized_gradient"]


def gradient(
    model: onnx.ModelProto | str | os.PathLike[str],
    training: bool = False,
    wrt: str | Sequence[str] = (),
    output: str | None = None,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
) -> onnx.ModelProto:
    """Extend a model, or a model file, to compute its input gradient as well.

    Input `<y>.cotangent` follows the model's inputs, and output `<x>.gradient`, d sum(y * cotangent) / d x, follows the
    differentiated output y, which comes first, in plain operators of the same opset, for any runtime. x and y keep
    their names, shapes and types; an open batch axis stays open. The cotangent has the shape and type of y, the
    gradient those of x. With `training`, batch normalizations use the batch's own mean and population variance, the
    gradient includes them, and the last outputs, `<statistic>.running`, are the moving statistics after one update.

    wrt: the tensors x, by default every input of floats that y depends on. output: y, by default the first output of
    floats. Both may be inside the graph. shapes: sizes of inputs by name, for their open axes and the batch axis; None
    leaves an axis as it is.

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


def sized_gradient(
    path: Path, training: bool, wrt: Sequence[str], output: str | None, options: FileOptions
) -> tuple[onnx.ModelProto, list[str]]:
    """`gradient` of a file, with sizes chosen where operators need them and the file leaves them open; and sentences.

    The batch axis stays open if it can. Raises NetworkError as `gradient` does.
    """
    with bounded(path, external_files(path)):
        return _sized_gradient(path, training, wrt, output, options)


def _sized_gradient(
    path: Path, training: bool, wrt: Sequence[str], output: str | None, options: FileOptions
) -> tuple[onnx.ModelProto, list[str]]:
    try:
        return gradient(path, training, wrt, output, options.shapes), []
    except NetworkError as problem:
        refusal = problem
    model = with_shapes(read_onnx(path, first_opset=1), options.shapes, str(path))
    declared = _sizes(model)
    if not any(None in sizes for sizes in declared.values()):
        raise refusal
    inner = any(None in sizes[1:] for sizes in declared.values())
    try:
        sized(model, options, str(path), lambda candidate: runs(candidate, options, str(path)))
    except NetworkError:
        raise refusal from None
    for first in (1, 0):  # the batch axis last
        shapes = {
            name: [None if axis < first and declared[name][axis] is None else size for axis, size in enumerate(sizes)]
            for name, sizes in _sizes(model).items()
        }
        try:
            made = gradient(path, training, wrt, output, shapes)
        except NetworkError as problem:
            if inner:  # without the reasons that are gone with the sizes
                refusal = problem
            continue
        return made, [
            f"{path}: input {name!r} is taken as {_listed(sizes)}, as operators need sizes that the file leaves open; "
            f"--shape {name}={_listed(sizes, '1')} changes them."
            for name, sizes in shapes.items()
            if sizes != declared[name]
        ]
    raise refusal


def _sizes(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    """The sizes of every input, None where they are open."""
    return {
        item.name: [size.dim_value or None for size in item.type.tensor_type.shape.dim] for item in inputs_of(model)
    }


def _listed(sizes: Sequence[int | None], still_open: str = "?") -> str:
    return ",".join(still_open if size is None else str(size) for size in sizes)
