"""What is known of a model before it runs: values of constants, shapes and types; and messages about its ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from crosscheck.onnx_models.facts import Facts, without_weights
from tests.gradients.numeric import evaluator

DOUBLE = TensorProto.DOUBLE


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, Sequence[int | str | None] | None]],
    outputs: dict[str, tuple[int, Sequence[int | str | None] | None]],
    constants: dict[str, Array] | None = None,
    opset: int = 15,
) -> onnx.ModelProto:
    """Inputs and outputs: name -> element type and shape."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, *what) for name, what in inputs.items()],
        [helper.make_tensor_value_info(name, *what) for name, what in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def facts(nodes: Sequence[onnx.NodeProto], constants: dict[str, Array] | None = None, **rest: Any) -> Facts:
    """Of a model with x (N, 3, 4) and nodes that end in y."""
    return Facts(model(nodes, {"x": (DOUBLE, ["N", 3, 4])}, {"y": (DOUBLE, None)}, constants), "mine.onnx", **rest)


LAST = helper.make_node("Identity", ["x"], ["y"])


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        ("value", numpy_helper.from_array(np.array([[1, 2]], np.int16)), np.array([[1, 2]], np.int16)),
        ("value_float", 0.5, np.array(0.5, np.float32)),
        ("value_floats", [0.5, 2.0], np.array([0.5, 2.0], np.float32)),
        ("value_int", 7, np.array(7)),
        ("value_ints", [7, 8], np.array([7, 8])),
    ],
)
def test_the_value_of_a_constant_node(attribute: str, value: Any, expected: Array) -> None:
    found = facts([helper.make_node("Constant", [], ["c"], **{attribute: value}), LAST]).value("c")
    assert found is not None
    assert (expected.dtype, expected.tolist()) == (found.dtype, found.tolist())


@pytest.mark.parametrize(
    ("op", "attributes", "of", "expected"),
    [
        ("Shape", {}, "w", [2, 3, 5]),
        ("Shape", {"start": 1}, "w", [3, 5]),
        ("Shape", {"end": 1}, "w", [2]),
        ("Shape", {"start": -2, "end": -1}, "w", [3]),
        ("Size", {}, "w", 30),
        ("Shape", {}, "x", None),
        ("Size", {}, "x", None),
    ],
)
def test_sizes_are_constants_where_all_are_fixed(op: str, attributes: dict[str, Any], of: str, expected: Any) -> None:
    found = facts([helper.make_node(op, [of], ["s"], **attributes), LAST], {"w": np.zeros((2, 3, 5))}).value("s")
    assert expected == (None if found is None else found.tolist())


@pytest.mark.parametrize(("picked", "expected"), [(1, 3), ([2, 1], [4, 3]), (-1, 4), (0, None), ([0, 1], None)])
def test_sizes_that_are_picked_are_constants_where_these_are_fixed(picked: Any, expected: Any) -> None:
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "p"], ["g"]), LAST]
    found = facts(nodes, {"p": np.array(picked)}).value("g")
    assert expected == (None if found is None else found.tolist())


def test_what_is_computed_from_constants_is_one_unless_it_is_random_or_large() -> None:
    nodes = [
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("Split", ["b"], ["c", "d"], axis=0),
        helper.make_node("Concat", ["c", "d", "c"], ["e"], axis=0),
        helper.make_node("RandomNormalLike", ["a"], ["r"]),
        helper.make_node("Mul", ["r", "a"], ["m"]),
        helper.make_node("Add", ["x", "k"], ["f"]),
        LAST,
    ]
    constants = {"a": np.array([[1.0], [2.0]]), "k": np.array(3.0)}
    known = facts(nodes, constants)
    values = {name: known.value(name) for name in "abcdermfxy"}
    told = {name: value.tolist() for name, value in values.items() if value is not None}
    assert {"a": [[1], [2]], "b": [[2], [4]], "c": [[2]], "d": [[4]], "e": [[2], [4], [2]]} == told
    assert facts(nodes, constants, largest=3).value("e") is not None
    few = facts(nodes, constants, largest=2)
    assert (None, [[2], [4]]) == (few.value("e"), np.asarray(few.value("b")).tolist())


