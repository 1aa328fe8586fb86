"""A network of the exchange toy: the imported file."""

from __future__ import annotations

from crosscheck.runtimes.family.readers import Reader
from crosscheck.runtimes.source import Request, Source

from .modes import READER

__all__ = ["SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True


def source(request: Request) -> Source:
    reader: Reader = READER
    return reader.source(request, "import exchangelib\n")
