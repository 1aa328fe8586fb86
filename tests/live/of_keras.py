"""Tests of a Keras user on any backend, run in environments with one by `tests/test_live.py`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

    BACKEND = keras.backend.backend()
    if BACKEND == "tensorflow":
        import tensorflow as tf
    elif BACKEND == "jax":
        import jax
    else:
        import torch

from crosscheck.live.keras_model import MODES
from crosscheck.live.message import recipe

Assert = Callable[..., None]
NUMBERS = np.array([[0.3, 0.4], [0.7, -0.4], [0.2, 0.3]], np.float32)
X = keras.ops.convert_to_tensor(NUMBERS)


def network() -> Any:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential([keras.Input((2,)), layers.BatchNormalization(momentum=0.9), layers.Dense(3)])


def gradient(model: Any, x: Any, training: bool) -> Any:
    if BACKEND == "tensorflow":
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=training)
        return tape.gradient(y, x)
    if BACKEND == "jax":
        return jax.grad(lambda x: model(x, training=training).sum())(x)
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x, training=training).sum(), x)


def training(model: Any, x: Any) -> Any:
    return gradient(model, x, training=True)


def failure(check: Assert, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*arguments, **more)
    return str(caught.value)


def test_a_call_in_inference_passes(assert_gradient_is_pure: Assert) -> None:
    assert_gradient_is_pure(network(), X)
    assert_gradient_is_pure(network(), X, call=lambda model, x: gradient(model, x, training=False))


@pytest.mark.skipif(BACKEND == "jax", reason="there, variables hold tracers afterwards")
@pytest.mark.parametrize("compiled", [False, True] if BACKEND == "tensorflow" else [False])
def test_a_call_in_training_leaks(assert_gradient_is_pure: Assert, compiled: bool) -> None:
    text = failure(assert_gradient_is_pure, network(), X, call=tf.function(training) if compiled else training)
    assert text.startswith("the gradient is not pure: leak\n")
    assert "law: once 0.9 x old + 0.1 x batch, biased variance" in text
    mean = next(line for line in text.splitlines() if "moving_mean: " in line).rpartition("became ")[2]
    np.testing.assert_allclose([float(word) for word in mean.split()], 0.1 * NUMBERS.mean(axis=0), rtol=1e-5)


@pytest.mark.skipif(BACKEND != "jax", reason="a transform of JAX around a call that writes variables")
def test_variables_that_hold_tracers_are_poisoned(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, network(), X, call=training)
    assert text.startswith("the gradient is not pure: poisoned\n")
    assert "TracerArrayConversionError" in text


def test_a_layer_that_stays_frozen_is_told(assert_gradient_is_pure: Assert) -> None:
    def careless(model: Any, x: Any) -> None:
        model.layers[1].trainable = False

    text = failure(assert_gradient_is_pure, network(), X, call=careless)
    assert "mode-left-changed" in text.partition("\n")[0]
    assert ".trainable: True before, False after" in text


def test_a_written_weight_is_told_of_a_frozen_model_too(assert_gradient_is_pure: Assert) -> None:
    model = network()
    model.trainable = False
    text = failure(assert_gradient_is_pure, model, X, call=lambda model, x: model.layers[1].bias.assign([1, 1, 1]))
    assert text.startswith("the gradient is not pure: leak, parameters-written\n")


def test_a_step_of_training_moves_everything(assert_gradient_is_pure: Assert) -> None:
    model = network()
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    model.optimizer.build(model.trainable_variables)

    def fit(model: Any, x: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Keras's own trainer
            model.train_on_batch(NUMBERS, np.ones((3, 3), np.float32))

    text = failure(assert_gradient_is_pure, model, X, call=fit)
    assert text.startswith("the gradient is not pure: leak, parameters-written")
    assert "iteration: 0 became 1" in text


def weights(model: Any) -> list[bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what numpy 2 says about Keras's variables
        return [value.tobytes() for value in model.get_weights()]


def test_looking_changes_no_variable(assert_gradient_is_pure: Assert) -> None:
    model = network()
    before = weights(model)
    assert_gradient_is_pure(model, X, call=lambda model, x: None)
    assert before == weights(model)


def test_a_model_without_weights_is_refused(assert_gradient_is_pure: Assert) -> None:
    with pytest.raises(ValueError, match="call it once before"):
        assert_gradient_is_pure(keras.Sequential([keras.layers.Dense(2)]), X)


def test_the_call_that_a_failure_shows_leaves_the_model_as_it_was(assert_gradient_is_pure: Assert) -> None:
    def shown(net: Any, x: Any) -> None:
        values = {"net": net, "x": x, "cotangent": keras.ops.ones((3, 3))}
        exec(recipe("keras", MODES[BACKEND]).call, {**globals(), **values})  # noqa: S102

    assert_gradient_is_pure(network(), X, call=shown)


def test_no_other_framework_is_imported() -> None:
    others = {"torch", "tensorflow", "jax", "flax", "equinox", "mxnet"} - {BACKEND}
    assert not others & sys.modules.keys()
