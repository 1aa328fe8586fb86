"""Options of uv for wheels that PyPI lacks: CPU-only builds, such as torch 2.13.0+cpu."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["sources"]

#: A pin of a CPU-only build. PyPI accepts no local versions (the part after the plus sign).
CPU_BUILD = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+\+cpu)", re.MULTILINE)
#: Variables that list folders of wheels for pip and uv, separated by spaces or (uv) commas.
VARIABLES = ("UV_FIND_LINKS", "PIP_FIND_LINKS")


def sources(requirements: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Options of `uv pip` that resolve all pins of `requirements` (the text of a lock or of its source).

    None without a CPU-only build. Otherwise the folders of `VARIABLES` if they hold all of these builds, else torch's
    own index, which uv selects by `--torch-backend cpu`.
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
