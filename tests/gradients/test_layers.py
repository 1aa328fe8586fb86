"""The layers' rules against finite differences, autograd and the oracle, in every opset that changes them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from autograd import make_vjp  # type: ignore[import-untyped]
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator

from crosscheck import oracle
from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from crosscheck.networks import load, names
from crosscheck.networks.forms import FORMS, build_model
from tests.gradients.layers import FORMULAS, STAND_INS, attributes_of
from tests.gradients.numeric import NEWEST, model_of

OPSETS = (9, 10, 11, 13, 15, 18, NEWEST)
STEP = 1e-6


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def layer(
    op: str,
    shape: tuple[int, ...],
    constants: Mapping[str, Array] | None = None,
    opset: int = 15,
    dtype: Any = np.float64,
    batch: int | str = "N",
    inputs: list[str] | None = None,
    more: tuple[str, ...] = (),
    **attributes: Any,
) -> onnx.ModelProto:
    """A model with one node from x (`shape` with a dynamic batch axis) and the constants to y and `more`."""
    stored = dict(constants or {})
    node = helper.make_node(op, inputs or ["x", *stored], ["y", *more], **attributes)
    return model_of([node], stored, (batch, *shape[1:]), opset, dtype)


def run(model: onnx.ModelProto, **feeds: Array) -> list[Array]:
    return [np.asarray(value) for value in ReferenceEvaluator(model, new_ops=STAND_INS).run(None, feeds)]


def check(model: onnx.ModelProto, x: Array, formula: bool = True, tolerance: float = 1e-6) -> Array:
    """Compare prediction and gradient with finite differences and autograd. Returns the gradient."""
    made = differentiate(model)
    (y,) = run(model, x=x)
    cotangent = drawn(*y.shape, seed=9).astype(x.dtype)
    again, gradient = run(made, **{"x": x, "y.cotangent": cotangent})
    assert np.allclose(y, again, rtol=1e-12, atol=1e-12)
    assert gradient.shape == x.shape
    assert gradient.dtype == x.dtype
    for seed in range(4):  # along random directions
        direction = drawn(*x.shape, seed=20 + seed)
        up, down = (np.sum(run(model, x=x + sign * STEP * direction)[0] * cotangent) for sign in (1, -1))
        assert np.isclose((up - down) / (2 * STEP), np.sum(gradient * direction), rtol=tolerance, atol=tolerance)
    if formula:
        node = model.graph.node[0]
        stored = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
        constants = [stored[name] for name in node.input[1:] if name]
        pull_back, expected = make_vjp(lambda data: FORMULAS[node.op_type](attributes_of(node), data, *constants))(x)
        assert np.allclose(expected, y, rtol=1e-6, atol=1e-8)
        assert np.allclose(pull_back(cotangent), gradient, rtol=1e-6, atol=1e-8)
    return gradient


# Convolutions

CONVOLUTIONS: dict[str, tuple[tuple[int, ...], dict[str, Array], dict[str, Any]]] = {
    "1-D": ((2, 3, 9), {"w": drawn(4, 3, 3)}, {}),
    "1-D, strided, dilated, padded": (
        (2, 3, 12),
        {"w": drawn(4, 3, 3), "b": drawn(4)},
        {"strides": [2], "dilations": [2], "pads": [1, 2]},
    ),
    "2-D with a bias": ((2, 3, 6, 5), {"w": drawn(4, 3, 3, 2), "b": drawn(4)}, {"pads": [1, 0, 1, 1]}),
    "strides that do not divide the size": (
        (1, 2, 8, 9),
        {"w": drawn(3, 2, 3, 3)},
        {"strides": [3, 2], "pads": [0, 1, 0, 1]},
    ),
    "stride beyond the kernel": ((2, 2, 9, 9), {"w": drawn(3, 2, 1, 2)}, {"strides": [3, 3]}),
    "groups": ((2, 4, 6, 6), {"w": drawn(6, 2, 3, 3)}, {"group": 2, "pads": [1, 1, 1, 1]}),
    "groups and strides": (
        (2, 4, 7, 6),
        {"w": drawn(6, 2, 3, 2)},
        {"group": 2, "strides": [2, 3], "pads": [1, 1, 0, 1]},
    ),
    "depthwise, strided, dilated": (
        (2, 3, 9, 9),
        {"w": drawn(6, 1, 3, 3)},
        {"group": 3, "strides": [2, 1], "dilations": [1, 2], "pads": [2, 1, 0, 3]},
    ),
    "SAME_UPPER": ((2, 2, 7, 8), {"w": drawn(3, 2, 2, 3)}, {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    "SAME_LOWER": ((2, 2, 7, 8), {"w": drawn(3, 2, 2, 4)}, {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
    "VALID": ((2, 2, 7, 8), {"w": drawn(3, 2, 2, 3)}, {"auto_pad": "VALID", "strides": [2, 2]}),
    "pads as wide as the kernel": ((2, 2, 4, 4), {"w": drawn(3, 2, 2, 2)}, {"pads": [2, 3, 2, 2]}),
    "3-D": ((1, 2, 4, 5, 4), {"w": drawn(3, 2, 2, 3, 2)}, {"strides": [1, 2, 1], "pads": [0, 1, 1, 0, 1, 1]}),
    "3-D, strides of one": ((1, 2, 4, 5, 4), {"w": drawn(2, 2, 2, 3, 2)}, {"pads": [0, 1, 1, 0, 1, 1]}),
}


@pytest.mark.parametrize("what", CONVOLUTIONS)
@pytest.mark.parametrize("opset", [9, 11, NEWEST])
def test_convolution(what: str, opset: int) -> None:
    shape, constants, attributes = CONVOLUTIONS[what]
    check(layer("Conv", shape, constants, opset, **attributes), drawn(*shape, seed=1))


TRANSPOSED: dict[str, tuple[tuple[int, ...], dict[str, Array], dict[str, Any]]] = {
    "1-D": ((2, 3, 5), {"w": drawn(3, 4, 3), "b": drawn(4)}, {"strides": [2]}),
    "2-D with pads": ((2, 3, 4, 5), {"w": drawn(3, 2, 3, 2)}, {"strides": [2, 1], "pads": [1, 0, 0, 1]}),
    "output_padding": (
        (2, 3, 4, 5),
        {"w": drawn(3, 2, 3, 3)},
        {"strides": [3, 2], "pads": [1, 1, 1, 1], "output_padding": [2, 1]},
    ),
    "output_padding without pads": (
        (2, 2, 3, 3),
        {"w": drawn(2, 2, 2, 2)},
        {"strides": [2, 2], "output_padding": [1, 1]},
    ),
    "groups, dilated": ((2, 4, 3, 4), {"w": drawn(4, 3, 2, 2)}, {"group": 2, "dilations": [2, 1], "strides": [1, 2]}),
    "output_shape": ((2, 2, 3, 3), {"w": drawn(2, 2, 3, 3)}, {"strides": [3, 2], "output_shape": [8, 6]}),
    "SAME_UPPER": ((2, 2, 3, 4), {"w": drawn(2, 2, 4, 3)}, {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "SAME_LOWER": ((2, 2, 3, 4), {"w": drawn(2, 2, 4, 3)}, {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "3-D": ((1, 2, 2, 3, 2), {"w": drawn(2, 2, 2, 2, 2)}, {"strides": [1, 2, 2]}),
}


@pytest.mark.parametrize("what", TRANSPOSED)
@pytest.mark.parametrize("opset", [9, 11, NEWEST])
def test_transposed_convolution(what: str, opset: int) -> None:
    shape, constants, attributes = TRANSPOSED[what]
    check(layer("ConvTranspose", shape, constants, opset, **attributes), drawn(*shape, seed=1))


@st.composite
def geometries(draw: st.DrawFn, pool: bool) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Sizes, and the attributes of windows that fit in them; a pool's pads are narrower than its window."""
    axes = draw(st.integers(1, 2))
    numbers = st.lists(st.integers(1, 3), min_size=axes, max_size=axes)
    kernel, strides, dilations = draw(numbers), draw(numbers), draw(numbers)
    sizes = draw(st.lists(st.integers(4, 9), min_size=axes, max_size=axes))
    pads = [draw(st.integers(0, width - 1 if pool else 3)) for width in (*kernel, *kernel)]
    for axis in range(axes):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        assume(reach <= sizes[axis] + pads[axis] + pads[axes + axis])
    return tuple(sizes), {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(geometries(pool=False), st.sampled_from([1, 2]))
def test_random_convolutions(geometry: tuple[tuple[int, ...], dict[str, Any]], group: int) -> None:
    sizes, attributes = geometry
    weight = drawn(4, 4 // group, *attributes["kernel_shape"])
    model = layer("Conv", (2, 4, *sizes), {"w": weight}, group=group, **attributes)
    check(model, drawn(2, 4, *sizes, seed=1))


def test_transposed_convolutions_in_gradients_have_no_groups() -> None:
    for what, (shape, constants, attributes) in CONVOLUTIONS.items():
        for node in differentiate(layer("Conv", shape, constants, **attributes)).graph.node:
            assert node.op_type != "ConvTranspose" or attributes_of(node)["group"] == 1, what


def test_a_weight_input_is_used_unchanged_by_the_gradient() -> None:
    constants = {"w": drawn(3, 2, 3, 3)}
    model = layer("Conv", (2, 2, 5, 5), constants)
    fed = onnx.ModelProto()
    fed.CopyFrom(model)
    del fed.graph.initializer[:]
    fed.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.DOUBLE, [3, 2, 3, 3]))
    x, cotangent = drawn(2, 2, 5, 5), drawn(2, 3, 3, 3)
    expected = run(differentiate(model), **{"x": x, "y.cotangent": cotangent})[1]
    assert np.allclose(
        expected, run(differentiate(fed, wrt=["x"]), **{"x": x, "y.cotangent": cotangent, **constants})[1]
    )


