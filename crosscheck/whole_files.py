"""Files that appear whole, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["remove_parts", "whole"]

#: The end of the names of files that are being written.
UNFINISHED = ".unfinished"


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; what is there at the end replaces `path`, which stays as it was on an error.

    Several processes may write the same file. A killed one leaves a part, which `remove_parts` removes.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder in which no other one is at work."""
    for part in folder.glob(f".*{UNFINISHED}"):
        part.unlink(missing_ok=True)
