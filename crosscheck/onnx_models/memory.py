"""Limits of memory for files from strangers: sizes are checked before they are allocated, and the rest is bounded."""

from __future__ import annotations

import contextlib
import math
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from crosscheck.errors import NetworkError
from crosscheck.onnx_models.facts import Facts

__all__ = ["ANSWERING", "bounded", "check_inner_sizes", "check_numbers", "limited"]

#: The most numbers of an input or output, 128 MB in float32: 11 pictures of 1024 x 1024.
LARGEST_END = 2**25
#: The most numbers of a tensor inside, padded, 512 MB in float32; a trial has 4 GB by default.
LARGEST_INSIDE = 2**27
#: Bytes that reading a file may take beyond those that the process has, and for each byte of the file.
READING, PER_BYTE = 2**30, 8
#: Bytes that computing the answers of an exported file may take: as many as a trial has by default.
ANSWERING = 2**32
#: What messages about them say.
LIMIT = f"and crosscheck takes up to {LARGEST_INSIDE}"
#: Operators with windows over the axes after the first two.
WINDOWED = ("AveragePool", "Conv", "ConvInteger", "ConvTranspose", "LpPool", "MaxPool", "QLinearConv")


def check_numbers(shape: Sequence[int], what: str, remedy: str) -> None:
    """Raise NetworkError, beginning with `what`, for an input or output without numbers or with too many."""
    numbers = math.prod(shape)
    if numbers > LARGEST_END or any(size < 0 for size in shape):
        raise NetworkError(
            f"{what} takes {_listed(shape)} numbers, and crosscheck takes up to {LARGEST_END}; {remedy}."
        )
    if not numbers:
        raise NetworkError(f"{what} takes {_listed(shape)} numbers, which are none; {remedy}.")


def check_inner_sizes(model: onnx.ModelProto, facts: Facts) -> None:
    """Raise NetworkError, naming the node, for a tensor of impossible or of too many numbers."""
    for index, node in enumerate(model.graph.node):
        where = f"{facts.source}: node {(node.name or index)!r} ({node.op_type})"
        for name in node.output:
            sizes = [size for size in facts.shape(name) or () if isinstance(size, int)] if name else []
            if any(size < 0 for size in sizes):
                raise NetworkError(
                    f"{where} gives {name!r} the sizes {_listed(sizes)}, below zero; correct its attributes."
                )
            if math.prod(sizes) > LARGEST_INSIDE:
                raise NetworkError(f"{where} gives {name!r} {_listed(sizes)} numbers, {LIMIT}; correct its attributes.")
        if node.op_type in WINDOWED and node.input:
            _check_window(node, facts, where)


def _check_window(node: onnx.NodeProto, facts: Facts, where: str) -> None:
    """The padded input of a convolution or a pool is not too large."""
    attributes = {item.name: list(item.ints) for item in node.attribute}
    sizes = [size if isinstance(size, int) else 1 for size in facts.shape(node.input[0]) or ()]
    pads = attributes.get("pads", [])
    axes = len(sizes) - 2
    if axes < 1:
        return
    if len(pads) == 2 * axes:
        padded = [*sizes[:2], *(size + pads[axis] + pads[axis + axes] for axis, size in enumerate(sizes[2:]))]
        if math.prod(padded) > LARGEST_INSIDE:
            raise NetworkError(f"{where} pads its input to {_listed(padded)} numbers, {LIMIT}; correct its pads.")


def bounded(path: Path, external: Sequence[Path]) -> contextlib.AbstractContextManager[None]:
    """Bound the memory of what reads the file at `path`, whose weights may be in further files; see `limited`."""
    return limited(str(path), sum(file.stat().st_size for file in (path, *external)))


@contextlib.contextmanager
def limited(source: str, size: int, room: int = READING) -> Iterator[None]:
    """Bound the memory of what is done with a file of so many bytes.

    Raises NetworkError, beginning with `source`, where it is not enough.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = _address_space() + room + PER_BYTE * size
    soft, hard = before
    resource.setrlimit(resource.RLIMIT_AS, (limit if soft == resource.RLIM_INFINITY else min(soft, limit), hard))
    try:
        yield
    except MemoryError as problem:
        raise NetworkError(
            f"{source}: needs more memory than crosscheck takes for a file of this size "
            f"({' '.join(str(problem).split()) or 'out of memory'}); make its sizes smaller."
        ) from problem
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _address_space() -> int:
    """The bytes of address space that this process has; zero where the system does not say it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return 0
    return pages * resource.getpagesize()


def _listed(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
