"""A network as source text: what `ConvertModel` makes of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crosscheck.runtimes.family.torch import PREDICT
from crosscheck.runtimes.onnx2pytorch.modes import AS_CONVERTED, CALLS, ONE_NODE, READER
from crosscheck.runtimes.source import Request, Source

__all__ = ["SHOWS_LAYERS", "source"]

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
#: What torch's batch normalization calls the node's inputs after the first.
KEYS = ("weight", "bias", "running_mean", "running_var")
HOOK = """\
layers = {}
def keep(name):
    def hook(layer, inputs, output):
        layers[name] = output
    return hook

"""


def source(request: Request) -> Source:
    """For torch's own calls the module of the file as it is converted; for forms that of the inference form."""
    calls = CALLS if len(request.graph["nodes"]) > 1 else ONE_NODE
    if request.kind:
        calls = replace(calls, open=CALLS.open.replace(".eval()", ""))
    reader = replace(READER, calls=calls)
    form = reader.source(request, IMPORTS, tensor="torch.from_numpy({})", array="{}.detach().numpy()")
    tensors = {
        name: (f"{layer('net', node)}.bnu.{key}", None)
        for node in request.graph["nodes"]
        if node["op"] == "BatchNormalization" and not request.fed
        for name, key in zip(node["inputs"][1:], KEYS, strict=True)
        if name in request.weights  # a file that another runtime wrote has its own names
    }
    form = replace(
        form,
        tensors={**form.tensors, **tensors},
        public=tuple(name for name, (where, _) in tensors.items() if where.endswith(KEYS[:2])),
    )
    return module(request, form) if request.kind else form


def module(request: Request, form: Source) -> Source:
    """A module whose layers are those of `request.first` where they have the same weights, and so is what is fed."""
    text = form.text
    if request.first is not None:
        theirs = {tuple(node["inputs"][1:]): node for node in request.first["nodes"]}
        shared = [node for node in request.graph["nodes"] if any(name in request.weights for name in node["inputs"])]
        text = f"first = net\n{form.text.splitlines()[0]}\n"
        text += "".join(
            f'setattr(net, "{attribute(node)}", {layer("first", theirs[tuple(node["inputs"][1:])])})\n'
            for node in shared
            if tuple(node["inputs"][1:]) in theirs
        )
    if request.kind == "as-converted":
        text += "as_converted = {layer: layer.training for layer in net.modules()}\n"
    return replace(
        form,
        text=text,
        predict=f"net.eval()\n{form.predict}",
        layers=hooked(request) if request.asks == "prediction" else "",
        leaves=("", "eval"),
    )


def attribute(node: Mapping[str, Any]) -> str:
    """What the module calls the layer of a node."""
    return f"{node['op']}_{node['outputs'][0]}"


def layer(net: str, node: Mapping[str, Any]) -> str:
    """A layer, as an expression."""
    return f'getattr({net}, "{attribute(node)}")'


def hooked(request: Request) -> str:
    """What each layer that is a module returns, by a forward hook, in the mode of the predictions of that kind."""
    hooks = [
        f'{layer("net", node)}.register_forward_hook(keep("{node["outputs"][0]}"))\n'
        for node in request.graph["nodes"]
        if node["op"] == "BatchNormalization"
    ]
    mode = AS_CONVERTED if request.kind == "as-converted" else "net.train()\n"
    return HOOK + "".join(hooks) + mode + PREDICT
