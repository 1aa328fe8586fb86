"""Command `gradient`: writes the gradient model of a user's file, and prints its contents and how to run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from crosscheck.errors import UsageError
from crosscheck.networks.gradient import gradient

__all__ = ["write"]


def write(source: Path, target: Path, training: bool) -> Iterator[str]:
    """Write the gradient model of `source` to `target`, then yield lines about it.

    Raises NetworkError for a model that cannot be differentiated, UsageError for a file that cannot be written.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the model itself; give the gradient another file.")
    made = gradient(source, training)
    try:
        onnx.save(made, target)
    except (OSError, ValueError) as problem:
        raise UsageError(f"{target}: cannot be written ({problem}); give another file with -o.") from problem
    stored = {item.name for item in made.graph.initializer}
    inputs = [item for item in made.graph.input if item.name not in stored]
    outputs = list(made.graph.output)
    opset = next(item.version for item in made.opset_import if item.domain in ("", "ai.onnx"))
    yield f"{target}: opset {opset}, IR {made.ir_version}, {len(made.graph.node)} nodes"
    width = max(len(item.name) for item in (*inputs, *outputs))
    for title, items in (("inputs", inputs), ("outputs", outputs)):
        for index, item in enumerate(items):
            yield f"  {title if index == 0 else '':8} {item.name:{width}}  {_type(item)}"
    x, cotangent, y, answer = inputs[0].name, inputs[-1].name, outputs[0].name, outputs[1].name
    yield f"{answer} = d sum({y} * {cotangent}) / d {x}"
    feeds = f"{{{x!r}: x, {cotangent!r}: cotangent}}"
    yield f"run it: onnxruntime.InferenceSession({str(target)!r}).run([{answer!r}], {feeds})"


def _type(item: onnx.ValueInfoProto) -> str:
    """The element type and the shape of an input or output."""
    tensor = item.type.tensor_type
    sizes = (
        size.dim_param or (str(size.dim_value) if size.HasField("dim_value") else "?") for size in tensor.shape.dim
    )
    return f"{onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)} ({', '.join(sizes)})"
