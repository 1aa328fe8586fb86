"""The file of a job: `crosscheck.toml`, or the table `tool.crosscheck` of `pyproject.toml`, in the current folder.

It has the options of `crosscheck run` under their long names. Every mistake is one line with the file, the line and the
nearest name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosscheck.errors import UsageError
from crosscheck.runtimes.known import nearest
from crosscheck.toml_text import Toml, kind_of, mistake, read_toml

if TYPE_CHECKING:  # a mistyped word is refused before onnx is imported
    from crosscheck.job import Selection

__all__ = ["EXAMPLE", "FILE", "Configuration", "found"]

FILE, PROJECT, TABLE = "crosscheck.toml", "pyproject.toml", "crosscheck"

#: The kinds of values, in words.
TEXTS, TEXT, WHOLE, NUMBER, TRUTH = "a list of texts", "a text", "a whole number", "a number", "true or false"
#: Key -> the kind of its value, and the option of `run` that it stands for.
SELECTED = {"runtimes": "what", "networks": "network", "modes": "mode", "scenarios": "scenario"}
KEYS: Mapping[str, tuple[str, str]] = {
    **{key: (TEXTS, option) for key, option in SELECTED.items()},
    "exclude": (TEXTS, "exclude"),
    "all": (TRUTH, "everything"),
    "trials": (WHOLE, "trials"),
    "jobs": (WHOLE, "jobs"),
    "engine": (TEXT, "engine"),
    "out": (TEXT, "out"),
    "isolation": (TEXT, "isolation"),
    "time-limit": (NUMBER, "time_limit"),
    "memory-limit": (NUMBER, "memory_limit"),
    "budget": (TEXT, "budget"),
}
#: Table -> its keys, likewise.
TABLES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "network-files": {
        "shape": (TEXTS, "shape"),
        "batch": (WHOLE, "batch"),
        "input": (TEXTS, "input"),
        "output": (TEXT, "output"),
        "cotangent": (WHOLE, "cotangent"),
        "trust": (TRUTH, "trust"),
    },
    "outputs": {
        "expect": (TEXT, "expect"),
        "strict": (TRUTH, "strict"),
        "junit": (TEXT, "junit"),
        "sarif": (TEXT, "sarif"),
        "markdown": (TEXT, "markdown"),
        "summary": (TEXT, "summary"),
        "against": (TEXT, "against"),
    },
}
INCLUDE = "include"
#: Options that are paths, relative to the file's folder.
PATHS = ("out", "expect", "junit", "sarif", "markdown", "summary", "against")


@dataclass(frozen=True)
class Configuration:
    """The options that a file gives.

    options: option of `run` -> value, as the command line would give it. include: further parts of the matrix.
    """

    file: Toml
    options: Mapping[str, Any] = field(default_factory=dict)
    include: tuple[Selection, ...] = ()

    def placed(self, problem: UsageError) -> UsageError:
        """The same problem, with the file and the line, if it quotes a text of the file or names one of its options."""
        for quoted in re.findall(r"'([^']+)'", str(problem)):
            within = re.compile(rf"""[^#]*["'][^"']*(?<!\w){re.escape(quoted)}(?!\w)""")
            if any(map(within.match, self.file.lines)):
                return mistake(self.file.path, self.file.lines, str(problem), quoted)
        for option in re.findall(r"--([a-z-]+)", str(problem)):
            if option.replace("-", "_") in self.options:
                return mistake(self.file.path, self.file.lines, str(problem), option)
        return problem


def found(folder: Path) -> Configuration | None:
    """The configuration in a folder, if it has one. Raises UsageError for a mistake in it."""
    if (folder / FILE).exists():
        toml = read_toml(folder / FILE, "Change its permissions, or remove it.")
        return _Reader(toml).read(toml.tables)
    if (folder / PROJECT).exists():
        toml = read_toml(folder / PROJECT, "Change its permissions.")
        tool = toml.tables.get("tool")
        table = tool.get(TABLE) if isinstance(tool, dict) else None
        if isinstance(table, dict):
            return _Reader(toml).read(table)
    return None


@dataclass(frozen=True)
class _Reader:
    toml: Toml

    def read(self, table: Mapping[str, Any]) -> Configuration:
        options: dict[str, Any] = {}
        known = [*KEYS, *TABLES, INCLUDE]
        for key, value in table.items():
            if key in KEYS:
                kind, option = KEYS[key]
                options[option] = self._value(key, value, kind)
            elif key in TABLES:
                options |= self._table(key, value)
            elif key != INCLUDE:
                raise self._mistake(f"unknown key '{key}'. {nearest(key, known)}", key)
        folder = self.toml.path.parent
        options |= {name: folder / options[name] for name in PATHS if name in options}
        for name in ("network", "input"):
            if name in options:
                options[name] = [self._located(text, name) for text in options[name]]
        return Configuration(self.toml, options, self._include(table.get(INCLUDE, [])))

    def _table(self, name: str, table: Any) -> dict[str, Any]:
        if not isinstance(table, dict):
            raise self._mistake(f"'{name}' is {kind_of(table)}, not a table. Write [{name}].", name)
        keys = TABLES[name]
        options = {}
        for key, value in table.items():
            if key not in keys:
                raise self._mistake(f"unknown key '{key}' of {name}. {nearest(key, keys)}", key)
            kind, option = keys[key]
            options[option] = self._value(key, value, kind)
        return options

    def _include(self, listed: Any) -> tuple[Selection, ...]:
        if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
            raise self._mistake(f"'{INCLUDE}' is no list of tables. Write [[{INCLUDE}]] above each.", INCLUDE)
        if not listed:
            return ()
        from crosscheck.job import Selection

        selections = []
        for item in listed:
            for key in item:
                if key not in SELECTED:
                    raise self._mistake(f"unknown key '{key}' of {INCLUDE}. {nearest(key, SELECTED)}", key)
            if not item.get("runtimes"):
                raise self._mistake(f"[[{INCLUDE}]] without runtimes, which it is about.", INCLUDE)
            runtimes, networks, modes, scenarios = (self._value(key, item.get(key, []), TEXTS) for key in SELECTED)
            networks = [self._located(text, "network") for text in networks]
            selections.append(Selection(runtimes, networks, modes, scenarios))
        return tuple(selections)

    def _located(self, text: str, option: str) -> str:
        """A path relative to the file's folder; a glob as it is."""
        from crosscheck.conversion import is_file

        path = self.toml.path.parent / text
        return str(path) if option == "input" or (is_file(text) and path.exists()) else text

    def _value(self, key: str, value: Any, kind: str) -> Any:
        truth = isinstance(value, bool)
        right = {
            TEXTS: isinstance(value, list) and all(isinstance(item, str) for item in value),
            TEXT: isinstance(value, str),
            WHOLE: isinstance(value, int) and not truth,
            NUMBER: isinstance(value, int | float) and not truth,
            TRUTH: truth,
        }[kind]
        if not right:
            raise self._mistake(f"'{key}' is {kind_of(value)}, not {kind}.", key)
        return value

    def _mistake(self, sentence: str, about: str) -> UsageError:
        return mistake(self.toml.path, self.toml.lines, sentence, about)


#: A commented file, which selects what `crosscheck run` selects without one.
EXAMPLE = """\
# The job of `crosscheck run` in this folder. Options of the command line replace those of this file; naming releases
# there leaves out [[include]], too. Paths are relative to this folder. `crosscheck list` has the names.

# Runtimes and ranges of releases; without any, the default matrix.
# runtimes = ["mxnet@1.5..", "onnxruntime@newest", "torch"]

# Globs; without any, the defaults. networks may have files of your own.
# networks = ["conv", "models/mine.onnx"]
# modes = ["gluon.*", "opset-15*"]
# scenarios = ["gradient", "twenty"]

# Cells that are left out: runtime@release+variant/mode/network/scenario, a glob for each part.
# exclude = ["mxnet@1.2*/hybrid.*"]

# Every release, variant, mode and scenario of the selection.
# all = false

# trials = 2                  # of the first reading of each cell
# jobs = 2                    # in parallel; without it, one a core
# engine = "local"            # or "dask://HOST:PORT", the workers of a Dask scheduler
# out = "crosscheck-out"      # results and journal
# isolation = "fork"          # or "new-interpreter"
# time-limit = 60             # seconds of one trial
# memory-limit = 4            # GB of one trial
# budget = "none"             # for measuring, as in "90s", "30m", "2h"

# Further parts of the matrix, each a selection of its own.
# [[include]]
# runtimes = ["torch@newest"]
# networks = ["digits"]
# scenarios = ["twenty"]

# Files of your own among the networks.
# [network-files]
# shape = ["x=1,3,224,224"]
# batch = 4
# input = ["photo.png"]
# output = "scores"
# cotangent = 238
# trust = false

# What a finished run is written as, and held against.
# [outputs]
# expect = "expect.toml"      # `crosscheck expect` writes one; exit code 1 for what is not expected
# strict = false              # also for what is no longer true
# junit = "crosscheck.xml"
# sarif = "crosscheck.sarif"
# markdown = "crosscheck.md"
# summary = "crosscheck.json"
# against = "last-night"      # an earlier run: the report lists the changes since then
"""
