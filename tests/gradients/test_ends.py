"""What is differentiated by what: several inputs and outputs, inner tensors, and nodes beside the path."""

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
from tests.gradients.numeric import evaluator

STEP = 1e-6


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    constants: dict[str, Array] | None = None,
    opset: int = 13,
) -> onnx.ModelProto:
    """Inputs and outputs: name -> shape, of float64, or (shape, type)."""

    def value(name: str, what: Any) -> onnx.ValueInfoProto:
        shape, kind = what if isinstance(what, tuple) else (what, TensorProto.DOUBLE)
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        list(nodes),
        "g",
        [value(*item) for item in inputs.items()],
        [value(*item) for item in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(extended: onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    names = [item.name for item in extended.graph.output]
    return dict(zip(names, evaluator(extended)(feeds), strict=True))


def slopes(original: onnx.ModelProto, feeds: dict[str, Array], by: str, output: str, cotangent: Array) -> Array:
    """The gradient by finite differences."""
    index = [item.name for item in original.graph.output].index(output)
    compute = evaluator(original)
    gradient = np.zeros(feeds[by].shape)
    for place in np.ndindex(*gradient.shape):
        step = np.zeros(gradient.shape)
        step[place] = STEP
        up, down = (compute({**feeds, by: feeds[by] + sign * step})[index] for sign in (1, -1))
        gradient[place] = np.sum((up - down) * cotangent) / (2 * STEP)
    return gradient


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def two_inputs() -> onnx.ModelProto:
    """y and z of x, t and integer indices i."""
    nodes = [
        helper.make_node("Tanh", ["x"], ["h"]),
        helper.make_node("Gather", ["h", "i"], ["g"], axis=1),
        helper.make_node("Mul", ["g", "t"], ["y"]),
        helper.make_node("ReduceSum", ["h"], ["z"]),
    ]
    inputs = {"x": ["N", 4], "t": ["N", 1], "i": ([2], TensorProto.INT64)}
    return model(nodes, inputs, {"y": ["N", 2], "z": [1, 1]}, opset=16)


FEEDS = {"x": drawn(3, 4), "t": drawn(3, 1, seed=1), "i": np.array([2, 0])}


def test_every_input_of_floats_has_a_gradient_and_integers_stay_inputs() -> None:
    extended = differentiate(two_inputs())
    assert ["x", "t", "i", "y.cotangent"] == [item.name for item in extended.graph.input]
    assert ["y", "x.gradient", "t.gradient", "z"] == [item.name for item in extended.graph.output]
    cotangent = drawn(3, 2, seed=2)
    results = run(extended, {**FEEDS, "y.cotangent": cotangent})
    for name in ("x", "t"):
        truth = slopes(two_inputs(), FEEDS, name, "y", cotangent)
        np.testing.assert_allclose(truth, results[f"{name}.gradient"], rtol=1e-6, atol=1e-8)


def test_both_ends_can_be_chosen() -> None:
    extended = differentiate(two_inputs(), wrt=["t", "x"])
    assert ["y", "t.gradient", "x.gradient", "z"] == [item.name for item in extended.graph.output]
    extended = differentiate(two_inputs(), output="z")
    assert ["z", "x.gradient", "y"] == [item.name for item in extended.graph.output]  # z does not depend on t
    results = run(extended, {**FEEDS, "z.cotangent": np.array([[2.0]])})
    np.testing.assert_allclose(2 / np.cosh(FEEDS["x"]) ** 2, results["x.gradient"])


def test_both_ends_can_be_inside_the_graph() -> None:
    extended = differentiate(two_inputs(), wrt=["h", "x"], output="g")
    assert ["g", "h.gradient", "x.gradient", "y", "z"] == [item.name for item in extended.graph.output]
    results = run(extended, {**FEEDS, "g.cotangent": np.ones((3, 2))})
    assert [[1, 0, 1, 0]] * 3 == results["h.gradient"].tolist()
    np.testing.assert_allclose(results["h.gradient"] / np.cosh(FEEDS["x"]) ** 2, results["x.gradient"])


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ({"wrt": ["q"]}, "model: has no tensor 'q'; give --wrt one of x, t, i."),
        ({"output": "q"}, "model: has no tensor 'q'; give --output one of y, z."),
        (
            {"wrt": ["i"]},
            "model: 'i' is int64, which has no gradient; give --wrt a tensor of floats, one of x, t, i.",
        ),
        (
            {"wrt": ["x", "t"], "output": "z"},
            "model: the output 'z' does not depend on 't'; choose another output with --output, or other tensors with "
            "--wrt.",
        ),
    ],
)
def test_ends_that_have_no_gradient(ends: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        differentiate(two_inputs(), **ends)
    assert message == str(caught.value)


def test_the_first_output_of_floats_is_differentiated() -> None:
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Exp", ["x"], ["y"])]
    extended = differentiate(model(nodes, {"x": [2]}, {"s": ([1], TensorProto.INT64), "y": [2]}))
    assert ["y", "x.gradient", "s"] == [item.name for item in extended.graph.output]
    with pytest.raises(NetworkError, match=r"its outputs \(s\) hold no floats"):
        differentiate(model(nodes[:1], {"x": [2]}, {"s": ([1], TensorProto.INT64)}))


def test_nodes_beside_the_path_need_no_rule() -> None:
    """Before the differentiated tensor, behind the output, and between others."""
    nodes = [
        helper.make_node("TopK", ["x", "one"], ["v", "n"]),
        helper.make_node("Relu", ["x"], ["h"]),
        helper.make_node("Det", ["x"], ["d"]),
        helper.make_node("Mul", ["h", "h"], ["y"]),
        helper.make_node("Unknown", ["y"], ["u"], domain="mine"),
    ]
    outputs = {"y": [1, 4, 4], "d": [1], "u": [1, 4, 4], "n": ([1, 4, 1], TensorProto.INT64)}
    original = model(nodes, {"x": [1, 4, 4]}, outputs, {"one": np.array([1])})
    original.opset_import.append(helper.make_opsetid("mine", 1))
    extended = differentiate(original)
    assert {"TopK", "Det", "Unknown"} <= {node.op_type for node in extended.graph.node}
    assert ["y", "x.gradient", "d", "u", "n"] == [item.name for item in extended.graph.output]


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_has_gradients_of_its_own_type(kind: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [helper.make_node("Mul", ["x", "x"], ["s"]), helper.make_node("Relu", ["s"], ["y"])]
    extended = differentiate(model(nodes, {"x": ([3], kind)}, {"y": ([3], kind)}, opset=16))
    x = np.array([1, -2, 3], dtype)
    gradient = run(extended, {"x": x, "y.cotangent": np.ones(3, dtype)})["x.gradient"]
    assert (dtype, [2, -4, 6]) == (gradient.dtype, gradient.astype(float).tolist())


def test_no_name_of_the_model_is_given_again() -> None:
    """Names that the gradient would take: of an initialiser that nothing reads, and of a tensor of an unknown type."""
    nodes = [
        helper.make_node("Tanh", ["x"], ["y"]),
        helper.make_node("Unknown", ["x"], ["sub.gradient"], domain="somewhere"),
    ]
    original = model(nodes, {"x": [2, 3]}, {"y": [2, 3]}, {"mul.gradient": np.zeros(1)})
    original.opset_import.append(helper.make_opsetid("somewhere", 1))
    plain = {node.op_type for node in differentiate(model(nodes[:1], {"x": [2, 3]}, {"y": [2, 3]})).graph.node}
    assert {"Mul", "Sub"} <= plain
    extended = differentiate(original)
    made = [name for node in extended.graph.node for name in node.output]
    assert len(made) == len({*made, "mul.gradient"}) - 1
