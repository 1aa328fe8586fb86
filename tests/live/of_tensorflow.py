"""Tests of a user of plain TensorFlow modules, run in an environment with TensorFlow by `tests/test_live.py`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf

from crosscheck.live.message import recipe

Assert = Callable[..., None]
X = tf.constant([[0.3, 0.4], [0.7, -0.4], [0.2, 0.3]])


class WithLayers(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable(tf.ones(2))
        self.blocks = [keras.layers.BatchNormalization(momentum=0.9), {"out": keras.layers.Dense(3)}]

    def __call__(self, x: Any, training: bool = False) -> Any:
        return self.blocks[1]["out"](self.blocks[0](x * self.scale, training=training))


class Collecting(tf.Module):
    """Collects statistics in every call."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = tf.Variable(tf.zeros(2), trainable=False)
        self.collects = True

    def __call__(self, x: Any) -> Any:
        if self.collects:
            self.mean.assign(0.9 * self.mean + 0.1 * tf.reduce_mean(x, 0))
        return x - self.mean


def with_layers() -> Any:
    module = WithLayers()
    module(X)
    return module


@tf.function
def training(module: Any, x: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = module(x, training=True)
    return tape.gradient(y, x)


def failure(check: Assert, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*arguments, **more)
    return str(caught.value)


def test_a_module_that_is_called_without_training_passes(assert_gradient_is_pure: Assert) -> None:
    assert_gradient_is_pure(with_layers(), X)


def test_statistics_of_keras_layers_in_a_module_leak(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, with_layers(), X, call=training.python_function)
    assert text.startswith("the gradient is not pure: leak\n")
    assert "moving_mean: 0 0 became 0.04 0.01" in text
    assert "law: once 0.9 x old + 0.1 x batch, biased variance" in text


def test_the_batch_of_a_compiled_call_is_not_known(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, with_layers(), X, call=training)
    assert text.startswith("the gradient is not pure: leak\n")
    assert "no law determined: what layer batch_normalization" in text
    assert "layers in a compiled function are called with symbols" in text


def test_a_module_that_collects_in_every_call_needs_the_users_prediction(assert_gradient_is_pure: Assert) -> None:
    with pytest.raises(ValueError, match="predicting alone changes mean"):
        assert_gradient_is_pure(Collecting(), X)
    text = failure(assert_gradient_is_pure, Collecting(), X, predict=lambda module, x: x - module.mean)
    assert text.startswith("the gradient is not pure: leak\n")
    assert "mean: 0 0 became 0.04 0.01" in text


def test_a_switch_of_a_module_that_is_not_put_back_is_told(assert_gradient_is_pure: Assert) -> None:
    module = Collecting()
    module.collects = False
    text = failure(assert_gradient_is_pure, module, X, call=lambda module, x: setattr(module, "collects", True))
    assert "collects: False before, True after" in text


def test_a_written_variable_is_told(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, with_layers(), X, call=lambda module, x: module.scale.assign([1.0, 2.0]))
    assert text.startswith("the gradient is not pure: leak, parameters-written\n")
    assert "scale: 1 1 became 1 2" in text


def test_the_call_that_a_failure_shows_leaves_the_module_as_it_was(assert_gradient_is_pure: Assert) -> None:
    def shown(net: Any, x: Any) -> None:
        exec(recipe("tensorflow", "tape.eval").call, {"tf": tf, "net": net, "x": x, "cotangent": tf.ones((3, 3))})  # noqa: S102

    assert_gradient_is_pure(with_layers(), X, call=shown)
