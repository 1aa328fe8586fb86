"""Arrays and files in a script: literals where they are few numbers, else one block in base64 at the end."""

from __future__ import annotations

import base64
import functools
import io
import itertools
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from crosscheck.cells import Array

__all__ = ["WIDTH", "archive", "commented", "in_lines", "literal", "tiny", "wrapped"]

#: Up to so many numbers, all arrays of a script together, they are literals.
TINY = 64
#: Characters of a line, without its indentation.
WIDTH = 112
#: Bytes of the header of a file in a ZIP archive, without its name (APPNOTE.TXT of PKWARE, 4.3.7).
LOCAL_HEADER = 30
#: Remainder of an entry's bytes by three -> the extra field (4.5.1: an identifier, a size, data) that makes it zero.
PADDINGS = (b"", b"\xff\xff\x01\x00\x00", b"\xff\xff\x00\x00")
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


def archive(arrays: Mapping[str, Array]) -> tuple[str, ...]:
    """An .npz of the arrays as lines of base64, a text for each array, and one for the end.

    Many scripts of a run have an array in common, and then its text.
    """
    return _archive(tuple((name, value.dtype.str, value.shape, value.tobytes()) for name, value in arrays.items()))


@functools.lru_cache(ARCHIVES)
def _archive(arrays: tuple[tuple[str, str, tuple[int, ...], bytes], ...]) -> tuple[str, ...]:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, dtype, shape, data in arrays:
            array = io.BytesIO()
            value = np.frombuffer(data, dtype).reshape(shape)
            np.lib.format.write_array(array, value, version=(1, 0), allow_pickle=False)
            _add(file, f"{name}.npy", array.getvalue())
        starts = [entry.header_offset for entry in file.infolist()]
        end = content.tell()
    whole = content.getvalue()
    return tuple(in_lines(whole[start:until]) for start, until in itertools.pairwise([*starts, end, len(whole)]))


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add an entry whose bytes are a multiple of three, so that base64 has an end there."""
    entry = zipfile.ZipInfo(name)  # dated 1980
    entry.compress_type = zipfile.ZIP_DEFLATED
    packed = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS)
    size = len(packed.compress(content)) + len(packed.flush())
    entry.extra = PADDINGS[(LOCAL_HEADER + len(name.encode()) + size) % 3]
    file.writestr(entry, content)


def in_lines(content: bytes) -> str:
    """Bytes as lines of base64."""
    text = base64.b64encode(content).decode()
    return "".join(f"{text[start : start + WIDTH]}\n" for start in range(0, len(text), WIDTH))


def commented(lines: str, comment: str) -> str:
    """Lines, each behind the language's sign for a comment."""
    return "".join(f"{comment} {line}\n" for line in lines.splitlines())
