"""Locates system dependencies that no package index provides: shared libraries and programs."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from crosscheck.errors import Unavailable
from crosscheck.runtimes.catalog import System

__all__ = ["Found", "find", "loader_knows"]

#: The loader's default folders, for machines without a readable loader cache.
USUAL = ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib")
#: A line of `ldconfig -p` for an x86-64 library: libmpi.so.40 (libc6,x86-64) => /lib/.../libmpi.so.40
CACHED = re.compile(r"^\s*(\S+) \(libc6,x86-64[^)]*\) => (.+)$", re.MULTILINE)

#: Library name that a release loads -> the machine's file; program name -> its path.
Found = Mapping[str, Path]


def find(system: System) -> Found:
    """Paths of all libraries and the program. Raises Unavailable, with the remedy, if any is missing."""
    paths = {}
    for link, name in system.libraries:
        path = _library(name, system.folders)
        if path is None:
            raise Unavailable(f"no {name} on this machine (part of {system.about}). {_remedy(system)}")
        paths[link] = path
    if system.program:
        command = shutil.which(system.program)
        if command is None:
            raise Unavailable(f"no {system.program} on this machine ({system.about}). {_remedy(system)}")
        paths[system.program] = Path(command)
    return paths


def loader_knows(folder: Path) -> bool:
    """Whether the loader searches the folder without LD_LIBRARY_PATH."""
    return str(folder) in USUAL or folder in {path.parent for path in _cache().values()}


def _remedy(system: System) -> str:
    return f"Install it with {system.remedy} and run again."


def _library(name: str, folders: tuple[str, ...]) -> Path | None:
    """Search the loader's cache, LD_LIBRARY_PATH, the default folders, then the release's own `folders`."""
    places = [_cache().get(name), *(Path(folder, name) for folder in (*_named(), *USUAL))]
    places += [Path(folder, name).expanduser() for folder in folders]
    return next((place for place in places if place is not None and place.exists()), None)


def _named() -> Iterator[str]:
    """The folders of the user's LD_LIBRARY_PATH; probe servers do not inherit it."""
    yield from filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))


@functools.cache
def _cache() -> Mapping[str, Path]:
    """The loader's cache: name -> file."""
    ldconfig = shutil.which("ldconfig", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    if ldconfig is None:
        return {}
    listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True).stdout
    cache: dict[str, Path] = {}
    for name, path in CACHED.findall(listing):
        cache.setdefault(name, Path(path))  # the loader uses the first
    return cache