# Pools

POOLS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "apart": ((2, 3, 6, 6), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "overlapping, padded": ((2, 2, 7, 6), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "an incomplete last window": ((2, 2, 8, 9), {"kernel_shape": [2, 2], "strides": [3, 2]}),
    "uneven pads": ((2, 2, 6, 5), {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [2, 0, 1, 1]}),
    "1-D": ((2, 2, 9), {"kernel_shape": [4], "strides": [2], "pads": [1, 2]}),
    "3-D": ((1, 2, 4, 5, 4), {"kernel_shape": [2, 3, 2], "strides": [2, 1, 2], "pads": [0, 1, 1, 0, 1, 1]}),
    "SAME_UPPER": ((2, 2, 7, 6), {"kernel_shape": [3, 2], "strides": [2, 1], "auto_pad": "SAME_UPPER"}),
    "SAME_LOWER": ((2, 2, 7, 6), {"kernel_shape": [3, 2], "strides": [2, 1], "auto_pad": "SAME_LOWER"}),
    "VALID": ((2, 2, 7, 6), {"kernel_shape": [3, 2], "strides": [2, 1], "auto_pad": "VALID"}),
}
#: Since opset 10, AveragePool's dilations since 19.
WIDER: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "ceil_mode": ((2, 2, 8, 7), {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
    "ceil_mode and pads": (
        (2, 2, 7, 8),
        {"kernel_shape": [3, 3], "strides": [2, 3], "pads": [1, 0, 1, 1], "ceil_mode": 1},
    ),
}
DILATED: tuple[tuple[int, ...], dict[str, Any]] = (
    (2, 2, 8, 7),
    {"kernel_shape": [2, 3], "strides": [2, 1], "dilations": [3, 2], "pads": [1, 1, 0, 1]},
)


@pytest.mark.parametrize("what", POOLS)
@pytest.mark.parametrize("opset", [9, 10, 11, NEWEST])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pool(op: str, opset: int, what: str) -> None:
    shape, attributes = POOLS[what]
    check(layer(op, shape, None, opset, **attributes), drawn(*shape))


@pytest.mark.parametrize("what", WIDER)
@pytest.mark.parametrize("opset", [10, NEWEST])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pool_with_ceil_mode(op: str, opset: int, what: str) -> None:
    shape, attributes = WIDER[what]
    check(layer(op, shape, None, opset, **attributes), drawn(*shape))


@pytest.mark.parametrize("what", [*POOLS, *WIDER])
def test_average_pool_with_count_include_pad(what: str) -> None:
    shape, attributes = {**POOLS, **WIDER}[what]
    check(layer("AveragePool", shape, None, 15, count_include_pad=1, **attributes), drawn(*shape))


@pytest.mark.parametrize(("op", "opset"), [("MaxPool", 10), ("MaxPool", NEWEST), ("AveragePool", 19)])
def test_dilated_pool(op: str, opset: int) -> None:
    shape, attributes = DILATED
    check(layer(op, shape, None, opset, **attributes), drawn(*shape))


@pytest.mark.parametrize("what", [*POOLS, *WIDER])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_replacement_pools_equal_the_evaluator_where_it_is_correct(op: str, what: str) -> None:
    shape, attributes = {**POOLS, **WIDER}[what]
    model, x = layer(op, shape, None, NEWEST, **attributes), drawn(*shape)
    (y,) = run(model, x=x)
    (theirs,) = map(np.asarray, ReferenceEvaluator(model).run(None, {"x": x}))
    agree = y.shape == theirs.shape and np.allclose(theirs, y, atol=1e-12)
    assert agree is ((op, what) != ("MaxPool", "SAME_LOWER"))


def test_average_pool_with_ceil_mode_starts_at_its_pads() -> None:
    x = np.array([[[1.0, 2, 4, 8]]])
    model = layer("AveragePool", x.shape, None, 22, kernel_shape=[2], strides=[3], dilations=[2], ceil_mode=1)
    assert [2.5, 8.0] == run(model, x=x)[0].ravel().tolist()  # ONNX Runtime 1.32 agrees
    given = np.array([[[10.0, 3.0]]])
    assert [5.0, 0.0, 5.0, 3.0] == run(differentiate(model), **{"x": x, "y.cotangent": given})[1].ravel().tolist()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(geometries(pool=True), st.booleans(), st.sampled_from(["MaxPool", "AveragePool"]))
def test_random_pools(geometry: tuple[tuple[int, ...], dict[str, Any]], ceil: bool, op: str) -> None:
    sizes, attributes = geometry
    check(layer(op, (2, 2, *sizes), None, 22, ceil_mode=int(ceil), **attributes), drawn(2, 2, *sizes))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("others", [(), (4,)])
def test_a_last_window_inside_the_pads_is_refused(op: str, others: tuple[int, ...]) -> None:
    further = len(others)
    attributes: dict[str, Any] = {
        "kernel_shape": [2, *[1] * further],
        "strides": [3, *[1] * further],
        "pads": [0, *[0] * further, 1, *[0] * further],
        "ceil_mode": 1,
    }
    told = refusal(layer(op, (2, 2, 5, *others), None, 19, **attributes))
    assert "has a last window that lies in its pads alone" in told
    shape = (2, 2, 5, *others)
    check(layer(op, shape, None, 22, **attributes), drawn(*shape))


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool"])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (1, 2, 3, 2, 3)])
@pytest.mark.parametrize("opset", [9, 13, NEWEST])
def test_global_pool(op: str, shape: tuple[int, ...], opset: int) -> None:
    check(layer(op, shape, None, opset), drawn(*shape))


@pytest.mark.parametrize("opset", OPSETS)
def test_the_first_largest_entry_gets_the_whole_gradient(opset: int) -> None:
    x = np.array([[[[0.0, 1, 1], [1, 1, 0], [0, 0, 0]]]])
    # windows: [0 1 / 1 1], [1 1 / 1 0], [1 1 / 0 0], [1 0 / 0 0]
    model = layer("MaxPool", x.shape, None, opset, kernel_shape=[2, 2])
    expected = [[0.0, 1 + 2, 0], [4, 8, 0], [0, 0, 0]]
    given = np.array([[[[1.0, 2], [4, 8]]]])
    assert expected == run(differentiate(model), **{"x": x, "y.cotangent": given})[1][0, 0].tolist()
    everywhere = layer("GlobalMaxPool", x.shape, None, opset)
    result = run(differentiate(everywhere), **{"x": x, "y.cotangent": np.full((1, 1, 1, 1), 5.0)})[1]
    assert [0.0, 5, 0, 0, 0, 0, 0, 0, 0] == result.ravel().tolist()


def test_max_pool_pads_are_below_any_number() -> None:
    x = np.full((1, 1, 3, 3), -1e30)
    model = layer("MaxPool", x.shape, None, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    assert 9.0 == run(differentiate(model), **{"x": x, "y.cotangent": np.ones((1, 1, 3, 3))})[1].sum()


# Normalizations


def statistics(channels: int) -> dict[str, Array]:
    random = np.random.default_rng(3)
    return {
        "scale": random.uniform(0.5, 1.5, channels),
        "bias": random.normal(0, 1, channels),
        "mean": random.normal(0, 1, channels),
        "variance": random.uniform(0.5, 1.5, channels),
    }


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 5), (1, 2, 3, 2, 2)])
@pytest.mark.parametrize("opset", OPSETS)
def test_batch_normalization(shape: tuple[int, ...], opset: int) -> None:
    check(layer("BatchNormalization", shape, statistics(shape[1]), opset, epsilon=0.01), drawn(*shape))


