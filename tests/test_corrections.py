"""Corrections of a batch's variance: their factors, and their recovery by the solver.

Factors and statistics were measured on Keras 2.3.1 with TensorFlow 1.15.5 and with Theano 1.0.5.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosscheck.networks import load
from crosscheck.oracle import BatchStatistics, Statistics, batch_statistics, solve, updated
from crosscheck.oracle.corrections import CORRECTIONS, WITH_EPSILON, named
from crosscheck.records.changes import Correction

EPSILON = 0.001


@pytest.mark.parametrize(
    ("expected", "name", "count"),
    [
        (1.0, "biased", 4),
        (4 / 3, "unbiased", 4),
        (1.33378, "keras-2", 4),
        (1.05799, "keras-2-fused", 36),
        (1.007863, "keras-2-fused", 256),
    ],
)
def test_corrections_equal_measured_factors(expected: float, name: Correction, count: int) -> None:
    assert expected == pytest.approx(CORRECTIONS[name](np.ones(1), count, EPSILON)[0], rel=2e-6)


def test_equally_good_corrections_get_the_simplest_name() -> None:
    assert ["biased", "unbiased", "keras-2-fused", "unknown", "mixed"] == [
        named(("biased",)),
        named(("unbiased", "keras-2")),
        named(("keras-2-fused",)),
        named(("biased", "unbiased")),
        named(()),
    ]


def rounded(statistics: Statistics) -> Statistics:
    return Statistics(statistics.mean.astype(np.float32), statistics.variance.astype(np.float32))


def drawn(seed: int, elements: int) -> tuple[Statistics, BatchStatistics]:
    """Random moving statistics and batch statistics of eight channels."""
    random = np.random.default_rng(seed)
    before = Statistics(random.normal(size=8).astype(np.float32), random.uniform(0.5, 2, 8).astype(np.float32))
    return before, BatchStatistics(random.normal(size=8), random.uniform(0.5, 2, 8), elements)


# Measured by `K.function(..., updates=net.updates)` with learning phase 1: moving means and variances afterwards.
MEASURED = [
    (
        "seed-batch",
        "bn",
        "keras-2",
        [0.042500000447034836, 0.017500001937150955],
        [0.9289262890815735, 0.9449316263198853],
    ),
    (
        "conv",
        "bn2",
        "keras-2-fused",
        [-0.1914675235748291, 0.7145731449127197, 0.6337857246398926, -0.025536347180604935, -0.214409738779068],
        [1.2881816625595093, 0.9112138152122498, 0.775639533996582, 1.0247278213500977, 0.9363647103309631],
    ),
    (
        "seed-batch",
        "bn",
        "keras-2-theano",
        [0.042500000447034836, 0.017500000074505806],
        [0.9290596842765808, 0.9450650215148926],
    ),
    # Chainer 3.5.0, after one `backward` of the default configuration.
    (
        "seed-batch",
        "bn",
        "unbiased-epsilon",
        [0.042500000447034836, 0.017500001937150955],
        [0.9290499687194824, 0.9450500011444092],
    ),
    # For one row n / (n - 1 - epsilon) is -1000, and the variance is epsilon.
    (
        "seed",
        "bn",
        "keras-2-theano",
        [0.030000001192092896, 0.04000000283122063],
        [0.8000046610832214, 0.8000046610832214],
    ),
]


@pytest.mark.parametrize(("network", "node", "name", "mean", "variance"), MEASURED)
def test_measured_statistics_have_the_runtimes_correction(
    network: str, node: str, name: str, mean: list[float], variance: list[float]
) -> None:
    here = load(network)
    norm = next(norm for norm in here.batch_norms if norm.node == node)
    before = Statistics(here.weights[norm.mean], here.weights[norm.variance])
    after = Statistics(np.array(mean, np.float32), np.array(variance, np.float32))
    batch = batch_statistics(here.graph, here.weights, here.x)[node]
    law = solve(before, after, batch, norm.momentum, epsilon=norm.epsilon)
    assert law is not None
    assert ("keep", norm.momentum, 1, name) == (law.convention, law.momentum, law.count, law.variance)
    assert law.residual < 1e-5


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("elements", [2, 4, 16, 576])
@pytest.mark.parametrize("name", CORRECTIONS)
def test_solve_recovers_the_correction(name: Correction, elements: int, count: int) -> None:
    before, batch = drawn(elements, elements)
    after = rounded(updated(before, batch, 0.9, count, variance=name, epsilon=EPSILON))
    law = solve(before, after, batch, 0.9, epsilon=EPSILON)
    assert law is not None
    assert (count, name in law.corrections) == (law.count, True)
    # For many elements, Bessel's and Keras's corrections differ by less than the rounding of sums.
    plainer = {"keras-2": "unbiased", "keras-2-theano": "unbiased-epsilon"} if elements == 576 else {}
    assert law.variance == plainer.get(name, name)


@pytest.mark.parametrize("keep", [0.1, 0.7, 0.9])
@pytest.mark.parametrize("elements", [2, 4, 16, 576])
@pytest.mark.parametrize("name", CORRECTIONS)
def test_solve_recovers_the_correction_with_an_undeclared_momentum(
    name: Correction, elements: int, keep: float
) -> None:
    before, batch = drawn(elements, elements)
    after = rounded(updated(before, batch, keep, variance=name, epsilon=EPSILON))
    law = solve(before, after, batch, 0.99, epsilon=EPSILON)
    assert law is not None
    assert (1, "other", "exponential", True) == (law.count, law.convention, law.average, name in law.corrections)
    assert law.momentum == pytest.approx(keep, abs=2e-5)
    # For many elements, Bessel's and Keras's corrections differ by about the rounding of sums.
    plainer = {"keras-2": "unbiased", "keras-2-theano": "unbiased-epsilon"} if elements == 576 else {}
    assert law.variance in {name, plainer.get(name, name)}


def test_a_change_too_small_to_tell_corrections_apart_has_an_unknown_one() -> None:
    """One update that keeps 0.9999: Bessel's correction and Keras's differ by less than the rounding of sums then."""
    before, batch = drawn(1, 4)
    after = rounded(updated(before, batch, 0.9999, variance="keras-2", epsilon=EPSILON))
    law = solve(before, after, batch, 0.9, epsilon=EPSILON)
    assert law is not None
    assert {"unbiased", "keras-2"} <= set(law.corrections)
    assert "unknown" == law.variance


@given(seed=st.integers(0, 10**6), elements=st.integers(2, 600), keep=st.floats(0.05, 0.98), count=st.integers(1, 3))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("variance", ["biased", "unbiased"])
def test_no_other_law_matches_the_keras_corrections(
    seed: int, elements: int, keep: float, count: int, variance: Correction
) -> None:
    before, batch = drawn(seed, elements)
    for declared in (keep, 0.9):
        law = solve(
            before,
            rounded(updated(before, batch, keep, count, variance=variance)),
            batch,
            declared,
            epsilon=EPSILON,
        )
        assert law is not None
        assert law.variance not in WITH_EPSILON


@given(seed=st.integers(0, 10**6), elements=st.integers(2, 600), log=st.floats(-2, 2))
@settings(max_examples=1000, deadline=None)
def test_a_variance_with_an_unknown_factor_has_no_law(seed: int, elements: int, log: float) -> None:
    """An update whose variance is wrong by more than the tolerance; no correction may fit it."""
    before, batch = drawn(seed, elements)
    factor = 10.0**log
    near = min(abs(factor / CORRECTIONS[name](np.ones(1), elements, EPSILON)[0] - 1) for name in CORRECTIONS)
    scaled = BatchStatistics(batch.mean, batch.variance * factor, elements)
    law = solve(before, rounded(updated(before, scaled, 0.9)), batch, 0.9, epsilon=EPSILON)
    assert near < 2e-3 or law is None


def test_a_debiased_mean_with_a_plain_variance_has_a_law() -> None:
    """TensorFlow 1.15.5, `zero_debias_moving_mean=True`, after one gradient with its updates in place."""
    here = load("seed-batch")
    (norm,) = here.batch_norms
    before = Statistics(here.weights[norm.mean], here.weights[norm.variance])
    after = Statistics(
        np.array([0.4249998927116394, 0.17499998211860657], np.float32),
        np.array([0.9289166927337646, 0.9449166655540466], np.float32),
    )
    batch = batch_statistics(here.graph, here.weights, here.x)[norm.node]
    law = solve(before, after, batch, norm.momentum, epsilon=norm.epsilon)
    assert law is not None
    assert ("debiased-mean", 1, norm.momentum, "unbiased") == (law.average, law.count, law.momentum, law.variance)


def test_a_channel_without_variance_does_not_tell_corrections_apart() -> None:
    """Of 576 elements, Bessel's and Keras's corrections are within rounding of each other in the others, too."""
    before, batch = drawn(0, 576)
    batch.variance[3] = 0.0
    after = rounded(updated(before, batch, 0.9, variance="unbiased", epsilon=EPSILON))
    law = solve(before, after, batch, 0.9, epsilon=EPSILON)
    assert law is not None
    assert {"unbiased", "keras-2"} <= set(law.corrections)
    assert "unbiased" == law.variance
