"""Command `gradient`: writes the gradient model of a user's file, and prints its contents and how to run it."""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from rich.console import Console

from crosscheck.commands.options import add_trust
from crosscheck.conversion import onnx_file, parts_of
from crosscheck.ending import OK
from crosscheck.errors import UsageError
from crosscheck.gradients import UPDATED
from crosscheck.gradients.api import sized_gradient
from crosscheck.onnx_models.domains import opset_of
from crosscheck.onnx_models.file_options import FileOptions
from crosscheck.terminal import printable
from crosscheck.whole_files import whole

__all__ = ["arguments", "main", "write"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="the model")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="GRADIENT.onnx", help="the file to write")
    parser.add_argument(
        "--wrt",
        action="append",
        default=[],
        metavar="NAME,...",
        help="differentiate by these inputs or inner tensors (default: every input of floats)",
    )
    parser.add_argument(
        "--output", metavar="NAME", help="differentiate this output or inner tensor (default: the first)"
    )
    parser.add_argument(
        "--shape", action="append", default=[], metavar="INPUT=1,3,224,224", help="sizes for an input's open axes"
    )
    parser.add_argument(
        "--training",
        action="store_true",
        help="use the batch's own statistics, as in training; further outputs are the updated moving statistics",
    )
    add_trust(parser)


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Write the gradient model, and print what it has."""
    for line in write(parsed.model, parsed.out, parsed.training, parsed.wrt, parsed.output, parsed.shape, parsed.trust):
        console.print(printable(line), soft_wrap=True)
    return OK


def write(
    source: Path,
    target: Path,
    training: bool = False,
    wrt: Sequence[str] = (),
    output: str | None = None,
    shapes: Sequence[str] = (),
    trust: bool = False,
) -> Iterator[str]:
    """Write the gradient model of `source` to `target`, then yield lines about it.

    wrt: names, several in one text separated by commas. shapes: texts such as "x=1,3,224,224". trust: whether code in a
    file of another format than ONNX may run when its runtime opens it.
    Raises NetworkError for a model that cannot be differentiated, UsageError for a file that cannot be written, and for
    a text that is no shape.
    """
    names = [name for text in wrt for name in text.split(",")]
    options = FileOptions.parsed(shapes, trust=trust)
    _refuse_parts(source, target, options)
    made, chosen = sized_gradient(onnx_file(source, options), training, names, output, options)
    try:
        _write_whole(target, made.SerializeToString())
    except (OSError, EncodeError, ValueError) as problem:
        reason = f"{problem.strerror or problem}" if isinstance(problem, OSError) else f"{problem}"
        raise UsageError(f"{target}: cannot be written ({reason}); give another file with -o.") from problem
    stored = {item.name for item in made.graph.initializer}
    inputs = [item for item in made.graph.input if item.name not in stored]
    outputs = list(made.graph.output)
    opset = opset_of(made)
    yield from chosen
    yield f"{target}: opset {opset}, IR {made.ir_version}, {len(made.graph.node)} nodes"
    width = max(len(item.name) for item in (*inputs, *outputs))
    for title, items in (("inputs", inputs), ("outputs", outputs)):
        for index, item in enumerate(items):
            yield f"  {title if index == 0 else '':8} {item.name:{width}}  {_type(item)}"
    y, cotangent = outputs[0].name, inputs[-1].name
    answers = [item.name for item in itertools.takewhile(lambda item: item.name.endswith(".gradient"), outputs[1:])]
    for answer in answers:
        yield f"{answer} = d sum({y} * {cotangent}) / d {answer.removesuffix('.gradient')}"
    updates = [item for item in outputs if item.doc_string.startswith(UPDATED)]
    for update in updates:
        yield f"{update.name} = {update.doc_string}"
    if training and not updates:
        yield "there is no batch normalization in it: the training form is the inference form"
    feeds = ", ".join(f"{item.name!r}: {_variable(item.name, index)}" for index, item in enumerate(inputs[:-1]))
    yield (
        f"run it: onnxruntime.InferenceSession({str(target)!r}).run({answers!r}, {{{feeds}, {cotangent!r}: cotangent}})"
    )


def _refuse_parts(source: Path, target: Path, options: FileOptions) -> None:
    """Raise UsageError if the target is a file of the model: itself, its weights, or a part of another format."""
    if not (os.path.exists(target) and os.path.exists(source)):
        return
    for part in parts_of(source, options):
        if os.path.exists(part) and target.samefile(part):
            what = "the model itself" if source.samefile(part) else "a file of the model, with weights of it"
            raise UsageError(f"{target}: is {what}; give the gradient another file.")


def _write_whole(target: Path, content: bytes) -> None:
    """Write a file, or leave what is there: it appears whole, or not at all."""
    place = target.resolve()  # what a link names is replaced, not the link
    if place.exists() and not place.is_file():  # a device, such as /dev/stdout; a folder raises
        place.write_bytes(content)
        return
    with whole(place) as unfinished:
        unfinished.write_bytes(content)
        if place.exists():
            shutil.copymode(place, unfinished)


def _variable(name: str, index: int) -> str:
    """A Python variable for an input."""
    return name if name.isidentifier() else f"x{index}"


def _type(item: onnx.ValueInfoProto) -> str:
    """The element type and the shape of an input or output."""
    tensor = item.type.tensor_type
    sizes = (
        size.dim_param or (str(size.dim_value) if size.HasField("dim_value") else "?") for size in tensor.shape.dim
    )
    return f"{onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)} ({', '.join(sizes)})"
