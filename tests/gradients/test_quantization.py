"""Straight-through gradients of quantization."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from tests.gradients.numeric import evaluator, model_of

X = np.array([[-9.0, -1.1, 0.3], [0.5, 2.7, 40.0]])
COTANGENT = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def gradient(model: onnx.ModelProto) -> Array:
    feeds: dict[str, Any] = {"x": X.astype(np.float32), "y.cotangent": COTANGENT.astype(np.float32)}
    for item in differentiate(model).graph.input[1:-1]:
        feeds[item.name] = np.float32(0.25)
    return np.asarray(evaluator(differentiate(model))(feeds)[1])


def pair(
    scale: Array, zero: Array | None, between: list[onnx.NodeProto], opset: int = 19, **attributes: Any
) -> onnx.ModelProto:
    rest = [] if zero is None else ["z"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", *rest], ["q"], **attributes),
        *between,
        helper.make_node(
            "DequantizeLinear", [between[-1].output[0] if between else "q", "s", *rest], ["y"], **attributes
        ),
    ]
    constants = {"s": scale.astype(np.float32), "shape": np.array([2, 3]), **({} if zero is None else {"z": zero})}
    return model_of(nodes, constants, X.shape, opset, np.float32)


@pytest.mark.parametrize("opset", [19, 21])
def test_the_gradient_passes_where_the_integer_does_not_saturate(opset: int) -> None:
    model = pair(np.array(0.25), np.array(10, np.uint8), [], opset)
    assert [[0, 2, 3], [4, 5, 6]] == gradient(model).tolist()  # -9 is below (0 - 10) / 4


def test_a_scale_of_each_entry_along_an_axis() -> None:
    model = pair(np.array([0.25, 0.01, 0.5]), np.array([0, 0, 0], np.int8), [], axis=1)
    assert [[1, 2, 3], [4, 0, 6]] == gradient(model).tolist()  # 2.7 is above 127 * 0.01


def test_without_a_zero_point_negative_numbers_saturate() -> None:
    assert [[0, 0, 3], [4, 5, 6]] == gradient(pair(np.array(0.25), None, [])).tolist()


def test_integers_between_the_two_may_be_moved() -> None:
    between = [
        helper.make_node("Transpose", ["q"], ["t"]),
        helper.make_node("Reshape", ["t", "shape"], ["r"]),
    ]
    model = pair(np.array(0.25), np.array(10, np.uint8), between)
    assert [[0, 3, 5], [2, 4, 6]] == gradient(model).tolist()


def test_the_scale_of_a_constant_has_a_gradient() -> None:
    """y = (q - z) * s + 0 * x; the cotangent of s is the sum of dy * (q - z)."""
    nodes = [helper.make_node("DequantizeLinear", ["q", "x", "z"], ["y"], axis=1)]
    constants = {"q": np.array([[1, 2, 3], [4, 5, 6]], np.uint8), "z": np.array([1, 1, 1], np.uint8)}
    model = model_of(nodes, constants, [3], 19, np.float32)
    feeds = {"x": np.ones(3, np.float32), "y.cotangent": COTANGENT.astype(np.float32)}
    assert [12, 22, 36] == evaluator(differentiate(model))(feeds)[1].tolist()


def test_integer_arithmetic_between_the_two_is_refused() -> None:
    between = [helper.make_node("MatMulInteger", ["q", "w"], ["i"], name="product")]
    nodes = pair(np.array(0.25), np.array(10, np.uint8), []).graph.node
    cast = helper.make_node("Cast", ["i"], ["y"], to=onnx.TensorProto.FLOAT)
    constants: dict[str, Array] = {
        "s": np.array(0.25, np.float32),
        "z": np.array(10, np.uint8),
        "w": np.ones((3, 3), np.uint8),
    }
    model = model_of([nodes[0], *between, cast], constants, X.shape, 19, np.float32)
    with pytest.raises(NetworkError, match=r"node 'product' \(MatMulInteger\) has no rule"):
        differentiate(model)


@pytest.mark.parametrize(("kind", "expected"), [("uint4", [[0, 0, 3], [4, 5, 0]]), ("int4", [[0, 2, 3], [4, 0, 0]])])
def test_integers_of_four_bits_saturate(kind: str, expected: list[list[float]]) -> None:
    """-1.1, 0.3, 0.5 and 2.7 are -4, 1, 2 and 11 quarters; four bits hold 0 to 15, or -8 to 7."""
    model = pair(np.array(0.25), np.zeros((), getattr(ml_dtypes, kind)), [], 21)
    made = differentiate(model)
    for node in list(
        made.graph.node
    ):  # the evaluator's may lack these types, and the gradient needs no output of theirs
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            made.graph.node.remove(node)
    del made.graph.output[0]
    feeds = {"x": X.astype(np.float32), "y.cotangent": COTANGENT.astype(np.float32)}
    assert expected == evaluator(made)(feeds)[0].tolist()


#: Operators that read quantized numbers, or booleans of them, and put out what has no gradient: inputs and attributes.
WITHOUT_GRADIENT: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), (("q", "k"), {})),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor"), (("q", "k"), {})),
    **dict.fromkeys(("ArgMax", "ArgMin", "BitwiseNot", "NonZero", "Shape", "Size"), (("q",), {})),
    **dict.fromkeys(("And", "Or", "Xor"), (("b", "t"), {})),
    "BitShift": (("q", "k"), {"direction": "RIGHT"}),
    "Not": (("b",), {}),
}


@pytest.mark.parametrize("op", WITHOUT_GRADIENT)
def test_what_is_computed_from_quantized_numbers_may_have_no_gradient(op: str) -> None:
    """y = x * (1 + the sum of what the operator puts out)."""
    inputs, attributes = WITHOUT_GRADIENT[op]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Cast", ["q"], ["b"], to=onnx.TensorProto.BOOL),
        helper.make_node(op, inputs, ["o"], **attributes),
        helper.make_node("Cast", ["o"], ["d"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["d"], ["s1"], keepdims=0),
        helper.make_node("Add", ["s1", "one"], ["f"]),
        helper.make_node("Mul", ["x", "f"], ["y"]),
    ]
    constants: dict[str, Array] = {
        "s": np.array(0.25, np.float32), "z": np.array(40, np.uint8), "k": np.array(3, np.uint8),
        "t": np.array(True), "one": np.array(1.0, np.float32),
    }  # fmt: skip
    model = model_of(nodes, constants, X.shape, 19, np.float32)
    extended = differentiate(model)
    x = X.astype(np.float32)
    y, slope = evaluator(extended)({"x": x, "y.cotangent": np.ones_like(x)})[:2]
    np.testing.assert_allclose(y / x, slope, rtol=1e-6)
