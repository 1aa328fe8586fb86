"""Chooses the sizes of a network's input: as the user says, as the file says, else the first that fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from crosscheck.errors import NetworkError, UsageError
from crosscheck.networks.facts import Facts

__all__ = ["Sizes", "sized", "with_shapes"]

#: Rows where neither the file nor the user has a number: a batch with a variance.
ROWS = 4
#: The size of an open axis that is tried first, as most image classifiers take it; then all from 1 to `LARGEST`.
USUAL = 224
LARGEST = 512


@dataclass(frozen=True)
class Sizes:
    """The sizes that the user gives: `shapes` by the input's name, batch axis first; `batch`, rows without a shape."""

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    batch: int | None = None

    @classmethod
    def parsed(cls, shapes: Sequence[str], batch: int | None = None) -> Sizes:
        """From the options `--shape x=1,3,224,224` and `--batch`. Raises UsageError."""
        if batch is not None and batch < 1:
            raise UsageError("--batch takes a whole number from 1 on.")
        known = {}
        for text in shapes:
            name, equals, numbers = text.rpartition("=")
            sizes = [part.strip() for part in numbers.split(",")]
            if not (name and equals and all(part.isdecimal() and int(part) > 0 for part in sizes)):
                raise UsageError(f"--shape takes an input and its sizes, as in x=1,3,224,224; not '{text}'.")
            known[name] = tuple(map(int, sizes))
        return cls(known, batch)

    @property
    def words(self) -> tuple[str, ...]:
        """The options."""
        shapes = [("--shape", f"{name}={','.join(map(str, sizes))}") for name, sizes in self.shapes.items()]
        batch = () if self.batch is None else ("--batch", str(self.batch))
        return (*(word for option in shapes for word in option), *batch)


def sized(model: onnx.ModelProto, sizes: Sizes, source: str) -> str | None:
    """Fix, in place, the sizes of the model's only input; a sentence if any was chosen here, else None.

    A model with several inputs stays as it is. Raises NetworkError, naming the axis and the option.
    """
    stored = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in stored]
    if len(inputs) != 1:
        return None
    (x,) = inputs
    option = f"--shape {x.name}="
    if not x.type.tensor_type.HasField("shape") or not x.type.tensor_type.shape.dim:
        raise NetworkError(f"{source}: input {x.name!r} has no shape in the file; give one by {option}1,3,224,224.")
    axes = x.type.tensor_type.shape.dim
    declared = [size.dim_value or None for size in axes]
    if x.name in sizes.shapes:
        given = sizes.shapes[x.name]
        _check_given(given, declared, f"{source}: input {x.name!r}", option)
        _fix(model, x, given)
        if not _fits(model):
            raise NetworkError(f"{source}: does not take {option}{_listed(given)}; its layers need other sizes.")
        return None
    rows = sizes.batch or declared[0] or ROWS
    open_axes = [axis for axis in range(1, len(declared)) if declared[axis] is None]
    shape = [rows, *declared[1:]]
    names = " and ".join(f"{axis} ({axes[axis].dim_param or 'unnamed'})" for axis in open_axes)
    for candidate in _candidates(model, x.name, shape):
        _fix(model, x, candidate)
        if not open_axes or _fits(model):
            break
    else:
        raise NetworkError(
            f"{source}: input {x.name!r} has no fixed size in axis {names}, and no size up to {LARGEST} fits; "
            f"give one by {option}{_listed([size or 'SIZE' for size in shape])}."
        )
    if not open_axes and (sizes.batch or declared[0]):
        return None
    axes_left = [*([] if sizes.batch or declared[0] else [0]), *open_axes]
    return (
        f"{source}: input {x.name!r} is taken as {_listed(candidate)}, as the file leaves axis "
        f"{' and '.join(map(str, axes_left))} open; --batch N or {option}{_listed(candidate)} changes it."
    )


