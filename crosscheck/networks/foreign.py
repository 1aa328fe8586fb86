"""Users' files in other formats than ONNX: recognises them, and refuses those that would run code when they are opened.

Nothing here opens a file as its runtime does: names and bytes are looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from crosscheck.errors import NetworkError

if TYPE_CHECKING:  # what imports networks need not have what the catalog imports
    from crosscheck.runtimes.catalog import Runtime
    from crosscheck.runtimes.format import Format

__all__ = ["Foreign", "recognised", "taken"]


@dataclass(frozen=True, eq=False)
class Foreign:
    """A user's file in another format.

    path: as the user gives it. short: its name without the end. parts: the name under which texts read a part -> its
    path. trusted: whether the user lets it run code. said: a sentence about which parts were chosen.
    """

    path: Path
    short: str
    format: Format
    runtime: Runtime
    parts: Mapping[str, Path]
    trusted: bool
    said: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the content of all parts. Raises NetworkError."""
        sums = hashlib.sha256()
        try:
            for name, path in self.parts.items():
                for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                    if file.is_file():
                        sums.update(f"{name}/{file.relative_to(path)}\n".encode())
                        with file.open("rb") as content:
                            sums.update(hashlib.file_digest(content, "sha256").digest())
        except OSError as problem:
            raise NetworkError(f"{self.path}: cannot be read ({problem.strerror or problem}).") from problem
        return sums.hexdigest()


def taken(runtimes: Iterable[Runtime]) -> str:
    """What a user's file may be, for messages."""
    known = [(one.title, next(iter(one.parts.values()))) for runtime in runtimes for one in runtime.formats]
    titles = [f"{title} (*{_plain(end)})" if end else f"{title} (a folder)" for title, end in known]
    return ", ".join(["ONNX (*.onnx)", *titles])


def recognised(path: Path, runtimes: Iterable[Runtime], trusted: bool) -> Foreign | None:
    """The file at `path`, if it has the format of a runtime; None for other names.

    Raises NetworkError for missing parts, and for files that would run code, unless they are `trusted`.
    """
    for runtime in runtimes:
        for known in runtime.formats:
            for end in known.parts.values():
                start = re.fullmatch(f"(.*){end}", path.name or path.resolve().name, re.DOTALL)
                if start and os.path.isdir(path) == (not end) and (end or (path / known.marker).is_file()):
                    foreign = _with_parts(path, start[1], known, runtime, trusted)
                    if not trusted and (reason := known.runs_code(path)):
                        raise NetworkError(
                            f"{path}: {reason}; give --trust if you know where it comes from. "
                            f"{runtime.title} alone opens it, in a process of its own."
                        )
                    return foreign
    return None


def _with_parts(path: Path, start: str, known: Format, runtime: Runtime, trusted: bool) -> Foreign:
    if not os.path.exists(path):  # unlike Path.exists, False for names that are too long
        raise NetworkError(f"{path}: the file is missing; check the path.")
    parts: dict[str, Path] = {}
    said: list[str] = []
    for name, end in known.parts.items():
        if not end or re.fullmatch(f".*{end}", path.name, re.DOTALL):
            parts[name] = path
            continue
        beside = sorted(file for file in path.parent.iterdir() if re.fullmatch(re.escape(start) + end, file.name))
        if not beside:
            raise NetworkError(f"{path}: {start}{_plain(end)} is missing beside it; {known.title} needs both.")
        parts[name] = beside[-1]
        if len(beside) > 1:
            said.append(f"{path}: {beside[-1].name} is taken; --network {beside[0]} takes another.")
    return Foreign(path, start, known, runtime, parts, trusted, tuple(said))


def _plain(end: str) -> str:
    """A regular expression of a name's end as a user reads it."""
    return end.replace(r"\d{4}", "0000").replace("?", "").replace("\\", "")
