"""What the user says about a network file; sizes of its inputs: as said, as in the file, else the first that fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from crosscheck.errors import NetworkError, UsageError
from crosscheck.onnx_models.facts import Facts
from crosscheck.onnx_models.sizes import LARGEST, candidates, fits, misfit

__all__ = ["ROWS", "FileOptions", "inputs_of", "sized", "with_shapes"]

#: Rows where neither the file nor the user has a number: a batch with a variance.
ROWS = 4


@dataclass(frozen=True)
class FileOptions:
    """What the user says about a network file.

    shapes: by the input's name, batch axis first. batch: rows without a shape. samples: files with values of inputs
    (`crosscheck.onnx_models.samples`). output: the output that is differentiated; by default the first. cotangent: the
    number in it, in every row, whose gradient is asked; by default that of all, with different weights. trust: whether
    code in a file may run when its runtime opens it.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    batch: int | None = None
    samples: tuple[str, ...] = ()
    output: str | None = None
    cotangent: int | None = None
    trust: bool = False

    @classmethod
    def parsed(
        cls,
        shapes: Sequence[str],
        batch: int | None = None,
        samples: Sequence[str] = (),
        output: str | None = None,
        cotangent: int | None = None,
        trust: bool = False,
    ) -> FileOptions:
        """From the options, shapes as in `--shape x=1,3,224,224`. Raises UsageError."""
        if cotangent is not None and cotangent < 0:
            raise UsageError("--cotangent takes the number of an output, from 0 on.")
        if batch is not None and batch < 1:
            raise UsageError("--batch takes a whole number from 1 on.")
        known = {}
        for text in shapes:
            name, equals, numbers = text.rpartition("=")
            sizes = [part.strip() for part in numbers.split(",")]
            if not (name and equals and all(part.isdecimal() and int(part) > 0 for part in sizes)):
                raise UsageError(f"--shape takes an input and its sizes, as in x=1,3,224,224; not '{text}'.")
            known[name] = tuple(map(int, sizes))
        return cls(known, batch, tuple(samples), output, cotangent, trust)

    @property
    def words(self) -> tuple[str, ...]:
        """The options."""
        shapes = [("--shape", f"{name}={','.join(map(str, sizes))}") for name, sizes in self.shapes.items()]
        batch = () if self.batch is None else ("--batch", str(self.batch))
        samples = [("--input", path) for path in self.samples]
        output = () if self.output is None else ("--output", self.output)
        cotangent = () if self.cotangent is None else ("--cotangent", str(self.cotangent))
        trust = ("--trust",) if self.trust else ()
        return (*(word for option in (*shapes, *samples) for word in option), *batch, *output, *cotangent, *trust)


def sized(
    model: onnx.ModelProto,
    options: FileOptions,
    source: str,
    runs: Callable[[onnx.ModelProto], bool] = lambda model: True,
) -> tuple[str, ...]:
    """Fix, in place, the sizes of all inputs, of which the first is differentiated; sentences about those chosen here.

    Open axes of one name get one size. Of the first input, the batch axis is 4 and other axes are the first that fits;
    of further inputs, the batch axis is the first input's, and an axis with a name of its own is 1.
    runs: whether the model can be evaluated with sizes that fit, for models whose operators inference knows too little
    of. Raises NetworkError, naming the axis and the option.
    """
    x, *others = inputs_of(model)
    # Others may be of another file of the same run.
    shapes = {item.name: options.shapes[item.name] for item in (x, *others) if item.name in options.shapes}
    named = _given(model, shapes, source)
    for item in others:
        for size, number in zip(item.type.tensor_type.shape.dim, shapes.get(item.name, ()), strict=False):
            size.dim_value = number
    option = f"--shape {x.name}="
    axes = x.type.tensor_type.shape.dim
    if not axes:
        raise NetworkError(f"{source}: input {x.name!r} has no shape in the file; give one by {option}1,3,224,224.")
    declared = [size.dim_value or named.get(size.dim_param) for size in axes]
    if x.name in shapes:
        _fix(model, x, shapes[x.name])
        chosen = _fill(others, named, shapes[x.name][0])
        if not fits(model):
            given = f"{option}{_listed(shapes[x.name])}"
            raise NetworkError(f"{source}: does not take {given}; its layers need other sizes.")
        return tuple(f"{source}: {sentence}" for sentence in chosen)
    rows = options.batch or declared[0] or ROWS
    open_axes = [axis for axis in range(1, len(declared)) if declared[axis] is None]
    shape = [rows, *declared[1:]]
    names = [size.dim_param for size in axes]
    for candidate in candidates(model, x.name, shape):
        _fix(model, x, candidate)
        sizes = named | {name: size for name, size in zip(names, candidate, strict=True) if name}
        chosen = _fill(others, sizes, rows)
        if not open_axes or (fits(model) and runs(model)):
            break
    else:
        which = " and ".join(f"{axis} ({names[axis] or 'unnamed'})" for axis in open_axes)
        raise NetworkError(
            f"{source}: input {x.name!r} has no fixed size in axis {which}, and no size up to {LARGEST} fits; "
            f"give one by {option}{_listed([size or 'SIZE' for size in shape])}."
        )
    if not open_axes and (reason := misfit(model, Facts(model, source))):
        raise NetworkError(f"{source}: {reason}; export the network again.")
    axes_left = [*([] if options.batch or declared[0] else [0]), *open_axes]
    if axes_left:
        taken = _listed(candidate)
        chosen = [
            f"input {x.name!r} is taken as {taken}, as the file leaves axis {' and '.join(map(str, axes_left))} open; "
            f"--batch N or {option}{taken} changes it.",
            *chosen,
        ]
    return tuple(f"{source}: {sentence}" for sentence in chosen)


