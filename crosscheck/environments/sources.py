"""Where uv finds wheels that PyPI does not have: builds for CPUs alone, such as torch 2.13.0+cpu."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["sources"]

#: A pin of such a build. Its local version, the part after the plus sign, is on no package index that others share.
CPU_BUILD = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+\+cpu)", re.MULTILINE)
#: Where pip and uv are told of folders with wheels, several of them with spaces or (uv) commas between.
VARIABLES = ("UV_FIND_LINKS", "PIP_FIND_LINKS")


def sources(requirements: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Options of `uv pip` with which it finds everything that `requirements` (a lock's text, or its source) pins.

    Without a build for CPUs in it, none. With one, the folders of wheels that this machine names, where they have it;
    else torch's own index, which uv knows.
    """
    builds = CPU_BUILD.findall(requirements)
    if not builds:
        return []
    folders = list(_folders(environ))
    if all(any(_has(folder, name, version) for folder in folders) for name, version in builds):
        return [word for folder in folders for word in ("--find-links", str(folder))]
    return ["--torch-backend", "cpu"]


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    named = " ".join(environ.get(variable, "") for variable in VARIABLES)
    for word in dict.fromkeys(re.split(r"[\s,]+", named)):
        folder = Path(word.removeprefix("file://"))
        if word and folder.is_dir():
            yield folder


def _has(folder: Path, name: str, version: str) -> bool:
    return any(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
