"""Attributions in float64, against gradients of the oracle, sums that they must have, and numbers by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crosscheck.cells import Array, Asks
from crosscheck.judge.reference import Truth
from crosscheck.networks import Network, load
from crosscheck.oracle import attributions, gradient, predict
from crosscheck.oracle.attributions import attribution
from crosscheck.oracle.rounding import Question
from crosscheck.runtimes.answer import FORMULAS, LOSS, OTHER, SCORE, THEN, Answer
from crosscheck.runtimes.catalog import catalog
from crosscheck.subnetworks.parts import suffix


def asked(name: str) -> Network:
    """A network whose cotangent names one class a row."""
    network = load(name)
    assert network.classes_asked is not None
    return replace(network, cotangent=network.classes_asked)


def answer(network: Network, text: str, training: bool = False) -> Array:
    return Truth(network, answered=Answer.of(text)).gradient(training)


def scores(network: Network, x: Array, training: bool = False) -> Array:
    output = predict(network.graph, network.weights, x, training)
    result: Array = (output * network.cotangent[: len(x)]).sum(axis=1)
    return result


def plain(network: Network, x: Array, cotangent: Array, training: bool = False) -> Array:
    return gradient(network.graph, network.weights, x, cotangent, training)


@pytest.mark.parametrize("name", ["conv-norm", "digits"])
def test_integrated_gradients_add_up_to_what_the_score_gained(name: str) -> None:
    network = asked(name)
    sums = answer(network, "integrated-gradients gauss-legendre/400").reshape(len(network.x), -1).sum(axis=1)
    gained = scores(network, network.x) - scores(network, np.zeros_like(network.x))
    assert np.allclose(gained, sums, rtol=0.02)  # slopes jump where a ReLU turns on between two points
    assert np.allclose(gained, answer(network, "completeness"))


def test_points_of_integrated_gradients_are_one_batch_in_training() -> None:
    network = asked("conv-norm")
    points = np.concatenate([network.x * place for place in np.linspace(0, 1, 3)])
    together = plain(network, points, np.tile(network.cotangent, (3, 1)), training=True)
    first, second, third = np.split(together, 3)
    found = answer(network, "integrated-gradients trapezoid/3", training=True)
    assert np.allclose(network.x * (first + 2 * second + third) / 4, found)


def test_equal_shares_count_both_ends_in_full() -> None:
    network = asked("conv-norm")
    parts = [plain(network, network.x * place, network.cotangent) for place in (0.0, 0.5, 1.0)]
    assert np.allclose(network.x * np.mean(parts, axis=0), answer(network, "integrated-gradients ends/3"))


@pytest.mark.parametrize("training", [False, True])
def test_grad_cam_is_the_gradient_of_what_follows_the_last_convolution(training: bool) -> None:
    network = asked("conv-norm")
    rest = suffix(network, "flatten")
    assert rest is not None
    shown = Truth.of(network).layers(training)["conv2.out"]
    share = plain(rest, shown, network.cotangent, training).mean(axis=(2, 3), keepdims=True)
    assert np.allclose((share * shown).sum(axis=1, keepdims=True), answer(network, "grad-cam", training))


@pytest.mark.parametrize(("rule", "squared"), [("row-by-row", True), ("all-rows", False)])
def test_the_noise_is_that_of_numpys_global_generator(
    rule: str, squared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = asked("conv-norm")
    rows = network.x.reshape(len(network.x), -1)
    spread = (0.15 if squared else 0.2) * (rows.max(axis=1) - rows.min(axis=1))
    np.random.seed(0)
    shape = network.x[0].shape
    if rule == "row-by-row":
        drawn = [[np.random.normal(0, width, shape) for _ in range(3)] for width in spread]
        noise = np.swapaxes(np.array(drawn), 0, 1)
    else:
        noise = np.array([[np.random.normal(0, width, shape) for width in spread] for _ in range(3)])
    gradients = np.array([plain(network, network.x + part, network.cotangent) for part in noise])
    expected = np.mean(gradients**2 if squared else np.abs(gradients), axis=0)
    assert np.allclose(expected, answer(network, f"smooth-grad {rule}/3"))


def relu_network() -> Question:
    """y = V relu(W x), of one row."""
    nodes = [
        {"op": "Gemm", "name": "w", "inputs": ["x", "W", "zeros"], "outputs": ["h"], "attributes": {}},
        {"op": "Relu", "name": "r", "inputs": ["h"], "outputs": ["a"], "attributes": {}},
        {"op": "Gemm", "name": "v", "inputs": ["a", "V", "none"], "outputs": ["y"], "attributes": {}},
    ]
    graph: Any = {"inputs": [{"name": "x"}], "outputs": [{"name": "y"}], "nodes": nodes}
    weights = {"W": np.array([[1.0, 0], [0, 1], [1, 1], [-1, 0]]), "V": np.array([[1.0, -2, 3, 4], [0, 0, 0, 0]])}
    weights |= {"zeros": np.zeros(4), "none": np.zeros(2)}
    return Question(graph, weights, np.array([[2.0, 1.0]]), np.array([[1.0, 0.0]]), training=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gradient", [4.0, 1.0]),
        ("guided-backprop", [4.0, 3.0]),  # without the unit of weight -2
        ("deconvolution", [0.0, 3.0]),  # with the unit that is off, of weight 4
        ("input-x-gradient", [8.0, 1.0]),
        ("guided-backprop from-score", [36.0, 27.0]),  # of a score of 9
    ],
)
def test_slopes_of_relu_by_hand(text: str, expected: list[float]) -> None:
    assert [expected] == attribution(relu_network(), Answer.of(text)).tolist()


def test_classes_and_rows_that_are_asked_about() -> None:
    network = asked("conv-norm")
    top = np.eye(network.cotangent.shape[1])[Truth.of(network).prediction().argmax(axis=1)]
    first = np.repeat(network.cotangent[:1], len(network.x), axis=0)
    assert np.allclose(plain(network, network.x, top), answer(network, "gradient of-top-class"))
    assert np.allclose(plain(network, network.x, first), answer(network, "gradient of-first-class"))
    own = plain(network, network.x[:1], network.cotangent[:1])
    assert np.allclose(own[0], answer(network, "gradient of-first-row no-row"))


def test_a_map_is_scaled_resized_and_reversed() -> None:
    network = asked("conv-norm")
    small = answer(network, "grad-cam relu scaled")
    assert [0.0] * 3 == small.min(axis=(1, 2, 3)).tolist()
    assert [1.0] * 3 == small.max(axis=(1, 2, 3)).tolist()
    large = answer(network, "grad-cam relu scaled resized reversed no-channel")
    assert (3, 6, 4) == large.shape
    # Two columns become four: the border's value, then a quarter and three quarters of the way.
    top = small[:, 0, 0]
    expected = np.stack(
        [top[:, 0], 0.75 * top[:, 0] + 0.25 * top[:, 1], 0.25 * top[:, 0] + 0.75 * top[:, 1], top[:, 1]]
    )
    assert np.allclose(1 - expected.T, large[:, 0])


def test_a_map_without_a_positive_entry_is_zero_also_where_maps_are_reversed() -> None:
    network = asked("conv-norm")
    silent = replace(
        network, weights={**network.weights, "conv2.weight": np.zeros_like(network.weights["conv2.weight"])}
    )
    assert np.all(0 == answer(silent, "grad-cam relu resized scaled reversed"))


def test_what_is_done_with_pictures_is_not_done_with_rows_of_numbers() -> None:
    pictures, numbers = asked("conv-norm"), asked("seed-batch")
    assert (3, 1, 6, 4) == answer(pictures, "gradient picture-sum-channel").shape
    for word in ("picture-sum-channel", "picture-max-last", "picture-mean-last"):
        assert np.array_equal(answer(numbers, "gradient"), answer(numbers, f"gradient {word}"))


def test_rounding_of_an_attribution_is_that_of_float32() -> None:
    truth = Truth(asked("conv-norm"), answered=Answer.of("integrated-gradients gauss-legendre/50"))
    for training in (False, True):
        size = np.abs(truth.gradient(training)).max()
        assert 1e-9 * size < truth.rounding(Asks.GRADIENT, training) < 1e-5 * size


def test_answers_of_all_modes_are_known() -> None:
    answered = {mode.answered.method for runtime in catalog().values() for mode in runtime.modes}
    assert {"", SCORE, LOSS, OTHER, *FORMULAS} == answered


def test_what_is_done_with_a_result_is_known_by_its_word() -> None:
    assert set(THEN) == {*attributions.THEN, "resized"}


def test_grad_cam_has_no_form_without_a_convolution() -> None:
    assert [True, False] == [Answer.of("grad-cam").applies(load(name).operators) for name in ("conv", "seed")]


@pytest.mark.parametrize("text", ["grad-cams", "grad-cam upside-down", "integrated-gradients trapezoid"])
def test_an_answer_that_nobody_knows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text.split()[-1]):
        Answer.of(text)
