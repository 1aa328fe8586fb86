"""Reads ONNX files: checks them, loads external weights, inlines functions and branches, converts old opsets.

Files are checked by path, since onnx serialises a model that it checks in memory, which fails above 2 GB.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from crosscheck.errors import NetworkError
from crosscheck.onnx_models.domains import FIRST_OPSET, ONNX_DOMAIN
from crosscheck.onnx_models.plain import every_node, plain
from crosscheck.onnx_models.sound import bytes_of, check_sound

__all__ = [
    "ONNX",
    "check_onnx",
    "content_digest",
    "described",
    "external_files",
    "holds_onnx",
    "parsed",
    "read_onnx",
    "with_weights",
]

#: Of files whose runtime exports them for the commands (`crosscheck.conversion`).
BY_COMMANDS = "which `crosscheck.gradient` does not take; the command `crosscheck gradient` does"
#: Files of other formats by the end of their names, and how they become ONNX.
OTHER_FORMATS = {
    "-symbol.json": f"the symbol of an MXNet network, {BY_COMMANDS}",
    ".params": "parameters of an MXNet network; name its PREFIX-symbol.json, or PREFIX-0000.params beside it",
    ".pt2": f"a program of torch.export, {BY_COMMANDS}",
    ".pt": f"a file of torch, {BY_COMMANDS}",
    ".pth": f"a file of torch, {BY_COMMANDS}",
    ".safetensors": "weights without a network; export the network with its framework",
    ".keras": f"a Keras network, {BY_COMMANDS}",
    ".h5": f"a Keras network, {BY_COMMANDS}",
    ".tflite": "a TensorFlow Lite network; convert it with `python -m tf2onnx.convert --tflite`",
    ".pb": "a TensorFlow graph; convert it with `python -m tf2onnx.convert`, or name the folder of its SavedModel",
}
#: The suffix of ONNX files.
ONNX = ".onnx"
#: The first byte of nearly all ONNX files, and the largest number that may follow.
IR_VERSION, NEWEST_IR = b"\x08", 64
#: The most bytes of a protobuf message.
LARGEST_FILE = 2**31 - 1
#: Beginnings of files that only stand for a network: what they are, and the remedy.
STAND_INS = {
    b"version https://git-lfs": "is a pointer of Git LFS; run `git lfs pull`",
    b"<!doctype html": "is a web page; download the file itself",
    b"<html": "is a web page; download the file itself",
}


def described(name: str) -> str | None:
    """What a file of another format is, by its name, and how to get ONNX from it; None for other names."""
    return next((text for ending, text in OTHER_FORMATS.items() if name.lower().endswith(ending)), None)


def holds_onnx(path: Path) -> bool:
    """Whether a file's bytes are an ONNX model, whatever its name ends with.

    ONNX has no magic number: a file begins with its IR version, field 1 of the message, and has a graph, field 7. Other
    formats are told apart by their beginnings, and by the names of the operators: text, ZIP (torch, Keras), HDF5.
    """
    if not os.path.isfile(path):  # unlike Path.is_file, False for names that are too long
        return False
    if path.suffix == ONNX:
        return True
    if path.stat().st_size > LARGEST_FILE:
        return False
    with path.open("rb") as file:
        beginning = file.read(2)
        if len(beginning) < 2 or beginning[:1] != IR_VERSION or not 1 <= beginning[1] <= NEWEST_IR:
            return False
        try:
            model = onnx.ModelProto.FromString(beginning + file.read())
        except DecodeError:
            return False
    return bool(model.graph.node) and all(node.op_type for node in model.graph.node)


def read_onnx(path: Path, first_opset: int = FIRST_OPSET) -> onnx.ModelProto:
    """Read and check the model in `path`, with its external weights, without functions, in `first_opset` or later.

    Functions of the model, and branches whose condition is a constant, are inlined; an older opset is converted to
    `first_opset`. Raises NetworkError.
    """
    source = str(path)
    if not holds_onnx(path) and (text := described(path.name)):
        raise NetworkError(f"{source}: is {text}.")
    model = _parsed(path)
    _check_opset(model, source)
    _check_external(path, model)
    _open_negative_sizes(model.graph)
    try:
        if _leaves_out_inputs(model):
            model.ir_version = 4
            onnx.checker.check_model(model)
        else:
            onnx.checker.check_model(source)
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, RuntimeError, ValueError) as problem:
        raise NetworkError(_rejection(source, problem)) from problem
    return plain(model, source, first_opset)


def check_onnx(model: onnx.ModelProto, source: str, first_opset: int = FIRST_OPSET) -> None:
    """Raise NetworkError, naming `source`, unless onnx's checker accepts the model and supports its opset."""
    _check_opset(model, source, first_opset)
    check_sound(model, source)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as problem:
        raise NetworkError(_rejection(source, problem)) from problem