def with_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]], source: str) -> onnx.ModelProto:
    """A copy with `shapes` for inputs, which may change the batch axis and axes that the file leaves open.

    Axes of one name in the file get one size, in other inputs and in outputs, too. Raises NetworkError where a shape
    contradicts the file.
    """
    stored = {item.name for item in model.graph.initializer}
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    inputs = {item.name: item for item in fixed.graph.input if item.name not in stored}
    named: dict[str, int] = {}
    for name, sizes in shapes.items():
        if name not in inputs:
            raise NetworkError(f"{source}: has no input {name!r}; give --shape one of {', '.join(inputs)}.")
        axes = inputs[name].type.tensor_type.shape.dim
        _check_given(sizes, [axis.dim_value or None for axis in axes], f"{source}: input {name!r}", f"--shape {name}=")
        for axis, size in zip(axes, sizes, strict=True):
            if axis.dim_param:
                named[axis.dim_param] = size
            axis.dim_value = size
    for item in (*inputs.values(), *fixed.graph.output):
        for axis in item.type.tensor_type.shape.dim:
            if axis.dim_param in named:
                axis.dim_value = named[axis.dim_param]
    del fixed.graph.value_info[:]
    return fixed


def _check_given(shape: Sequence[int], declared: list[int | None], where: str, option: str) -> None:
    if len(shape) != len(declared):
        raise NetworkError(f"{where} has {len(declared)} axes; {option}{_listed(shape)} has {len(shape)}.")
    for axis, (given, size) in enumerate(zip(shape, declared, strict=True)):
        if axis and size not in (None, given):
            raise NetworkError(f"{where} has the size {size} in axis {axis}; {option}{_listed(shape)} has {given}.")


def _fix(model: onnx.ModelProto, x: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    """Declare the input's shape, and remove shapes that may contradict it."""
    for size, number in zip(x.type.tensor_type.shape.dim, shape, strict=True):
        size.dim_value = number
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _candidates(model: onnx.ModelProto, x: str, shape: Sequence[int | None]) -> Iterator[list[int]]:
    """Complete shapes: channels as the first layer has them, all other open axes of one size."""
    first = _first_layer(model, x)
    known = [first.get(axis - len(shape), first.get(axis)) if size is None else size for axis, size in enumerate(shape)]
    usual = (USUAL,) if any(size is None for size in known[2:]) else ()
    for number in (*usual, *range(1, LARGEST + 1)):
        yield [number if size is None else size for size in known]


def _first_layer(model: onnx.ModelProto, x: str) -> dict[int, int]:
    """Axis -> size, where a layer that reads the input has weights of a fixed size."""
    dims = {item.name: list(item.dims) for item in model.graph.initializer}
    found: dict[int, int] = {}
    for node in model.graph.node:
        weight = dims.get(node.input[1], []) if len(node.input) > 1 and node.input[0] == x else []
        attributes = {item.name: item.i for item in node.attribute}
        if node.op_type == "Conv" and weight:
            found[1] = weight[1] * attributes.get("group", 1)
        elif node.op_type == "Gemm" and weight:
            found[1] = weight[1 if attributes.get("transB") else 0]
        elif node.op_type == "BatchNormalization" and weight:
            found[1] = weight[0]
        elif node.op_type == "MatMul" and len(weight) > 1:
            found[-1] = weight[-2]
    return found


def _fits(model: onnx.ModelProto) -> bool:
    """Whether all sizes agree and are positive. Shape inference does not compare them with those of weights."""
    try:
        facts = Facts(model, "")
    except NetworkError:
        return False
    known = {name: facts.shape(name) or () for name in facts.names()}
    if any(isinstance(size, int) and size < 1 for shape in known.values() for size in shape):
        return False
    dims = {item.name: list(item.dims) for item in model.graph.initializer}
    for node in model.graph.node:
        data = known.get(node.input[0]) if node.input else None
        weight = dims.get(node.input[1]) if len(node.input) > 1 else None
        if not data or not weight:
            continue
        attributes = {item.name: item.i for item in node.attribute}
        if node.op_type == "Conv" and _differ(data[1], weight[1] * (attributes.get("group") or 1)):
            return False
        features = weight[1 if attributes.get("transB") else 0]
        if node.op_type == "Gemm" and not attributes.get("transA") and _differ(data[-1], features):
            return False
        if node.op_type == "BatchNormalization" and len(data) > 1 and _differ(data[1], weight[0]):
            return False
    return True


def _differ(size: int | str | None, needed: int) -> bool:
    return isinstance(size, int) and size != needed


def _listed(shape: Sequence[object]) -> str:
    return ",".join(map(str, shape))
