"""Tests of a torch user, run in an environment with torch by `tests/test_live.py`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from crosscheck.live.message import recipe

Assert = Callable[..., None]
X = torch.tensor([[0.3, 0.4], [0.7, -0.4], [0.2, 0.3]])


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm1d(2), nn.ReLU(), nn.Dropout(0.5), nn.Linear(2, 3))


def saliency(model: Any, x: Any) -> Any:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(model(x)[:, 0].sum(), x)[0]


def failure(check: Assert, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*arguments, **more)
    return str(caught.value)


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def numbers(line: str) -> list[float]:
    return [float(word) for word in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line.partition(": ")[2])]


def everything(model: Any) -> dict[str, Any]:
    tensors = {name: value.detach().numpy().tobytes() for name, value in model.state_dict().items()}
    gradients = {name: value.grad for name, value in model.named_parameters()}
    flags = {name: (part.training, dict(part._forward_pre_hooks)) for name, part in model.named_modules()}
    return {"tensors": tensors, "gradients": gradients, "flags": flags, "random": torch.get_rng_state().tolist()}


def test_a_module_in_evaluation_passes(assert_gradient_is_pure: Assert) -> None:
    assert_gradient_is_pure(network().eval(), X)
    assert_gradient_is_pure(network().eval(), X, call=saliency)


def test_a_module_in_training_leaks_by_the_unbiased_variance(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, network(), X)
    assert first_line(text) == "the gradient is not pure: leak"
    assert "law: once 0.9 x old + 0.1 x batch, unbiased variance" in text
    mean, variance = (next(line for line in text.splitlines() if name in line) for name in ("_mean:", "_var:"))
    rows = X.double().numpy()
    np.testing.assert_allclose(numbers(mean), [0, 0, *0.1 * rows.mean(axis=0)], rtol=1e-5)
    np.testing.assert_allclose(numbers(variance), [1, 1, *0.9 + 0.1 * rows.var(axis=0, ddof=1)], rtol=1e-5)
    assert "0.num_batches_tracked: 0 became 1" in text


def test_a_changed_class_is_told_with_its_row(assert_gradient_is_pure: Assert) -> None:
    x = torch.tensor([[1.0, 2.0], [5.0, 4.0], [3.0, 3.1]])  # less their mean, in deviations: -1 -1.03, 1 0.97, 0 0.07
    text = failure(assert_gradient_is_pure, nn.BatchNorm1d(2, momentum=1.0), x)
    assert "the class of 1 of 3 rows changed: 1 became 0 in row 0" in text


def test_an_attack_of_many_steps_is_many_updates(assert_gradient_is_pure: Assert) -> None:
    def attack(model: Any, x: Any) -> None:
        for _ in range(4):
            x = x + 0.1 * saliency(model, x).sign()

    model = network()
    model[2].p = 0.0
    text = failure(assert_gradient_is_pure, model, X, call=attack)
    assert "law: 4 times 0.9 x old + 0.1 x batch, unbiased variance" in text


def test_layers_share_one_law_and_other_momenta_are_named(assert_gradient_is_pure: Assert) -> None:
    norms = nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.BatchNorm1d(3, momentum=0.3)
    model = nn.Sequential(norms[0], nn.Linear(2, 2), norms[1], nn.Linear(2, 3), norms[2])
    model[1].weight.data = torch.tensor([[1.0, 2.0], [-3.0, 1.0]])
    text = failure(assert_gradient_is_pure, model, X)
    assert "law: once 0.9 x old + 0.1 x batch, unbiased variance; 4: 0.7 x old + 0.3 x batch" in text
    norms[1].eval()
    text = failure(assert_gradient_is_pure, model, X)
    assert "2.running_mean" not in text
    assert "law: once 0.9 x old + 0.1 x batch, unbiased variance; 4: 0.7 x old + 0.3 x batch" in text


def test_a_cumulative_average_is_found_by_the_layers_counter(assert_gradient_is_pure: Assert) -> None:
    model = nn.BatchNorm1d(2, momentum=None)
    for batch in (X + 1, X * 2, X - 1):
        model(batch)
    text = failure(assert_gradient_is_pure, model, X)
    assert "law: a cumulative average: once 0.75 x old + 0.25 x batch, unbiased variance" in text


def test_a_batch_that_no_hook_saw_is_replayed(assert_gradient_is_pure: Assert) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.BatchNorm1d(2))

    def call(model: Any, x: Any) -> None:
        model[2].forward(model[0](x))

    text = failure(assert_gradient_is_pure, model, X, call=call)
    assert "law: once 0.9 x old + 0.1 x batch, unbiased variance" in text
    text = failure(assert_gradient_is_pure, model, X, call=lambda model, x: call(model, x + x**2))
    assert "no law determined: no update law explains the change of 2" in text


def test_where_no_law_fits_the_text_says_so(assert_gradient_is_pure: Assert) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Any) -> Any:
            if self.training:
                self.calls += 1
            return x * (1 + self.calls)

    text = failure(assert_gradient_is_pure, Counting(), X)
    assert "no law determined: none of these is a statistic of a batch normalization" in text


def test_a_moved_statistic_that_no_prediction_reads_is_state_moved(assert_gradient_is_pure: Assert) -> None:
    model = network()
    model[0].momentum = 0.0
    text = failure(assert_gradient_is_pure, model, X)
    assert first_line(text) == "the gradient is not pure: state-moved"
    assert "0.num_batches_tracked: 0 became 1" in text


def test_backward_leaves_gradients_on_parameters(assert_gradient_is_pure: Assert) -> None:
    def backward(model: Any, x: Any) -> None:
        model(x.clone().requires_grad_()).sum().backward()

    text = failure(assert_gradient_is_pure, network().eval(), X, call=backward)
    assert first_line(text) == "the gradient is not pure: gradients-left"
    assert "3.weight.grad: left" in text


def test_a_gradient_that_another_adds_to_is_changed(assert_gradient_is_pure: Assert) -> None:
    model = network().eval()
    model(X).sum().backward()
    assert_gradient_is_pure(model, X)
    text = failure(assert_gradient_is_pure, model, X, call=lambda model, x: model(x).sum().backward())
    assert "3.weight.grad: changed" in text


def test_hooks_and_switches_that_remain_are_left(assert_gradient_is_pure: Assert) -> None:
    def careless(model: Any, x: Any) -> None:
        model[1].register_full_backward_hook(lambda *_: None)
        model[3].weight.requires_grad_(False)

    text = failure(assert_gradient_is_pure, network().eval(), X, call=careless)
    assert first_line(text) == "the gradient is not pure: gradients-left"
    assert "1.hooks: left" in text
    assert "3.weight.requires_grad: left" in text


def test_a_mode_that_is_not_put_back_is_told(assert_gradient_is_pure: Assert) -> None:
    def careless(model: Any, x: Any) -> None:
        model[2].train()
        torch.set_grad_enabled(False)

    with torch.enable_grad():
        text = failure(assert_gradient_is_pure, network().eval(), X, call=careless)
    assert first_line(text) == "the gradient is not pure: mode-left-changed"
    assert "2.training: False before, True after" in text
    assert "torch.is_grad_enabled(): True before, False after" in text


def test_written_parameters_and_inputs_are_told(assert_gradient_is_pure: Assert) -> None:
    def careless(model: Any, x: Any) -> None:
        with torch.no_grad():
            model[3].bias.add_(1)
        x.mul_(2)

    text = failure(assert_gradient_is_pure, network().eval(), X.clone(), call=careless)
    assert first_line(text) == "the gradient is not pure: leak, parameters-written, input-written"
    assert "x: 0.7 became 1.4 at [1, 0], which changed most of 6" in text


def test_a_written_input_alone_is_no_leak(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, network().eval(), X.clone(), call=lambda model, x: x.mul_(2))
    assert first_line(text) == "the gradient is not pure: input-written"


def test_numbers_that_are_not_finite_are_corrupted(assert_gradient_is_pure: Assert) -> None:
    text = failure(assert_gradient_is_pure, network(), X, call=lambda model, x: model(x * float("nan")))
    assert first_line(text) == "the gradient is not pure: leak, corrupted"
    assert "not finite any more: 0.running_mean, 0.running_var" in text


def test_a_model_that_cannot_predict_afterwards_is_poisoned(assert_gradient_is_pure: Assert) -> None:
    def careless(model: Any, x: Any) -> None:
        model[3] = nn.Linear(5, 3)

    text = failure(assert_gradient_is_pure, network().eval(), X, call=careless)
    assert first_line(text).startswith("the gradient is not pure: poisoned")
    assert "predicting raises after the call: RuntimeError" in text


def test_what_the_call_raises_is_passed_on_and_its_hooks_are_gone(assert_gradient_is_pure: Assert) -> None:
    model = network().eval()
    before = everything(model)
    with pytest.raises(ZeroDivisionError):
        assert_gradient_is_pure(model, X, call=lambda model, x: 1 / 0)
    assert everything(model) == before


@pytest.mark.parametrize("copied", [True, False])
def test_looking_changes_no_bit(assert_gradient_is_pure: Assert, copied: bool) -> None:
    model = network()
    model[0].eval()
    model[2].p = 0.0
    if not copied:
        model[3].register_buffer("result", model[3].weight * 2, persistent=False)  # no leaf: no deep copy
    before = everything(model)
    assert_gradient_is_pure(model, X)
    assert everything(model) == before
    assert [True, False, True, True, True] == [part.training for part in model.modules()]


def test_a_prediction_with_statistics_of_its_own_needs_the_users_function(assert_gradient_is_pure: Assert) -> None:
    model = network().eval()

    def by_the_model_itself(_: Any, x: Any) -> Any:
        return model.train()(x)

    with pytest.raises(ValueError, match=r"predicting alone changes 0\.running_mean"):
        assert_gradient_is_pure(model, X, predict=by_the_model_itself)
    model = network().eval()
    seen = []

    def predict(model: Any, x: Any) -> Any:
        seen.append(model(x))
        return seen[-1]

    assert_gradient_is_pure(model, X, predict=predict)
    assert 3 == len(seen)


def test_several_inputs_are_a_tuple_or_a_dict(assert_gradient_is_pure: Assert) -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, one: Any, other: Any) -> Any:
            return {"norm": self.norm(one), "other": (other, None)}

    assert_gradient_is_pure(Sum().eval(), (X, X + 1))
    text = failure(assert_gradient_is_pure, Sum(), {"one": X, "other": X + 1})
    assert "prediction['norm']: " in text


def test_a_lazy_module_has_no_weights_yet(assert_gradient_is_pure: Assert) -> None:
    with pytest.raises(ValueError, match="call it once before"):
        assert_gradient_is_pure(nn.LazyLinear(2), X)


def test_the_call_that_a_failure_shows_leaves_the_model_as_it_was(assert_gradient_is_pure: Assert) -> None:
    def shown(net: Any, x: Any) -> None:
        space = {"net": net, "x": x, "cotangent": torch.ones(3, 3), "torch": torch}
        exec(recipe("torch", "eval.autograd-grad").call, space)  # noqa: S102
        assert space["dx"].shape == x.shape

    assert recipe("torch", "eval.autograd-grad").call.replace("\n", "\n    ") in failure(
        assert_gradient_is_pure, network(), X
    )
    assert_gradient_is_pure(network().eval(), X.clone(), call=shown)
