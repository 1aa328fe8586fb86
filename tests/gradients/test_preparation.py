"""Old opsets, functions, constant branches, and constants that are computed from constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crosscheck.cells import Array
from crosscheck.gradients import differentiate
from tests.gradients.numeric import evaluator, finite_differences, gradient_of, model_of, predict

X = np.random.default_rng(0).uniform(-2, 2, (2, 3))
COTANGENT = np.random.default_rng(1).standard_normal((2, 3))


def check(model: onnx.ModelProto, x: Array = X) -> onnx.ModelProto:
    """Compare prediction and gradient with the model's own and with finite differences; returns the gradient model."""
    y = predict(model, x)
    cotangent: Array = np.asarray(np.random.default_rng(1).standard_normal(y.shape))
    again, gradient = gradient_of(model, x, cotangent)
    np.testing.assert_allclose(y, again, rtol=1e-12)
    np.testing.assert_allclose(finite_differences(model, x, cotangent), gradient, rtol=1e-6, atol=1e-8)
    return differentiate(model)


def test_functions_of_the_model_are_inlined() -> None:
    """One inside another, with an attribute; both have tensors of the same names."""
    double = [helper.make_opsetid("", 18)]
    inner = helper.make_function("mine", "Bent", ["x"], ["y"], [leaky()], double, ["alpha"])
    outer = helper.make_function(
        "mine",
        "Twice",
        ["x"],
        ["z"],
        [
            helper.make_node("Bent", ["x"], ["y"], domain="mine", alpha=0.25),
            helper.make_node("Bent", ["y"], ["z"], domain="mine", alpha=0.5),
        ],
        [*double, helper.make_opsetid("mine", 1)],
    )
    model = model_of([helper.make_node("LeakyRelu", ["x"], ["y"], alpha=0.125)], {}, [2, 3], 18)
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Twice", ["x"], ["y"], domain="mine"))
    model.functions.extend([inner, outer])
    model.opset_import.append(helper.make_opsetid("mine", 1))
    extended = differentiate(model)
    assert {""} == {node.domain for node in extended.graph.node}
    assert [] == list(extended.functions)
    y, gradient = evaluator(extended)({"x": X, "y.cotangent": COTANGENT})
    slope = np.where(X > 0, 1, 0.125)
    np.testing.assert_allclose(X * slope, y)
    np.testing.assert_allclose(COTANGENT * slope, gradient)


def leaky() -> onnx.NodeProto:
    node = helper.make_node("LeakyRelu", ["x"], ["y"])
    node.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT))
    return node


def test_old_opsets_are_converted() -> None:
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], is_test=1, epsilon=0.5)]
    stored = {
        name: np.arange(1.0, 4.0, dtype=np.float32) * scale for name, scale in zip("sbmv", (1, 2, 3, 4), strict=True)
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [2, 3]), *(value(name, TensorProto.FLOAT, [3]) for name in stored)],
        [value("y", TensorProto.FLOAT, [2, 3])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)], ir_version=3)
    extended = differentiate(model)
    assert (9, 4) == (extended.opset_import[0].version, extended.ir_version)
    feeds = {"x": X.astype(np.float32), "y.cotangent": COTANGENT.astype(np.float32)}
    gradient = evaluator(extended)({**feeds, **stored})[1]
    expected = COTANGENT * stored["s"] / np.sqrt(stored["v"] + 0.5)
    np.testing.assert_allclose(expected, gradient, rtol=1e-6)


def branch(name: str, nodes: Sequence[onnx.NodeProto], output: str) -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, 3])])


def choice(condition: str, output: str, scale: float = 2.0) -> onnx.NodeProto:
    """Exp or Sin of h, times a constant inside the branch; the two branches use the same names."""
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(scale)))
    branches = {
        key: branch(
            key,
            [constant, helper.make_node(op, ["h"], ["e"]), helper.make_node("Mul", ["e", "c"], ["f"])],
            "f",
        )
        for key, op in (("then_branch", "Exp"), ("else_branch", "Sin"))
    }
    return helper.make_node("If", [condition], [output], **branches)


@pytest.mark.parametrize("rows", [1, 2])
def test_the_taken_branch_of_a_constant_condition_is_inlined(rows: int) -> None:
    """The condition is computed from a size, as exporters write it; two Ifs have the same names inside."""
    nodes = [
        helper.make_node("Tanh", ["x"], ["h"]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Equal", ["n", "one"], ["single"]),
        choice("single", "a"),
        choice("single", "b", 3.0),
        helper.make_node("Mul", ["a", "b"], ["y"]),
    ]
    model = model_of(nodes, {"zero": np.array(0), "one": np.array(1)}, [rows, 3], 13)
    extended = check(model, X[:rows])
    operators = {node.op_type for node in extended.graph.node if not node.name.endswith("gradient")}
    assert ("Exp" if rows == 1 else "Sin") in operators
    assert "If" not in operators


def test_a_nested_branch_is_inlined() -> None:
    inner = choice("yes", "g")
    outer = helper.make_node(
        "If",
        ["yes"],
        ["y"],
        then_branch=branch("then", [helper.make_node("Tanh", ["x"], ["h"]), inner], "g"),
        else_branch=branch("else", [helper.make_node("Exp", ["x"], ["k"])], "k"),
    )
    extended = check(model_of([outer], {"yes": np.array(True)}, [2, 3], 13))
    assert "If" not in {node.op_type for node in extended.graph.node}


def test_constants_may_be_computed() -> None:
    """Axes from a cast and a sum; a shape from sizes of the input, of which others are open."""
    nodes = [
        helper.make_node("Add", ["one", "zero"], ["axis"]),
        helper.make_node("Cast", ["axis"], ["axes"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["x", "axes"], ["r"]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "last"], ["width"]),
        helper.make_node("Concat", ["rows", "width"], ["to"], axis=0),
        helper.make_node("Tile", ["r", "copies"], ["t"]),
        helper.make_node("Mul", ["t", "x"], ["m"]),
        helper.make_node("Reshape", ["m", "to"], ["y"]),
        helper.make_node("Concat", ["single", "width"], ["copies"], axis=0),
    ]
    nodes.insert(6, nodes.pop())
    constants = {
        "one": np.array([1.0]),
        "zero": np.array([0.0]),
        "last": np.array([1]),
        "rows": np.array([-1]),
        "single": np.array([1]),
    }
    for first in (2, "N"):
        check(model_of(nodes, constants, [first, 3], 13))
