"""Computes journal keys: hashes of all dependencies of an observation."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import crosscheck
from crosscheck import probe
from crosscheck.cells import Trial
from crosscheck.environments.environment import Environment
from crosscheck.matrix.plan import Planned, forms_for

__all__ = ["code_digest", "folder_digest", "key"]

#: What writes networks in the forms that readers of ONNX get.
FORMS = ("networks", "gradients", "onnx_models")
SOURCES = (".py", ".j2", ".html", ".css", ".js", ".json")


def key(planned: Planned, trial: Trial, environment: Environment, isolation: str) -> str:
    """The key of a trial, a hash of cell, reading, runtime's code, probe, environment, network and switches."""
    parts = [
        planned.cell.id,
        trial.reading,
        trial.repeat,
        _code(planned.target.runtime.adapter.parent),
        planned.target.runtime.imports,
        planned.work(trial),
        folder_digest(Path(probe.__file__).parent),
        environment.key,
        planned.network.digest,
        code_digest(FORMS) if forms_for(planned.target) else "",
        sorted({**planned.target.variant.serving, **planned.target.variant.environment}.items()),
        isolation,
    ]
    if planned.target.runtime.reads:
        parts.append(_file(planned.network.shipped[planned.target.runtime.reads]))
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


@functools.cache
def _code(folder: Path) -> str:
    """Digest of the adapter's files in a runtime's folder, which the environment reads."""
    return "".join(_file(file) for file in sorted(folder.glob("adapter.*")))


@functools.cache
def code_digest(names: Sequence[str]) -> str:
    """SHA-256 (hexadecimal) of folders and modules of crosscheck, by their paths in the package."""
    paths = [Path(crosscheck.__file__).parent / name for name in names]
    digests = [folder_digest(path) if path.is_dir() else _file(path) for path in paths]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


@functools.cache
def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def folder_digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of a folder's Python files and templates, subfolders included."""
    return hashlib.sha256(
        "".join(_file(file) for file in sorted(path.rglob("*")) if file.suffix in SOURCES).encode()
    ).hexdigest()