def training_form(shape: tuple[int, ...], opset: int) -> onnx.ModelProto:
    """BatchNormalization with training_mode = 1, the new statistics as graph outputs."""
    outputs = ("new_mean", "new_variance")
    attributes: dict[str, Any] = {"epsilon": 0.01, "momentum": 0.8, "training_mode": 1}
    model = layer("BatchNormalization", shape, statistics(shape[1]), opset, more=outputs, **attributes)
    for name in outputs:
        model.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, [shape[1]]))
    return model


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("opset", OPSETS)
def test_batch_normalization_by_the_batch(shape: tuple[int, ...], opset: int) -> None:
    x, constants = drawn(*shape), statistics(shape[1])
    cotangent = drawn(*shape, seed=9)
    model = layer("BatchNormalization", shape, constants, opset, epsilon=0.01, momentum=0.8)
    made = differentiate(model, training=True)
    y, gradient, mean, variance = run(made, **{"x": x, "y.cotangent": cotangent})
    attributes = {**attributes_of(model.graph.node[0]), "training_mode": 1}
    pull_back, expected = make_vjp(lambda data: FORMULAS["BatchNormalization"](attributes, data, *constants.values()))(
        x
    )
    others = (0, *range(2, x.ndim))
    assert ["y", "x.gradient", "mean.running", "variance.running"] == [item.name for item in made.graph.output]
    assert np.allclose(expected, y, atol=1e-12)
    assert np.allclose(pull_back(cotangent), gradient, atol=1e-12)
    assert np.allclose(0.8 * constants["mean"] + 0.2 * x.mean(axis=others), mean, atol=1e-6)
    assert np.allclose(0.8 * constants["variance"] + 0.2 * x.var(axis=others), variance, atol=1e-6)
    assert "BatchNormalization" not in {node.op_type for node in made.graph.node}


