"""The type of a lowering."""

from __future__ import annotations

from collections.abc import Callable

from crosscheck.networks.differentiate.call import Call
from crosscheck.networks.differentiate.writer import Writer

__all__ = ["Lowering"]

Lowering = Callable[[Writer, Call], list[str | None]]
