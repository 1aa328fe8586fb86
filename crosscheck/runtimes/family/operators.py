"""Operators without a layer of their own, as expressions: what differs between libraries is a table of templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosscheck.runtimes.family.graph import BASIC, BROADCAST, SIGNS, STEPS, WITH_ARRAY, WITH_NUMBER, Node, last_axis

__all__ = ["Library", "cut", "expression"]


@dataclass(frozen=True)
class Library:
    """How a library writes them; `{x}` is the input.

    functions: operator (`Node.kind`) -> template; without `{}`, a function's name. Further holes are the operator's
    attributes, the output's `{channels}` and spatial `{sizes}`, the `{times}` by which these are larger than the
    input's, and an LRN's `{reach}` to both sides.
    array: the library's tensor of the numpy array `{}`.
    transpose, reshape, mean, pad, matmul: with `{order}`; `{shape}`; `{axes}`, a tuple, or `{dims}`, a list;
    `{widths}`, a pair an axis, or `{each}`, the same as a flat list, or `{flat}`, a flat list as torch takes it, and
    `{value}`; `{other}`. What a library does not have is "".
    steps: whether `slice` takes a step. last: whether tensors have their channels last. rows: whether they have a batch
    axis; without one, they are those of one example.
    """

    functions: Mapping[str, str]
    array: str = "{}"
    transpose: str = "{x}.transpose({order})"
    reshape: str = "{x}.reshape({shape})"
    mean: str = "{x}.mean(axis={axes}, keepdims=True)"
    pad: str = ""
    matmul: str = "({x} @ {other})"
    slice: str = "{x}[{parts}]"
    steps: bool = True
    last: bool = False
    rows: bool = True

    @property
    def operators(self) -> frozenset[str]:
        """The operators that it has, the usual ones included."""
        ways = {
            "MatMul": self.matmul,
            "Pad": self.pad,
            "ReduceMean": self.mean,
            "Reshape": self.reshape,
            "Slice": self.slice,
            "Transpose": self.transpose,
        }
        further = {WITH_ARRAY} if self.array else set()
        further |= {STEPS} if self.steps else set()
        known = {*SIGNS, WITH_NUMBER, BROADCAST, *self.functions, *(op for op, way in ways.items() if way)}
        return BASIC | known | further


def expression(node: Node, inputs: Sequence[str], library: Library) -> str:
    """A call, or an arithmetic expression; KeyError for an operator that the library does not have."""
    x = inputs[0]
    if node.op in SIGNS:
        return f" {SIGNS[node.op]} ".join([*inputs, *_constants(node, library)])
    if node.op in ("MatMul", "Pad", "ReduceMean", "Reshape", "Slice", "Transpose"):
        return _arranged(node, inputs, library)
    template = library.functions[node.kind]
    if "{" not in template:
        return f"{template}({x})"
    _, channels, *sizes = node.output_shape
    times = [size // before for size, before in zip(sizes, node.shape[2:], strict=True)]
    reach = node.attributes.get("size", 1) // 2
    return template.format(x=x, channels=channels, sizes=sizes, times=times, reach=reach, **node.attributes)


def cut(node: Node, x: str, library: Library) -> str:
    """The part of a transposed convolution without pads that ONNX's pads leave."""
    if node.even:
        return x
    for axis, ((low, _), size) in enumerate(zip(node.pads, node.output_shape[2:], strict=True), 2):
        place = last_axis(axis, node.rank) if library.last else axis
        parts = ", ".join([*[":"] * place, f"{low or ''}:{low + size}"])
        x = library.slice.format(x=x, parts=parts, axis=place, start=low, end=low + size, step=1)
    return x


def _constants(node: Node, library: Library) -> list[str]:
    if node.scalar is not None:
        return [repr(node.scalar)]
    if not node.weights:
        return []
    value = node.values[0] + ("" if library.rows else "[0]")
    if library.last and node.rank > 2:
        value += f".transpose{(0, *range(2, node.rank), 1)}"
    return [library.array.format(value)]


def _arranged(node: Node, inputs: Sequence[str], library: Library) -> str:
    x, rank, last = inputs[0], node.rank, library.last
    first = 0 if library.rows else 1

    def place(axis: int) -> int:
        return last_axis(axis, rank) if last else axis - first

    match node.op:
        case "ReduceMean":
            axes = tuple(sorted(place(axis) for axis in node.attributes["axes"]))
            return library.mean.format(x=x, axes=axes, dims=[*axes])
        case "Slice":
            start, end, step = (node.attributes[name] for name in ("start", "end", "step"))
            part = f"{start or ''}:{end}" + (f":{step}" if step > 1 else "")
            axis = place(node.attributes["axis"])
            parts = ", ".join([*[":"] * axis, part])
            return library.slice.format(x=x, parts=parts, axis=axis, start=start, end=end, step=step)
        case "Pad":
            widths = [node.pads[0]] * (rank - first)
            for axis, pair in enumerate(node.pads[first:], first):
                widths[place(axis)] = pair
            flat = [number for pair in widths[:0:-1] for number in pair]  # last axis first, as torch takes them
            each = [number for pair in widths for number in pair]
            return library.pad.format(x=x, widths=tuple(widths), each=each, flat=flat, value=node.attributes["value"])
    whole = _moved(x, (0, rank - 1, *range(1, rank - 1)), library) if last and rank > 2 else x
    match node.op:
        case "Transpose":
            value = _moved(whole, [axis - first for axis in node.attributes["perm"][first:]], library)
        case "Reshape":
            shape = [-1, *node.attributes["shape"]][first:]
            value = library.reshape.format(x=whole, shape=", ".join(map(str, shape)))
        case _:
            other = library.array.format(node.values[0]) if node.weights else inputs[1]
            if last and not node.weights and rank > 2:
                other = _moved(other, (0, rank - 1, *range(1, rank - 1)), library)
            value = library.matmul.format(x=whole, other=other)
    after = len(node.output_shape)
    return _moved(value, (0, *range(2, after), 1), library) if last and after > 2 else value


def _moved(x: str, order: Sequence[int], library: Library) -> str:
    return library.transpose.format(x=x, order=", ".join(map(str, order)))
