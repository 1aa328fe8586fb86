"""Finds CPython interpreters: this process's own, on the PATH, under a pyenv root, or managed by uv."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosscheck.errors import Unavailable

__all__ = ["Interpreter", "find", "remedy", "uv"]

#: The first CPython that uv can fetch.
FETCHED = (3, 8)


@dataclass(frozen=True)
class Interpreter:
    """A CPython that runs: its path, its minor version ("3.11") and its full one ("3.11.7")."""

    path: Path
    minor: str
    version: str


def uv(*arguments: str) -> list[str]:
    """The command line of the uv that crosscheck depends on."""
    beside = Path(sys.executable).parent / "uv"
    return [str(beside) if beside.exists() else "uv", *arguments]


def find(wanted: Sequence[str], fetch: bool = True) -> Interpreter:
    """The first of the wanted minor versions that this machine has.

    Where it has none, `fetch` lets uv download the first one that it can. Raises Unavailable with the remedy.
    """
    for minor in wanted:
        found = _have(minor)
        if found is not None:
            return found
    for minor in wanted if fetch else ():
        found = _fetched(minor)
        if found is not None:
            return found
    raise Unavailable(
        f"no CPython {' or '.join(wanted)} on this machine{', and uv could not fetch one' if fetch else ''}. "
        f"Install one ({remedy(wanted)}) and run again."
    )


def remedy(wanted: Sequence[str]) -> str:
    """How to get one of the wanted minor versions: by uv, and by pyenv where uv has none so old."""
    fetched = [minor for minor in wanted if tuple(map(int, minor.split("."))) >= FETCHED]
    if fetched:
        return f"`uv python install {fetched[0]}`, or pyenv"
    return f"`pyenv install {wanted[0]}`; uv has none so old"


@functools.cache
def _have(minor: str) -> Interpreter | None:
    return next((found for path in _candidates(minor) if (found := _ask(path)) and found.minor == minor), None)


def _candidates(minor: str) -> Iterator[Path]:
    yield Path(getattr(sys, "_base_executable", sys.executable))
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    # pyenv's own folder goes before the PATH, where a shim of its may stand for no interpreter at all.
    for folder in sorted(root.glob(f"versions/{minor}.*"), reverse=True):
        yield folder / "bin" / "python"
    on_path = shutil.which(f"python{minor}")
    if on_path:
        yield Path(on_path)
    managed = subprocess.run(
        uv("python", "find", "--no-project", "--managed-python", "--no-python-downloads", minor),
        capture_output=True,
        text=True,
    )
    if managed.returncode == 0:
        yield Path(managed.stdout.strip())


@functools.cache
def _fetched(minor: str) -> Interpreter | None:
    if os.environ.get("UV_PYTHON_DOWNLOADS") == "never":
        return None
    installed = subprocess.run(uv("python", "install", minor), capture_output=True, text=True)
    _have.cache_clear()
    return _have(minor) if installed.returncode == 0 else None


@functools.cache
def _ask(path: Path) -> Interpreter | None:
    script = "import platform as p, sys; print(*sys.version_info[:2], p.python_implementation(), p.python_version())"
    try:
        answer = subprocess.run([path, "-I", "-c", script], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = answer.stdout.split()
    if answer.returncode or len(words) != 4 or words[2] != "CPython":
        return None
    return Interpreter(path, f"{words[0]}.{words[1]}", words[3])
