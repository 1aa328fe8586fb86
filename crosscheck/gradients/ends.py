"""The two ends of a gradient: the output that is differentiated, and the tensors that it is differentiated by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from crosscheck.errors import NetworkError
from crosscheck.onnx_models.facts import Facts

__all__ = ["find_output", "find_sources"]

#: Element types that have a gradient, by the names of NumPy and ml_dtypes.
DIFFERENTIABLE = ("float16", "bfloat16", "float32", "float64")


def find_output(model: onnx.ModelProto, facts: Facts, wanted: str | None) -> onnx.ValueInfoProto:
    """The differentiated tensor: `wanted`, or the first output that holds floats. Raises NetworkError."""
    if wanted is None:
        wanted = next((item.name for item in model.graph.output if _differentiable(facts, item.name)), "")
        if not wanted:
            raise NetworkError(
                f"{facts.source}: its outputs ({_listed(model.graph.output)}) hold no floats and have no gradient; "
                "name a tensor of floats with --output."
            )
    _check(model, facts, wanted, "--output", model.graph.output)
    declared: dict[str, onnx.ValueInfoProto] = {item.name: item for item in model.graph.output}
    return declared.get(wanted) or _declared(facts, wanted)


def find_sources(model: onnx.ModelProto, facts: Facts, wanted: Sequence[str]) -> list[onnx.ValueInfoProto]:
    """The tensors to differentiate by: `wanted`, or every input of floats. Raises NetworkError."""
    stored = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in stored]
    if not wanted:
        sources = [item for item in inputs if _differentiable(facts, item.name)]
        if not sources:
            what = f"no input of floats ({_listed(inputs)})" if inputs else "no input"
            raise NetworkError(f"{facts.source}: has {what}; name the tensor to differentiate by with --wrt.")
        return sources
    for name in wanted:
        _check(model, facts, name, "--wrt", inputs)
    by_name = {item.name: item for item in inputs}
    return [by_name.get(name) or _declared(facts, name) for name in dict.fromkeys(wanted)]


def _check(
    model: onnx.ModelProto, facts: Facts, name: str, option: str, choices: Sequence[onnx.ValueInfoProto]
) -> None:
    """Raise NetworkError unless the model has a tensor of that name, and it holds floats."""
    inputs = {item.name for item in (*model.graph.input, *model.graph.initializer)}
    if not name or name not in inputs | {output for node in model.graph.node for output in node.output}:
        raise NetworkError(f"{facts.source}: has no tensor {name!r}; give {option} one of {_listed(choices)}.")
    if not _differentiable(facts, name):
        raise NetworkError(
            f"{facts.source}: {name!r} is {_type(facts, name)}, which has no gradient; "
            f"give {option} a tensor of floats, one of {_listed(choices)}."
        )


def _differentiable(facts: Facts, tensor: str) -> bool:
    return _type(facts, tensor) in DIFFERENTIABLE


def _type(facts: Facts, tensor: str) -> str:
    return np.dtype(facts.dtype(tensor)).name if facts.typed(tensor) else "no plain tensor, or of unknown type"


def _listed(items: Sequence[onnx.ValueInfoProto]) -> str:
    return ", ".join(item.name for item in items)


def _declared(facts: Facts, tensor: str) -> onnx.ValueInfoProto:
    """The type and shape of a tensor inside the graph. Raises NetworkError if its rank is unknown."""
    shape = facts.shape(tensor)
    if shape is None:
        raise NetworkError(f"{facts.source}: the rank of {tensor!r} is unknown; export the model with shapes.")
    return onnx.helper.make_tensor_value_info(
        tensor, onnx.helper.np_dtype_to_tensor_dtype(facts.dtype(tensor)), list(shape)
    )
