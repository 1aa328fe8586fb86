"""Makes the locks: hash-pinned requirements, resolved once by a maintainer, committed, and never resolved again."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path

from crosscheck.environments import npm
from crosscheck.environments.interpreters import uv
from crosscheck.environments.sources import sources
from crosscheck.errors import CatalogError
from crosscheck.runtimes.catalog import Native, Release, Runtime, Variant

__all__ = ["lock", "lock_native", "pins"]

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def lock(runtime: Runtime, release: Release, variant: Variant, done: Container[Path] = ()) -> Path | None:
    """Resolve a release and all that it needs, for every interpreter it names; write its lock, unless it is `done`.

    `requires` overrides what the release's own metadata asks for: metadata of years ago excludes what works today.
    """
    path = runtime.lock(release, variant)
    if path in done:
        return None
    npm_lock = runtime.npm_lock(release)
    if npm_lock is None:
        wanted = [f"{variant.package}=={release.version}", *variant.requires]
    else:
        npm.lock([runtime.package, *release.beside], release.version, variant.requires, npm_lock)
        wanted = [*variant.requires]
    lowest = min(variant.python, key=lambda minor: tuple(map(int, minor.split("."))))
    text = _compile(wanted, overrides=variant.requires, options=["--universal", "--python-version", lowest])
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def lock_native(runtime: Runtime, native: Native, done: Container[Path] = ()) -> Path | None:
    """Pin the one wheel that carries a shared library, unless it is `done`."""
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


def pins(path: Path) -> dict[str, str]:
    """Distribution -> version, as a lock pins them; where markers choose between several, all of them, with `|`.

    Packages of npm, which a lock in the folder of the same name pins, are among them.
    """
    found: dict[str, list[str]] = {}
    for name, version in PIN.findall(path.read_text()):
        found.setdefault(name, []).append(version)
    pinned = {name: "|".join(versions) for name, versions in found.items()}
    beside = path.with_suffix("")
    return pinned | (npm.pins(beside) if beside.is_dir() else {})


def _compile(wanted: Sequence[str], overrides: Sequence[str], options: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        requirements, overriding = Path(folder, "requirements.in"), Path(folder, "overrides.txt")
        requirements.write_text("\n".join(wanted) + "\n")
        overriding.write_text("\n".join(overrides) + "\n")
        command = uv(
            "pip", "compile", "--quiet", "--no-config", "--generate-hashes", "--no-header", "--no-annotate",
            "--override", str(overriding), *sources("\n".join(wanted)), *options, str(requirements),
        )  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CatalogError(f"uv cannot lock {wanted[0]}: {done.stderr.strip()}")
    return done.stdout
