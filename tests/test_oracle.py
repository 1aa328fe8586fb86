"""The oracle against closed forms, finite differences and onnx's evaluator; update laws computed and solved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from crosscheck.cells import Array
from crosscheck.networks import load, names, write
from crosscheck.networks.graph import Graph
from crosscheck.oracle import (
    BatchStatistics,
    Law,
    Statistics,
    agree,
    batch_statistics,
    explanations,
    gradient,
    layers,
    predict,
    solve,
    updated,
)
from crosscheck.oracle.kinks import KINKS
from crosscheck.oracle.laws import AVERAGES, MOST_UPDATES
from crosscheck.oracle.operators import OPERATORS
from crosscheck.oracle.rounding import Question, in_type_of_input, measure

SHIPPED = names()
EPSILON = 0.001


# Predictions


def test_the_seed_predictions_of_2017() -> None:
    network = load("seed")
    (norm,) = network.batch_norms
    weights = dict(network.weights)
    assert [[0.29985, 0.3998]] == np.round(predict(network.graph, weights, network.x), 6).tolist()
    batch = batch_statistics(network.graph, weights, network.x)[norm.node]
    after = updated(Statistics(weights[norm.mean], weights[norm.variance]), batch, norm.momentum)
    assert np.allclose([0.03, 0.04], after.mean)
    assert np.allclose([0.9, 0.9], after.variance)
    weights |= {norm.mean: after.mean, norm.variance: after.variance}
    assert [[0.284447, 0.379263]] == np.round(predict(network.graph, weights, network.x), 6).tolist()


@pytest.mark.parametrize("name", SHIPPED)
def test_predictions_agree_with_the_reference_evaluator(name: str) -> None:
    network = load(name)
    (expected,) = ReferenceEvaluator(write(network, 15)).run(None, {"x": network.x})
    assert np.allclose(expected, predict(network.graph, network.weights, network.x), rtol=1e-4, atol=1e-4)


def graph_of(op: str, attributes: dict[str, Any], shape: tuple[int, ...], weights: dict[str, Array]) -> Graph:
    return {
        "name": op,
        "inputs": [{"name": "x", "shape": ["N", *shape]}],
        "outputs": [{"name": "y", "shape": ["N"]}],
        "nodes": [{"op": op, "name": "n", "inputs": ["x", *weights], "outputs": ["y"], "attributes": attributes}],
    }


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


SINGLE: dict[str, tuple[str, dict[str, Any], tuple[int, ...], dict[str, Array]]] = {
    "grouped, dilated, strided convolution with uneven pads": (
        "Conv",
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2], "group": 2},
        (4, 7, 6),
        {"w": drawn(6, 2, 3, 2, seed=1), "b": drawn(6, seed=2)},
    ),
    "one-dimensional convolution": (
        "Conv",
        {"kernel_shape": [3], "strides": [2], "pads": [1, 0], "dilations": [2], "group": 1},
        (3, 9),
        {"w": drawn(5, 3, 3, seed=1)},
    ),
    "maximum pool with pads": (
        "MaxPool",
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 1, 0, 0]},
        (3, 7, 6),
        {},
    ),
    "average pool that counts pads": (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        (2, 6, 5),
        {},
    ),
    "average pool that does not": (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 1, 1, 1], "count_include_pad": 0},
        (2, 6, 5),
        {},
    ),
    "softmax": ("Softmax", {"axis": 1}, (5,), {}),
    "dense layer": (
        "Gemm",
        {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1},
        (4,),
        {"w": drawn(3, 4, seed=1), "b": drawn(3, seed=2)},
    ),
    "global average pool": ("GlobalAveragePool", {}, (3, 4, 5), {}),
}


@pytest.mark.parametrize("what", sorted(SINGLE))
def test_single_operators_agree_with_the_reference_evaluator(what: str) -> None:
    op, attributes, shape, weights = SINGLE[what]
    graph = graph_of(op, attributes, shape, weights)
    x = drawn(2, *shape)
    double = onnx.TensorProto.DOUBLE
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(op, ["x", *weights], ["y"], **attributes)],
            "g",
            [helper.make_tensor_value_info("x", double, x.shape)],
            [helper.make_tensor_value_info("y", double, None)],
            [onnx.numpy_helper.from_array(value, key) for key, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 15)],
    )
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.allclose(expected, predict(graph, weights, x), rtol=1e-6, atol=1e-6)


# Gradients


def difference(graph: Graph, weights: dict[str, Array], x: Array, cotangent: Array, training: bool) -> Array:
    """Central differences in all entries of x, or in forty of many (NaN elsewhere)."""
    step = 1e-6
    slope = np.full(x.size, np.nan)
    order = np.random.default_rng(0).permutation(x.size)[:40]
    for index in order:
        moved = np.zeros(x.size)
        moved[index] = step
        up, down = (
            np.sum(predict(graph, weights, x + sign * moved.reshape(x.shape), training) * cotangent) for sign in (1, -1)
        )
        slope[index] = (up - down) / (2 * step)
    return slope.reshape(x.shape)


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", SHIPPED)
def test_gradients_agree_with_finite_differences(name: str, training: bool) -> None:
    network = load(name)
    x = network.x.astype(np.float64)
    result = gradient(network.graph, network.weights, x, network.cotangent, training)
    expected = difference(network.graph, dict(network.weights), x, network.cotangent, training)
    probed = np.isfinite(expected)
    assert result.shape == x.shape
    assert probed.sum() == min(40, x.size)
    assert np.allclose(expected[probed], result[probed], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("what", sorted(SINGLE))
def test_single_operators_gradients_agree_with_finite_differences(what: str) -> None:
    op, attributes, shape, weights = SINGLE[what]
    graph = graph_of(op, attributes, shape, weights)
    x = drawn(2, *shape)
    cotangent = drawn(*predict(graph, weights, x).shape, seed=3)
    expected = difference(graph, weights, x, cotangent, training=False)
    result = gradient(graph, weights, x, cotangent)
    probed = np.isfinite(expected)
    assert np.allclose(expected[probed], result[probed], rtol=1e-5, atol=1e-7)


def test_the_inference_gradient_of_the_seed_layer_is_the_cotangent_scaled() -> None:
    network = load("seed-batch")
    expected = network.cotangent / np.sqrt(1 + EPSILON)
    assert np.allclose(expected, gradient(network.graph, network.weights, network.x, network.cotangent))


def test_the_training_gradient_of_the_seed_layer_is_the_closed_form() -> None:
    """(c - mean(c) - x̂ mean(c x̂)) / √(variance + ε), channel by channel: Ioffe and Szegedy 2015, section 3."""
    network = load("seed-batch")
    x, c = network.x.astype(np.float64), network.cotangent.astype(np.float64)
    spread = np.sqrt(x.var(axis=0) + EPSILON)
    normalized = (x - x.mean(axis=0)) / spread
    expected = (c - c.mean(axis=0) - normalized * (c * normalized).mean(axis=0)) / spread
    assert np.allclose(expected, gradient(network.graph, network.weights, x, c, training=True), rtol=1e-10)


def test_the_training_gradient_of_one_row_is_zero() -> None:
    network = load("seed")
    assert [[0, 0]] == gradient(network.graph, network.weights, network.x, network.cotangent, training=True).tolist()


def test_shipped_cotangents_distinguish_the_two_gradients() -> None:
    for name in SHIPPED:
        network = load(name)
        inference, training = (
            gradient(network.graph, network.weights, network.x, network.cotangent, mode) for mode in (False, True)
        )
        apart = np.abs(inference - training).max() / np.abs(inference).max()
        assert (apart > 0.1) == bool(network.batch_norms)


def test_the_oracle_accepts_measured_statistics() -> None:
    network = load("conv")
    moved = dict(network.weights)
    norm = network.batch_norms[0]
    moved[norm.mean] = moved[norm.mean] + np.float32(1)
    inference = [predict(network.graph, weights, network.x) for weights in (network.weights, moved)]
    training = [predict(network.graph, weights, network.x, training=True) for weights in (network.weights, moved)]
    assert np.abs(inference[0] - inference[1]).max() > 0.1
    assert np.array_equal(training[0], training[1])


def test_batch_statistics_are_means_and_biased_variances_of_inputs() -> None:
    network = load("seed-batch")
    (result,) = batch_statistics(network.graph, network.weights, network.x).values()
    assert result.count == 4
    assert np.allclose(network.x.mean(axis=0), result.mean)
    assert np.allclose(network.x.var(axis=0), result.variance)


def test_batch_statistics_in_inference_mode_follow_the_moving_ones_before() -> None:
    network = load("conv")
    first, second = (node for node in network.graph["nodes"] if node["op"] == "BatchNormalization")
    result = batch_statistics(network.graph, network.weights, network.x, training=False)
    inputs = layers(network.graph, network.weights, network.x)
    for node in (first, second):
        x = inputs[node["inputs"][0]]
        assert np.allclose(x.mean(axis=(0, 2, 3)), result[node["name"]].mean)
        assert np.allclose(x.var(axis=(0, 2, 3)), result[node["name"]].variance)
    in_training = batch_statistics(network.graph, network.weights, network.x)[second["name"]]
    assert not np.allclose(in_training.mean, result[second["name"]].mean)


@pytest.mark.parametrize("largest", [1, 200])
def test_convolutions_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    network = load("conv")

    def answers() -> list[Array]:
        return [gradient(network.graph, network.weights, network.x, network.cotangent, mode) for mode in (False, True)]

    whole = answers()
    monkeypatch.setattr("crosscheck.oracle.operators.LARGEST", largest)
    for one, other in zip(whole, answers(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Clip", {"min": -0.5, "max": 0.75}),
        ("Elu", {"alpha": 0.3}),
        ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
        ("LeakyRelu", {"alpha": 0.1}),
        ("Relu", {}),
    ],
)
def test_kinks_are_where_slopes_jump_and_by_as_much(op: str, attributes: dict[str, float]) -> None:
    grid = np.linspace(-4, 4, 33)  # has every kink
    step = 1e-7

    def slopes(sign: float) -> Array:
        near = OPERATORS[op](attributes, grid + sign * step)
        return np.asarray(sign * (near - OPERATORS[op](attributes, grid)) / step)

    found = KINKS[op](attributes, [grid], 0.0)
    jumps = np.zeros_like(grid)
    jumps[found.at] = found.jump
    np.testing.assert_allclose(jumps, slopes(1) - slopes(-1), atol=1e-5)
    assert len(found)


def test_bounds_of_a_clip_may_be_inputs() -> None:
    grid, low, high = np.linspace(-1, 1, 9), np.array([-0.5]), np.array(0.75)
    for bounds, inputs in (
        ({"min": -0.5, "max": 0.75}, [grid, low, high]),
        ({"min": -0.5}, [grid, low, None]),
        ({"max": 0.75}, [grid, None, high]),
    ):
        expected, found = KINKS["Clip"](bounds, [grid], 0.0), KINKS["Clip"]({}, cast(Any, inputs), 0.0)
        assert len(expected) == len(bounds)
        np.testing.assert_array_equal(expected.at, found.at)
        np.testing.assert_array_equal(expected.jump, found.jump)


@pytest.mark.parametrize("training", [False, True])
def test_rounding_is_at_least_that_of_an_evaluation_in_float32(training: bool) -> None:
    network = load("conv")
    random = np.random.default_rng(0)
    for _ in range(12):
        x = np.asarray(random.standard_normal(network.x.shape), np.float32)
        question = Question(network.graph, network.weights, x, network.cotangent, training)
        exact = predict(network.graph, network.weights, x, training)
        slope = gradient(network.graph, network.weights, x, network.cotangent, training)
        narrow = question.values(x, network.weights, in_type_of_input)[question.output]
        assert narrow.dtype == np.float32
        assert measure(question, exact, slope).prediction >= np.abs(narrow - exact).max()


def test_batch_statistics_count_pixels_of_all_rows() -> None:
    network = load("conv")
    counts = {
        name: result.count for name, result in batch_statistics(network.graph, network.weights, network.x).items()
    }
    assert counts == {"bn1": 4 * 8 * 8, "bn2": 4 * 8 * 8}


# Laws

BEFORE = Statistics(np.array([0.5, -1.0, 2.0], np.float32), np.array([1.0, 0.5, 3.0], np.float32))
BATCH = BatchStatistics(np.array([-0.2, 0.3, 0.4]), np.array([2.0, 1.5, 0.2]), 16)


def rounded(statistics: Statistics) -> Statistics:
    return Statistics(statistics.mean.astype(np.float32), statistics.variance.astype(np.float32))


def test_an_update_keeps_the_momentum_fraction_of_the_old_value() -> None:
    after = updated(BEFORE, BATCH, 0.9)
    assert np.allclose(0.9 * BEFORE.mean + 0.1 * BATCH.mean, after.mean)
    assert np.allclose(0.9 * BEFORE.variance + 0.1 * BATCH.variance, after.variance)


def test_updates_are_applied_one_after_another() -> None:
    twice = updated(updated(BEFORE, BATCH, 0.9), BATCH, 0.9)
    assert np.allclose(twice.mean, updated(BEFORE, BATCH, 0.9, count=2).mean)
    assert np.allclose(twice.variance, updated(BEFORE, BATCH, 0.9, count=2).variance)


def test_the_take_convention_and_the_unbiased_variance() -> None:
    after = updated(BEFORE, BATCH, 0.1, convention="take", variance="unbiased")
    assert np.allclose(0.9 * BEFORE.variance + 0.1 * BATCH.variance * 16 / 15, after.variance)


def test_one_element_has_no_unbiased_variance() -> None:
    with pytest.raises(ZeroDivisionError):
        updated(BEFORE, BatchStatistics(BATCH.mean, BATCH.variance, 1), 0.9, variance="unbiased")


LAWS = [
    (momentum, count, convention, variance, elements)
    for momentum in (0.0, 0.3, 0.8, 0.9, 0.99)
    for count in (1, 2, 3, 7, 20)
    for convention in ("keep", "take")
    for variance in ("biased", "unbiased")
    for elements in (4, 16, 256)
    for kept in [momentum if convention == "keep" else 1 - momentum]
    if kept < 1 and (count == 1 or kept**count > 0.01)
]


@pytest.mark.parametrize(("momentum", "count", "convention", "variance", "elements"), LAWS)
def test_solve_recovers_a_law_from_float32_statistics(
    momentum: float,
    count: int,
    convention: Literal["keep", "take"],
    variance: Literal["biased", "unbiased"],
    elements: int,
) -> None:
    random = np.random.default_rng(count)
    before = Statistics(random.normal(size=8).astype(np.float32), random.uniform(0.5, 2, 8).astype(np.float32))
    batch = BatchStatistics(random.normal(size=8), random.uniform(0.5, 2, 8), elements)
    law = solve(before, rounded(updated(before, batch, momentum, count, convention, variance)), batch, momentum)
    assert law is not None
    assert (convention, count, variance) == (law.convention, law.count, law.variance)
    assert law.momentum == pytest.approx(momentum if convention == "keep" else 1 - momentum)
    assert law.residual < 1e-6


def test_the_seeds_law_is_one_update_of_unknown_variance() -> None:
    network = load("seed")
    batch = batch_statistics(network.graph, network.weights, network.x)["bn"]
    before = Statistics(network.weights["bn.mean"], network.weights["bn.variance"])
    after = Statistics(np.array([0.03, 0.04], np.float32), np.array([0.9, 0.9], np.float32))
    law = solve(before, after, batch, 0.9)
    assert law is not None
    assert ("keep", 0.9, 1, "unknown") == (law.convention, law.momentum, law.count, law.variance)


def test_a_variance_may_be_off_by_the_rounding_of_the_square_of_the_mean() -> None:
    """A runtime that subtracts mean² from the mean of squares loses its last digits."""
    mean = np.array([100.0, -200.0, 300.0])
    batch = BatchStatistics(mean, BATCH.variance, 16)
    before = Statistics(np.array([90.0, -150.0, 310.0], np.float32), BEFORE.variance)
    after = updated(before, batch, 0.9)
    lost = 0.1 * 8 * float(np.finfo(np.float32).eps) * mean**2
    law = solve(before, rounded(Statistics(after.mean, after.variance + lost * np.array([1, -1, 1]))), batch, 0.9)
    assert law is not None
    assert (("biased",), 1, 0.9) == (law.corrections, law.count, law.momentum)


def test_another_momentum_is_solved_as_one_update() -> None:
    law = solve(BEFORE, rounded(updated(BEFORE, BATCH, 0.7, variance="unbiased")), BATCH, 0.9)
    assert law is not None
    assert ("other", 1, "unbiased") == (law.convention, law.count, law.variance)
    assert law.momentum == pytest.approx(0.7, abs=1e-5)


def test_overwriting_is_one_update_with_momentum_zero() -> None:
    law = solve(BEFORE, rounded(Statistics(BATCH.mean, BATCH.variance)), BATCH, 0.9)
    assert law is not None
    assert ("other", 1, "biased") == (law.convention, law.count, law.variance)
    assert law.momentum == pytest.approx(0, abs=1e-5)


def averaged(average: str, momentum: float, counted: int, count: int) -> Statistics:
    """BEFORE after `count` updates in a layer with `counted` earlier ones, by each average's definition."""
    values = []
    for old, batch in ((BEFORE.mean, BATCH.mean), (BEFORE.variance, BATCH.variance)):
        now = np.asarray(old, np.float64)
        total = now * counted  # cumulative: the sum of all batches
        hidden = now * (1 - momentum**counted)  # debiased: the average that started at zero
        for seen in range(counted + 1, counted + count + 1):
            total, hidden = total + batch, momentum * hidden + (1 - momentum) * batch
            now = {
                "cumulative": total / seen,
                "debiased": hidden / (1 - momentum**seen),
                "first-replaces": batch if seen == 1 else momentum * now + (1 - momentum) * batch,
            }[average]
        values.append(now)
    return rounded(Statistics(*values))


