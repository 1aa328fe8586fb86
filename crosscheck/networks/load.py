"""Loads and checks networks: the shipped ones by name, users' ONNX files by path."""

from __future__ import annotations

import difflib
import functools
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from crosscheck.errors import NetworkError
from crosscheck.networks.forms import FIRST_OPSET
from crosscheck.networks.graph import Array
from crosscheck.networks.lower import lower
from crosscheck.networks.network import Network, fixed_cotangent

__all__ = ["check_onnx", "load", "names", "read_onnx"]

#: Rows of the random probe input of a user's network, for a batch with a variance.
ROWS = 4


def _folder() -> Path:
    """The folder of the shipped networks: inside an installed package, next to it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "models"
    return installed if installed.is_dir() else package.parent / "models"


@functools.cache
def names() -> tuple[str, ...]:
    """The shipped networks, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in _folder().glob("*/network.onnx")))


def load(name_or_path: str) -> Network:
    """Load a shipped network by name, or an `.onnx` file by path.

    A user's network is probed with four rows of standard normal numbers (seed 0). Its name is the file's stem, followed
    by the start of its digest if a shipped network has that name.
    Raises NetworkError with the remedy for a missing, unreadable or unsupported network.
    """
    if name_or_path in names():
        folder = _folder() / name_or_path
        return _network(folder / "network.onnx", name_or_path, _arrays(folder / "inputs.npz"))
    path = Path(name_or_path)
    if path.suffix != ".onnx":
        near = difflib.get_close_matches(name_or_path, names(), n=3) or names()
        raise NetworkError(f"No network is called {name_or_path!r}; did you mean {', '.join(near)}, or a .onnx file?")
    network = _network(path, path.stem, {})
    if network.name in names():
        return _network(path, f"{path.stem}-{network.digest[:8]}", {})
    return network


def read_onnx(path: Path, first_opset: int = FIRST_OPSET) -> onnx.ModelProto:
    """Read and check the model in `path`; its opset must be `first_opset` or later. Raises NetworkError."""
    try:
        model = onnx.load(path)
    except FileNotFoundError as problem:
        raise NetworkError(f"{path}: a file is missing ({problem.filename or problem}); check the path.") from problem
    except (OSError, DecodeError, ValueError, onnx.checker.ValidationError) as problem:
        raise NetworkError(f"{path}: cannot be read as ONNX ({problem}); export the network again.") from problem
    check_onnx(model, str(path), first_opset)
    return model


def check_onnx(model: onnx.ModelProto, source: str, first_opset: int = FIRST_OPSET) -> None:
    """Raise NetworkError, naming `source`, unless onnx's checker accepts the model and supports its opset."""
    if not model.graph.node:
        raise NetworkError(f"{source}: has no ONNX graph in it; export the network again.")
    versions = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if not versions or not first_opset <= versions[0] <= newest:
        opset = f"opset {versions[0]}" if versions else "no opset"
        raise NetworkError(f"{source}: is written in {opset}; export it in an opset from {first_opset} to {newest}.")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as problem:
        message = " ".join(str(problem).split())  # onnx's messages have several lines
        raise NetworkError(f"{source}: onnx's checker rejects it ({message}); export the network again.") from problem


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _network(path: Path, name: str, inputs: dict[str, Array]) -> Network:
    model = read_onnx(path)
    graph, weights = lower(model, name, str(path))
    sizes = {key: [int(size) for size in graph[key][0]["shape"][1:]] for key in ("inputs", "outputs")}
    x = inputs.get("x")
    if x is None:
        x = np.random.default_rng(0).standard_normal((ROWS, *sizes["inputs"])).astype(np.float32)
    cotangent = inputs.get("cotangent")
    if cotangent is None:
        cotangent = fixed_cotangent((len(x), *sizes["outputs"]))
    for array in (x, cotangent, *weights.values()):
        array.flags.writeable = False
    title, _, description = model.doc_string.strip().partition("\n")
    return Network(
        name=name,
        title=title or path.name,
        description=description.strip(),
        model=model,
        graph=graph,
        weights=weights,
        x=x,
        cotangent=cotangent,
        images=inputs.get("images"),
        labels=inputs.get("labels"),
        target=int(inputs["target"]) if "target" in inputs else None,
    )
