"""What a release needs of the machine itself, since no package index has it: shared libraries, and programs."""

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

#: Where a library lies that needs no LD_LIBRARY_PATH, on machines whose loader has no cache that can be read.
USUAL = ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib")
#: A line of `ldconfig -p` on a library for this machine: libmpi.so.40 (libc6,x86-64) => /lib/.../libmpi.so.40
CACHED = re.compile(r"^\s*(\S+) \(libc6,x86-64[^)]*\) => (.+)$", re.MULTILINE)

#: Name under which a release looks for a library -> the machine's file; for a program, its name -> where it is.
Found = Mapping[str, Path]


def find(needed: System) -> Found:
    """Where the machine has it. Raises Unavailable, with the remedy, where it has not, or only a part."""
    found = {}
    for link, name in needed.libraries:
        path = _library(name, needed.folders)
        if path is None:
            raise Unavailable(f"no {name} on this machine, which belongs to {needed.about}. {_remedy(needed)}")
        found[link] = path
    if needed.program:
        command = shutil.which(needed.program)
        if command is None:
            raise Unavailable(f"no {needed.program} on this machine ({needed.about}). {_remedy(needed)}")
        found[needed.program] = Path(command)
    return found


def loader_knows(folder: Path) -> bool:
    """Whether libraries in that folder are found by programs that were told of no folder."""
    return str(folder) in USUAL or folder in {path.parent for path in _cache().values()}


def _remedy(needed: System) -> str:
    return f"Get it by {needed.remedy}, and run again."


def _library(name: str, folders: tuple[str, ...]) -> Path | None:
    """As the loader would find it; then in the folders that only some releases know of."""
    places = [_cache().get(name), *(Path(folder, name) for folder in (*_named(), *USUAL))]
    places += [Path(folder, name).expanduser() for folder in folders]
    return next((place for place in places if place is not None and place.exists()), None)


def _named() -> Iterator[str]:
    """The folders that the user has named to the loader; probe servers are not told of them."""
    yield from filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))


@functools.cache
def _cache() -> Mapping[str, Path]:
    """The loader's cache: name -> file."""
    ldconfig = shutil.which("ldconfig", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    if ldconfig is None:
        return {}
    told = subprocess.run([ldconfig, "-p"], capture_output=True, text=True).stdout
    cache: dict[str, Path] = {}
    for name, path in CACHED.findall(told):
        cache.setdefault(name, Path(path))  # the first is the one that the loader takes
    return cache
