"""What a mode's settings of batch normalization mean for the closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crosscheck.judge import Truth
from crosscheck.networks import load
from crosscheck.runtimes.mode import Contract, Mode


def mode(**settings: Any) -> Mode:
    return Mode("told", "training", "gradient", "told()", Contract("stay", "", ""), **settings)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth.of(load("conv"))


def test_a_mode_without_settings_has_the_reference_of_its_network(truth: Truth) -> None:
    assert truth.in_mode(mode()) is truth


def test_scale_and_offset_that_layers_lack_are_one_and_zero(truth: Truth) -> None:
    network = truth.network
    constants = {norm.scale: np.ones_like(network.weights[norm.scale]) for norm in network.batch_norms}
    constants |= {norm.bias: np.zeros_like(network.weights[norm.bias]) for norm in network.batch_norms}
    here = truth.in_mode(mode(unit_scale=True, zero_bias=True))
    for training in (False, True):
        np.testing.assert_array_equal(
            here.prediction(training), truth.prediction(training, {**network.weights, **constants})
        )
    assert np.abs(here.prediction() - truth.prediction()).max() > 0.01
    assert here.network.weights.keys() == network.weights.keys()


def test_layers_that_predict_by_the_batch_have_the_prediction_of_training(truth: Truth) -> None:
    here = truth.in_mode(mode(batch_prediction=True))
    np.testing.assert_array_equal(here.prediction(), truth.prediction(training=True))
    np.testing.assert_array_equal(here.gradient(), truth.gradient())


def test_renormalized_gradients_follow_the_statistics(truth: Truth) -> None:
    here, network = truth.in_mode(mode(renormalized=True)), truth.network
    np.testing.assert_array_equal(here.gradient(training=True), truth.renormalized_gradient)
    moved = {norm.variance: 2 * network.weights[norm.variance] for norm in network.batch_norms}
    later = here.gradient(training=True, weights={**network.weights, **moved})
    assert np.abs(later - truth.renormalized_gradient).max() > 0.001
    np.testing.assert_array_equal(here.prediction(training=True), truth.prediction())


def test_the_same_settings_have_one_reference(truth: Truth) -> None:
    assert truth.in_mode(mode(unit_scale=True)) is truth.in_mode(mode(unit_scale=True))
