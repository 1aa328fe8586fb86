"""Batch renormalization: the laws of its moving statistics and its gradient, against explicit updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crosscheck.cells import Array
from crosscheck.networks import load
from crosscheck.oracle import BatchStatistics, Statistics, gradient, predict, renormalized_gradient, solve, updated
from crosscheck.oracle.renormalized import RENORM_MOMENTUM, renormalized, renormalized_twice

EPSILON = 0.001
BEFORE = Statistics(np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.5, 3.0]))
BATCH = BatchStatistics(np.array([-0.2, 0.3, 0.4]), np.array([2.0, 1.5, 0.2]), 16)


def rounded(statistics: Statistics) -> Statistics:
    return Statistics(statistics.mean.astype(np.float32), statistics.variance.astype(np.float32))


def by_hand(average: str, momentum: float, count: int) -> Statistics:
    """Step by step, with the variables of the layer."""
    batch_spread = np.sqrt(BATCH.variance + EPSILON)
    moving_mean, moving_variance = BEFORE.mean, BEFORE.variance
    renorm_mean, renorm_spread = BEFORE.mean, np.sqrt(BEFORE.variance + EPSILON)
    moving_spread = renorm_spread
    for _ in range(count):
        renorm_mean = RENORM_MOMENTUM * renorm_mean + (1 - RENORM_MOMENTUM) * BATCH.mean
        renorm_spread = RENORM_MOMENTUM * renorm_spread + (1 - RENORM_MOMENTUM) * batch_spread
        if average == "renormalized":
            moving_mean = momentum * moving_mean + (1 - momentum) * BATCH.mean
            moving_spread = momentum * moving_spread + (1 - momentum) * batch_spread
            moving_variance = moving_spread**2 - EPSILON
        else:
            moving_mean = momentum * moving_mean + (1 - momentum) * renorm_mean
            moving_variance = momentum * moving_variance + (1 - momentum) * (renorm_spread**2 - EPSILON)
    return Statistics(moving_mean, moving_variance)


LAWS = {"renormalized": renormalized, "renormalized-twice": renormalized_twice}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("average", LAWS)
def test_the_closed_form_equals_repeated_updates(average: str, count: int) -> None:
    expected = by_hand(average, 0.9, count)
    actual = LAWS[average](BEFORE, BATCH.mean, BATCH.variance, 0.9, EPSILON, count)
    assert np.allclose(expected.mean, actual.mean, rtol=1e-12)
    assert np.allclose(expected.variance, actual.variance, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("momentum", [0.9, 0.99])
@pytest.mark.parametrize("average", LAWS)
def test_solve_recovers_the_law(average: str, momentum: float, count: int) -> None:
    law = solve(rounded(BEFORE), rounded(by_hand(average, momentum, count)), BATCH, momentum, epsilon=EPSILON)
    assert law is not None
    assert (average, momentum, count, "biased") == (law.average, law.momentum, law.count, law.variance)
    assert law.residual < 1e-6


# Measured on TensorFlow: moving mean and variance of the network seed-batch after one training-mode gradient.
MEASURED = {
    "renormalized": ([0.042500000447034836, 0.017500001937150955], [0.896049439907074, 0.9178696274757385]),
    "renormalized-twice": ([0.000424999714596197, 0.00017499987734481692], [0.9989348649978638, 0.9991628527641296]),
}


@pytest.mark.parametrize("average", MEASURED)
def test_measured_tensorflow_statistics_have_the_law(average: str) -> None:
    network = load("seed-batch")
    (norm,) = network.batch_norms
    before = Statistics(network.weights[norm.mean], network.weights[norm.variance])
    after = Statistics(*(np.array(values, np.float32) for values in MEASURED[average]))
    batch = BatchStatistics(network.x.mean(axis=0), network.x.var(axis=0), len(network.x))
    law = solve(before, after, batch, norm.momentum, epsilon=norm.epsilon)
    assert law is not None
    assert (average, 1) == (law.average, law.count)


@pytest.mark.parametrize("law", LAWS.values())
def test_statistics_are_updated_once_unless_told_otherwise(law: Callable[..., Statistics]) -> None:
    before, batch = Statistics(np.zeros(1), np.ones(1)), (np.ones(1), np.full(1, 2.0), 0.9, 0.001)
    assert law(before, *batch, count=1).mean == law(before, *batch).mean != law(before, *batch, count=2).mean


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("variance", ["biased", "unbiased", "keras-2"])
def test_exponential_averages_are_not_renormalized(variance: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    before = Statistics(random.normal(size=4).astype(np.float32), random.uniform(0.5, 2, 4).astype(np.float32))
    batch = BatchStatistics(random.normal(size=4), random.uniform(0.5, 2, 4), int(random.integers(2, 40)))
    for momentum in (0.9, random.uniform(0.05, 0.98)):
        after = updated(before, batch, momentum, variance=variance, epsilon=EPSILON)  # type: ignore[arg-type]
        law = solve(before, rounded(after), batch, 0.9, epsilon=EPSILON)
        assert law is not None
        assert "exponential" == law.average


def corrected(x: Array, centre: Array, mean: Array, variance: Array) -> Array:
    """Renormalization of x with the r and d of `centre`."""
    spread, batch_spread = np.sqrt(variance + EPSILON), np.sqrt(centre.var(axis=0) + EPSILON)
    r, d = batch_spread / spread, (centre.mean(axis=0) - mean) / spread
    result: Array = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPSILON) * r + d
    return result


def test_the_output_equals_the_prediction_but_not_the_gradient() -> None:
    network = load("seed-batch")
    (norm,) = network.batch_norms
    x, cotangent = network.x.astype(np.float64), network.cotangent.astype(np.float64)
    moved = dict(network.weights) | {norm.mean: np.array([0.2, -0.1]), norm.variance: np.array([0.6, 1.7])}
    mean, variance = moved[norm.mean], moved[norm.variance]
    assert np.allclose(predict(network.graph, moved, x), corrected(x, x, mean, variance))
    step, expected = 1e-6, np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        apart = corrected(up, x, mean, variance) - corrected(down, x, mean, variance)
        expected[index] = np.sum(apart * cotangent) / (2 * step)
    actual = renormalized_gradient(network.graph, moved, x, cotangent)
    assert np.allclose(expected, actual, rtol=1e-6, atol=1e-8)
    for training in (False, True):
        assert not np.allclose(actual, gradient(network.graph, moved, x, cotangent, training), rtol=0.1)


def test_layers_after_a_renormalization_take_its_output() -> None:
    """A Relu takes what inference mode predicts, and hands its cotangent on where that is positive."""
    network = load("seed-batch")
    (norm,) = network.batch_norms
    moved = dict(network.weights) | {norm.mean: np.array([0.7, -0.6]), norm.variance: np.array([0.04, 9.0])}
    (node,) = network.graph["nodes"]
    last: Any = {"op": "Relu", "name": "relu", "inputs": node["outputs"], "outputs": ["z"], "attributes": {}}
    graph: Any = {**network.graph, "nodes": [node, last], "outputs": [{"name": "z", "shape": ["N", 2]}]}
    positive = predict(network.graph, moved, network.x) > 0
    assert 0 < positive.sum() < positive.size
    expected = renormalized_gradient(network.graph, moved, network.x, network.cotangent * positive)
    assert np.allclose(expected, renormalized_gradient(graph, moved, network.x, network.cotangent), rtol=1e-12)


@pytest.mark.parametrize("average", LAWS)
def test_three_updates_of_batch_renormalization_are_not_looked_for(average: str) -> None:
    """A call makes one, or two if it is computed again."""
    law = solve(rounded(BEFORE), rounded(by_hand(average, 0.9, 3)), BATCH, 0.9, epsilon=EPSILON)
    assert law is None or law.average != average