def inputs_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no initialisers."""
    stored = {item.name for item in model.graph.initializer}
    return [item for item in model.graph.input if item.name not in stored]


def with_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int | None]], source: str) -> onnx.ModelProto:
    """A copy with `shapes` for inputs, which may change the batch axis and axes that the file leaves open.

    None leaves an axis as it is.

    Axes of one name in the file get one size, in other inputs and in outputs, too. Raises NetworkError where a shape
    contradicts the file.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    named = _given(fixed, shapes, source)
    inputs = inputs_of(fixed)
    for item in inputs:
        for axis, size in zip(item.type.tensor_type.shape.dim, shapes.get(item.name, ()), strict=False):
            if size is not None:
                axis.dim_value = size
    for item in (*inputs, *fixed.graph.output):
        for axis in item.type.tensor_type.shape.dim:
            if axis.dim_param in named:
                axis.dim_value = named[axis.dim_param]
    del fixed.graph.value_info[:]
    _mend_outputs(fixed, source)
    return fixed


def _mend_outputs(model: onnx.ModelProto, source: str) -> None:
    """Declare, in place, the outputs as inferred where the file's own shapes contradict the model's sizes."""
    try:
        Facts(model, source)
    except NetworkError:
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
        facts = Facts(model, source)
        for output in model.graph.output:
            kind, shape = output.type.tensor_type.elem_type, facts.shape(output.name)
            sizes = None if shape is None else [size if isinstance(size, int) else None for size in shape]
            output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, kind, sizes))


def _given(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int | None]], source: str) -> dict[str, int]:
    """The sizes of named axes by the shapes that the user gives. Raises NetworkError where one contradicts the file."""
    inputs = {item.name: item.type.tensor_type.shape.dim for item in inputs_of(model)}
    named: dict[str, int] = {}
    for name, sizes in shapes.items():
        if name not in inputs:
            raise NetworkError(f"{source}: has no input {name!r}; give --shape one of {', '.join(inputs)}.")
        declared = [axis.dim_value or None for axis in inputs[name]]
        _check_given(sizes, declared, f"{source}: input {name!r}", f"--shape {name}=")
        pairs = zip(inputs[name], sizes, strict=True)
        named |= {axis.dim_param: size for axis, size in pairs if axis.dim_param and size is not None}
    return named


def _fill(others: Sequence[onnx.ValueInfoProto], named: Mapping[str, int], rows: int) -> list[str]:
    """Fix the open axes of further inputs; sentences about those that have no other number."""
    said = []
    for item in others:
        axes = item.type.tensor_type.shape.dim
        alone = [axis for axis, size in enumerate(axes) if axis and not size.dim_value and size.dim_param not in named]
        for axis, size in enumerate(axes):
            size.dim_value = size.dim_value or named.get(size.dim_param) or (1 if axis else rows)
        if alone:
            sizes = _listed([size.dim_value for size in axes])
            said.append(f"input {item.name!r} is taken as {sizes}; --shape {item.name}={sizes} changes it.")
    return said


def _check_given(shape: Sequence[int | None], declared: list[int | None], where: str, option: str) -> None:
    if len(shape) != len(declared):
        raise NetworkError(f"{where} has {len(declared)} axes; {option}{_listed(shape)} has {len(shape)}.")
    for axis, (given, size) in enumerate(zip(shape, declared, strict=True)):
        if axis and given is not None and size not in (None, given):
            raise NetworkError(f"{where} has the size {size} in axis {axis}; {option}{_listed(shape)} has {given}.")


def _fix(model: onnx.ModelProto, x: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    """Declare the input's shape, and remove shapes that may contradict it."""
    for size, number in zip(x.type.tensor_type.shape.dim, shape, strict=True):
        size.dim_value = number
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _listed(shape: Sequence[object]) -> str:
    return ",".join(map(str, shape))