def test_what_a_graph_inside_a_node_computes_is_no_constant() -> None:
    """Such a graph may read any tensor around it."""
    three = helper.make_node("Constant", [], ["t"], value_float=3.0)
    branch = helper.make_graph([three], "branch", [], [helper.make_tensor_value_info("t", TensorProto.FLOAT, [])])
    choice = helper.make_node("If", ["yes"], ["c"], then_branch=branch, else_branch=branch)
    known = facts([choice, LAST], {"yes": np.array(True)})
    assert [None, True] == [known.value(name) for name in ("c", "yes")]


def test_types_and_shapes_of_tensors() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.BFLOAT16),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Mystery", ["x"], ["u"], domain="mine"),
        LAST,
    ]
    made = model(nodes, {"x": (DOUBLE, ["N", 3, None])}, {"y": (DOUBLE, None)}, {"w": np.zeros((2, 3))})
    made.opset_import.append(helper.make_opsetid("mine", 1))
    known = Facts(made, "mine.onnx")
    assert [("N", 3, "x.2"), (3,), (2, 3), None, None] == [known.shape(name) for name in ("h", "s", "w", "u", "none")]
    assert ["bfloat16", "int64", "float64"] == [known.dtype(name).name for name in ("h", "s", "w")]
    assert [True, False, True, True] == [known.floating(name) for name in ("h", "s", "w", "u")]
    assert [True, True, True, False] == [known.typed(name) for name in ("h", "s", "w", "u")]
    assert {"x", "h", "s", "w", "y"} <= set(known.names())
    with pytest.raises(NetworkError, match=r"mine\.onnx: the element type of 'u' is unknown; export the model with"):
        known.dtype("u")


@pytest.mark.parametrize(("count", "stays"), [(64, True), (65, False)])
def test_weights_of_more_than_64_numbers_are_left_out_of_checks(count: int, stays: bool) -> None:
    made = model([LAST], {"x": (DOUBLE, [1])}, {"y": (DOUBLE, [1])}, {"w": np.zeros((count, 1))})
    made.graph.input.append(helper.make_tensor_value_info("w", DOUBLE, [count, 1]))
    bare = without_weights(made)
    assert (["x"] if stays else ["x", "w"]) == [item.name for item in bare.graph.input]
    assert (["w"] if stays else []) == [item.name for item in bare.graph.initializer]
    assert ["w"] == [item.name for item in made.graph.initializer]


# Ends


def told(made: onnx.ModelProto, **ends: Any) -> str:
    with pytest.raises(NetworkError) as caught:
        differentiate(made, source="mine.onnx", **ends)
    return str(caught.value)


def test_a_model_without_an_input_of_floats() -> None:
    whole, cast = (TensorProto.INT64, [2]), helper.make_node("Cast", ["i"], ["y"], to=DOUBLE)
    two = model([cast], {"i": whole, "j": whole}, {"y": (DOUBLE, [2])})
    message = "mine.onnx: has no input of floats (i, j); name the tensor to differentiate by with --wrt."
    assert message == told(two)
    none = model([helper.make_node("Exp", ["w"], ["y"])], {}, {"y": (DOUBLE, [2])}, {"w": np.zeros(2)})
    assert "mine.onnx: has no input; name the tensor to differentiate by with --wrt." == told(none)
    assert ["y", "w.gradient"] == [item.name for item in differentiate(none, wrt=["w"]).graph.output]


def test_a_tensor_that_is_named_twice_has_one_gradient() -> None:
    made = model([helper.make_node("Exp", ["x"], ["y"])], {"x": (DOUBLE, [2])}, {"y": (DOUBLE, [2])})
    assert ["y", "x.gradient"] == [item.name for item in differentiate(made, wrt=["x", "x"]).graph.output]


@pytest.mark.parametrize("name", ["y.cotangent", "x.gradient"])
def test_names_that_the_gradient_needs_must_be_free(name: str) -> None:
    nodes = [helper.make_node("Exp", ["x"], [name]), helper.make_node("Tanh", [name], ["y"])]
    made = model(nodes, {"x": (DOUBLE, [2])}, {"y": (DOUBLE, [2])})
    assert f"mine.onnx: has a tensor called {name!r} already; rename it." == told(made)


