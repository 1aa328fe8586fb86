"""A network as source text: what `convert` makes of its file."""

from __future__ import annotations

from collections import Counter

from packaging.version import Version

from crosscheck.runtimes.family.converted import Converter
from crosscheck.runtimes.source import Graph

__all__ = ["CONVERTER", "SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True

#: torchvision, which two operators of detectors need, is not installed; its name is all that the import asks for.
IMPORTS = """\
import sys
import types

import torch
from torch import nn

torchvision = sys.modules["torchvision"] = types.ModuleType("torchvision")  # for two operators of detectors alone
torchvision.ops = sys.modules["torchvision.ops"] = types.ModuleType("torchvision.ops")
torchvision.ops.roi_align = None
from onnx2torch.converter import convert
"""
#: The first of our releases in which a layer is called after its node; before, after its operator.
NAMED = Version("1.5.15")


def names(graph: Graph, release: Version) -> list[str]:
    """What the module calls the layer of each node. A name that was given before gets a number, in old releases any."""
    given: Counter[str] = Counter()
    found = []
    for node in graph["nodes"]:
        name = node["name"].replace(".", "/").lstrip("/") if release >= NAMED else node["op"]
        found.append(f"{name}_{given[name]}" if given[name] or release < NAMED else name)
        given[name] += 1
    return found


CONVERTER = Converter('$net = convert("$file").eval()\n', IMPORTS, names)
source = CONVERTER.source
