"""Rules of operators that are made of plain ones: sums, maxima and norms of several tensors or along axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx

from crosscheck.networks.lowering.elementwise import broadcast_constant
from crosscheck.networks.lowering.step import Step

__all__ = ["RULES"]

#: Operators that broadcast their two inputs.
BROADCASTING = ("Add", "Div", "Mul", "Sub")


def _sum(step: Step) -> None:
    """The inputs, added from left to right."""
    shapes = [step.shape(index) for index in range(len(step.proto.input)) if not step.is_constant(index)]
    if any(shape != shapes[0] for shape in shapes):
        raise step.refusal("adds tensors of different shapes; only equal ones are supported")
    names = [step.data(index) for index in range(len(step.proto.input))]
    if len(names) == 1:
        step.same()
        return
    total = names[0]
    for name in names[1:-1]:
        total = step.add("Add", [total, name])
    step.end("Add", [total, names[-1]])


def _largest(step: Step) -> None:
    """max(x, c) = relu(x - c) + c for a constant c, max(x, y) = x + relu(y - x)."""
    _two_inputs(step)
    if step.is_constant(1):
        constant = step.parameter(1, broadcast_constant(step, 1), shared=False)
        step.end("Add", [step.add("Relu", [step.add("Sub", [step.data(), constant])]), constant])
    else:
        above = step.add("Relu", [step.add("Sub", [step.data(1), step.data()])])
        step.end("Add", [step.data(), above])


def _smallest(step: Step) -> None:
    """min(x, y) = x - relu(x - y)."""
    _two_inputs(step)
    constant = step.is_constant(1)
    other = step.parameter(1, broadcast_constant(step, 1), shared=False) if constant else step.data(1)
    above = step.add("Relu", [step.add("Sub", [step.data(), other])])
    step.end("Sub", [step.data(), above])


def _two_inputs(step: Step) -> None:
    if len(step.proto.input) != 2 or step.is_constant(0):
        raise step.refusal("takes other inputs than a computed tensor and one more; only these are supported")
    if not step.is_constant(1) and step.shape(0) != step.shape(1):
        raise step.refusal(f"takes tensors of the shapes {step.shape(0)} and {step.shape(1)}; only equal are supported")


def _reduce_sum(step: Step) -> None:
    axes, kept = _reduced(step)
    mean = step.add("ReduceMean", [step.data()], {"axes": axes})
    _end(step, "Mul", [mean, _count(step, axes)], kept)


def _reduce_l2(step: Step) -> None:
    axes, kept = _reduced(step)
    mean = step.add("ReduceMean", [step.add("Mul", [step.data(), step.data()])], {"axes": axes})
    _end(step, "Sqrt", [step.add("Mul", [mean, _count(step, axes)])], kept)


def _reduce_max(step: Step) -> None:
    axes, kept = _reduced(step)
    rank = len(step.shape())
    if axes != list(range(2, rank)) or rank not in (3, 4):
        raise step.refusal(f"runs over the axes {axes} of {rank}; only all axes of a picture are supported")
    sizes = step.sizes()[1:]
    attributes = {"kernel_shape": sizes, "pads": [0] * 2 * len(sizes), "strides": [1] * len(sizes)}
    _end(step, "MaxPool", [step.data()], kept, attributes)


def _reduced(step: Step) -> tuple[list[int], bool]:
    """The axes of a reduction, and whether they stay with size 1."""
    given = step.integers(1) if step.has(1) else step.attributes.get("axes", range(len(step.shape())))
    return step.axes(list(given)), bool(step.attributes.get("keepdims", 1))


def _count(step: Step, axes: Sequence[int]) -> str:
    """The number of reduced elements, as a parameter."""
    return step.number(float(math.prod(step.sizes()[axis - 1] for axis in axes)), len(step.shape()))


def _end(step: Step, op: str, inputs: Sequence[str], kept: bool, attributes: Mapping[str, Any] | None = None) -> None:
    """Add the last node of a reduction, and leave its axes out unless they are kept."""
    if kept:
        step.end(op, inputs, attributes)
        return
    last, sizes = step.add(op, inputs, attributes), step.output_sizes()
    if len(sizes) == 1:
        step.end("Flatten", [last], {"axis": 1})
    else:
        step.end("Reshape", [last], {"shape": sizes})


def _cast(step: Step) -> None:
    """Computed tensors are float32."""
    if step.attributes["to"] != onnx.TensorProto.FLOAT:
        kind = onnx.helper.tensor_dtype_to_string(step.attributes["to"]).removeprefix("TensorProto.").lower()
        raise step.refusal(f"converts to {kind}; only float32 is supported")
    step.same()


def _expand(step: Step) -> None:
    """Left out before operators that broadcast, whose other input has the whole shape."""
    output = step.proto.output[0]
    whole, readers = step.table.shape(output), step.table.readers(output)
    others = [[step.table.computed_shape(name) for name in reader.input if name != output] for reader in readers]
    if (
        not readers
        or any(reader.op_type not in BROADCASTING for reader in readers)
        or others != [[whole]] * len(others)
    ):
        raise step.refusal("repeats a tensor for other operators than Add, Sub, Mul and Div with one of that shape")
    step.same()


#: Operator -> its rule; may raise NetworkError.
RULES: Mapping[str, Callable[[Step], Any]] = {
    "Cast": _cast,
    "Expand": _expand,
    "Max": _largest,
    "Min": _smallest,
    "ReduceL2": _reduce_l2,
    "ReduceMax": _reduce_max,
    "ReduceSum": _reduce_sum,
    "Sum": _sum,
}
