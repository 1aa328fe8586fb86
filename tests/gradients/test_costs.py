"""Which operators a gradient adds to a model: as few as do it, and those that most runtimes execute fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from crosscheck.cells import Array
from crosscheck.gradients import differentiate
from tests.gradients.numeric import model_of

#: Operator, constants, shape of x, attributes, the opset, and the operators that its gradient adds, in their order.
Case = tuple[str, list[Array], tuple[int, ...], dict[str, Any], int, list[str]]


def drawn(*shape: int) -> Array:
    return np.asarray(np.random.default_rng(0).uniform(0.5, 1.5, shape))


WINDOW: dict[str, Any] = {"kernel_shape": [2, 2]}
IMAGE, SIGNAL = (1, 2, 4, 4), (1, 2, 8)
CASES: dict[str, Case] = {
    "a square is twice its root": ("Pow", [np.array(2.0)], (2, 3), {}, 15, ["Mul", "Mul"]),
    "a square, told by one number": ("Pow", [np.array([2.0])], (2, 3), {}, 15, ["Mul", "Mul"]),
    "squares, told by three": ("Pow", [np.full(3, 2.0)], (2, 3), {}, 15, ["Add", "Pow", "Mul", "Mul"]),
    "a cube": ("Pow", [np.array(3.0)], (2, 3), {}, 15, ["Add", "Pow", "Mul", "Mul"]),
    "a dense layer": ("Gemm", [drawn(3, 4)], (2, 3), {}, 15, ["Gemm"]),
    "a product": ("MatMul", [drawn(3, 4)], (2, 3), {}, 15, ["Transpose", "MatMul"]),
    "a sum": ("Add", [drawn(3)], (2, 3), {}, 15, []),
    "a sum that repeats x": ("Add", [drawn(2, 3)], (3,), {}, 15, ["ReduceSum", "Squeeze"]),
    "a sum that repeats x along an axis": ("Add", [drawn(2, 3)], (1, 3), {}, 15, ["ReduceSum"]),
    "a part without steps": (
        "Slice", [np.array([1]), np.array([2]), np.array([1])], (2, 3), {}, 15, ["Pad"],
    ),
    "a part by steps": (
        "Slice", [np.array([0]), np.array([3]), np.array([1]), np.array([2])], (2, 3), {}, 15, ["Pad", "Gather"],
    ),
    "entries in a row": ("Gather", [np.array([1, 2])], (2, 3), {"axis": 1}, 15, ["Pad"]),
    "all entries, in another order": ("Gather", [np.array([2, 0, 1])], (2, 3), {"axis": 1}, 15, ["Gather"]),
    "some entries": ("Gather", [np.array([2, 0])], (2, 3), {"axis": 1}, 15, ["Pad", "Gather"]),
    "an entry twice": ("Gather", [np.array([1, 1])], (2, 3), {"axis": 1}, 15, ["Pad", "Gather", "ReduceSum"]),
    "a border": ("Pad", [np.array([0, 1, 0, 2])], (2, 3), {}, 15, ["Slice"]),
    "a border that crops": ("Pad", [np.array([0, -1, 0, 0])], (2, 3), {}, 15, ["Pad"]),
    "means of windows": ("AveragePool", [], IMAGE, WINDOW, 15, ["Reshape", "ConvTranspose", "Reshape"]),
    "means of windows that count their pads": (
        "AveragePool", [], IMAGE, {**WINDOW, "pads": [1, 1, 0, 0], "count_include_pad": 1}, 15,
        ["Reshape", "ConvTranspose", "Reshape"],
    ),
    "means of windows of several sizes": (
        "AveragePool", [], IMAGE, {**WINDOW, "pads": [1, 1, 0, 0]}, 15, ["Reshape", "Div", "ConvTranspose", "Reshape"],
    ),
    "the mean of an image": ("GlobalAveragePool", [], IMAGE, {}, 15, ["Mul"]),
    "a convolution": ("Conv", [drawn(4, 2, 3)], SIGNAL, {}, 15, ["Conv"]),
    "a convolution of groups": ("Conv", [drawn(4, 1, 3)], SIGNAL, {"group": 2}, 15, ["Conv"]),
    "a convolution with strides": ("Conv", [drawn(4, 2, 3)], SIGNAL, {"strides": [2]}, 15, ["ConvTranspose"]),
    "a convolution of groups with strides": (
        "Conv", [drawn(4, 1, 3)], SIGNAL, {"strides": [2], "group": 2}, 15,
        ["Unsqueeze", "Pad", "Reshape", "Slice", "Conv"],
    ),
    "a convolution with the widest pads": ("Conv", [drawn(4, 2, 3)], SIGNAL, {"pads": [2, 0]}, 15, ["Conv"]),
    "a convolution with pads wider than its windows": (
        "Conv", [drawn(4, 2, 3)], SIGNAL, {"pads": [3, 0]}, 15, ["ConvTranspose"],
    ),
    "a transposed convolution": ("ConvTranspose", [drawn(2, 4, 3)], SIGNAL, {}, 15, ["Conv"]),
    "one of two that are joined": ("Concat", [drawn(2, 3)], (2, 3), {"axis": 1}, 15, ["Slice"]),
    "a sum of all": ("ReduceSum", [], (2, 3), {}, 15, ["Expand"]),
    "a mean of all": ("ReduceMean", [], (2, 3), {}, 15, ["Div", "Expand"]),
    "another order of axes": ("Transpose", [], (2, 3), {}, 15, ["Transpose"]),
    "another shape": ("Reshape", [np.array([3, 2])], (2, 3), {}, 15, ["Reshape"]),
    "normalization by stored statistics": (
        "BatchNormalization", [drawn(3) for _ in range(4)], (2, 3), {}, 15, ["Mul"],
    ),
    "absolute sums of windows": (
        "LpPool", [], SIGNAL, {"kernel_shape": [2], "p": 1}, 18,
        ["Abs", "Reshape", "Conv", "Reshape", "Reshape", "Conv", "Reshape", "Sign", "Mul"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_operators_of_a_gradient(what: str) -> None:
    op, constants, shape, attributes, opset, expected = CASES[what]
    stored = {f"c{place}": value for place, value in enumerate(constants)}
    node = helper.make_node(op, ["x", *stored], ["y"], **attributes)
    made = differentiate(model_of([node], stored, shape, opset))
    first, *added, last = (item.op_type for item in made.graph.node)
    assert (op, "Identity") == (first, last)
    assert expected == added
