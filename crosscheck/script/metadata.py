"""The head of a script: its requirements as PEP 723 metadata, and what PyPI cannot give.

The block is specified at https://packaging.python.org/en/latest/specifications/inline-script-metadata/; what uv reads
under `tool.uv` at https://docs.astral.sh/uv/guides/scripts/.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path

from packaging.markers import Marker

from crosscheck.environments.interpreters import FETCHED
from crosscheck.runtimes.catalog import Native, Release, System, Variant
from crosscheck.script.packed import WIDTH, wrapped

__all__ = ["block", "builds", "dependencies", "needs"]

#: A pin of a build that PyPI does not have: torch==2.13.0+cpu.
LOCAL = re.compile(r"(==[^\s;+]+)\+([^\s;]+)")
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\+]+)(?:\+[^\s;\\]*)?( ;[^\\\n]*)?", re.MULTILINE)


@functools.cache
def block(variant: Variant, lock: Path, python: str) -> str:
    """The PEP 723 block for one minor version of Python: all that the lock pins there, and the overrides of it.

    A pin of a local version (`torch==2.13.0+cpu`) loses that: PyPI has none.
    """
    minor = _minor(python)[1]
    lines = [f'requires-python = ">=3.{minor},<3.{minor + 1}"', *_list("dependencies", dependencies(lock, python))]
    overrides = []
    for item in variant.requires:
        pin, _, marker = item.partition(";")
        never = "python_version < '3'" in marker  # the way to say that a package is not wanted at all
        if never or not marker or Marker(marker).evaluate(_environment(python)):
            overrides.append(LOCAL.sub(r"\1", item if never else pin.strip()))
    if overrides:
        lines += ["[tool.uv]  # these stand in for what the packages themselves ask for"]
        lines += _list("override-dependencies", overrides)
    builders = [pin for pin in overrides if pin.startswith("setuptools==")]
    if builders:  # newer ones may have lost what a source distribution's setup.py imports
        lines += _list("build-constraint-dependencies", builders)
    return "\n".join(["# /// script", *(f"# {line}".rstrip() for line in lines), "# ///"]) + "\n"


def dependencies(lock: Path, python: str) -> list[str]:
    """Every pin of a lock that holds for a minor version of Python, without its marker and hashes."""
    return [
        f"{name}=={version}"
        for name, version, marker in LOCKED.findall(lock.read_text())
        if not marker or Marker(marker.lstrip(" ;")).evaluate(_environment(python))
    ]


def _environment(python: str) -> dict[str, str]:
    return {"python_version": python, "python_full_version": f"{python}.99"}


def _minor(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _list(name: str, items: Sequence[str]) -> list[str]:
    one = f"{name} = [{', '.join(map(json.dumps, items))}]"
    if len(one) <= WIDTH:
        return [one]
    return [f"{name} = [", *(f"    {line}" for line in wrapped(list(map(json.dumps, items)))), "]"]


@functools.cache
def builds(variant: Variant) -> str:
    """A remark on builds that PyPI does not have, and how the script runs with them; "" where there are none."""
    local = [item.partition(";")[0].strip() for item in variant.requires if LOCAL.search(item)]
    if not local:
        return ""
    return f"# PyPI has a larger build than {', '.join(local)}. With that one: uv run --find-links WHEELS leak.py\n"


@functools.cache
def needs(release: Release, variant: Variant) -> str:
    """Comments on what PyPI does not bring, and how to get it, and on what is peculiar in a release; "" for most."""
    what = f"{variant.package} {release.version}"
    lines = [*_old_python(variant), *([f"{what}: {release.note}."] if release.note else [])]
    for native in release.native:
        lines += _library(native, what)
    for needed in release.system:
        lines += _system(needed, what)
    return "".join(f"# {line}\n" for line in lines)


def _old_python(variant: Variant) -> list[str]:
    newest = max(_minor(text) for text in variant.python)
    if newest >= FETCHED:
        return []
    version = f"3.{newest[1]}"
    return [
        f"CPython {version} is none that uv fetches: `pyenv install {version}`, then",
        f"uv run --python $(pyenv prefix {version})/bin/python leak.py",
    ]


def _library(native: Native, what: str) -> list[str]:
    inside = Path(native.file)
    return [
        f"{what} links {native.link}; the wheel of {native.requires} for CPython {native.python} carries it:",
        f"uv pip install --target carrier --python-version {native.python} --python-platform x86_64-manylinux2014 "
        f"--only-binary :all: --no-deps {native.requires}",
        f"(cd carrier/{inside.parent} && ln -s {inside.name} {native.link})",
        f"LD_LIBRARY_PATH=$PWD/carrier/{inside.parent} uv run leak.py",
    ]


def _system(needed: System, what: str) -> list[str]:
    """Libraries that the machine must have; programs are missed by those who call them."""
    if not needed.libraries:
        return []
    links = ", ".join(f"{link} -> {file}" for link, file in needed.libraries)
    return [
        f"{what} links what {needed.about} has under other names: links {links}",
        f"in a folder on LD_LIBRARY_PATH. To get it: {needed.remedy}.",
    ]
