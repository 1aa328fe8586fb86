"""A network as source text in each of MXNet's APIs, which modes name as their kind."""

from __future__ import annotations

from collections.abc import Callable

from crosscheck.runtimes.mxnet import blocks, symbols
from crosscheck.runtimes.source import Request, Source

__all__ = ["source"]

KINDS: dict[str, Callable[[Request], Source]] = {
    "contrib": blocks.imperative,
    "executor": symbols.executor,
    "export": symbols.exported,
    "gluon": blocks.gluon,
    "hybrid": blocks.gluon,
    "import.gluon": blocks.to_gluon,
    "module": symbols.module,
    "nd": blocks.imperative,
    "static": blocks.gluon,
    "symbolblock": blocks.symbol_block,
}


def source(request: Request) -> Source:
    """The network in the API that the mode is of."""
    return KINDS[request.kind](request)