def content_digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of an ONNX file and its external weights. Raises NetworkError."""
    sums = hashlib.sha256()
    for file in (path, *external_files(path)):
        with file.open("rb") as content:
            sums.update(hashlib.file_digest(content, "sha256").digest())
    return sums.hexdigest()


def external_files(path: Path) -> list[Path]:
    """The files beside an ONNX file that have weights of it. Raises NetworkError."""
    model = _parsed(path)
    _check_external(path, model)
    return sorted({path.parent / _location(tensor) for tensor in _external(model)})


def parsed(content: bytes, source: str) -> onnx.ModelProto:
    """The sound model in the bytes of an ONNX file that nothing lies beside, unchecked by onnx.

    Raises NetworkError, naming `source`.
    """
    model = _sound(content, source)
    for tensor in _external(model):
        raise NetworkError(
            f"{source}: tensor {tensor.name!r} is in another file, {_location(tensor)!r}; export the network again, "
            "with its weights in the file itself."
        )
    return model


def with_weights(path: Path) -> onnx.ModelProto:
    """A file that `read_onnx` accepts as it is, with its external weights."""
    model = _parsed(path)
    onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    return model


def _parsed(path: Path) -> onnx.ModelProto:
    """The sound model without its external weights, whatever the file's suffix."""
    try:
        str(path).encode()
    except UnicodeEncodeError as problem:
        raise NetworkError(
            f"{str(path)!a}: the file's name does not fit the encoding {sys.getfilesystemencoding()}; "
            "rename the file, or set PYTHONUTF8=1."
        ) from problem
    if os.path.exists(path) and not path.is_file():
        raise NetworkError(f"{path}: is no file but a folder or a device; name the .onnx file.")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise NetworkError(f"{path}: has more than 2 GB, which no ONNX file has; save its weights beside it.")
        content = path.read_bytes()
    except FileNotFoundError as problem:
        raise NetworkError(f"{path}: the file is missing; check the path.") from problem
    except OSError as problem:
        raise NetworkError(f"{path}: {_unreadable(problem)}.") from problem
    if stand_in := _stand_in(content):
        raise NetworkError(f"{path}: {stand_in}.")
    return _sound(content, str(path))


def _sound(content: bytes, source: str) -> onnx.ModelProto:
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(content)
    except (DecodeError, RecursionError, ValueError) as problem:
        raise NetworkError(f"{source}: {_unreadable(problem)}.") from problem
    check_sound(model, source)
    return model


def _stand_in(content: bytes) -> str | None:
    beginning = content[:100].lower()
    return next((text for start, text in STAND_INS.items() if beginning.startswith(start)), None)


def _unreadable(problem: Exception) -> str:
    return f"cannot be read as ONNX ({' '.join(str(problem).split())}); export the network again"


def _rejection(source: str, problem: Exception) -> str:
    message = " ".join(str(problem).split())  # onnx's messages have several lines
    return f"{source}: onnx's checker rejects it ({message}); export the network again."


def _open_negative_sizes(graph: onnx.GraphProto) -> None:
    """Clear sizes below zero, which exporters of Paddle write for open axes."""
    for item in (*graph.input, *graph.output, *graph.value_info):
        for size in item.type.tensor_type.shape.dim:
            if size.dim_value < 0:
                size.ClearField("dim_value")


