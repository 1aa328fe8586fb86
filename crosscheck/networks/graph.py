"""The plain graph format: JSON types only, with ONNX's operators, attributes and tensor names.

Invariants of a graph:

- one input and one output, whose first axis is the batch axis, written "N"; all other sizes are numbers;
- every operator is one of `OPERATORS`, with exactly its attributes there;
- parameters are float32 initialisers; batch normalizations do not share them;
- Conv is 1-D or 2-D: inputs x, weight (out, in / group, *kernel) and optionally bias (out,); pads are explicit, first
  all beginnings, then all ends, as in ONNX;
- ConvTranspose is 1-D or 2-D: inputs x, weight (in, out / group, *kernel) and optionally bias (out,); explicit pads;
- BatchNormalization is in inference form: inputs x, scale, bias, mean, variance;
- Gemm is y = x · weightᵀ + bias, its attributes always `GEMM`: inputs x, weight (out, in), bias (out,);
- Add, Sub, Mul and Div take two computed tensors of one rank, of which either may have axes of size 1; or a computed
  tensor and, second, a parameter with as many axes, which broadcasts to it and is the same for all rows;
- MatMul multiplies the last two axes of two computed tensors whose other axes are equal; or the last axis of a computed
  tensor with at least three axes by a parameter (in, out);
- Clip has both bounds; an absent one is the largest number of float32;
- Concat joins computed tensors; Flatten keeps the batch axis; `shape` of Reshape has no batch axis;
- Transpose keeps the batch axis first; Slice takes a part of one other axis, 0 <= start < end <= size, step >= 1;
- Pad has pads of all axes as ONNX writes them, none of the batch axis, and a constant border;
- ReduceMean runs over `axes` without the batch axis, which stay with size 1;
- LRN has an odd size;
- Resize multiplies the sizes of an image's two spatial axes by `scales`, rounded down: mode "nearest" repeats entries,
  by whole numbers; mode "linear" has coordinates "half_pixel" or "align_corners";
- pools omit the last, incomplete window; Softmax runs over the last axis.
"""

from __future__ import annotations

from typing import Any, TypedDict

__all__ = ["GEMM", "OPERATORS", "Graph", "Node", "Value"]


class Value(TypedDict):
    """A graph input or output; `shape` begins with "N"."""

    name: str
    shape: list[int | str]


class Node(TypedDict):
    """One operator. `inputs` and `outputs` are tensor names, parameters among the inputs."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class Graph(TypedDict):
    """Nodes in order of execution."""

    name: str
    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node]


#: The attributes of every Gemm: a dense layer.
GEMM: dict[str, Any] = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}

#: Operator -> its attributes.
OPERATORS: dict[str, tuple[str, ...]] = {
    "Add": (),
    "AveragePool": ("count_include_pad", "kernel_shape", "pads", "strides"),
    "BatchNormalization": ("epsilon", "momentum"),
    "Clip": ("max", "min"),
    "Concat": ("axis",),
    "Conv": ("dilations", "group", "kernel_shape", "pads", "strides"),
    "ConvTranspose": ("dilations", "group", "kernel_shape", "output_padding", "pads", "strides"),
    "Div": (),
    "Elu": ("alpha",),
    "Erf": (),
    "Flatten": ("axis",),
    "Gemm": ("alpha", "beta", "transA", "transB"),
    "GlobalAveragePool": (),
    "HardSigmoid": ("alpha", "beta"),
    "LRN": ("alpha", "beta", "bias", "size"),
    "LeakyRelu": ("alpha",),
    "MatMul": (),
    "MaxPool": ("kernel_shape", "pads", "strides"),
    "Mul": (),
    "Pad": ("pads", "value"),
    "ReduceMean": ("axes",),
    "Relu": (),
    "Reshape": ("shape",),
    "Resize": ("coordinates", "mode", "scales"),
    "Sigmoid": (),
    "Slice": ("axis", "end", "start", "step"),
    "Softmax": ("axis",),
    "Softplus": (),
    "Sqrt": (),
    "Sub": (),
    "Tanh": (),
    "Transpose": ("perm",),
}