@pytest.mark.parametrize("opset", [14, 15, NEWEST])
def test_batch_normalization_in_training_form(opset: int) -> None:
    x, cotangent = drawn(3, 2, 4), drawn(3, 2, 4, seed=9)
    model = training_form(x.shape, opset)
    plain = layer("BatchNormalization", x.shape, statistics(2), opset, epsilon=0.01, momentum=0.8)
    expected = run(differentiate(plain, training=True), **{"x": x, "y.cotangent": cotangent})
    for training in (False, True):
        made = differentiate(model, training=training)
        assert ["y", "x.gradient", "new_mean", "new_variance"] == [item.name for item in made.graph.output]
        result = run(made, **{"x": x, "y.cotangent": cotangent})
        assert all(np.allclose(one, other, atol=1e-12) for one, other in zip(expected, result, strict=True))


def test_five_outputs_are_the_training_form_before_opset_14() -> None:
    x, cotangent = drawn(3, 2, 4), drawn(3, 2, 4, seed=9)
    plain = layer("BatchNormalization", x.shape, statistics(2), 9, epsilon=0.01)
    further = ("new_mean", "new_variance", "saved_mean", "saved_variance")
    model = layer("BatchNormalization", x.shape, statistics(2), 9, more=further, epsilon=0.01)
    expected = run(differentiate(plain, training=True), **{"x": x, "y.cotangent": cotangent})[1]
    made = differentiate(model)
    # The evaluator lacks this form: remove the forward node, whose outputs the gradient does not use.
    made.graph.node.remove(next(node for node in made.graph.node if node.op_type == "BatchNormalization"))
    made.graph.node.insert(0, helper.make_node("Identity", ["x"], ["y"]))
    assert np.allclose(expected, run(made, **{"x": x, "y.cotangent": cotangent})[1], atol=1e-12)
    with pytest.raises(NetworkError, match="outputs the statistics saved for the gradient"):
        differentiate(model, training=True)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("opset", OPSETS)
def test_instance_normalization(shape: tuple[int, ...], opset: int) -> None:
    constants = {key: value for key, value in statistics(shape[1]).items() if key in ("scale", "bias")}
    check(layer("InstanceNormalization", shape, constants, opset, epsilon=0.01), drawn(*shape))


@pytest.mark.parametrize("axis", [None, 1, 2, -1, -2])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("opset", [17, 18, NEWEST])
def test_layer_normalization(axis: int | None, bias: bool, opset: int) -> None:
    shape = (2, 3, 4)
    normalized = shape[-1:] if axis is None else shape[axis:]
    constants = {"scale": drawn(*normalized, seed=1)} | ({"bias": drawn(*normalized, seed=2)} if bias else {})
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    check(layer("LayerNormalization", shape, constants, opset, **attributes), drawn(*shape))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("opset", [9, 13, NEWEST])
def test_local_response_normalization(size: int, opset: int) -> None:
    shape = (2, 5, 3, 2)
    check(layer("LRN", shape, None, opset, size=size, alpha=0.5, beta=0.6, bias=1.5), drawn(*shape))


# Resampling


