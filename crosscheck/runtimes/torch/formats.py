"""Files of torch networks: exported programs, and pickled modules."""

from __future__ import annotations

import zipfile
from pathlib import Path

from crosscheck.runtimes.format import Format
from crosscheck.runtimes.torch.network import PROGRAM, TENSORS_ALONE
from crosscheck.runtimes.torch.own import NATIVE

__all__ = ["FORMATS"]

#: Without optimization, which would fold batch normalizations into convolutions.
WRITE = """\
torch.onnx.export(
    {}, "network.onnx", dynamo=True, external_data=False, optimize=False, verbose=False
)
"""
EXPORT = f"""\
import os
import pickle

import torch

if not trusted:
    {TENSORS_ALONE}try:
    {PROGRAM}except pickle.UnpicklingError:
    refuse("has other pickled objects than tensors in it; give --trust if you know where it comes from.")
{WRITE.format("program, ()")}"""
MODULE = f"""\
import inspect

import torch

module = torch.load("network.pt", weights_only=not trusted)
if not isinstance(module, torch.nn.Module) or isinstance(module, torch.jit.ScriptModule):
    refuse("holds no module, but a %s; save the module itself, or its exported program." % type(module).__name__)
names = [
    name
    for name, parameter in inspect.signature(module.forward).parameters.items()
    if parameter.default is parameter.empty
]
for name in names:
    if name not in shapes:
        refuse("input '%s' has no sizes in the file; give them by --shape %s=1,3,224,224." % (name, name))
module.eval()
inputs = tuple(torch.zeros(tuple(shapes[name])) for name in names)
{WRITE.format("module, inputs")}"""


def objects(path: Path) -> str:
    """Why opening a program would run code: other objects than tensors are pickled in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [Path(name).name for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return ""  # its loader refuses it
    if any(name.startswith(("custom_obj", "opaque_obj")) for name in names):
        return "has pickled objects in it, and code in them runs when it is opened"
    return ""


def pickled(path: Path) -> str:
    """Why opening a pickled module would run code."""
    return "is pickled, and code in it runs when it is opened"


FORMATS = (
    Format(
        name=NATIVE,
        title="a program of torch.export",
        parts={"network.pt2": r"\.pt2"},
        release="2.13.0",
        variant="plain",
        export=EXPORT,
        runs_code=objects,
    ),
    Format(
        name="torch-module",
        title="a pickled torch module",
        parts={"network.pt": r"\.pth?"},
        release="2.13.0",
        variant="plain",
        export=MODULE,
        runs_code=pickled,
    ),
)
