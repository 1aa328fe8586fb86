"""Loads networks: the shipped ones by name, users' ONNX files by path."""

from __future__ import annotations

import difflib
import functools
import re
from pathlib import Path

import numpy as np
import onnx

from crosscheck.errors import NetworkError, UsageError
from crosscheck.networks.fold import folded, pruned
from crosscheck.networks.graph import Array, Graph
from crosscheck.networks.lower import lower
from crosscheck.networks.network import Network, OwnFile, fixed_cotangent
from crosscheck.networks.read import content_digest, described, read_onnx
from crosscheck.networks.rules import RULES
from crosscheck.networks.sizes import Sizes, sized

__all__ = ["is_file", "load", "load_as", "names"]

#: The suffix of ONNX files.
ONNX = ".onnx"
#: The longest name taken from a file's; cells' ids and the names of their files contain it.
LONGEST = 40
#: Operators that are the same for (rows,) and for (rows, 1).
ANY_RANK = frozenset({"Add", "BatchNormalization", "Dropout", "Identity", "Relu"})


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


def load(name_or_path: str, sizes: Sizes | None = None) -> Network:
    """Load a shipped network by name, or an `.onnx` file by path, whose input gets `sizes`.

    A user's network is probed with standard normal numbers (seed 0). Its name is the file's stem and the first eight
    hexadecimal digits of the SHA-256 of the file and its external weights, so that a network is its content: files of
    one name are different networks, in every run.
    Raises NetworkError with the remedy for a missing, unreadable or unsupported network.
    """
    if name_or_path in names():
        folder = _folder() / name_or_path
        model = read_onnx(folder / "network.onnx")
        graph, weights = lower(model, name_or_path, str(folder / "network.onnx"))
        return _network(model, _in_decimals(graph), weights, name_or_path, _arrays(folder / "inputs.npz"))
    path = Path(name_or_path)
    if path.suffix != ONNX:
        if text := described(path.name):
            raise NetworkError(f"{path}: is {text}.")
        near = difflib.get_close_matches(name_or_path, names(), n=3) or names()
        raise NetworkError(f"No network is called {name_or_path!r}; did you mean {', '.join(near)}, or a .onnx file?")
    return _own(path, sizes or Sizes())


def load_as(name: str, path: str, sizes: Sizes | None = None) -> Network:
    """Load the file of the network `name`. Raises UsageError for a file that is another network."""
    network = load(path, sizes)
    if network.name != name:
        raise UsageError(f"{path} is the network '{network.name}', the cell is about '{name}'. Write its name there.")
    return network


def _own(path: Path, sizes: Sizes) -> Network:
    """The network in a user's file."""
    source = str(path)
    model = read_onnx(path)
    short = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)[:LONGEST]
    name = f"{short}-{content_digest(path)[:8]}"
    said = []
    if len(model.graph.output) > 1:
        others = ", ".join(item.name for item in model.graph.output[1:])
        said.append(f"{source}: output {model.graph.output[0].name!r} is taken, the first; the others are {others}.")
    pruned(model)
    said += filter(None, [sized(model, sizes, source)])
    folded(model, source)
    said += filter(None, [_with_channel(model, source)])
    graph, weights = lower(model, name, source)
    (x,) = _inputs(model)
    own = OwnFile(("--network", source, *sizes.words), short, x.name, tuple(said))
    return _network(model, graph, weights, path.name, {}, x.type.tensor_type.shape.dim[0].dim_value, own)


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no initialisers."""
    stored = {item.name for item in model.graph.initializer}
    return [item for item in model.graph.input if item.name not in stored]


def _with_channel(model: onnx.ModelProto, source: str) -> str | None:
    """Give an input with one axis a second one, of size one; a sentence that says so, else None.

    ONNX's batch normalization takes (rows,) as rows of one channel, and elementwise operators do not care.
    """
    inputs = _inputs(model)
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 1:
        return None
    (x,) = inputs
    if others := sorted({node.op_type for node in model.graph.node} & RULES.keys() - ANY_RANK):
        raise NetworkError(f"{source}: input {x.name!r} has no batch axis, which {', '.join(others)} needs; add one.")
    x.type.tensor_type.shape.dim.add(dim_value=1)
    return f"{source}: input {x.name!r} has one axis, which is taken as rows of one channel."


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


def _network(
    model: onnx.ModelProto,
    graph: Graph,
    weights: dict[str, Array],
    title: str,
    inputs: dict[str, Array],
    rows: int = 0,
    own: OwnFile | None = None,
) -> Network:
    """The network with its probe; `rows` are drawn unless `inputs` has an x. `title` is for files that have none."""
    shapes = {key: [int(size) for size in graph[key][0]["shape"][1:]] for key in ("inputs", "outputs")}
    x = inputs.get("x")
    if x is None:
        x = np.random.default_rng(0).standard_normal((rows, *shapes["inputs"])).astype(np.float32)
    cotangent = inputs.get("cotangent")
    if cotangent is None:
        cotangent = fixed_cotangent((len(x), *shapes["outputs"]))
    for array in (x, cotangent, *weights.values()):
        array.flags.writeable = False
    first_line, _, description = model.doc_string.strip().partition("\n")
    return Network(
        name=graph["name"],
        title=first_line or title,
        description=description.strip(),
        model=model,
        graph=graph,
        weights=weights,
        x=x,
        cotangent=cotangent,
        images=inputs.get("images"),
        labels=inputs.get("labels"),
        target=int(inputs["target"]) if "target" in inputs else None,
        own=own,
    )