@pytest.mark.parametrize(("counted", "count"), [(1, 1), (4, 1), (4, 2), (30, 3)])
@pytest.mark.parametrize("average", ["cumulative", "debiased"])
def test_other_averages_are_named(average: str, counted: int, count: int) -> None:
    law = solve(BEFORE, averaged(average, 0.99, counted, count), BATCH, 0.99, counted=counted)
    assert law is not None
    assert (average, "other", count, "biased") == (law.average, law.convention, law.count, law.variance)


@pytest.mark.parametrize("counted", [None, 0])
@pytest.mark.parametrize("average", ["cumulative", "debiased", "first-replaces"])
def test_the_first_update_of_other_averages_is_a_replacement(average: str, counted: int | None) -> None:
    law = solve(BEFORE, averaged(average, 0.9, 0, 1), BATCH, 0.9, counted=counted)
    assert law is not None
    assert ("replaced", 0.0, 1) == (law.average, law.momentum, law.count)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("momentum", [0.9, 0.99])
def test_a_debiased_average_not_started_at_zero_is_named(momentum: float, count: int) -> None:
    values = []
    for start, batch in ((BEFORE.mean, BATCH.mean), (BEFORE.variance, BATCH.variance)):
        hidden = np.asarray(start, np.float64)
        for _ in range(count):
            hidden = momentum * hidden + (1 - momentum) * batch
        values.append(hidden / (1 - momentum**count))
    law = solve(BEFORE, rounded(Statistics(*values)), BATCH, momentum, counted=0)
    assert law is not None
    assert ("overcorrected", momentum, count, "biased") == (law.average, law.momentum, law.count, law.variance)