def test_an_end_of_unknown_rank() -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "to"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("Reshape", ["t", "back"], ["y"]),
    ]
    inputs: dict[str, Any] = {"x": (DOUBLE, [4]), "to": (TensorProto.INT64, ["R"])}
    made = model(nodes, inputs, {"y": (DOUBLE, [4])}, {"back": np.array([4])})
    assert "mine.onnx: the rank of 'h' is unknown; export the model with shapes." == told(made, wrt=["h"])
    assert "mine.onnx: the rank of 't' is unknown; export the model with shapes." == told(made, output="t")
    assert ["y", "x.gradient"] == [item.name for item in differentiate(made).graph.output]


def test_every_reason_is_told_once_in_the_order_of_the_nodes() -> None:
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["a"], name="border"),
        helper.make_node("Mystery", ["a"], ["b"], domain="mine", name="first"),
        helper.make_node("Det", ["x"], ["c"], name="second"),
        helper.make_node("Mystery", ["b"], ["d"], domain="mine"),
        helper.make_node("Mul", ["d", "c"], ["y"]),
    ]
    made = model(nodes, {"x": (DOUBLE, [2, 2]), "pads": (TensorProto.INT64, [4])}, {"y": (DOUBLE, None)})
    made.opset_import.append(helper.make_opsetid("mine", 1))
    for name in "abd":
        made.graph.value_info.append(helper.make_tensor_value_info(name, DOUBLE, ["P", "Q"]))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", DOUBLE, ["P", "Q"]))
    remedy = "rewrite the model without it, or choose other ends with --wrt and --output"
    assert told(made, wrt=["x"]) == (
        "mine.onnx: 3 reasons block the gradient: node 'border' (Pad) takes pads from 'pads', which is computed; "
        f"make it a constant | nodes 'first', 3 (mine.Mystery) have no rule for the gradient; {remedy} | "
        f"node 'second' (Det) has no rule for the gradient; {remedy}."
    )


def test_a_square_weight_that_is_used_both_ways_has_a_constant_for_each() -> None:
    """By Gemm with and without transposition, from the left and from the right; other attributes stay."""
    w, x = np.random.default_rng(0).standard_normal((3, 3)), np.random.default_rng(1).standard_normal((3, 3))
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], transB=1, alpha=0.5),
        helper.make_node("Gemm", ["w", "a"], ["b"], transA=1, beta=2.0),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    made = differentiate(model(nodes, {"x": (DOUBLE, [3, 3])}, {"y": (DOUBLE, [3, 3])}, {"w": w}))
    stored = {item.name: numpy_helper.to_array(item) for item in made.graph.initializer}
    uses: dict[str, set[bool]] = {}
    for node in made.graph.node:
        flags = {item.name: bool(item.i) for item in node.attribute if item.name.startswith("trans")}
        for place, name in enumerate(node.input):
            if name in stored and stored[name].shape == (3, 3):
                turned = flags.get(("transA", "transB")[place], False) if node.op_type == "Gemm" else False
                uses.setdefault(name, set()).add(turned or node.op_type == "Transpose")
    assert all(len(ways) == 1 for ways in uses.values())
    cotangent = np.random.default_rng(2).standard_normal((3, 3))
    y, gradient = evaluator(made)({"x": x, "y.cotangent": cotangent})
    np.testing.assert_allclose(w.T @ (0.5 * x @ w.T) @ w, y)
    np.testing.assert_allclose(0.5 * (w @ cotangent @ w.T) @ w, gradient)


@pytest.mark.parametrize("declared", [False, True])
def test_the_rank_of_what_is_reshaped_is_that_of_the_shape(declared: bool) -> None:
    """Whether or not the model says that there is a tensor of unknown shape."""
    nodes = [helper.make_node("Reshape", ["x", "to"], ["h"]), helper.make_node("Tanh", ["h"], ["y"])]
    made = model(nodes, {"x": (DOUBLE, [4]), "to": (TensorProto.INT64, [3])}, {"y": (DOUBLE, None)})
    if declared:
        made.graph.value_info.append(helper.make_tensor_value_info("h", DOUBLE, None))
    known = Facts(made, "mine.onnx")
    shapes = [known.shape(name) for name in "hy"]
    assert [3, 3] == [len(shape) for shape in shapes if shape is not None]
    assert not any(isinstance(size, int) for shape in shapes for size in shape or ())
