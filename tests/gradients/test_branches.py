"""An If whose condition depends on data: its gradient is an If with the same condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from tests.gradients.numeric import finite_differences, gradient_of, model_of

X = np.random.default_rng(4).uniform(0.2, 1.5, (2, 3))
COTANGENT = np.array([[1.0, -0.5, 2.0], [0.25, 3.0, -1.0]])

node = helper.make_node


def branch(nodes: Sequence[onnx.NodeProto], *outputs: str, **weights: Array) -> onnx.GraphProto:
    declared = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [2, 3]) for name in outputs]
    stored = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    return helper.make_graph(nodes, "branch", [], declared, stored)


def either(then: onnx.GraphProto, other: onnx.GraphProto, *outputs: str) -> list[onnx.NodeProto]:
    """Nodes that take a branch by the sign of the sum of x, after h = tanh(x) and k = exp(x)."""
    return [
        node("Tanh", ["x"], ["h"]),
        node("Exp", ["x"], ["k"]),
        node("ReduceSum", ["x"], ["m"], keepdims=0),
        node("Greater", ["m", "zero"], ["positive"]),
        node("If", ["positive"], list(outputs), name="either", then_branch=then, else_branch=other),
    ]


def check(nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    """The gradient of both branches is the slope of the prediction."""
    model = model_of(nodes, {"zero": np.array(0.0)}, [2, 3], 13)
    for x in (X, -X):
        _, gradient = gradient_of(model, x, COTANGENT)
        np.testing.assert_allclose(gradient, finite_differences(model, x, COTANGENT), rtol=1e-7, atol=1e-9)
    return differentiate(model)


def test_both_branches_have_their_gradient() -> None:
    """One takes two tensors from outside, of which the other takes one; each has a weight, of the same name."""
    then = branch([node("Mul", ["h", "w"], ["p"]), node("Mul", ["p", "k"], ["q"])], "q", w=np.full((2, 3), 3.0))
    other = branch([node("Sin", ["k"], ["p"]), node("Mul", ["p", "w"], ["q"])], "q", w=np.full(3, -2.0))
    check([*either(then, other, "c"), node("Mul", ["c", "h"], ["y"])])


def test_a_branch_that_takes_nothing_has_the_gradient_zero() -> None:
    constant = node("Constant", [], ["q"], value=numpy_helper.from_array(np.full((2, 3), 3.0)))
    check(
        [
            *either(branch([node("Sigmoid", ["h"], ["q"])], "q"), branch([constant], "q"), "c"),
            node("Add", ["c", "x"], ["y"]),
        ]
    )


def test_several_outputs() -> None:
    """Of three outputs the network takes two, one of them twice."""
    then = branch([node("Sin", ["h"], ["a"]), node("Exp", ["h"], ["b"]), node("Neg", ["k"], ["d"])], "a", "b", "d")
    other = branch([node("Cos", ["h"], ["a"]), node("Tanh", ["a"], ["b"]), node("Neg", ["h"], ["d"])], "a", "b", "d")
    check([*either(then, other, "a1", "b1", "d1"), node("Mul", ["a1", "b1"], ["ab"]), node("Add", ["ab", "a1"], ["y"])])


def test_branches_in_branches() -> None:
    """One is taken by a size, and inlined; one by the data."""
    inner = [
        node("Shape", ["h"], ["s"]),
        node("Gather", ["s", "i"], ["rows"]),
        node("Equal", ["rows", "two"], ["pair"]),
        node(
            "If",
            ["pair"],
            ["r"],
            then_branch=branch([node("Exp", ["h"], ["t"])], "t"),
            else_branch=branch([node("Sin", ["h"], ["t"])], "t"),
        ),
        node("Less", ["m", "five"], ["small"]),
        node(
            "If",
            ["small"],
            ["q"],
            then_branch=branch([node("Mul", ["r", "k"], ["t"])], "t"),
            else_branch=branch([node("Mul", ["r", "r"], ["t"])], "t"),
        ),
    ]
    then = branch(inner, "q", i=np.array(0), two=np.array(2), five=np.array(5.0))
    made = check([*either(then, branch([node("Sin", ["k"], ["q"])], "q"), "y")])
    (gradient,) = [item for item in made.graph.node if item.op_type == "If" and item.name != "either"]
    (taken,) = [item.g for item in gradient.attribute if item.name == "then_branch"]
    assert "Sin" not in {item.op_type for item in taken.node}


def test_what_a_branch_has_no_rule_for_is_named() -> None:
    square = [node("Transpose", ["h"], ["t"]), node("MatMul", ["h", "t"], ["s"])]
    then = branch([*square, node("Det", ["s"], ["d"], name="d7"), node("Add", ["h", "d"], ["q"])], "q")
    nodes = either(then, branch([node("Sin", ["h"], ["q"])], "q"), "y")
    expected = r"node 'either' \(If\) has the branch then_branch, and node 'd7' \(Det\) has no rule for the gradient"
    with pytest.raises(NetworkError, match=expected):
        differentiate(model_of(nodes, {"zero": np.array(0.0)}, [2, 3], 13))


def test_batch_statistics_in_a_branch_are_refused() -> None:
    weights = dict.fromkeys(("g", "b", "u", "v"), np.ones(3))
    norm = node("BatchNormalization", ["h", *weights], ["q"])
    nodes = either(branch([norm], "q", **weights), branch([node("Sin", ["h"], ["q"])], "q"), "y")
    model = model_of(nodes, {"zero": np.array(0.0)}, [2, 3], 15)
    differentiate(model)
    with pytest.raises(NetworkError, match=r"\(If\) has a batch normalization in a branch"):
        differentiate(model, training=True)
