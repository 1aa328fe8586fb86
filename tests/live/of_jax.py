"""Tests of users of flax and equinox, run in an environment with both by `tests/test_live.py`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from flax import nnx

from crosscheck.live.message import recipe

Assert = Callable[..., None]
X = jnp.array([[0.3, 0.4], [0.7, -0.4], [0.2, 0.3]])


def failure(check: Assert, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*arguments, **more)
    return str(caught.value)


def became(text: str, name: str) -> list[float]:
    line = next(line for line in text.splitlines() if f"{name}: " in line)
    return [float(word) for word in line.rpartition("became ")[2].split()]


class Net(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.bn = nnx.BatchNorm(2, momentum=0.9, rngs=rngs)
        self.dense = nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.dense(self.bn(x))


@nnx.jit
def saliency(net: Any, x: Any) -> Any:
    return nnx.grad(lambda net, x: net(x)[:, 0].sum(), argnums=1)(net, x)


def evaluated() -> Any:
    net = Net()
    net.eval()
    return net


@pytest.mark.parametrize("call", [None, saliency])
def test_an_nnx_module_that_uses_running_averages_passes(assert_gradient_is_pure: Assert, call: Any) -> None:
    assert_gradient_is_pure(evaluated(), X, call=call)


@pytest.mark.parametrize("call", [None, saliency])
def test_an_nnx_module_in_training_leaks_by_the_biased_variance(assert_gradient_is_pure: Assert, call: Any) -> None:
    text = failure(assert_gradient_is_pure, Net(), X, call=call)
    assert text.startswith("the gradient is not pure: leak\n")
    assert "law: once 0.9 x old + 0.1 x batch, biased variance" in text
    np.testing.assert_allclose(became(text, "bn.mean"), 0.1 * np.mean(X, axis=0), rtol=1e-5)
    np.testing.assert_allclose(became(text, "bn.var"), 0.9 + 0.1 * np.var(X, axis=0), rtol=1e-5)


def test_a_flag_of_an_nnx_module_that_is_not_put_back_is_told(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, evaluated(), X, call=lambda net, x: net.train())
    assert text.startswith("the gradient is not pure: mode-left-changed\n")
    assert "bn.use_running_average: True before, False after" in text


def test_a_written_parameter_of_an_nnx_module_is_told(assert_gradient_is_pure: Assert) -> None:
    def careless(net: Any, x: Any) -> None:
        net.dense.bias.set_value(net.dense.bias.get_value() + 1)

    text = failure(assert_gradient_is_pure, evaluated(), X, call=careless)
    assert text.startswith("the gradient is not pure: leak, parameters-written\n")
    assert "dense.bias: 0 0 0 became 1 1 1" in text


def test_looking_changes_nothing_in_an_nnx_module(assert_gradient_is_pure: Assert) -> None:
    net = Net()
    definition, state = nnx.split(net)
    kept = jax.tree.map(np.array, state)
    assert_gradient_is_pure(net, X, call=lambda net, x: None)
    now, state = nnx.split(net)
    assert now == definition
    assert jax.tree.all(jax.tree.map(np.array_equal, kept, state))


def test_the_call_that_a_failure_shows_leaves_an_nnx_module_as_it_was(assert_gradient_is_pure: Assert) -> None:
    def shown(net: Any, x: Any) -> None:
        exec(recipe("flax", "nnx.eval.grad").call, {**globals(), "net": net, "x": x, "cotangent": jnp.ones((3, 3))})  # noqa: S102

    assert_gradient_is_pure(evaluated(), X, call=shown)


class Stateful(eqx.Module):
    bn: eqx.nn.BatchNorm
    dense: eqx.nn.Linear

    def __init__(self, mode: str) -> None:
        self.bn = eqx.nn.BatchNorm(2, "batch", momentum=0.9, mode=mode)
        self.dense = eqx.nn.Linear(2, 3, key=jax.random.PRNGKey(0))

    def __call__(self, x: Any, state: Any) -> Any:
        x, state = self.bn(x, state)
        return self.dense(x), state


@eqx.filter_jit
def step(net: Any, state: Any, x: Any) -> Any:
    def loss(x: Any) -> Any:
        y, after = jax.vmap(net, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)
        return y[:, 0].sum(), after

    return jax.grad(loss, has_aux=True)(x)


class Classifier:
    """Keeps the state that a call returns."""

    def __init__(self, mode: str) -> None:
        self.net, self.state = eqx.nn.make_with_state(Stateful)(mode)

    def saliency(self, x: Any) -> Any:
        gradient, self.state = step(self.net, self.state, x)
        return gradient


@pytest.mark.parametrize("mode", ["batch", "ema"])
def test_an_equinox_state_that_is_dropped_leaves_the_pair_as_it_was(assert_gradient_is_pure: Assert, mode: str) -> None:
    pair = eqx.nn.make_with_state(Stateful)(mode)
    assert_gradient_is_pure(pair, X)
    assert_gradient_is_pure(pair, X, call=lambda pair, x: step(*pair, x))


def test_an_equinox_state_that_an_object_adopts_leaks(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, Classifier("batch"), X, call=lambda model, x: model.saliency(x))
    assert text.startswith("the gradient is not pure: leak\n")
    assert "law: once 0.9 x old + 0.1 x batch, biased variance" in text
    np.testing.assert_allclose(became(text, "bn.batch_state_index[0]"), 0.1 * np.mean(X, axis=0), rtol=1e-5)


def test_the_first_batch_of_an_equinox_average_replaces_what_was_there(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, Classifier("ema"), X, call=lambda model, x: model.saliency(x))
    assert "law: the batch's statistics replace the old ones" in text


def test_an_equinox_module_in_inference_passes(assert_gradient_is_pure: Assert) -> None:
    model = Classifier("batch")
    model.net = eqx.nn.inference_mode(model.net)
    assert_gradient_is_pure(model, X, call=lambda model, x: model.saliency(x))


def test_an_equinox_state_that_became_invalid_is_poisoned(assert_gradient_is_pure: Assert) -> None:
    pair = eqx.nn.make_with_state(Stateful)("batch")
    text = failure(assert_gradient_is_pure, pair, X, call=lambda pair, x: pair[1].set(pair[0].bn.batch_counter, 1))
    assert text.startswith("the gradient is not pure: poisoned\n")
    assert "Attempted to use old state" in text


def test_an_equinox_module_needs_its_state(assert_gradient_is_pure: Assert) -> None:
    net, _ = eqx.nn.make_with_state(Stateful)("batch")
    with pytest.raises(TypeError, match="pass both"):
        assert_gradient_is_pure(net, X)
    assert_gradient_is_pure(net.dense, X)


def test_the_call_that_a_failure_shows_leaves_an_equinox_state_as_it_was(assert_gradient_is_pure: Assert) -> None:
    def shown(pair: Any, x: Any) -> None:
        values = {"net": pair[0], "state": pair[1], "x": x, "cotangent": jnp.ones((3, 3))}
        exec(recipe("equinox", "batch.inference-mode.grad").call, {**globals(), **values})  # noqa: S102

    assert_gradient_is_pure(list(eqx.nn.make_with_state(Stateful)("batch")), X, call=shown)
