"""The pytest plugin: one fixture. Loaded by every run of pytest, so that it imports nothing until a test asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

__all__ = ["assert_gradient_is_pure"]


@pytest.fixture
def assert_gradient_is_pure() -> Callable[..., None]:
    """Fails if a gradient changes a live model: `assert_gradient_is_pure(model, x, call=None, predict=None)`."""
    from crosscheck.live import assert_gradient_is_pure

    return assert_gradient_is_pure
