"""The names of runtimes, without a look into their folders: a mistyped one is told before anything is imported."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from crosscheck.errors import UsageError

__all__ = ["TOOLKITS", "check_names", "name_of", "nearest", "unknown_runtime"]

#: The word for all runtimes with a base.
TOOLKITS = "toolkits"


def check_names(words: Sequence[str]) -> None:
    """Raise UsageError for `run WORDS` with a runtime that there is not; any may be there where packages offer some."""
    tables = sorted(Path(__file__).parent.glob("*/releases.toml"))
    folders = {name_of({}, table.parent) for table in tables}
    for name in (word.partition("@")[0] for word in words):
        if name in folders or name == TOOLKITS or entry_points(group="crosscheck.runtimes"):
            continue
        names = [name_of(tomllib.loads(table.read_text())["runtime"], table.parent) for table in tables]
        if name not in names:
            raise unknown_runtime(name, [*names, TOOLKITS])


def name_of(about: Mapping[str, Any], folder: Path) -> str:
    """The name of the runtime in a folder. about: the table `runtime` of its `releases.toml`."""
    return str(about.get("name", folder.name.replace("_", "-")))


def unknown_runtime(name: str, names: Iterable[str]) -> UsageError:
    """The error for a runtime that is not among the known ones."""
    return UsageError(f"unknown runtime '{name}'. {nearest(name, names)}")


def nearest(wanted: str, names: Iterable[str]) -> str:
    """A sentence with the closest names, or with all if there are few."""
    candidates = list(names)
    close = difflib.get_close_matches(wanted, candidates, n=3, cutoff=0.4) or (
        candidates if len(candidates) <= 8 else []
    )
    return f"Did you mean {', '.join(close)}?" if close else f"There are {len(candidates)}."
