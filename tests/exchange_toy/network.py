"""A network of the exchange toy: the file, read."""

from __future__ import annotations

from crosscheck.runtimes.source import Request, Source

from .modes import READER

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True


def source(request: Request) -> Source:
    return READER.source(request, "import exchangelib\n")
