"""A network as source text: what `convert` makes of its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from packaging.version import Version

from crosscheck.runtimes.family.torch import PREDICT
from crosscheck.runtimes.onnx2torch.modes import AS_CONVERTED, CALLS, ONE_NODE, READER
from crosscheck.runtimes.source import Graph, Request, Source

__all__ = ["SHOWS_LAYERS", "source"]

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
#: What torch's batch normalization calls the node's inputs after the first.
KEYS = ("weight", "bias", "running_mean", "running_var")
#: The first of our releases in which a layer is called after its node; before, after its operator.
NAMED = Version("1.5.15")
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
    layers = list(zip(names(request.graph, request.release), request.graph["nodes"], strict=True))
    tensors = {
        name: (f"{attribute('net', layer)}.{key}", None)
        for layer, node in layers
        if node["op"] == "BatchNormalization" and not request.fed
        for name, key in zip(node["inputs"][1:], KEYS, strict=True)
        if name in request.weights  # a file that another runtime wrote has layers of any name
    }
    form = replace(
        form,
        tensors={**form.tensors, **tensors},
        public=tuple(name for name, (where, _) in tensors.items() if where.endswith(KEYS[:2])),
    )
    return module(request, form, layers) if request.kind else form


def module(request: Request, form: Source, layers: list[tuple[str, Any]]) -> Source:
    """A module whose layers are those of `request.first` where they have the same weights, and so is what is fed."""
    text = form.text
    if request.first is not None:
        theirs = {
            tuple(node["inputs"][1:]): name
            for name, node in zip(names(request.first, request.release), request.first["nodes"], strict=True)
        }
        shared = [(name, theirs.get(tuple(node["inputs"][1:]))) for name, node in layers if holds(node, request)]
        text = f"first = net\n{form.text.splitlines()[0]}\n"
        text += "".join(assigned("net", own, attribute("first", other)) for own, other in shared if other)
    if request.kind == "as-converted":
        text += "as_converted = {layer: layer.training for layer in net.modules()}\n"
    return replace(
        form,
        text=text,
        predict=f"net.eval()\n{form.predict}",
        layers=hooked(request, layers) if request.asks == "prediction" else "",
        leaves=("", "eval"),
    )


def names(graph: Graph, release: Version) -> list[str]:
    """What the module calls the layer of each node. A name that was given before gets a number, in old releases any."""
    given: Counter[str] = Counter()
    found = []
    for node in graph["nodes"]:
        name = node["name"].replace(".", "/").lstrip("/") if release >= NAMED else node["op"]
        found.append(f"{name}_{given[name]}" if given[name] or release < NAMED else name)
        given[name] += 1
    return found


def holds(node: Mapping[str, Any], request: Request) -> bool:
    """Whether the layer has weights."""
    return any(name in request.weights for name in node["inputs"])


def attribute(net: str, layer: str) -> str:
    """A layer, as an expression."""
    return f"{net}.{layer}" if layer.isidentifier() else f'getattr({net}, "{layer}")'


def assigned(net: str, layer: str, value: str) -> str:
    """The statement that puts another layer in its place."""
    return f"{net}.{layer} = {value}\n" if layer.isidentifier() else f'setattr({net}, "{layer}", {value})\n'


def hooked(request: Request, layers: list[tuple[str, Any]]) -> str:
    """What each layer returns, by a forward hook on it, in the mode of the predictions of that kind."""
    hooks = [f'{attribute("net", name)}.register_forward_hook(keep("{node["outputs"][0]}"))\n' for name, node in layers]
    mode = AS_CONVERTED if request.kind == "as-converted" else "net.train()\n"
    return HOOK + "".join(hooks) + mode + PREDICT
