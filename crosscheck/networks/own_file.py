"""Loads a user's ONNX file: as it is, for runtimes that read ONNX, and lowered for all others if it can be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, MutableSequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.networks.foreign import Foreign
from crosscheck.networks.graph import Graph
from crosscheck.networks.lowering import ANY_RANK, lower
from crosscheck.networks.network import LARGE, RECORDED, Network, OwnFile, Written, fixed_cotangent, network_of
from crosscheck.networks.onnx_files import FLOATS, INTEGERS, file_graph
from crosscheck.onnx_models.facts import Facts
from crosscheck.onnx_models.file_options import FileOptions, inputs_of, sized
from crosscheck.onnx_models.fold import folded, pruned, reads
from crosscheck.onnx_models.memory import bounded
from crosscheck.onnx_models.output_shapes import Declared, declare_outputs, runs
from crosscheck.onnx_models.read import content_digest, external_files, read_onnx, with_weights
from crosscheck.onnx_models.samples import COTANGENT, read_samples, values_of

__all__ = ["READERS", "load_own"]

#: What is done with a network that cannot be lowered.
READERS = "So only runtimes that read ONNX are asked, about the file as it is."

#: The longest name taken from a file's; cells' ids and the names of their files contain it.
LONGEST = 40


def load_own(path: Path, options: FileOptions, foreign: Foreign | None = None) -> Network:
    """The network in a user's ONNX file: lowered, with the file as it is beside it; or the file alone.

    foreign: the user's file, where `path` is what its runtime exported. A file whose output depends on integers alone
    has no input gradient and is not lowered. Raises NetworkError for a file that is no ONNX model with an input, and
    for options that do not fit.
    """
    with bounded(path, external_files(path)):
        return _loaded(path, options, foreign)


def _loaded(path: Path, options: FileOptions, foreign: Foreign | None) -> Network:
    source = str(path if foreign is None else foreign.path)
    content, model, said = _file(path, options, source)
    stem, digest = (path.stem, content_digest(path)) if foreign is None else (foreign.short, foreign.digest)
    short = re.sub(r"[^A-Za-z0-9_.-]", "_", stem)[:LONGEST]
    name, title = f"{short}-{digest[:8]}", Path(source).name
    if foreign is not None:
        exporter = f"{foreign.runtime.title} {foreign.format.release}"
        said = [*foreign.said, f"{source}: {exporter} exports it to ONNX, which other runtimes get.", *said]
    declared = Declared(model)
    said += sized(model, options, source, lambda candidate: runs(candidate, options, source))
    x, *others = inputs_of(model)
    given = read_samples(options.samples, x)
    values = values_of(model, [x, *others], given, source)
    if unknown := sorted(given.keys() - values.keys() - {COTANGENT}):
        raise NetworkError(
            f"{source}: has no input {unknown[0]!r}, which {', '.join(options.samples)} has a value for."
        )
    said += [
        f"{source}: input {item.name!r} is drawn; --input FILE.npz sets it."
        for item in others
        if item.name not in given
    ]
    shape = declare_outputs(model, values, declared, source)
    cotangent = _cotangent(given.get(COTANGENT), options.cotangent, shape, source)
    if values[x.name].dtype.kind == "f":
        cotangent = np.asarray(cotangent, values[x.name].dtype)
    numbers = _layer_numbers(model, source)
    if (weights := sum(math.prod(item.dims) for item in model.graph.initializer)) > LARGE:
        said.append(
            f"{source}: has {weights / 1e6:.1f} million weights: it is asked in `gradient` and `predict-only` alone, "
            "and once in two readings each; --scenario and --trials ask for more."
        )
    elif numbers > RECORDED:
        said.append(f"{source}: its layers put out {numbers / 1e6:.1f} million numbers, which are not recorded.")
    words, rows = ("--network", source, *options.words), _rows(given.get(x.name), values[x.name])
    own = OwnFile(words, title, short, tuple(values), rows, numbers, tuple(said), foreign=foreign)
    try:
        copy, graph, weights = _lowered(model, name, source, values)
        if cotangent.shape[:1] != values[x.name].shape[:1]:
            raise NetworkError(f"{source}: has {len(values[x.name])} rows of input and {len(cotangent)} of output.")
    except NetworkError as problem:
        message = f"{problem} {READERS}"
        own = replace(own, said=(*own.said, message))
        return _as_it_is(model, content, name, title, values, cotangent, own)
    if values[x.name].ndim == 1:
        own = replace(own, said=(*own.said, f"{source}: input {x.name!r} has one axis, taken as rows of one channel."))
    sizes = {key: [int(size) for size in graph[key][0]["shape"][1:]] for key in ("inputs", "outputs")}
    probe = {
        "x": values[x.name].reshape(-1, *sizes["inputs"]),
        "cotangent": cotangent.reshape(-1, *sizes["outputs"]),
    }
    network = network_of(copy, graph, weights, title, probe)
    file = _as_it_is(model, content, name, title, values, cotangent, own, network)
    return replace(network, own=replace(own, file=file))


def _layer_numbers(model: onnx.ModelProto, source: str) -> int:
    """The numbers in the outputs of all nodes, as far as shape inference knows them."""
    facts = Facts(model, source)
    shapes = [facts.shape(name) or (0,) for node in model.graph.node for name in node.output if name]
    return sum(math.prod(size if isinstance(size, int) else 1 for size in shape) for shape in shapes)


def _cotangent(given: Array | None, number: int | None, shape: tuple[int, ...], source: str) -> Array:
    """The cotangent of an output: as given in a file of values, 1 for one number of each row, or the fixed one.

    Raises NetworkError.
    """
    if number is None:
        if given is not None and given.shape != shape:
            raise NetworkError(f"{source}: the cotangent has the shape {given.shape}, the output {shape}.")
        return fixed_cotangent(shape) if given is None else given
    if given is not None:
        raise NetworkError(f"{source}: a file of values has a cotangent, so --cotangent cannot choose another.")
    if len(shape) != 2 or number >= shape[1]:
        takes = f"a number below {shape[1]}" if len(shape) == 2 else "numbers of outputs (rows, classes) alone"
        raise NetworkError(f"{source}: --cotangent {number} does not fit the output {shape}; it takes {takes}.")
    cotangent = np.zeros(shape, np.float32)
    cotangent[:, number] = 1
    return cotangent


def _rows(given: Array | None, taken: Array) -> int:
    """The rows of the input that the user gave, else all."""
    if given is None:
        return len(taken)
    return len(given) if given.ndim == taken.ndim else 1


def _file(path: Path, options: FileOptions, source: str) -> tuple[bytes, onnx.ModelProto, list[str]]:
    """The bytes for runtimes that read the file, the model in it, and sentences about both, which name `source`.

    The output to differentiate and the input to differentiate by come first, as some runtimes know them by their place.
    Raises NetworkError.
    """
    model = read_onnx(path)
    raw = with_weights(path)
    said = []
    for item in [item for item in model.graph.output if not item.type.HasField("tensor_type")]:
        model.graph.output.remove(item)  # sequences, which nothing here asks about
    names = [item.name for item in model.graph.output]
    if not names:
        raise NetworkError(f"{source}: has no output that is a tensor.")
    output = options.output or names[0]
    if output not in names:
        raise NetworkError(f"{source}: has no output {output!r}; it has {', '.join(names)}.")
    if len(names) > 1 and options.output is None:
        said.append(f"{source}: output {output!r} is taken, the first; --output takes one of {', '.join(names[1:])}.")
    x = _asked_input(model, output, source)
    moved = (inputs_of(model)[0].name, names[0]) != (x, output)
    if moved:
        for graph in (model.graph, raw.graph):
            _put_first(graph.input, x)
            _put_first(graph.output, output)
        said.append(f"{source}: runtimes get the file with input {x!r} and output {output!r} first.")
    whole = not moved and not external_files(path)
    return path.read_bytes() if whole else raw.SerializeToString(), model, said


def _asked_input(model: onnx.ModelProto, output: str, source: str) -> str:
    """The first input of floats that an output depends on, else the first of other numbers. Raises NetworkError."""
    inputs = [item for item in inputs_of(model) if output in _reached(model, item.name)]
    if not inputs:
        raise NetworkError(f"{source}: the output {output!r} depends on no input; --output names another.")
    return next((item.name for item in inputs if item.type.tensor_type.elem_type in FLOATS), inputs[0].name)


def _put_first(items: MutableSequence[onnx.ValueInfoProto], name: str) -> None:
    """Move the item of that name to the front."""
    copies = [onnx.ValueInfoProto.FromString(item.SerializeToString()) for item in items]
    del items[:]
    items.extend(sorted(copies, key=lambda item: item.name != name))


def _reached(model: onnx.ModelProto, name: str) -> set[str]:
    """The tensors that depend on one."""
    reached = {name}
    for node in model.graph.node:
        if not reached.isdisjoint(reads(node)):
            reached.update(node.output)
    return reached


def _lowered(
    model: onnx.ModelProto, name: str, source: str, values: Mapping[str, Array]
) -> tuple[onnx.ModelProto, Graph, dict[str, Array]]:
    """A copy with further inputs as constants, what is constant folded, and one output; its graph and weights."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    x, *others = inputs_of(copy)
    if values[x.name].dtype.kind != "f":
        raise NetworkError(f"{source}: {INTEGERS}, predictions alone.")
    copy.graph.initializer.extend(onnx.numpy_helper.from_array(values[item.name], item.name) for item in others)
    for item in others:
        copy.graph.input.remove(item)
    folded(pruned(copy), source)
    _with_channel(copy, source)
    return copy, *lower(copy, name, source)


def _as_it_is(
    model: onnx.ModelProto,
    content: bytes,
    name: str,
    title: str,
    values: Mapping[str, Array],
    cotangent: Array,
    own: OwnFile,
    lowered: Network | None = None,
) -> Network:
    """The network that runtimes read byte for byte."""
    probe, *others = values.items()
    graph = file_graph(model, name, values, cotangent)
    network = network_of(model, graph, dict(others), title, {"x": probe[1], "cotangent": cotangent})
    return replace(network, file=Written(content, lowered), own=own)


def _with_channel(model: onnx.ModelProto, source: str) -> None:
    """Give an input with one axis a second one, of size one.

    ONNX's batch normalization takes (rows,) as rows of one channel, and elementwise operators do not care.
    """
    (x,) = inputs_of(model)
    if len(x.type.tensor_type.shape.dim) != 1:
        return
    if others := sorted({node.op_type for node in model.graph.node} - ANY_RANK):
        raise NetworkError(f"{source}: input {x.name!r} has no batch axis, needed by {', '.join(others)}; add one.")
    x.type.tensor_type.shape.dim.add(dim_value=1)
