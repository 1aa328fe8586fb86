"""A network as source text: what `ConvertModel` makes of its file."""

from __future__ import annotations

from packaging.version import Version

from crosscheck.runtimes.family.converted import Converter
from crosscheck.runtimes.source import Graph

__all__ = ["CONVERTER", "SHOWS_LAYERS", "source"]

SHOWS_LAYERS = True

#: torchvision, which operators of detectors need, is not installed; its name is all that the import asks for.
IMPORTS = """\
import sys
import types

import onnx
import torch
from torch import nn

torchvision = sys.modules["torchvision"] = types.ModuleType("torchvision")  # for operators of detectors alone
torchvision.io = sys.modules["torchvision.io"] = types.ModuleType("torchvision.io")
torchvision.ops = sys.modules["torchvision.ops"] = types.ModuleType("torchvision.ops")
torchvision.io.decode_image = torchvision.io.ImageReadMode = None
torchvision.ops.deform_conv2d = torchvision.ops.roi_align = torchvision.ops.roi_pool = None
from onnx2pytorch import ConvertModel
"""


def names(graph: Graph, release: Version) -> list[str]:
    """What the module calls the layer of each node."""
    return [f"{node['op']}_{node['outputs'][0]}" for node in graph["nodes"]]


CONVERTER = Converter(
    '$net = ConvertModel(onnx.load("$file"), experimental=True).eval()\n',
    IMPORTS,
    names,
    norm=".bnu",
    hooked=frozenset({"BatchNormalization"}),  # the others are functions
)
source = CONVERTER.source