def _leaves_out_inputs(model: onnx.ModelProto) -> bool:
    """Whether initialisers are no inputs, as they have to be until IR 3; runtimes read such files all the same."""
    inputs = {item.name for item in model.graph.input}
    return model.ir_version < 4 and any(item.name not in inputs for item in model.graph.initializer)


def _check_opset(model: onnx.ModelProto, source: str, first_opset: int = 1) -> None:
    if not model.graph.node:
        raise NetworkError(f"{source}: has no ONNX graph in it; export the network again.")
    if not model.graph.output:
        raise NetworkError(f"{source}: has no outputs; export the network with the one to differentiate.")
    versions = [item.version for item in model.opset_import if item.domain in ONNX_DOMAIN]
    newest = onnx.defs.onnx_opset_version()
    domains = sorted({node.domain for node in model.graph.node})
    if not versions and domains[0] not in ONNX_DOMAIN:
        raise NetworkError(f"{source}: has operators of {', '.join(domains)} alone, none of ONNX's own.")
    if not versions or not first_opset <= versions[0] <= newest:
        opset = f"opset {versions[0]}" if versions else "no opset"
        raise NetworkError(
            f"{source}: is written in {opset}; export it in an opset from {max(first_opset, FIRST_OPSET)} to {newest}."
        )


def _check_external(path: Path, model: onnx.ModelProto) -> None:
    """Raise NetworkError unless all external weights are in complete files in or below the model's folder."""
    folder = path.parent.resolve()
    ends: dict[str, int] = {}
    for tensor in _external(model):
        ends[_location(tensor)] = max(_end(tensor, str(path)), ends.get(_location(tensor), 0))
    for location, end in ends.items():
        where = f"{path}: its weights are in {location!r}"
        if Path(location).is_absolute():
            raise NetworkError(f"{where}, an absolute path; save the model again with its weights beside it.")
        try:
            file = (folder / location).resolve()
            inside, there = file.is_relative_to(folder), file.is_file()
        except (OSError, RuntimeError, ValueError) as problem:  # too long, with a zero byte, a link to itself
            raise NetworkError(f"{where}, which is no path ({problem}); save the model again.") from problem
        if not inside:
            raise NetworkError(f"{where}, outside the model's folder; save the model again with its weights beside it.")
        if file.exists() and not there:
            raise NetworkError(f"{where}, which is no file but a folder or a device; save the model again.")
        if not there:
            raise NetworkError(f"{where}, which is missing; copy that file beside the model, too.")
        if file.stat().st_size < end:
            raise NetworkError(
                f"{where}, which has {file.stat().st_size} bytes instead of {end}; copy that file again."
            )


def _end(tensor: onnx.TensorProto, source: str) -> int:
    """Where the bytes of an external tensor end in its file. Raises NetworkError unless they are as many as it has."""
    where = f"{source}: tensor {tensor.name!r}"
    entries = {item.key: item.value for item in tensor.external_data}
    numbers = {key: entries[key] for key in ("offset", "length") if key in entries}
    if wrong := [key for key, text in numbers.items() if not (text.isascii() and text.isdigit() and len(text) < 20)]:
        raise NetworkError(f"{where} has the {wrong[0]} {numbers[wrong[0]]!r}, which is no number; save it again.")
    needed = bytes_of(tensor)
    if needed is None:
        raise NetworkError(f"{where} holds texts, which cannot be in another file; save it again.")
    length = int(numbers.get("length", needed))
    if length != needed:
        raise NetworkError(f"{where} has {length} bytes in another file instead of {needed}; save it again.")
    return int(numbers.get("offset", 0)) + length


def _location(tensor: onnx.TensorProto) -> str:
    return next((str(item.value) for item in tensor.external_data if item.key == "location"), "")


def _external(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model, its subgraphs and functions, whose numbers are in another file."""
    nodes = [*every_node(model.graph), *(node for function in model.functions for node in function.node)]
    graphs = [model.graph, *(item.g for node in nodes for item in node.attribute if item.HasField("g"))]
    tensors = [tensor for graph in graphs for tensor in graph.initializer]
    tensors += [tensor for node in nodes for item in node.attribute for tensor in (item.t, *item.tensors)]
    yield from (tensor for tensor in tensors if onnx.external_data_helper.uses_external_data(tensor))
