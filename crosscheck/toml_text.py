"""Reads TOML that people write, so that a mistake can be told with its file, line and the nearest name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosscheck.errors import UsageError

__all__ = ["Toml", "kind_of", "mistake", "read_toml"]

#: Where tomllib says that a mistake is.
_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True)
class Toml:
    """A file: its text and its tables."""

    path: Path
    text: str
    tables: dict[str, Any]

    @property
    def lines(self) -> list[str]:
        """The lines; not `splitlines`: a text in TOML may contain other separators."""
        return self.text.split("\n")


def read_toml(path: Path, remedy: str) -> Toml:
    """Read a file. Raises UsageError, with the line, for a mistake, and with `remedy` if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: not UTF-8 ({problem}).") from None
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror or problem}. {remedy}") from None
    try:
        return Toml(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as problem:
        raise UsageError(_syntax(path, text, str(problem))) from None


def _syntax(path: Path, text: str, message: str) -> str:
    place = _PLACE.search(message)
    line = int(place[1]) if place else len(text.splitlines())
    column = f", column {place[2]}" if place else ""
    what = _PLACE.sub("", message).removesuffix(" (at end of document)")
    return f"{path}, line {line}{column}: not TOML: {what[:1].lower()}{what[1:]}."


def mistake(
    path: Path, lines: Sequence[str], sentence: str, about: str = "", first: int = 1, otherwise: int = 0
) -> UsageError:
    """The error, with the first of the lines that begins with the key `about` or has it as a text, else `otherwise`.

    first: the number of the first line. Comments do not count.
    """
    key = re.compile(rf"""\s*\[*\s*["']?{re.escape(about)}["']?\s*[=\].]""")
    told = [(number, line) for number, line in enumerate(lines) if not line.lstrip().startswith("#")]
    places = [number for number, line in told if about and key.match(line)]
    places += [number for number, line in told if about and about in line]
    return UsageError(f"{path}, line {first + (places[0] if places else otherwise)}: {sentence}")


def kind_of(value: Any) -> str:
    """The kind of a value in TOML, in words."""
    kinds = {bool: "a truth value", int: "a number", float: "a number", str: "a text", list: "a list of other values"}
    return kinds.get(type(value), "a table" if isinstance(value, dict) else "a date")
