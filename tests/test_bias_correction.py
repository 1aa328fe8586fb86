"""Bias correction applied to a moving average that did not start at zero."""

from __future__ import annotations

import numpy as np
import pytest

from crosscheck.oracle.bias_correction import overcorrected


def by_hand(start: float, batch: float, momentum: float, count: int) -> float:
    """Step by step: a hidden average, divided by the total weight of the batches in it."""
    hidden = start
    for _ in range(count):
        hidden = momentum * hidden + (1 - momentum) * batch
    return hidden / (1 - momentum**count)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
@pytest.mark.parametrize("momentum", [0.5, 0.9, 0.99])
def test_the_closed_form_equals_repeated_updates(momentum: float, count: int) -> None:
    start, batch = np.array([1.0, -0.3, 0.0]), np.array([1.0, 2.0, 0.7])
    expected = [by_hand(one, other, momentum, count) for one, other in zip(start, batch, strict=True)]
    assert expected == pytest.approx(overcorrected(start, batch, momentum, count), rel=1e-12)


def test_initial_and_batch_variance_of_one_give_ten() -> None:
    assert [10.0] == pytest.approx(overcorrected(np.ones(1), np.ones(1), momentum=0.9))


def test_an_average_started_at_zero_is_corrected_exactly() -> None:
    assert [0.7] == pytest.approx(overcorrected(np.zeros(1), np.array([0.7]), momentum=0.9, count=3))


def test_many_updates_forget_the_initial_value() -> None:
    assert [2.0] == pytest.approx(overcorrected(np.array([5.0]), np.array([2.0]), momentum=0.9, count=500))


@pytest.mark.parametrize("momentum", [1.0, 1.5, -0.1])
def test_a_momentum_of_one_or_more_is_refused(momentum: float) -> None:
    with pytest.raises(ValueError, match="momentum is"):
        overcorrected(np.ones(1), np.ones(1), momentum)