def resized(opset: int, shape: tuple[int, ...], scales: Any = None, sizes: Any = None, **attributes: Any) -> Any:
    """A Resize in the syntax of its opset, or an Upsample in opset 9."""
    roi = np.asarray(attributes.pop("roi", []), np.float32)
    batch = 1 if sizes is not None or roi.size else "N"
    if opset < 11:
        op = "Upsample" if opset == 9 else "Resize"
        return layer(op, shape, {"scales": np.asarray(scales, np.float32)}, opset, batch=batch, **attributes)
    constants = {"roi": roi, "scales": np.asarray([] if scales is None else scales, np.float32)}
    inputs = ["x", "roi", "scales"]
    if sizes is not None:
        constants["sizes"] = np.asarray(sizes, np.int64)
        inputs = ["x", "roi", "", "sizes"] if opset >= 13 else [*inputs, "sizes"]
    return layer("Resize", shape, constants, opset, batch=batch, inputs=inputs, **attributes)


COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize(
    ("mode", "scales"),
    [
        *itertools.product(["nearest", "linear"], [(1, 1, 2, 3), (1, 1, 0.5, 1), (1, 1, 1.5, 0.25)]),
        # An output of size one is taken from 0 by pytorch_half_pixel, from -0.5 by onnx's evaluator: only cubic tells.
        *itertools.product(["cubic"], [(1, 1, 2, 3), (1, 1, 0.5, 1)]),
    ],
    ids=str,
)
@pytest.mark.parametrize("opset", [11, 13, NEWEST])
def test_resize(opset: int, scales: tuple[float, ...], mode: str, coordinates: str) -> None:
    shape = (1, 2, 4, 4)
    model = resized(opset, shape, scales, mode=mode, coordinate_transformation_mode=coordinates)
    check(model, drawn(*shape), formula=False, tolerance=1e-4 if mode == "cubic" else 1e-6)


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_nearest_resize(size: int, coordinates: str, rounding: str) -> None:
    shape = (1, 2, 4, 5)
    attributes = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    check(resized(13, shape, sizes=(1, 2, size, 5), mode="nearest", **attributes), drawn(*shape), formula=False)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("sizes", "policy"), [((7, 6), "stretch"), ((7, 6), "not_larger"), ((7, 6), "not_smaller")])
def test_resize_of_named_axes(sizes: tuple[int, ...], policy: str, mode: str) -> None:
    shape = (1, 2, 3, 4)
    model = resized(18, shape, sizes=sizes, mode=mode, axes=[2, 3], keep_aspect_ratio_policy=policy)
    check(model, drawn(*shape), formula=False)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_with_a_region_of_interest(mode: str) -> None:
    shape = (1, 1, 4, 5)
    model = resized(
        13,
        shape,
        sizes=(1, 1, 3, 6),
        roi=[0, 0, 0.2, -0.1, 1, 1, 0.9, 1.3],
        mode=mode,
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=7.0,
    )
    check(model, drawn(*shape), formula=False)


@pytest.mark.parametrize("exclude", [0, 1])
def test_cubic_resize_at_the_border(exclude: int) -> None:
    shape = (1, 1, 5, 4)
    model = resized(13, shape, (1, 1, 1.6, 2), mode="cubic", cubic_coeff_a=-0.5, exclude_outside=exclude)
    check(model, drawn(*shape), formula=False, tolerance=1e-4)  # onnx's evaluator computes cubic weights in float32


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (1, 2, 2, 3, 2)], ids=str)
def test_linear_resize_of_any_rank(shape: tuple[int, ...]) -> None:
    check(resized(13, shape, [1, 2, 2, 1.5, 2][: len(shape)], mode="linear"), drawn(*shape), formula=False)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(1, 1, 2, 3), (1, 1, 2, 1)], ids=str)
