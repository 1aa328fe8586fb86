"""Tests of a torch user who compiles, run in an environment with torch by `tests/test_live.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

X = torch.tensor([[0.3, 0.4], [0.7, -0.4], [0.2, 0.3]])


@pytest.fixture(name="compiled")
def _compiled() -> Any:
    return torch.compile(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), backend="eager")


def test_a_compiled_module_in_evaluation_passes(assert_gradient_is_pure: Callable[..., None], compiled: Any) -> None:
    assert_gradient_is_pure(compiled.eval(), X)


def test_the_batch_of_a_compiled_module_is_replayed(
    assert_gradient_is_pure: Callable[..., None], compiled: Any
) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_gradient_is_pure(compiled, X)
    assert "law: once 0.9 x old + 0.1 x batch, unbiased variance" in str(caught.value)
    assert "\n    1.running_mean: 0 0 became " in str(caught.value)