def test_first_replaces_is_exponential_from_the_second_update() -> None:
    law = solve(BEFORE, averaged("first-replaces", 0.9, 5, 2), BATCH, 0.9, counted=5)
    assert law is not None
    assert ("exponential", "keep", 2) == (law.average, law.convention, law.count)


def test_a_cumulative_average_without_a_count_is_another_momentum() -> None:
    law = solve(BEFORE, averaged("cumulative", 0.9, 4, 1), BATCH, 0.9)
    assert law is not None
    assert ("exponential", "other") == (law.average, law.convention)
    assert law.momentum == pytest.approx(0.8, abs=1e-5)


def test_an_exponential_average_with_a_count_stays_exponential() -> None:
    law = solve(BEFORE, rounded(updated(BEFORE, BATCH, 0.7)), BATCH, 0.9, counted=3)
    assert law is not None
    assert ("exponential", "other") == (law.average, law.convention)


def test_no_change_is_no_update() -> None:
    law = solve(BEFORE, BEFORE, BATCH, 0.9)
    assert law is not None
    assert (0, 0.0) == (law.count, law.residual)


def test_too_many_updates_are_one_with_another_momentum() -> None:
    law = solve(BEFORE, rounded(updated(BEFORE, BATCH, 0.99, count=MOST_UPDATES + 1)), BATCH, 0.99)
    assert law is not None
    assert ("other", 1) == (law.convention, law.count)