@pytest.mark.parametrize("opset", [9, 10])
def test_upsample(opset: int, scales: tuple[float, ...], mode: str) -> None:
    """Upsample, and the Resize of opset 10, equal a later Resize with these attributes."""
    shape = (1, 2, 3, 4)
    x = drawn(*shape)
    later = resized(13, shape, scales, mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    (y,) = run(later, x=x)
    cotangent = drawn(*y.shape, seed=9)
    expected = check(later, x, formula=False)
    made = differentiate(resized(opset, shape, scales, mode=mode))
    made.graph.node.remove(next(node for node in made.graph.node if node.output[0] == "y"))
    made.graph.node.insert(0, helper.make_node("Identity", ["y.cotangent"], ["y"]))
    assert np.allclose(expected, run(made, **{"x": x, "y.cotangent": cotangent})[1], atol=1e-12)


# Dropout


def test_dropout_is_the_identity_in_inference_form() -> None:
    ratio, off = np.array(0.5), np.array(False)
    for opset, constants in ((9, {}), (11, {}), (12, {"r": ratio}), (13, {"r": ratio, "t": off}), (NEWEST, {})):
        made = differentiate(layer("Dropout", (2, 3), constants, opset))
        given = drawn(2, 3)
        assert np.array_equal(given, run(made, **{"x": drawn(2, 3, seed=1), "y.cotangent": given})[1])


# Shipped networks


KINDS = ("", "-fed", "-batch", "-batch-fed", "-training")


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(
    "form",
    [
        form
        for opset, kind in itertools.product((9, 12, 15, NEWEST), KINDS)
        if (form := f"opset-{opset}{kind}-gradient") in FORMS
    ],
)
def test_shipped_networks_agree_with_the_oracle(name: str, form: str) -> None:
    network = load(name)
    training = FORMS[form].training or FORMS[form].batch
    model = build_model(network.graph, network.weights, FORMS[form])
    feeds = {item.name: network.weights[item.name] for item in model.graph.input if item.name in network.weights}
    y, gradient = run(model, **{"x": network.x, model.graph.input[-1].name: network.cotangent}, **feeds)[:2]
    expected = oracle.gradient(network.graph, network.weights, network.x, network.cotangent, training)
    assert np.allclose(oracle.predict(network.graph, network.weights, network.x, training), y, rtol=1e-4, atol=1e-5)
    assert np.allclose(expected, gradient, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("op", ["Conv", "MaxPool", "AveragePool", "BatchNormalization", "LRN", "InstanceNormalization"])
@pytest.mark.parametrize("opset", [9, NEWEST])
def test_float32_stays_float32(op: str, opset: int) -> None:
    shape = (2, 3, 6, 6)
    pool: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    constants, attributes = {
        "Conv": ({"w": drawn(4, 3, 3, 3)}, pool),
        "MaxPool": ({}, pool),
        "AveragePool": ({}, pool),
        "BatchNormalization": (statistics(3), {}),
        "InstanceNormalization": ({key: statistics(3)[key] for key in ("scale", "bias")}, {}),
        "LRN": ({}, {"size": 3}),
    }[op]
    x = drawn(*shape).astype(np.float32)
    exact = differentiate(layer(op, shape, constants, opset, **attributes))
    rounded = differentiate(layer(op, shape, constants, opset, np.float32, **attributes))
    cotangent = drawn(*run(layer(op, shape, constants, opset, **attributes), x=x.astype(np.float64))[0].shape, seed=9)
    expected = run(exact, **{"x": x.astype(np.float64), "y.cotangent": cotangent})[1]
    result = run(rounded, **{"x": x, "y.cotangent": cotangent.astype(np.float32)})[1]
    assert np.float32 == result.dtype
    assert np.allclose(expected, result, rtol=1e-4, atol=1e-5)


# Refusals


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(NetworkError) as caught:
        differentiate(model, source="model.onnx")
    return str(caught.value)


def test_dynamic_sizes_are_named() -> None:
    nodes = [helper.make_node("MaxPool", ["x"], ["y"], name="first", kernel_shape=[2, 2])]
    model = model_of(nodes, {}, ("N", 2, "height", 8), 15)
    where = "model.onnx: node 'first' (MaxPool) takes 'x' of shape (N, 2, height, 8)"
    remedy = "export it with fixed sizes from axis 1 on, or fix the model's inputs with --shape"
    assert f"{where}; {remedy}." == refusal(model)


def test_a_weight_may_depend_on_the_input() -> None:
    model = model_of([helper.make_node("Conv", ["x", "x"], ["y"])], {}, (3, 3, 3, 3), 15)
    check(model, drawn(3, 3, 3, 3), formula=False)


def test_dropout_in_training_form_is_refused() -> None:
    model = layer("Dropout", (2, 3), {"ratio": np.array(0.5), "on": np.array(True)}, 13)
    assert "drops at random" in refusal(model)


def test_antialiasing_is_refused() -> None:
    model = resized(18, (1, 1, 4, 4), (1, 1, 0.5, 0.5), mode="linear", antialias=1)
    assert "antialias = 1" in refusal(model)


def test_computed_scales_are_refused() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["scales"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Resize", ["x", "", "scales"], ["y"], name="zoom"),
    ]
    model = onnx.ModelProto()
    model.CopyFrom(model_of(nodes, {}, ("N", 1, 2, 2), 13))
    assert "node 'zoom' (Resize) takes its scales from 'scales', which is computed; make it a constant" in refusal(
        model
    )


def test_outputs_that_depend_on_updated_statistics_are_refused() -> None:
    model = training_form((3, 2, 4), 15)
    model.graph.node[0].output[0] = "normal"
    model.graph.node.append(helper.make_node("ReduceSum", ["new_mean"], ["total"]))
    model.graph.node.append(helper.make_node("Mul", ["normal", "total"], ["y"]))
    assert "hands 'new_mean' on to the differentiated output" in refusal(model)


# Open sizes, and gradients by weights


@pytest.mark.parametrize("what", CONVOLUTIONS)
@pytest.mark.parametrize("fed", [False, True])
def test_convolutions_of_any_size(what: str, fed: bool) -> None:
    """With the weight as an initialiser, and as an input of the graph."""
    shape, constants, attributes = CONVOLUTIONS[what]
    x = drawn(*shape, seed=1)
    expected = check(layer("Conv", shape, constants, 15, **attributes), x)
    model = layer("Conv", shape, constants, 15, **attributes)
    for size in (*model.graph.input[0].type.tensor_type.shape.dim, *model.graph.output[0].type.tensor_type.shape.dim):
        size.ClearField("dim_value")
    for axis, channels in ((model.graph.input[0], shape[1]), (model.graph.output[0], constants["w"].shape[0])):
        axis.type.tensor_type.shape.dim[1].dim_value = channels
    if fed:
        (weight,) = (item for item in model.graph.initializer if item.name == "w")
        model.graph.initializer.remove(weight)
        model.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.DOUBLE, weight.dims))
    if str(attributes.get("auto_pad", "")).startswith("SAME") and max(attributes["strides"]) > 1:
        assert "with --shape" in refusal(model)
        return
    made = differentiate(model, wrt=["x"])
    feeds = {"x": x, **({"w": constants["w"]} if fed else {})}
    y = run(model, **feeds)[0]
    cotangent = drawn(*y.shape, seed=9)
    assert np.allclose(expected, run(made, **feeds, **{"y.cotangent": cotangent})[1], atol=1e-12)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools_of_any_size(op: str) -> None:
    model = model_of([helper.make_node(op, ["x"], ["y"])], {}, ("N", 3, "H", "W"), 15)
    x = drawn(2, 3, 5, 4)
    made = differentiate(model)
    cotangent = drawn(2, 3, 1, 1, seed=9)
    fixed = differentiate(layer(op, x.shape))
    feeds = {"x": x, "y.cotangent": cotangent}
    assert np.allclose(run(fixed, **feeds)[1], run(made, **feeds)[1], atol=1e-15)


