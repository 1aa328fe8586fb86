"""The plain graph format: JSON types only, with ONNX's operators, attributes and tensor names.

Invariants of a graph:

- one input and one output, whose first axis is the batch axis, written "N"; all other sizes are numbers;
- every operator is one of `OPERATORS`, with exactly its attributes there;
- parameters are float32 initialisers; batch normalizations do not share them;
- Conv is 1-D or 2-D: inputs x, weight (out, in / group, *kernel) and optionally bias (out,); pads are explicit, first
  all beginnings, then all ends, as in ONNX;
- BatchNormalization is in inference form: inputs x, scale, bias, mean, variance;
- Gemm is y = x · weightᵀ + bias, its attributes always `GEMM`: inputs x, weight (out, in), bias (out,);
- Add adds two computed tensors of one shape; Concat joins computed tensors; Flatten keeps the batch axis;
- pools omit the last, incomplete window; Softmax runs over the last axis.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

__all__ = ["GEMM", "OPERATORS", "Array", "Graph", "Node", "Value"]

Array = np.ndarray[Any, np.dtype[Any]]


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
    "Concat": ("axis",),
    "Conv": ("dilations", "group", "kernel_shape", "pads", "strides"),
    "Flatten": ("axis",),
    "Gemm": ("alpha", "beta", "transA", "transB"),
    "GlobalAveragePool": (),
    "MaxPool": ("kernel_shape", "pads", "strides"),
    "Relu": (),
    "Softmax": ("axis",),
}
