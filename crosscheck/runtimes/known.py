"""The names of runtimes, without a look into their folders: a mistyped one is told before anything is imported."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from crosscheck.errors import UsageError

__all__ = ["check_names", "nearest", "unknown_runtime"]


def check_names(words: Sequence[str]) -> None:
    """Raise UsageError for `run WORDS` with a runtime that there is not; any may be there where packages offer some."""
    names = [table.parent.name.replace("_", "-") for table in sorted(Path(__file__).parent.glob("*/releases.toml"))]
    for word in words:
        name = word.partition("@")[0]
        if name not in names and not entry_points(group="crosscheck.runtimes"):
            raise unknown_runtime(name, names)


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
