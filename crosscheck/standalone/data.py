"""A network as a script carries it: literals where it is tiny, otherwise compressed and in base64."""

from __future__ import annotations

import base64
import json
import textwrap
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from crosscheck.networks import Network, prepared
from crosscheck.networks.graph import Array, Graph
from crosscheck.networks.prepare import write_arrays

__all__ = ["Carried", "carried"]

#: Numbers of all arrays together up to which they stand in the script as literals.
TINY = 64
WIDTH = 116


@dataclass(frozen=True)
class Carried:
    """Pieces of Python text that define `<name>_GRAPH`, `<name>_WEIGHTS`, `INPUTS` and ONNX files.

    weights, inputs, files: the expressions that make arrays and files of what is defined.
    """

    texts: tuple[str, ...]
    weights: str
    inputs: str
    files: str


def carried(network: Network, forms: Iterable[str], inputs: Iterable[str], prefix: str = "") -> Carried:
    """A network, the forms in which files of it are needed, and those of its inputs that a scenario needs."""
    forms, names = tuple(forms), tuple(inputs)
    with TemporaryDirectory() as folder:
        prepared(network, Path(folder), forms)
        written = {form: (Path(folder) / f"{form}.onnx").read_bytes() for form in forms}
        with np.load(Path(folder) / "inputs.npz") as file:
            given = {name: file[name] for name in names if name in file.files}
    if "labels" in names and network.labels is not None:
        given["labels"] = network.labels
    texts = [_graph(network.graph, prefix)]
    weights, text = _arrays(f"{prefix}WEIGHTS", network.weights)
    texts.append(text)
    told, text = _arrays(f"{prefix}INPUTS", given) if given else ("{}", "")
    texts.append(text)
    if forms:
        texts.append(f"\n#: ONNX files, compressed.\n{prefix}FILES = {{}}\n")
    texts += [_file(f"{prefix}FILES", form, written[form]) for form in forms]
    return Carried(tuple(texts), weights, told, f"files({prefix}FILES)" if forms else "{}")


def _graph(graph: Graph, prefix: str) -> str:
    """One node a line."""
    nodes = "".join(f"        {json.dumps(node)},\n" for node in graph["nodes"])
    return (
        f"\n#: The network, as in ONNX.\n{prefix}GRAPH = {{\n"
        f'    "name": {json.dumps(graph["name"])},\n'
        f'    "inputs": {json.dumps(graph["inputs"])},\n'
        f'    "outputs": {json.dumps(graph["outputs"])},\n'
        f'    "nodes": [\n{nodes}    ],\n}}\n'
    )


def _arrays(name: str, arrays: Mapping[str, Array]) -> tuple[str, str]:
    """The expression that makes the arrays, and the text it needs; float32 numbers are written to their last bit."""
    if sum(value.size for value in arrays.values()) <= TINY and all(v.dtype == np.float32 for v in arrays.values()):
        lines = "".join(f"    {json.dumps(key)}: {_literal(value)},\n" for key, value in arrays.items())
        return f"arrays({name})", f"{name} = {{\n{lines}}}\n"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        write_arrays(path, arrays)
        packed = path.read_bytes()
    return f"unpacked({name})", f"\n#: An .npz: {_shapes(arrays)}.\n{name} = {_text(packed)}\n"


def _literal(value: Array) -> str:
    if value.ndim == 0:
        number = value[()]
        return str(number) if np.isfinite(number) else f'float("{number}")'
    return f"[{', '.join(_literal(item) for item in value)}]"


def _shapes(arrays: Mapping[str, Array]) -> str:
    shown = [f"{key} {'x'.join(map(str, value.shape))}" for key, value in list(arrays.items())[:4]]
    return ", ".join(shown) + (f" and {len(arrays) - 4} more" if len(arrays) > 4 else "")


def _text(data: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(data).decode(), WIDTH)
    return '"""\n' + "\n".join(lines) + '\n"""'


def _file(name: str, form: str, data: bytes) -> str:
    """An ONNX file, and what is in it as a remark."""
    graph = onnx.load_from_string(data).graph
    operators = list(dict.fromkeys(node.op_type for node in graph.node))
    values = ", ".join(item.name for item in graph.input), ", ".join(item.name for item in graph.output)
    told = f"# {values[0]} -> {values[1]}: {len(graph.node)} nodes ({', '.join(operators)})"
    remark = "\n# ".join(textwrap.wrap(told, WIDTH))
    return f'{remark}\n{name}["{form}"] = {_text(zlib.compress(data, 9))}\n'
