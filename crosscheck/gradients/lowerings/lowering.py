"""The type of a lowering."""

from __future__ import annotations

from collections.abc import Callable

from crosscheck.gradients.call import Call
from crosscheck.gradients.writer import Writer

__all__ = ["Lowering"]

Lowering = Callable[[Writer, Call], list[str | None]]
