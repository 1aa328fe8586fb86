"""Releases that a runtime's folder does not list: resolved for a run by the rules of the nearest one that it lists."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.version import InvalidVersion, Version

from crosscheck.environments.locks import lock
from crosscheck.errors import CatalogError, UsageError
from crosscheck.matrix.selection import Target
from crosscheck.runtimes.catalog import Release, Runtime
from crosscheck.runtimes.known import nearest

__all__ = ["resolve", "with_unlisted"]

#: Most characters of a resolver's message.
LONGEST = 400


def with_unlisted(words: Sequence[str], runtimes: Mapping[str, Runtime], locks: Path) -> Mapping[str, Runtime]:
    """The catalog with the releases that words name and folders do not list; their locks are kept in `locks`.

    A word is `RUNTIME@VERSION` with a whole version: a range, or the beginning of a listed version, adds none.
    """
    extended = dict(runtimes)
    for word in words:
        name, _, rest = word.partition("@")
        version = _version(rest.partition("+")[0])
        runtime = extended.get(name)
        if version is None or runtime is None or runtime.registry != "pypi":
            continue
        text = str(version)
        if any(f"{one.version}.".startswith(f"{text}.") for one in runtime.releases):
            continue
        releases = sorted([*runtime.releases, _like(runtime, version, locks)], key=lambda one: Version(one.version))
        extended[name] = replace(runtime, releases=tuple(releases))
    return extended


def resolve(target: Target) -> Path | None:
    """Resolve and lock a release of a run's own; the new lock, None if it is there. Raises UsageError if that fails."""
    runtime, release = target.runtime, target.release
    path = runtime.lock(release, target.variant)
    if release.locks is None or path.exists():
        return None
    try:
        return lock(runtime, release, target.variant)
    except CatalogError as problem:
        listed = [one.version for one in runtime.releases if one.locks is None]
        why = textwrap.shorten(str(problem), LONGEST, placeholder=" ...")
        raise UsageError(
            f"{runtime.name} lists no release '{release.version}'. {nearest(release.version, listed)} "
            f"It could not be resolved, either: {why}"
        ) from None


def _version(text: str) -> Version | None:
    """A version with at least two numbers: less is the beginning of one."""
    try:
        version = Version(text)
    except InvalidVersion:
        return None
    return version if len(version.release) > 1 else None


def _like(runtime: Runtime, version: Version, locks: Path) -> Release:
    """A release with the rules of the nearest listed one: of its major version if possible, the newest older one."""
    listed = sorted((one for one in runtime.releases if one.locks is None), key=lambda one: Version(one.version))
    alike = [one for one in listed if Version(one.version).major == version.major] or listed
    older = [one for one in alike if Version(one.version) < version]
    model = older[-1] if older else alike[0]
    return replace(
        model,
        version=str(version),
        released="",
        default=False,
        variants=tuple(replace(variant, default=False) for variant in model.variants),
        note=f"not listed; resolved like {model.version}",
        download_mb=None,
        disk_mb=None,
        locks=locks,
    )