TRANSPOSED_WEIGHTS: dict[str, tuple[tuple[int, ...], Array, dict[str, Any]]] = {
    "transposed": ((2, 3, 4, 5), drawn(3, 2, 3, 2), {"strides": [2, 1], "pads": [1, 0, 0, 1]}),
    "transposed, groups": ((2, 4, 5), drawn(4, 3, 3), {"group": 2, "strides": [2], "output_padding": [1]}),
}


@pytest.mark.parametrize("what", [*CONVOLUTIONS, *TRANSPOSED_WEIGHTS])
def test_gradients_by_weight_and_bias(what: str) -> None:
    if what in CONVOLUTIONS:
        op, (shape, stored, attributes) = "Conv", CONVOLUTIONS[what]
        constants = {"w": stored["w"], "b": drawn(stored["w"].shape[0], seed=4)}
    else:
        op, (shape, weight, attributes) = "ConvTranspose", TRANSPOSED_WEIGHTS[what]
        constants = {"w": weight, "b": drawn(weight.shape[1] * attributes.get("group", 1), seed=4)}
    x = drawn(*shape, seed=1)
    model = layer(op, shape, constants, 15, **attributes)
    model.graph.input.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, value.shape) for name, value in constants.items()
    )
    del model.graph.initializer[:]
    feeds = {"x": x, **constants}
    cotangent = drawn(*run(model, **feeds)[0].shape, seed=9)
    made = differentiate(model)
    assert ["y", "x.gradient", "w.gradient", "b.gradient"] == [item.name for item in made.graph.output]
    results = run(made, **feeds, **{"y.cotangent": cotangent})
    for name, gradient in zip(feeds, results[1:], strict=True):
        direction = drawn(*feeds[name].shape, seed=21)
        up, down = (
            np.sum(run(model, **{**feeds, name: feeds[name] + sign * STEP * direction})[0] * cotangent)
            for sign in (1, -1)
        )
        assert gradient.shape == feeds[name].shape
        assert np.isclose((up - down) / (2 * STEP), np.sum(gradient * direction), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("op", ["InstanceNormalization", "LayerNormalization"])
def test_gradients_by_the_parameters_of_a_normalization(op: str) -> None:
    x = drawn(2, 3, 4)
    size = 3 if op == "InstanceNormalization" else 4
    feeds = {"x": x, "s": drawn(size, seed=1), "b": drawn(size, seed=2)}
    model = layer(op, x.shape, {"s": feeds["s"], "b": feeds["b"]}, 17)
    model.graph.input.extend(helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, [size]) for name in "sb")
    del model.graph.initializer[:]
    cotangent = drawn(*x.shape, seed=9)
    results = run(differentiate(model), **feeds, **{"y.cotangent": cotangent})
    for name, gradient in zip(feeds, results[1:], strict=True):
        direction = drawn(*feeds[name].shape, seed=21)
        up, down = (
            np.sum(run(model, **{**feeds, name: feeds[name] + sign * STEP * direction})[0] * cotangent)
            for sign in (1, -1)
        )
        assert np.isclose((up - down) / (2 * STEP), np.sum(gradient * direction), rtol=1e-6, atol=1e-6)


def test_the_gradient_of_a_batch_normalization_by_stored_statistics_is_one_product() -> None:
    """All else is computed in float64 when the gradient is made, which spares a float32 model the rounding."""
    made = differentiate(layer("BatchNormalization", (2, 3, 4), statistics(3), 15, epsilon=0.01))
    assert ["BatchNormalization", "Mul", "Identity"] == [node.op_type for node in made.graph.node]


@pytest.mark.parametrize("sizes", [("H", 4), (5, "W"), ("H", "W")])
@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools_with_some_sizes_open(op: str, sizes: tuple[int | str, int | str]) -> None:
    model = model_of([helper.make_node(op, ["x"], ["y"])], {}, (2, 3, *sizes), 15)
    x = drawn(2, 3, 5, 4)
    feeds = {"x": x, "y.cotangent": drawn(2, 3, 1, 1, seed=9)}
    fixed = run(differentiate(layer(op, x.shape)), **feeds)[1]
    assert np.allclose(fixed, run(differentiate(model), **feeds)[1], atol=1e-15)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (3, 1), (4, 1), (5, 1), (4, 2), (5, 3)])
@pytest.mark.parametrize("fed", [False, True])
def test_automatic_pads_of_a_convolution_of_any_size(auto: str, kernel: int, dilation: int, fed: bool) -> None:
    attributes: dict[str, Any] = {"kernel_shape": [kernel], "dilations": [dilation], "auto_pad": auto}
    w, x = drawn(4, 3, kernel), drawn(2, 3, 17, seed=1)
    expected = check(layer("Conv", x.shape, {"w": w}, 15, **attributes), x)
    node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    model = model_of([node], {"w": w}, ("N", 3, "L"), 15)
    if fed:
        model.graph.initializer.pop()
        model.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.DOUBLE, w.shape))
    feeds = {"x": x, **({"w": w} if fed else {})}
    cotangent = drawn(*run(model, **feeds)[0].shape, seed=9)
    made = differentiate(model, wrt=["x"])
    assert np.allclose(expected, run(made, **feeds, **{"y.cotangent": cotangent})[1], atol=1e-12)


def gradient_alone(model: onnx.ModelProto, x: Array, cotangent: Array) -> Array:
    """The gradient without the forward node."""
    made = differentiate(model)
    made.graph.node.remove(next(node for node in made.graph.node if "y" in node.output))
    del made.graph.output[0]
    return run(made, **{"x": x, "y.cotangent": cotangent})[0]


