"""Corrections of a batch's variance, told apart by the factors measured on Keras 2.3.1 with TensorFlow 1.15.5."""

from __future__ import annotations

import pytest

from crosscheck.oracle.corrections import CORRECTIONS, Correction, correction


@pytest.mark.parametrize(
    ("expected", "factor", "count"),
    [
        ("none", 1.0, 4),
        ("bessel", 4 / 3, 4),
        ("keras-2", 1.33378, 4),
        ("keras-2-fused", 1.05799, 36),
        ("keras-2-fused", 1.007863, 256),
        (None, 1.1, 36),
    ],
)
def test_a_measured_factor_has_one_name(expected: Correction | None, factor: float, count: int) -> None:
    assert expected == correction(factor, count, epsilon=0.001, tolerance=2e-6)


@pytest.mark.parametrize("name", ["bessel", "keras-2", "keras-2-fused"])
def test_every_correction_enlarges_and_vanishes_with_many_elements(name: Correction) -> None:
    small, large = CORRECTIONS[name](4, 0.001), CORRECTIONS[name](10**6, 0.001)
    assert small > 1.3
    assert large == pytest.approx(1, abs=3e-6)
