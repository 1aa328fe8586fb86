"""Adds plain operators to a graph, in the syntax of its opset."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]

from crosscheck.cells import Array

__all__ = ["Writer"]

#: From these opsets on, operators take axes and similar arguments as inputs instead of attributes.
AXES_AS_INPUT = {
    "ReduceSum": 13,
    "Squeeze": 13,
    "Unsqueeze": 13,
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd"), 18),
}
SLICE_BY_INPUT, PAD_BY_INPUT, FLOATS_COMPARE_EQUAL = 10, 11, 11
#: The most nodes of a gradient, each of which is some 400 bytes.
LARGEST_GRADIENT = 10**6
#: Maximum elements of deduplicated constants; comparing larger ones would copy a network's weights.
LARGEST_SHARED = 4096


#: What makes two nodes the same: the operator, its inputs, the number of outputs, and the attributes.
_Key = tuple[str, tuple[str, ...], int, "_Contents"]
_Contents = tuple[tuple[str, str | bytes], ...]


class Writer:
    """Collects nodes and initialisers under unique names. Methods return the name of their result.

    The same operator with the same inputs and attributes is written once.

    opset: of the default domain. dtype: of Python numbers.
    """

    def __init__(self, opset: int, dtype: np.dtype[Any], taken: set[str]) -> None:
        self.opset = opset
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []
        self._taken = taken
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._written: dict[_Key, list[str]] = {}
        self._attributes: dict[_Contents, list[onnx.AttributeProto]] = {}
        self._counter = itertools.count()

    def fresh(self, base: str) -> str:
        """A new tensor name that starts with `base`."""
        name = base
        while name in self._taken:
            name = f"{base}.{next(self._counter)}"
        self._taken.add(name)
        return name

    def part(self) -> Writer:
        """A writer with the same names in use, and no nodes yet."""
        part = Writer(self.opset, self.dtype, self._taken)
        part._counter = self._counter
        return part

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """One operator with one output."""
        return self.nodes_outputs(op, inputs, 1, **attributes)[0]

    def nodes_outputs(self, op: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """One operator with `count` outputs."""
        contents = tuple((name, _content(value)) for name, value in attributes.items())
        key = (op, tuple(inputs), count, contents)
        if key not in self._written:
            if len(self.nodes) > LARGEST_GRADIENT:
                raise MemoryError(f"the gradient has more than {LARGEST_GRADIENT} nodes")
            outputs = [self.fresh(f"{op.lower()}.gradient") for _ in range(count)]
            node = onnx.NodeProto(op_type=op, input=inputs, output=outputs, name=self.fresh(f"{op}.gradient"))
            if contents not in self._attributes:
                self._attributes[contents] = list(onnx.helper.make_node(op, (), (), **attributes).attribute)
            node.attribute.extend(self._attributes[contents])
            self._written[key] = outputs
            self.nodes.append(node)
        return list(self._written[key])

    def constant(self, value: Array | float | Sequence[float], dtype: Any = None) -> str:
        """An initialiser; Python numbers get the network's float type. Equal small constants are stored once."""
        array = np.ascontiguousarray(np.asarray(value, dtype if dtype is not None else None))
        if dtype is None and not isinstance(value, np.ndarray):
            array = array.astype(self.dtype)
        array = array.reshape(np.shape(value))
        if array.size > LARGEST_SHARED:
            name = self.fresh("constant.gradient")
            self.initialisers.append(onnx.numpy_helper.from_array(array, name))
            return name
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.fresh("constant.gradient")
            self.initialisers.append(onnx.numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def integers(self, value: int | Sequence[int]) -> str:
        """An int64 initialiser: a shape, axes, an index."""
        return self.constant(np.asarray(value, np.int64))

    def reduce(self, op: str, x: str, axes: Sequence[int], keepdims: bool = True) -> str:
        """ReduceSum, ReduceMean, ReduceMax ... over `axes`, which must not be empty."""
        return self._with_axes(op, x, axes, keepdims=int(keepdims))

    def squeeze(self, x: str, axes: Sequence[int]) -> str:
        """Drop axes of size one."""
        return self._with_axes("Squeeze", x, axes)

    def unsqueeze(self, x: str, axes: Sequence[int]) -> str:
        """Insert axes of size one."""
        return self._with_axes("Unsqueeze", x, axes)

    def slice(
        self, x: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int] = ()
    ) -> str:
        """x[start:end:step] along each of `axes`; steps need opset 10."""
        if self.opset < SLICE_BY_INPUT:
            return self.node("Slice", x, starts=list(starts), ends=list(ends), axes=list(axes))
        extra = [self.integers(list(steps))] if steps else []
        return self.node("Slice", x, *(self.integers(list(part)) for part in (starts, ends, axes)), *extra)

    def pad(self, x: str, pads: Sequence[int], value: float = 0.0) -> str:
        """Constant padding; `pads` as in ONNX, first all beginnings, then all ends. Negative ones crop."""
        if self.opset < PAD_BY_INPUT:
            return self.node("Pad", x, pads=list(pads), value=float(value))
        return self.node("Pad", x, self.integers(list(pads)), self.constant(value))

    def equal(self, x: str, y: str) -> str:
        """x == y for floats, which Equal accepts from opset 11 on."""
        if self.opset >= FLOATS_COMPARE_EQUAL:
            return self.node("Equal", x, y)
        return self.node("Not", self.node("Or", self.node("Less", x, y), self.node("Greater", x, y)))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Static reshape; 0 keeps a size, -1 is inferred."""
        return self.node("Reshape", x, self.integers(list(shape)))

    def reshape_like(self, x: str, other: str) -> str:
        """Reshape to the runtime shape of `other`."""
        return self.node("Reshape", x, self.node("Shape", other))

    def expand(self, x: str, shape: Sequence[int]) -> str:
        """Repeat x along its axes of size one; a 1 in `shape` keeps the size."""
        return self.node("Expand", x, self.integers(list(shape)))

    def expand_like(self, x: str, other: str) -> str:
        """Repeat x along its axes of size one, to the runtime shape of `other`."""
        return self.node("Expand", x, self.node("Shape", other))

    def zeros_like(self, x: str) -> str:
        """Zeros in the runtime shape of x."""
        zero = onnx.numpy_helper.from_array(np.zeros(1, self.dtype))
        return self.node("ConstantOfShape", self.node("Shape", x), value=zero)

    def cast(self, x: str, dtype: Any) -> str:
        """Convert the element type."""
        return self.node("Cast", x, to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def masked(self, x: str, mask: str) -> str:
        """Keep x where the bool tensor `mask` is true, zero elsewhere."""
        return self.node("Where", mask, x, self.constant(0.0))

    def times(self, x: str, factor: float) -> str:
        """Multiply every element by a number."""
        return x if factor == 1 else self.node("Mul", x, self.constant(factor))

    def plus(self, x: str, term: float) -> str:
        """Add a number to every element."""
        return self.node("Add", x, self.constant(term))

    def square(self, x: str) -> str:
        """Multiply every element by itself."""
        return self.node("Mul", x, x)

    def _with_axes(self, op: str, x: str, axes: Sequence[int], **attributes: Any) -> str:
        if self.opset >= AXES_AS_INPUT[op]:
            return self.node(op, x, self.integers(list(axes)), **attributes)
        return self.node(op, x, axes=list(axes), **attributes)


def _content(attribute: Any) -> str | bytes:
    """A text that two attributes share only if they are equal."""
    return attribute.SerializeToString(deterministic=True) if isinstance(attribute, Message) else repr(attribute)