def test_a_part_of_an_image_times_a_scale_is_refused_where_onnx_takes_it_for_larger() -> None:
    """Half of 8 rows, times 1.5, are 6 by the specification; onnx infers the 12 of the whole image."""
    roi = [0, 0, 0.25, 0.125, 1, 1, 0.75, 0.875]
    options: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    model = resized(13, (1, 1, 8, 8), (1, 1, 1.5, 2), roi=roi, **options)
    assert "opset 13 cannot express its gradient" in refusal(model)


def test_bilinear_is_another_name_of_linear() -> None:
    linear, bilinear = (resized(9, (1, 1, 3, 4), (1, 1, 2, 2), mode=mode) for mode in ("linear", "bilinear"))
    x, cotangent = drawn(1, 1, 3, 4), drawn(1, 1, 6, 8, seed=9)
    assert np.array_equal(gradient_alone(linear, x, cotangent), gradient_alone(bilinear, x, cotangent))


def test_a_constant_that_cannot_be_evaluated_is_left_to_the_runtime() -> None:
    """onnx's evaluator refuses local response normalization of anything but images."""
    nodes = [helper.make_node("LRN", ["c"], ["n"], size=3), helper.make_node("Mul", ["x", "n"], ["y"])]
    constants = {"c": drawn(1, 3, 4)}
    model, cotangent = model_of(nodes, constants, (2, 3, 4), 15), drawn(2, 3, 4, seed=9)
    made = differentiate(model)
    expected = cotangent * FORMULAS["LRN"]({"size": 3}, constants["c"])
    assert np.allclose(expected, run(made, **{"x": drawn(2, 3, 4), "y.cotangent": cotangent})[1])


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_automatic_pads_with_strides_depend_on_the_size(auto: str) -> None:
    attributes: dict[str, Any] = {"kernel_shape": [3], "strides": [2], "auto_pad": auto}
    model = model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"], **attributes)], {"w": drawn(4, 3, 3)}, ("N", 3, "L"), 15
    )
    assert "takes 'x' of shape (N, 3, L); export it with fixed sizes from axis 2 on" in refusal(model)


@pytest.mark.parametrize(
    ("sizes", "dilations", "padding", "strides"),
    [([5], [3], [2], [1]), ([4, 5], [3, 1], [2, 0], [1, 1]), ([4, 5], [1, 4], [0, 3], [1, 2]), ([4], [2], [1], [1])],
)
def test_entries_that_no_window_of_a_transposed_convolution_reaches(
    sizes: list[int], dilations: list[int], padding: list[int], strides: list[int]
) -> None:
    """As many as strides or more at the end of the output: these hold the bias alone."""
    w, x = drawn(2, 3, *[2] * len(sizes), seed=2), drawn(2, 2, *sizes)
    options: dict[str, Any] = {"dilations": dilations, "output_padding": padding, "strides": strides}
    model = layer("ConvTranspose", x.shape, {"w": w, "b": drawn(3, seed=3)}, 15, **options)
    check(model, x)


def test_moving_statistics_of_more_digits_than_the_numbers_are_used_in_full() -> None:
    """Halves of a mean near 1000 are lost in float16, and quarters are not in float32."""
    values = {"scale": 1.5, "bias": 0.5, "mean": 1000.25, "variance": 0.25}
    node = helper.make_node("BatchNormalization", ["x", *values], ["y"], epsilon=0.0)
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", half, [2, 1]), *(
            helper.make_tensor_value_info(name, single, [1]) for name in values
        )],
        [helper.make_tensor_value_info("y", half, [2, 1])],
    )  # fmt: skip
    made = differentiate(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8))
    feeds: dict[str, Any] = {name: np.array([value], np.float32) for name, value in values.items()}
    feeds |= {"x": np.array([[1000.5], [1001]], np.float16), "y.cotangent": np.array([[2], [1]], np.float16)}
    _, x, scale, bias, mean, variance = run(made, **feeds)
    # Of sum c ((x - mean) r s + b), where r = 1 / sqrt(0.25): sum c (x - mean) is 2 * 0.25 + 0.75.
    assert ([[6], [3]], [2.5], [3], [-9], [-7.5]) == tuple(part.tolist() for part in (x, scale, bias, mean, variance))
    assert [np.float16, *[np.float32] * 4] == [part.dtype for part in (x, scale, bias, mean, variance)]


def test_axes_that_a_resize_leaves_alone_cost_nothing() -> None:
    model = resized(13, (1, 2, 3, 4), (1, 1, 1, 2), mode="linear")
    made = differentiate(model)
    assert ["Resize", "MatMul", "Identity"] == [node.op_type for node in made.graph.node]
    check(model, drawn(1, 2, 3, 4), formula=False)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 2), (1, 1, 2, 1), (1, 1, 1, 1)])
def test_a_region_of_interest_of_one_or_two_rows(sizes: tuple[int, ...]) -> None:
    """One row lies in the middle of the region, two at its ends."""
    roi = [0, 0, 0.2, 0.1, 1, 1, 0.9, 0.7]
    options: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    model, cotangent = resized(13, (1, 1, 4, 5), sizes=sizes, roi=roi, **options), drawn(*sizes, seed=9)
    rows, columns = (
        np.array([
            [np.interp(place, np.arange(size), unit) for unit in np.eye(size)]
            for place in ([(start + end) / 2 * (size - 1)] if count == 1 else [start * (size - 1), end * (size - 1)])
        ])
        for start, end, size, count in ((0.2, 0.9, 4, sizes[2]), (0.1, 0.7, 5, sizes[3]))
    )  # fmt: skip
    expected = rows.T @ cotangent[0, 0] @ columns
    assert np.allclose(expected, gradient_alone(model, drawn(1, 1, 4, 5), cotangent)[0, 0], atol=1e-6)
