"""Arrays and files in a script: literals where they are few numbers, else one block in base64 at the end."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping, Sequence

import numpy as np

from crosscheck.cells import Array
from crosscheck.networks.prepare import write_arrays

__all__ = ["WIDTH", "archive", "commented", "in_lines", "literal", "tiny", "wrapped"]

#: Up to so many numbers, all arrays of a script together, they are literals.
TINY = 64
#: Characters of a line, without its indentation.
WIDTH = 112
#: Archives that are kept.
ARCHIVES = 64


def tiny(arrays: Mapping[str, Array]) -> bool:
    """Whether the arrays can be literals: a few float32 numbers, all finite."""
    return sum(value.size for value in arrays.values()) <= TINY and all(
        value.dtype == np.float32 and bool(np.isfinite(value).all()) for value in arrays.values()
    )


def literal(value: Array) -> str:
    """Nested lists of the shortest decimals that mean these float32 numbers."""
    return str(value[()]).removesuffix(".0") if value.ndim == 0 else f"[{', '.join(literal(item) for item in value)}]"


def wrapped(items: Sequence[str]) -> list[str]:
    """Items with commas behind them, as many on a line as there is room for."""
    lines = [""]
    for item in items:
        if lines[-1] and len(lines[-1]) + len(item) + 2 > WIDTH:
            lines.append("")
        lines[-1] += f" {item}," if lines[-1] else f"{item},"
    return lines


def archive(arrays: Mapping[str, Array]) -> str:
    """An .npz of the arrays as lines of base64. Many scripts of a run have equal arrays."""
    return _archive(tuple((name, value.dtype.str, value.shape, value.tobytes()) for name, value in arrays.items()))


@functools.lru_cache(ARCHIVES)
def _archive(arrays: tuple[tuple[str, str, tuple[int, ...], bytes], ...]) -> str:
    content = io.BytesIO()
    write_arrays(content, {name: np.frombuffer(data, dtype).reshape(shape) for name, dtype, shape, data in arrays})
    return in_lines(content.getvalue())


def in_lines(content: bytes) -> str:
    """Bytes as lines of base64."""
    text = base64.b64encode(content).decode()
    return "".join(f"{text[start : start + WIDTH]}\n" for start in range(0, len(text), WIDTH))


def commented(lines: str, comment: str) -> str:
    """Lines, each behind the language's sign for a comment."""
    return "".join(f"{comment} {line}\n" for line in lines.splitlines())
