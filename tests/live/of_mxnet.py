"""Tests of an MXNet user, run in an environment with MXNet by `tests/test_live.py`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    np.bool = bool  # what MXNet 1.9.1 imports, and numpy has dropped
    import mxnet as mx
    from mxnet import autograd
    from mxnet.gluon import nn

from crosscheck.live.message import recipe

Assert = Callable[..., None]
X = mx.nd.array([[0.3, 0.4], [0.7, -0.4], [0.2, 0.3]])


def network(hybridized: bool = False) -> Any:
    mx.random.seed(0)
    net = nn.HybridSequential()
    net.add(nn.BatchNorm(in_channels=2), nn.Dense(3, in_units=2))
    net.initialize()
    if hybridized:
        net.hybridize()
    return net


def saliency(net: Any, x: Any) -> Any:
    x = x.copy()
    x.attach_grad()
    with autograd.record(train_mode=False):
        y = net(x)
    y.backward(train_mode=False)
    return x.grad


def failure(check: Assert, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*arguments, **more)
    return str(caught.value)


@pytest.mark.parametrize("hybridized", [False, True])
def test_a_gradient_recorded_in_prediction_mode_passes(assert_gradient_is_pure: Assert, hybridized: bool) -> None:
    assert_gradient_is_pure(network(hybridized), X, call=saliency)


def test_a_recording_is_in_training_mode_by_default_and_leaks(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, network(), X)
    assert text.startswith("the gradient is not pure: leak\n")
    assert "law: once 0.9 x old + 0.1 x batch, biased variance" in text
    mean = next(line for line in text.splitlines() if "running_mean" in line).rpartition("became ")[2]
    np.testing.assert_allclose([float(word) for word in mean.split()], [0.04, 0.01], rtol=1e-5)


def test_the_layers_of_a_hybridized_block_do_not_show_their_batch(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, network(hybridized=True), X)
    assert "no law determined" in text
    assert "the layers of a hybridized block run no hooks" in text


def test_flags_and_accumulated_gradients_are_told(assert_gradient_is_pure: Assert) -> None:
    net = network()
    net[1].weight.grad_req = "add"

    def careless(net: Any, x: Any) -> None:
        saliency(net, x)
        autograd.set_training(True)

    try:
        text = failure(assert_gradient_is_pure, net, X, call=careless)
    finally:
        autograd.set_training(False)
    assert text.startswith("the gradient is not pure: mode-left-changed, gradients-left\n")
    assert "autograd.is_training(): False before, True after" in text
    assert "weight.grad[0]: changed" in text


def test_a_block_without_values_is_refused(assert_gradient_is_pure: Assert) -> None:
    net = nn.Dense(3)
    net.initialize()
    with pytest.raises(ValueError, match="call it once before"):
        assert_gradient_is_pure(net, X)


def test_the_call_that_a_failure_shows_leaves_the_model_as_it_was(assert_gradient_is_pure: Assert) -> None:
    def shown(net: Any, x: Any) -> None:
        values = {"net": net, "x": x, "cotangent": mx.nd.ones((3, 3))}
        exec(recipe("mxnet", "gluon.eval.eval").call, {**globals(), **values})  # noqa: S102

    assert_gradient_is_pure(network(), X, call=shown)