def test_forty_updates_are_counted() -> None:
    law = solve(BEFORE, updated(BEFORE, BATCH, 0.99, count=40), BATCH, 0.99)
    assert law is not None
    assert ("keep", 40) == (law.convention, law.count)


def test_small_statistics_are_held_against_their_own_size() -> None:
    small = Statistics(BEFORE.mean * np.float32(1e-4), BEFORE.variance * np.float32(1e-8))
    batch = BatchStatistics(BATCH.mean * 1e-4, BATCH.variance * 1e-8, BATCH.count)
    after = updated(small, batch, 0.9)
    assert solve(small, after, batch, 0.9) is not None
    assert solve(small, Statistics(after.mean + np.array([0, 0, 1e-6]), after.variance), batch, 0.9) is None


def close(fraction: float) -> Statistics:
    """Moving statistics whose distance from the batch's is that fraction of BEFORE's."""
    return rounded(
        Statistics(
            BATCH.mean + fraction * (BEFORE.mean - BATCH.mean),
            BATCH.variance + fraction * (BEFORE.variance - BATCH.variance),
        )
    )


@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize("declared", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("fraction", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_of_laws_that_differ_by_little_the_right_one_or_none_is_told(
    fraction: float, declared: float, count: int
) -> None:
    before = close(fraction)
    for convention, kept in (("keep", declared), ("take", 1 - declared)):
        after = rounded(updated(before, BATCH, kept, count))
        laws = explanations(before, after, BATCH, declared)
        law = solve(before, after, BATCH, declared)
        assert any((one.convention, one.count) == (convention, count) for one in laws) or kept**count < 1e-4
        if law is not None and kept**count >= 1e-4:
            assert (convention, count) == (law.convention, law.count)
        if fraction >= 0.1:
            assert law is not None


def test_a_change_that_is_hardly_there_has_several_laws_and_no_single_one() -> None:
    after = Statistics(BEFORE.mean, BEFORE.variance * np.float32(1 + 8 * float(np.finfo(np.float32).eps)))
    laws = explanations(BEFORE, after, BATCH, 0.9)
    assert {0, 1} == {law.count for law in laws}
    assert solve(BEFORE, after, BATCH, 0.9) is None


def test_a_law_that_fits_clearly_better_is_taken_although_a_simpler_one_fits_too() -> None:
    """One update with 0.9 and two fit within the tolerance; one of them fits to the last digit."""
    before = close(1e-4)
    once, twice = (solve(before, rounded(updated(before, BATCH, 0.9, count)), BATCH, 0.9) for count in (1, 2))
    assert [1, 2] == [law.count for law in (once, twice) if law is not None]
    middle = rounded(updated(before, BATCH, 0.9**1.5))
    law = solve(before, middle, BATCH, 0.9)
    assert law is not None
    assert ("other", 1) == (law.convention, law.count)
    assert law.momentum == pytest.approx(0.9**1.5, abs=1e-2)


def test_updates_that_keep_everything_are_no_law() -> None:
    """The declared momentum is 0, so that updates that take it change nothing; statistics move by a few roundings."""
    after = Statistics(BEFORE.mean, BEFORE.variance * np.float32(1 + 8 * float(np.finfo(np.float32).eps)))
    assert {0, 1} == {law.count for law in explanations(BEFORE, after, BATCH, 0.0)}


@pytest.mark.parametrize("counted", [None, 0, 3])
def test_a_declared_momentum_of_one_leaves_the_other_averages(counted: int | None) -> None:
    law = solve(BEFORE, rounded(updated(BEFORE, BATCH, 0.7)), BATCH, 1.0, counted=counted)
    assert law is not None
    assert ("exponential", "other", 1) == (law.average, law.convention, law.count)
    assert AVERAGES["debiased"](1.0, 4) == pytest.approx(AVERAGES["debiased"](1 - 1e-9, 4), abs=1e-6)


def test_laws_agree_that_say_the_same_count_and_part_kept() -> None:
    one, other, twice = (Law("keep", kept, count, (), 0.0) for kept, count in ((0.9, 1), (0.8, 1), (0.9, 2)))
    assert agree(one, Law("other", 0.9, 1, (), 0.0))
    assert not agree(one, other)
    assert not agree(one, twice)


def test_one_part_kept_by_both_conventions_is_one_law() -> None:
    laws = explanations(BEFORE, rounded(updated(BEFORE, BATCH, 0.5, 2)), BATCH, 0.5)
    assert [("keep", 2), ("take", 2)] == [(law.convention, law.count) for law in laws]
    law = solve(BEFORE, rounded(updated(BEFORE, BATCH, 0.5, 2)), BATCH, 0.5)
    assert law is not None
    assert ("keep", 0.5, 2) == (law.convention, law.momentum, law.count)


@pytest.mark.parametrize(
    ("kept", "count", "expected"), [(0.1, 4, ("take", 4)), (0.1, 5, ("take", 5)), (0.001, 3, ("other", 1))]
)
def test_updates_that_leave_nothing_count_as_one_where_the_change_does_not_tell(
    kept: float, count: int, expected: tuple[str, int]
) -> None:
    law = solve(BEFORE, rounded(updated(BEFORE, BATCH, kept, count)), BATCH, 1 - kept)
    assert law is not None
    assert expected == (law.convention, law.count)


CORRUPTED = {
    "a channel that is off by a ten-thousandth": Statistics(
        updated(BEFORE, BATCH, 0.9).mean * np.array([1, 1, 1 + 1e-4]), updated(BEFORE, BATCH, 0.9).variance
    ),
    "a channel that moved alone": Statistics(BEFORE.mean + np.array([0, 0, 1e-3]), BEFORE.variance),
    "a mean that moved without the variance": Statistics(updated(BEFORE, BATCH, 0.9).mean, BEFORE.variance),
    "not a number": Statistics(np.array([np.nan, 0.0, 0.0]), BEFORE.variance),
    "infinite": Statistics(BEFORE.mean, np.array([np.inf, 1.0, 1.0])),
    "away from the batch": updated(BEFORE, BATCH, 1.1),
    "beyond the batch": updated(BEFORE, BATCH, -0.1),
    "other numbers": Statistics(drawn(3), drawn(3, seed=1) ** 2),
}


@pytest.mark.parametrize("what", sorted(CORRUPTED))
def test_changes_without_a_law(what: str) -> None:
    assert solve(BEFORE, CORRUPTED[what], BATCH, 0.9) is None


@pytest.mark.parametrize("name", ["conv", "conv-norm", "conv-norm-odd", "residual", "inception", "digits"])
def test_laws_are_solved_from_a_float32_forward_pass(name: str) -> None:
    """Rounding of a float32 runtime (here onnx's evaluator) stays well below the tolerance."""
    network = load(name)
    model = write(network, 15, training=True)
    values = dict(
        zip(
            [output.name for output in model.graph.output],
            ReferenceEvaluator(model).run(None, {"x": network.x}),
            strict=True,
        )
    )
    batch = batch_statistics(network.graph, network.weights, network.x)
    for norm in network.batch_norms:
        before = Statistics(network.weights[norm.mean], network.weights[norm.variance])
        after = Statistics(values[f"{norm.mean}.running"], values[f"{norm.variance}.running"])
        law = solve(before, after, batch[norm.node], norm.momentum)
        assert law is not None
        assert ("keep", norm.momentum, 1, "biased") == (law.convention, law.momentum, law.count, law.variance)
        assert law.residual < 2e-6


def test_sixty_four_updates_are_counted_and_more_are_not() -> None:
    laws = [solve(BEFORE, rounded(updated(BEFORE, BATCH, 0.99, count)), BATCH, 0.99) for count in (64, 65)]
    assert [("keep", 64), ("other", 1)] == [(law.convention, law.count) for law in laws if law is not None]


@pytest.mark.parametrize("far", ["mean", "variance"])
def test_the_part_that_float32_keeps_of_an_old_value_far_from_the_batch_is_that_of_the_law(far: str) -> None:
    """A runtime in float32 computes 1 - 0.9999 with an error of 2e-8, next to nothing beside an old 100,000."""
    mean, variance = (np.array([1, 2], np.float32) * (100_000 if far == what else 1) for what in ("mean", "variance"))
    batch = BatchStatistics(np.array([0.2, -0.1]), np.array([1.0, 2.0]), 16)
    taken = np.float32(0.9999)
    kept = np.float32(1) - taken
    after = Statistics(kept * mean + taken * batch.mean, kept * variance + taken * batch.variance)
    law = solve(Statistics(mean, variance), rounded(after), batch, 0.9999)
    assert law is not None
    assert ("take", 1) == (law.convention, law.count)


def test_a_mean_may_be_off_by_the_rounding_of_the_numbers_around_zero_that_it_averages() -> None:
    batch = BatchStatistics(np.array([0.001, -0.002, 0.003]), np.array([1e4, 2e4, 1.5e4]), 16)
    before = Statistics(np.array([0.01, 0.02, -0.01], np.float32), np.array([1e4, 1e4, 2e4], np.float32))
    after = updated(before, batch, 0.9)
    lost = 0.1 * 8 * float(np.finfo(np.float32).eps) * np.sqrt(batch.variance) * np.array([1, -1, 1])
    law = solve(before, rounded(Statistics(after.mean + lost, after.variance)), batch, 0.9)
    assert law is not None
    assert ("keep", 0.9, 1, "biased") == (law.convention, law.momentum, law.count, law.variance)


@pytest.mark.parametrize("large", ["mean", "variance"])
def test_new_values_far_above_the_old_ones_and_the_batch_are_held_against_their_own_size(large: str) -> None:
    """A debiased average that did not start at zero: its first value is the old one, times 10,000, and rounded."""
    mean, variance = (np.array([1.1, 0.7], np.float32) * (large == what) for what in ("mean", "variance"))
    batch = BatchStatistics(np.array([0.2, -0.1]), np.array([1.0, 2.0]), 16)
    after = Statistics(
        *(
            (0.9999 * old + 0.0001 * new) / 0.0001
            for old, new in (
                (np.asarray(mean, np.float64), batch.mean),
                (np.asarray(variance, np.float64), batch.variance),
            )
        )
    )
    law = solve(Statistics(mean, variance), rounded(after), batch, 0.9999, counted=0)
    assert law is not None
    assert ("overcorrected", 1, "biased") == (law.average, law.count, law.variance)


def test_sixty_four_updates_of_a_debiased_average_not_started_at_zero_are_counted_and_more_are_not() -> None:
    ends = [
        Statistics(
            *(
                (0.999**count * np.asarray(start, np.float64) + (1 - 0.999**count) * batch) / (1 - 0.999**count)
                for start, batch in ((BEFORE.mean, BATCH.mean), (BEFORE.variance, BATCH.variance))
            )
        )
        for count in (64, 65)
    ]
    known, unknown = (solve(BEFORE, end, BATCH, 0.999, counted=0) for end in ends)
    assert known is not None
    assert ("overcorrected", 64) == (known.average, known.count)
    assert unknown is None


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["mean", "variance"])
@pytest.mark.parametrize("whose", ["before", "after", "batch"])
def test_numbers_that_are_not_finite_follow_no_law(whose: str, which: str, number: float) -> None:
    """Here the mean is the batch's, and the variance averaged: a debiased mean, which keeps nothing of the old one."""
    averaged = updated(BEFORE, BATCH, 0.9)
    numbers: dict[str, Any] = {"before": BEFORE, "after": Statistics(BATCH.mean, averaged.variance), "batch": BATCH}
    laws = explanations(numbers["before"], numbers["after"], numbers["batch"], 0.9)
    assert ["debiased-mean"] == [law.average for law in laws]
    values = np.array(getattr(numbers[whose], which), np.float64)
    values[1] = number
    numbers[whose] = replace(numbers[whose], **{which: values})
    assert () == explanations(numbers["before"], numbers["after"], numbers["batch"], 0.9)


@pytest.mark.parametrize("counted", [1, 4, 30])
def test_the_momentum_of_other_averages_is_that_of_their_first_update(counted: int) -> None:
    """The old ones of n batches have n - 1 parts of n, or 1 - m**(n - 1) of 1 - m**n where m discounts them."""
    n, m = counted + 1, 0.99
    expected = {"cumulative": (n - 1) / n, "debiased": m * (1 - m ** (n - 1)) / (1 - m**n)}
    for average, kept in expected.items():
        law = solve(BEFORE, averaged(average, m, counted, 2), BATCH, m, counted=counted)
        assert law is not None
        assert (average, 2) == (law.average, law.count)
        assert kept == pytest.approx(law.momentum, rel=1e-9)


@pytest.mark.parametrize(("misfit", "explained"), [(1.8e-5, True), (2.6e-5, False)])
def test_a_law_may_be_off_by_two_of_a_hundred_thousand(misfit: float, explained: bool) -> None:
    """Of the largest number of the last channel, its old mean; another momentum makes up for a fifth of that."""
    after = updated(BEFORE, BATCH, 0.9)
    off = Statistics(after.mean + np.array([0, 0, misfit * 2.0]), after.variance)
    law = solve(BEFORE, off, BATCH, 0.9)
    assert explained == (law is not None)
    assert law is None or law.residual == pytest.approx(misfit, rel=0.2)


@pytest.mark.parametrize(("apart", "expected"), [(0.9e-6, True), (1.1e-6, False)])
def test_parts_kept_that_differ_by_less_than_a_millionth_are_one(apart: float, expected: bool) -> None:
    one, other = (Law("keep", kept, 1, (), 0.0) for kept in (0.9, 0.9 + apart))
    assert expected == agree(one, other) == agree(other, one)
