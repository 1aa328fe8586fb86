"""Loads networks: the shipped ones by name, users' ONNX files by path."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path

import numpy as np

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.networks.graph import Graph
from crosscheck.networks.lowering import lower
from crosscheck.networks.network import Network, network_of
from crosscheck.networks.own_file import load_own
from crosscheck.onnx_models.file_options import FileOptions
from crosscheck.onnx_models.read import ONNX, described, holds_onnx, read_onnx

__all__ = ["is_file", "load", "names"]


#: What other files of shipped networks than ONNX end with: those that only their runtime's own tools write.
SHIPPED = (".tflite",)


def _folder() -> Path:
    """The folder of the shipped networks: inside an installed package, next to it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "models"
    return installed if installed.is_dir() else package.parent / "models"


@functools.cache
def names() -> tuple[str, ...]:
    """The shipped networks, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in _folder().glob("*/network.onnx")))


def is_file(name: str) -> bool:
    """Whether a name is a user's file, in ONNX or in a format that `load` refuses with a remedy."""
    return name.endswith(ONNX) or described(name) is not None


def load(name_or_path: str, options: FileOptions | None = None) -> Network:
    """Load a shipped network by name, or an `.onnx` file by path, as `options` say.

    A user's network is probed with standard normal numbers (seed 0). Its name is the file's stem and the first eight
    hexadecimal digits of the SHA-256 of the file and its external weights, so that a network is its content: files of
    one name are different networks, in every run.
    Raises NetworkError with the remedy for a missing, unreadable or unsupported network.
    """
    if name_or_path in names():
        folder = _folder() / name_or_path
        model = read_onnx(folder / "network.onnx")
        graph, weights = lower(model, name_or_path, str(folder / "network.onnx"))
        shipped = {path.name: path for path in folder.iterdir() if path.suffix in SHIPPED}
        return network_of(model, _in_decimals(graph), weights, name_or_path, _arrays(folder / "inputs.npz"), shipped)
    path = Path(name_or_path)
    if path.suffix != ONNX and not holds_onnx(path):
        if text := described(path.name):
            raise NetworkError(f"{path}: is {text}.")
        near = difflib.get_close_matches(name_or_path, names(), n=3) or names()
        raise NetworkError(f"No network is called {name_or_path!r}; did you mean {', '.join(near)}, or a .onnx file?")
    return load_own(path, options or FileOptions())


def _in_decimals(graph: Graph) -> Graph:
    """The graph with the attributes that models/make.py gives its batch normalizations, 0.001 and 0.9.

    The files hold their float32; the difference, 5e-8 of epsilon, is below every tolerance.
    """
    for node in graph["nodes"]:
        if node["op"] == "BatchNormalization":
            node["attributes"] = {key: float(str(np.float32(value))) for key, value in node["attributes"].items()}
    return graph


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
