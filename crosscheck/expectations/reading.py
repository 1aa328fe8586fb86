"""Reads `expect.toml`. Every mistake is one line with the file, the line and the nearest name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosscheck.cells import Finding
from crosscheck.errors import UsageError
from crosscheck.expectations.entries import WORDS, Entry, Expectations, parts_of
from crosscheck.runtimes.known import nearest
from crosscheck.toml_text import Toml, kind_of, mistake, read_toml

__all__ = ["TABLE", "read_expectations"]

#: The name of an entry's table.
TABLE = "expect"
KEYS = ("cells", "findings", "sometimes", "reason", "link")
#: The first line of an entry.
_HEADER = re.compile(rf"""\s*\[\[\s*(["']?){TABLE}\1\s*\]\]""")


def read_expectations(path: Path, strict: bool = False) -> Expectations:
    """The entries of a file. Raises UsageError for a mistake; where `strict`, for an entry without a reason, too."""
    read = read_toml(path, f"`crosscheck expect RUN -o {path}` writes one from a run.")
    return _Reader(read, strict).read()


@dataclass
class _Reader:
    """A file while it is read. block: the lines of an entry, of which the first is number `line`."""

    file: Toml
    strict: bool
    line: int = 1
    block: Sequence[str] = ()

    def read(self) -> Expectations:
        tables, path = self.file.tables, self.file.path
        lines = self.block = self.file.lines
        for name in tables:
            if name != TABLE:
                raise self._mistake(f"unknown table or key '{name}'. {nearest(name, [TABLE])}", name)
        listed = tables.get(TABLE, [])
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise self._mistake(f"'{TABLE}' is no list of tables. Write [[{TABLE}]] above each entry.", TABLE)
        begins = _begins(lines)
        if len(begins) != len(listed):  # written in another way than as [[expect]]: where each stands is not known
            return Expectations(str(path), tuple(self._entry(fields, 1, "") for fields in listed))
        entries = []
        for fields, (begin, end) in zip(listed, itertools.pairwise([*begins, len(lines)]), strict=True):
            self.line, self.block = begin + 1, lines[begin:end]
            entries.append(self._entry(fields, self.line + _header(self.block), "\n".join(self.block)))
        return Expectations(str(path), tuple(entries), "\n".join(lines[: begins[0]] if begins else lines))

    def _entry(self, fields: Mapping[str, Any], line: int, text: str) -> Entry:
        for name in fields:
            if name not in KEYS:
                raise self._mistake(f"unknown key '{name}'. {nearest(name, KEYS)}", name)
        if "cells" not in fields:
            raise self._mistake("an entry without `cells`, the pattern of a cell's id or a list of them.")
        cells = self._texts(fields, "cells", [fields["cells"]] if isinstance(fields["cells"], str) else None)
        if not cells:
            raise self._mistake("`cells` is empty. Remove the entry, or name its cells.", "cells")
        for pattern in cells:
            try:
                parts_of(pattern)
            except ValueError as problem:
                raise self._mistake(f"{problem}; a glob for each part.", pattern) from None
        if not fields.keys() & {"findings", "sometimes"}:
            raise self._mistake('an entry without `findings`. Write findings = ["clean"] for cells without any.')
        findings, sometimes = (self._findings(fields, key) for key in ("findings", "sometimes"))
        reason, link = (self._text(fields, key) for key in ("reason", "link"))
        if self.strict and not reason.strip():
            raise self._mistake("an entry without a reason, which --strict asks for.", "reason")
        return Entry(tuple(cells), findings, sometimes, reason, link, line, text)

    def _findings(self, fields: Mapping[str, Any], key: str) -> frozenset[str]:
        words = self._texts(fields, key)
        for word in words:
            if word not in WORDS:
                raise self._mistake(f"unknown finding '{word}'. {nearest(word, WORDS)}", word)
        if Finding.CLEAN in words and (len({*words}) > 1 or key == "sometimes" or fields.get("sometimes")):
            raise self._mistake("`clean` stands alone: a cell with any other finding is not clean.", Finding.CLEAN)
        if not words and not any(fields.get(name) for name in ("findings", "sometimes")):
            raise self._mistake(f'`{key}` is empty. Write findings = ["clean"] for cells without any.', key)
        return frozenset(words) - {Finding.CLEAN}

    def _texts(self, fields: Mapping[str, Any], key: str, value: Any = None) -> list[str]:
        texts = fields.get(key, []) if value is None else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self._mistake(f"`{key}` is {kind_of(texts)}, not a list of texts.", key)
        return texts

    def _text(self, fields: Mapping[str, Any], key: str) -> str:
        value = fields.get(key, "")
        if not isinstance(value, str):
            raise self._mistake(f"`{key}` is {kind_of(value)}, not a text.", key)
        return value

    def _mistake(self, sentence: str, about: str = "") -> UsageError:
        """The error, with the first line of the entry that begins with a key or has a text, else its header's."""
        return mistake(self.file.path, self.block, sentence, about, self.line, _header(self.block))


def _begins(lines: Sequence[str]) -> list[int]:
    """Where each entry begins, with the comments right above it."""
    begins = []
    for number, line in enumerate(lines):
        if _HEADER.match(line):
            while number > 0 and lines[number - 1].lstrip().startswith("#"):
                number -= 1
            begins.append(number)
    return begins


def _header(block: Iterable[str]) -> int:
    return next((number for number, line in enumerate(block) if _HEADER.match(line)), 0)
