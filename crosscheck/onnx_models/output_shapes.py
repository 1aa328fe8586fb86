"""The shapes of a model's outputs: as inferred, else by an evaluation, else as the file declares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.onnx_models.domains import foreign_operators
from crosscheck.onnx_models.evaluator import MENDED
from crosscheck.onnx_models.facts import Facts
from crosscheck.onnx_models.file_options import FileOptions, inputs_of
from crosscheck.onnx_models.memory import check_inner_sizes, check_numbers
from crosscheck.onnx_models.samples import read_samples, values_of

__all__ = ["Declared", "declare_outputs", "runs"]


class Declared:
    """The sizes of a model's inputs and outputs as the file has them: numbers and names."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._inputs = {item.name: _sizes(item) for item in inputs_of(model)}
        self._outputs = {item.name: _sizes(item) for item in model.graph.output}

    def output(self, name: str, values: Mapping[str, Array]) -> tuple[int, ...] | None:
        """The shape of an output for inputs of these values; None if the file does not say it."""
        named = {
            size: number
            for key, sizes in self._inputs.items()
            for size, number in zip(sizes, np.shape(values[key]), strict=True)
        }
        sizes = [named.get(size) if isinstance(size, str) else size for size in self._outputs[name]]
        return tuple(size for size in sizes if size) if sizes and all(sizes) else None


def _sizes(item: onnx.ValueInfoProto) -> list[int | str]:
    return [size.dim_value or size.dim_param for size in item.type.tensor_type.shape.dim]


def declare_outputs(
    model: onnx.ModelProto, values: Mapping[str, Array], declared: Declared, source: str
) -> tuple[int, ...]:
    """Declare, in place, the shapes of the outputs; that of the first.

    They are those of shape inference, else of an evaluation of the file, else, with operators that onnx does not have,
    the file's own.
    """
    check_inner_sizes(model, Facts(model, source))
    shapes: list[tuple[int, ...] | None] | None = _inferred(model, source)
    if shapes is None:
        try:
            shapes = [np.shape(value) for value in _evaluated(model, values)]
        except Exception as problem:  # the evaluator raises any exception for arbitrary files
            foreign = foreign_operators(model)
            if not foreign:
                message = " ".join(str(problem).split())
                raise NetworkError(
                    f"{source}: the shapes of its outputs are unknown, and onnx cannot evaluate it ({message})."
                ) from problem
            shapes = [declared.output(item.name, values) for item in model.graph.output]
            if None in shapes:
                output = model.graph.output[shapes.index(None)].name
                raise NetworkError(
                    f"{source}: the size of output {output!r} is unknown, as onnx has no {', '.join(foreign)}; "
                    "write its shape into the file."
                ) from problem
    remedy = "sizes of the inputs, --shape and --batch, decide it"
    for item, shape in zip(model.graph.output, shapes, strict=True):
        check_numbers(shape or (), f"{source}: output {item.name!r}", remedy)
        item.CopyFrom(onnx.helper.make_tensor_value_info(item.name, item.type.tensor_type.elem_type, shape))
    return shapes[0] or ()


def _inferred(model: onnx.ModelProto, source: str) -> list[tuple[int, ...] | None] | None:
    """The shapes of the outputs by shape inference; None if it does not know all. Raises NetworkError."""
    facts = Facts(model, source)
    shapes = [facts.shape(item.name) for item in model.graph.output]
    known = [tuple(size for size in shape or () if isinstance(size, int)) for shape in shapes]
    if any(shape is None or len(sizes) < len(shape) for shape, sizes in zip(shapes, known, strict=True)):
        return None
    return list(known)


def _evaluated(model: onnx.ModelProto, values: Mapping[str, Array]) -> list[Any]:
    with np.errstate(all="ignore"):
        outputs: Any = ReferenceEvaluator(model, new_ops=MENDED).run(None, dict(values))
    return list(outputs)


def runs(model: onnx.ModelProto, options: FileOptions, source: str) -> bool:
    """Whether onnx can evaluate a model with operators of its own, if inference does not know its outputs' shapes."""
    if _inferred(model, source) is not None or foreign_operators(model):
        return True
    inputs = inputs_of(model)
    values = values_of(model, inputs, read_samples(options.samples, inputs[0]), source)
    try:
        _evaluated(model, values)
    except Exception:  # the evaluator raises any exception for arbitrary files
        return False
    return True
