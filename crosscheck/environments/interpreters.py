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

from crosscheck.environments.installer import run_installer
from crosscheck.errors import Unavailable

__all__ = ["Interpreter", "find", "remedy", "uv"]

#: The first CPython that uv can fetch.
FETCHED = (3, 8)


@dataclass(frozen=True)
class Interpreter:
    """A working CPython: its path, minor version ("3.11") and full version ("3.11.7")."""

    path: Path
    minor: str
    version: str


def uv(*arguments: str) -> list[str]:
    """A command line of uv, preferring the one installed with crosscheck."""
    bundled = Path(sys.executable).parent / "uv"
    return [str(bundled) if bundled.exists() else "uv", *arguments]


def find(minors: Sequence[str], fetch: bool = True) -> Interpreter:
    """The first of these minor versions on this machine.

    If there is none, `fetch` lets uv download the first available one. Raises Unavailable with the remedy.
    """
    for minor in minors:
        interpreter = _have(minor)
        if interpreter is not None:
            return interpreter
    for minor in minors if fetch else ():
        interpreter = _fetched(minor)
        if interpreter is not None:
            return interpreter
    raise Unavailable(
        f"no CPython {' or '.join(minors)} on this machine{', and uv could not fetch one' if fetch else ''}. "
        f"Install one ({remedy(minors)}) and run again."
    )


def remedy(minors: Sequence[str]) -> str:
    """How to install one of these minor versions: with uv, or with pyenv if all are too old for uv."""
    fetchable = [minor for minor in minors if tuple(map(int, minor.split("."))) >= FETCHED]
    if fetchable:
        return f"`uv python install {fetchable[0]}`, or pyenv"
    return f"`pyenv install {minors[0]}`; uv has none this old"


@functools.cache
def _have(minor: str) -> Interpreter | None:
    return next(
        (interpreter for path in _candidates(minor) if (interpreter := _ask(path)) and interpreter.minor == minor), None
    )


def _candidates(minor: str) -> Iterator[Path]:
    yield Path(getattr(sys, "_base_executable", sys.executable))
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    # pyenv's folder precedes the PATH: a pyenv shim on the PATH may have no interpreter.
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
    installed = run_installer(uv("python", "install", minor))
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
