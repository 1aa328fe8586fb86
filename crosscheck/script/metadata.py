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
def needs(release: Release, variant: Variant, package: str) -> str:
    """Python text that stops with the remedy where something is missing that PyPI does not bring; "" for most."""
    what = f"{package} {release.version}"
    libraries = [_library(native, what) for native in release.native]
    return _old_python(variant) + "".join([*libraries, *(_system(needed, what) for needed in release.system)])


def _old_python(variant: Variant) -> str:
    minors = sorted(_minor(text) for text in variant.python)
    if minors[-1] >= FETCHED:
        return ""
    told = " or ".join(f"3.{minor}" for _, minor in minors)
    newest = f"3.{minors[-1][1]}"
    remedy = (
        f"This needs CPython {told}, which uv does not fetch. With pyenv:\n"
        f"    pyenv install {newest}\n"
        f'    uv run --python "$(PYENV_VERSION=$(pyenv latest {newest}) pyenv which python)" '
    )
    return _stop(remedy, f"if sys.version_info[:2] not in {list(minors)}:")


def _library(native: Native, what: str) -> str:
    folder = f"{native.name}-carrier"
    inside = Path(native.file)
    remedy = (
        f"{what} links {native.link}, which it does not bring and few systems have.\n"
        f"The wheel of {native.requires} for CPython {native.python} carries it:\n"
        f"    uv pip install --target {folder} --python-version {native.python} "
        "--python-platform x86_64-manylinux2014 \\\n"
        f"        --only-binary :all: --no-deps {native.requires}\n"
        f"    (cd {folder}/{inside.parent} && ln -s {inside.name} {native.link})\n"
        f"    LD_LIBRARY_PATH=$PWD/{folder}/{inside.parent} uv run "
    )
    return _stop(remedy, f'try:\n    ctypes.CDLL("{native.link}")\nexcept OSError:')


def _system(needed: System, what: str) -> str:
    """What the machine must have: programs are missed by those who call them, libraries here."""
    if not needed.libraries:
        return ""
    folder = f"{needed.name}-links"
    links = "".join(f"    ln -s WHERE-IT-LIES/{file} {folder}/{link}\n" for link, file in needed.libraries)
    wanted = ", ".join(link for link, _ in needed.libraries)
    remedy = (
        f"{what} links {wanted}, which few systems have. {needed.about} does under those names;\n"
        f"get it by {needed.remedy}. `ldconfig -p` tells where it lies:\n"
        f"    mkdir {folder}\n{links}"
        f"    LD_LIBRARY_PATH=$PWD/{folder} uv run "
    )
    loaded = "".join(f'    ctypes.CDLL("{link}")\n' for link, _ in needed.libraries)
    return _stop(remedy, f"try:\n{loaded}except OSError:")


def _stop(remedy: str, condition: str) -> str:
    """Python text that ends with the remedy, whose last word is to be the script's own name, on a condition."""
    return f'{condition}\n    sys.exit(r"""{remedy}""" + sys.argv[0])\n'
