"""crosscheck: which runtimes leak training-mode statistics when they compute an input gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crosscheck.gradients.api import gradient

__all__ = ["gradient"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `crosscheck.gradient` on first use: importing onnx takes longer than most commands."""
    if name == "gradient":
        from crosscheck.gradients.api import gradient

        return gradient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
