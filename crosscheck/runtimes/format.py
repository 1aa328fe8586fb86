"""A format of network files, besides ONNX, that a runtime reads as they are and exports to ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Format", "harmless"]


def harmless(path: Path) -> str:
    """For formats in whose files nothing is executed when they are opened."""
    return ""


@dataclass(frozen=True)
class Format:
    """One format; `FORMATS` in `formats.py` of a runtime's folder has those that the runtime reads.

    name: what modes that read such files as they are name as `native`.
    title: what a message calls such a file.
    parts: the name under which texts read a part -> a regular expression for the end of its name in the user's folder;
        what precedes is the same in all parts. An end "" is a folder.
    marker: a file that such a folder contains; "" for formats of files.
    release, variant: of the runtime that exports it.
    export: the text that does. It is executed in a folder that has the parts, and writes `network.onnx` there, with
        batch normalizations kept. It reads `shapes` (input -> sizes, as the user gives them), `batch` (rows, if no one
        gives a shape) and `trusted` (whether the user trusts the file), and calls `refuse(message)`.
    runs_code: why opening a file would run code that is in it; "" if it would not. It reads bytes only.
    """

    name: str
    title: str
    parts: Mapping[str, str]
    release: str
    variant: str
    export: str = field(repr=False)
    marker: str = ""
    runs_code: Callable[[Path], str] = harmless
