"""The training form of networks whose layers share parameters, run twice, or mix element types."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crosscheck.cells import Array
from crosscheck.gradients import differentiate
from tests.gradients.numeric import evaluator

EPSILON, MOMENTUM = 0.125, 0.75
X = np.random.default_rng(0).standard_normal((4, 3))
COTANGENT = np.random.default_rng(1).standard_normal((4, 3))


def norm(x: str, y: str, *parameters: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        "BatchNormalization", [x, *parameters], [y], epsilon=EPSILON, momentum=MOMENTUM, name=y, **attributes
    )


def model(
    nodes: list[onnx.NodeProto], stored: dict[str, Array], kind: int = TensorProto.DOUBLE, opset: int = 15
) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", kind, ["N", 3])],
        [value("y", kind, ["N", 3])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def outputs(extended: onnx.ModelProto, x: Array = X, cotangent: Array = COTANGENT) -> dict[str, Array]:
    names = [item.name for item in extended.graph.output]
    return dict(zip(names, evaluator(extended)({"x": x, "y.cotangent": cotangent}), strict=True))


def normal(x: Array, scale: Array, bias: Array) -> Array:
    return np.asarray((x - x.mean(0)) / np.sqrt(x.var(0) + EPSILON) * scale + bias)


def updated(old: Array, new: Array) -> Array:
    return np.asarray(old * MOMENTUM + new * (1 - MOMENTUM))


def random(*names: str, seed: int = 2) -> dict[str, Array]:
    draw = np.random.default_rng(seed)
    return {name: draw.uniform(0.5, 1.5, 3) for name in names}


def test_a_layer_that_runs_twice_updates_its_statistics_twice() -> None:
    stored = random("s", "b", "m", "v")
    extended = differentiate(model([norm("x", "h", *"sbmv"), norm("h", "y", *"sbmv")], stored), training=True)
    assert ["y", "x.gradient", "m.running", "v.running"] == [item.name for item in extended.graph.output]
    results = outputs(extended)
    h = normal(X, stored["s"], stored["b"])
    np.testing.assert_allclose(normal(h, stored["s"], stored["b"]), results["y"])
    np.testing.assert_allclose(updated(updated(stored["m"], X.mean(0)), h.mean(0)), results["m.running"])
    np.testing.assert_allclose(updated(updated(stored["v"], X.var(0)), h.var(0)), results["v.running"])
    descriptions = [item.doc_string for item in extended.graph.output[2:]]
    assert [f"the moving statistic {name} after 2 updates, the last by node 'y'" for name in "mv"] == descriptions


def test_layers_with_shared_scale_and_bias_have_statistics_of_their_own() -> None:
    stored = random("s", "b", "m", "v", "n", "w")
    nodes = [
        norm("x", "h", *"sbmv"),
        helper.make_node("Identity", ["s"], ["t"]),
        helper.make_node("Identity", ["b"], ["c"]),
        norm("h", "y", *"tcnw"),
    ]
    extended = differentiate(model(nodes, stored), training=True)
    results = outputs(extended)
    assert ["y", "x.gradient", "m.running", "v.running", "n.running", "w.running"] == list(results)
    h = normal(X, stored["s"], stored["b"])
    np.testing.assert_allclose(updated(stored["m"], X.mean(0)), results["m.running"])
    np.testing.assert_allclose(updated(stored["w"], h.var(0)), results["w.running"])


def test_layers_whose_equal_tensors_are_stored_once_are_updated_one_by_one() -> None:
    """Untrained layers: scales and variances are ones, biases and means zeros."""
    stored = {"zeros": np.zeros(3), "ones": np.ones(3)}
    parameters = ("ones", "zeros", "zeros", "ones")
    nodes = [norm("x", "h", *parameters), helper.make_node("Exp", ["h"], ["e"]), norm("e", "y", *parameters)]
    extended = differentiate(model(nodes, stored), training=True)
    updates = extended.graph.output[2:]
    assert ["zeros.running", "ones.running"] == [item.name for item in updates[:2]]
    results = outputs(extended)
    h = np.exp(normal(X, np.ones(3), np.zeros(3)))
    for item, old, new in zip(updates, (0, 1, 0, 1), (X.mean(0), X.var(0), h.mean(0), h.var(0)), strict=True):
        np.testing.assert_allclose(updated(np.full(3, old), new), results[item.name])
    assert ["'h'", "'h'", "'y'", "'y'"] == [item.doc_string.rpartition(" ")[2] for item in updates]


@pytest.mark.parametrize(
    ("x", "scale", "statistics", "opset", "tolerance"),
    [
        ("float16", "float32", "float32", 15, 2e-3),
        ("float16", "float16", "float16", 14, 2e-3),
        ("float32", "float32", "float64", 15, 1e-5),
        ("float32", "float16", "float32", 15, 1e-5),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_element_types_may_differ(
    x: str, scale: str, statistics: str, opset: int, tolerance: float, training: bool
) -> None:
    """Input, parameters and statistics each keep their type; differences in precision are small."""
    types = {"s": scale, "b": scale, "m": statistics, "v": statistics}
    exact = {name: np.round(array * 64) / 64 for name, array in random(*types).items()}
    stored = {name: array.astype(types[name]) for name, array in exact.items()}
    data, cotangent = np.round(X * 64) / 64, np.round(COTANGENT * 64) / 64
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(x))
    extended = differentiate(model([norm("x", "y", *"sbmv")], stored, kind, opset), training=training)
    results = outputs(extended, data.astype(x), cotangent.astype(x))
    double = differentiate(model([norm("x", "y", *"sbmv")], exact), training=training)
    truth = outputs(double, data, cotangent)
    assert list(truth) == list(results)
    for name, value in results.items():
        assert (statistics if name.endswith(".running") else x) == value.dtype.name
        np.testing.assert_allclose(truth[name], value.astype(float), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training", [False, True])
def test_gradients_by_parameters_and_statistics(training: bool) -> None:
    """All five are inputs of the graph; nothing depends on moving statistics in training form."""
    stored = random(*"sbmv")
    original = model([norm("x", "y", *"sbmv", training_mode=0)], {})
    original.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.DOUBLE, [3]) for name in "sbmv")
    extended = differentiate(original, training=training)
    wanted = "xsb" if training else "xsbmv"
    names = [item.name for item in extended.graph.output]
    assert [f"{name}.gradient" for name in wanted] == names[1 : 1 + len(wanted)]
    feeds: dict[str, Array] = {"x": X, **stored}
    results = dict(zip(names, evaluator(extended)({**feeds, "y.cotangent": COTANGENT}), strict=True))

    def total(values: dict[str, Array]) -> float:
        x, s, b, m, v = (values[name] for name in "xsbmv")
        y = normal(x, s, b) if training else (x - m) / np.sqrt(v + EPSILON) * s + b
        return float(np.sum(y * COTANGENT))

    for name in wanted:
        truth = np.zeros(feeds[name].shape)
        for place in np.ndindex(*truth.shape):
            step = np.zeros(truth.shape)
            step[place] = 1e-6
            truth[place] = (
                total({**feeds, name: feeds[name] + step}) - total({**feeds, name: feeds[name] - step})
            ) / 2e-6
        np.testing.assert_allclose(truth, results[f"{name}.gradient"], rtol=1e-6, atol=1e-8)


def test_a_layer_of_one_axis() -> None:
    """Rank one: the whole input is one channel."""
    stored = {name: array[:1] for name, array in random(*"sbmv").items()}
    original = model([norm("x", "y", *"sbmv")], stored)
    for item in (*original.graph.input, *original.graph.output):
        item.CopyFrom(helper.make_tensor_value_info(item.name, TensorProto.DOUBLE, [4]))
    results = outputs(differentiate(original, training=True), X[:, 0], COTANGENT[:, 0])
    np.testing.assert_allclose(normal(X[:, 0], stored["s"], stored["b"]), results["y"])
    np.testing.assert_allclose(updated(stored["v"], X[:, 0].var()), results["v.running"])
