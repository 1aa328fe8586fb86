"""Writes the locks: hash-pinned requirements that a maintainer resolves once and commits."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path

from crosscheck.environments import npm
from crosscheck.environments.interpreters import uv
from crosscheck.environments.sources import sources
from crosscheck.errors import CatalogError
from crosscheck.runtimes.catalog import Native, Release, Runtime, Variant
from crosscheck.whole_files import whole

__all__ = ["lock", "lock_native"]


def lock(runtime: Runtime, release: Release, variant: Variant, done: Container[Path] = ()) -> Path | None:
    """Resolve a release and its dependencies for all of its interpreters; write the lock, unless it is in `done`.

    `requires` overrides the release's own metadata: old metadata excludes versions that work today.
    """
    path = runtime.lock(release, variant)
    if path in done:
        return None
    npm_lock = runtime.npm_lock(release)
    if npm_lock is None:
        requirements = [f"{variant.package}=={release.version}", *variant.requires]
    else:
        npm.lock([runtime.package, *release.beside], release.version, variant.requires, npm_lock)
        requirements = [*variant.requires]
    lowest = min(variant.python, key=lambda minor: tuple(map(int, minor.split("."))))
    text = _compile(requirements, overrides=variant.requires, options=["--universal", "--python-version", lowest])
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as unfinished:
        unfinished.write_text(text)
    return path


def lock_native(runtime: Runtime, native: Native, done: Container[Path] = ()) -> Path | None:
    """Pin the wheel that contains a shared library, unless its lock is in `done`."""
    path = runtime.native_lock(native)
    if path in done:
        return None
    text = _compile(
        [native.requires],
        overrides=[],
        options=["--no-deps", "--python-version", native.python, "--python-platform", "x86_64-manylinux2014"],
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def _compile(wanted: Sequence[str], overrides: Sequence[str], options: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        requirements, overriding = Path(folder, "requirements.in"), Path(folder, "overrides.txt")
        requirements.write_text("\n".join(wanted) + "\n")
        overriding.write_text("\n".join(overrides) + "\n")
        command = uv(
            "pip", "compile", "--quiet", "--no-config", "--generate-hashes", "--no-header", "--no-annotate",
            "--override", str(overriding), *sources("\n".join(wanted)), *options, str(requirements),
        )  # fmt: skip
        process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise CatalogError(f"uv cannot lock {wanted[0]}: {process.stderr.strip()}")
    return process.stdout
