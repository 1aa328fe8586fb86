"""The head of a script: its requirements as PEP 723 metadata, and what PyPI cannot give.

The block is specified at https://packaging.python.org/en/latest/specifications/inline-script-metadata/; what uv reads
under `tool.uv` at https://docs.astral.sh/uv/guides/scripts/.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from crosscheck.environments.interpreters import FETCHED
from crosscheck.runtimes.catalog import Native, Release, System, Variant
from crosscheck.script.packed import WIDTH, wrapped

__all__ = ["block", "builds", "dependencies", "needs", "python_range"]

#: A pin of a build that PyPI does not have: torch==2.13.0+cpu.
LOCAL = re.compile(r"(==[^\s;+]+)\+([^\s;]+)")
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\+]+)(?:\+[^\s;\\]*)?( ;[^\\\n]*)?", re.MULTILINE)


@functools.cache
def block(release: Release, variant: Variant, lock: Path) -> str:
    """The PEP 723 block: the interpreters that do, all that the lock pins, and the overrides by which it was made.

    A pin of a local version (`torch==2.13.0+cpu`) loses that: PyPI has none.
    """
    lines = [f'requires-python = "{python_range(variant.python)}"', *_list("dependencies", dependencies(lock))]
    if variant.requires:
        lines += ["[tool.uv]  # these stand in for what the packages themselves ask for"]
        lines += _list("override-dependencies", [LOCAL.sub(r"\1", item) for item in variant.requires])
    return "\n".join(["# /// script", *(f"# {line}".rstrip() for line in lines), "# ///"]) + "\n"


def dependencies(lock: Path) -> list[str]:
    """Every pin of a lock, with its marker and without its hashes."""
    return [f"{name}=={version}{(marker or '').rstrip()}" for name, version, marker in LOCKED.findall(lock.read_text())]


def python_range(minors: Sequence[str]) -> str:
    """Minor versions as a specifier: ["3.9", "3.11"] is ">=3.9,<3.12,!=3.10.*"."""
    known = sorted(_minor(text) for text in minors)
    (_, low), (_, high) = known[0], known[-1]
    missing = [f"!=3.{minor}.*" for minor in range(low, high) if (3, minor) not in known]
    return ",".join([f">=3.{low}", f"<3.{high + 1}", *missing])


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
    others = [item for item in variant.requires if not LOCAL.search(item)]
    return (
        f"# Measured with {', '.join(local)}; PyPI has another, larger build of it. With that one, its wheel in a\n"
        "# folder: `uv run --find-links FOLDER THIS-FILE`. Or from its own index:\n"
        f"#     uv venv --python {variant.python[0]} env\n"
        f"#     uv pip install --python env --torch-backend cpu {shlex.join([*local, *others])}\n"
        "#     env/bin/python THIS-FILE\n"
    )


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
