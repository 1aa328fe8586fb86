"""A network as source text in each of MXNet's APIs, which modes name as their kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from packaging.version import Version

from crosscheck.runtimes.mxnet import blocks, symbols
from crosscheck.runtimes.source import Request, Source

__all__ = ["TRAINS", "source"]

TRAINS = True

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
#: The Gluon data loader of 1.2 is no valid Python from CPython 3.8 on.
LOADERLESS = """\
import sys
import types
loader = sys.modules["mxnet.gluon.data.dataloader"] = types.ModuleType("dataloader")  # no valid Python from 3.8 on
loader.__all__ = []
"""


def source(request: Request) -> Source:
    """The network in the API that the mode is of."""
    made = KINDS[request.kind](request)
    if Version("1.2") <= request.release < Version("1.3"):
        return dataclasses.replace(made, imports=LOADERLESS + made.imports)
    return made
