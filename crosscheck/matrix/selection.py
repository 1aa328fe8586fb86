"""Parses arguments into releases, modes, networks and scenarios; errors name the nearest matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from packaging.version import InvalidVersion, Version

from crosscheck.cells import PLAIN, Finding, name_of_target
from crosscheck.environments.environment import describe
from crosscheck.errors import Unavailable, UsageError
from crosscheck.runtimes.catalog import Release, Runtime, Variant
from crosscheck.runtimes.known import TOOLKITS, nearest, unknown_runtime

__all__ = ["Target", "finding_named", "matching", "one_by_one", "present", "targets"]


@dataclass(frozen=True)
class Target:
    """A release in one variant."""

    runtime: Runtime
    release: Release
    variant: Variant

    @property
    def id(self) -> str:
        """As in a cell's id."""
        return name_of_target(self.runtime.name, self.release.version, self.variant.name)


def targets(words: Sequence[str], catalog: Mapping[str, Runtime], everything: bool) -> list[Target]:
    """The targets of `run WORDS`: `mxnet`, `mxnet@1.9.1`, `mxnet@0.9.5..1.3`, `mxnet@newest`, `mxnet@1.9.1+mkldnn-off`.

    A version that is not a release selects all that start with it (`1.3`: 1.3.0, 1.3.0.post0, 1.3.1), also as an end
    of a range. Without a version, or words, the default matrix's releases and variants; with `everything`, all.
    `toolkits` is every runtime with a base, `toolkits@newest` the newest release of each.
    Raises UsageError for unknown names.
    """
    selected: list[Target] = []
    for word in one_by_one(words or list(catalog), catalog):
        name, at, rest = word.partition("@")
        version, plus, variant = rest.partition("+")
        if name not in catalog:
            raise unknown_runtime(name, catalog)
        if at and not version:
            raise UsageError(
                f"'{word}' names no release. Write for example {name}@{catalog[name].releases[-1].version}."
            )
        runtime = catalog[name]
        here = [
            target
            for release in (_releases(runtime, version) if at else runtime.releases)
            for target in _variants(runtime, release, variant if plus else None, named=bool(at), everything=everything)
        ]
        if words and not here:  # named, and too large for the default matrix
            here += _variants(runtime, _by_name(runtime), None, named=True, everything=everything)
        selected += here
    return list(dict.fromkeys(selected))


def one_by_one(words: Sequence[str], catalog: Mapping[str, Runtime]) -> Iterable[str]:
    """The words, `toolkits` replaced by the names of all toolkits."""
    for word in words:
        name, *rest = word.partition("@")
        named = [runtime.name for runtime in catalog.values() if runtime.base] if name == TOOLKITS else [name]
        yield from ("".join([one, *rest]) for one in named)


def present(selected: Sequence[Target]) -> tuple[list[Target], dict[str, str]]:
    """The targets of the default matrix available on this machine; and skipped target -> missing requirement.

    Only "if-available" releases are skipped.
    """
    lacking = {}
    for target in selected:
        if target.release.if_available:
            try:
                describe(target.runtime, target.release, target.variant, fetch=False)
            except Unavailable as lack:
                lacking[target.id] = str(lack)
    return [target for target in selected if target.id not in lacking], lacking


def _by_name(runtime: Runtime) -> Release:
    """What the name of a runtime selects that has no release in the default matrix: its newest, if it does not say."""
    return next((release for release in runtime.releases if release.if_named), runtime.releases[-1])


def _releases(runtime: Runtime, wanted: str) -> list[Release]:
    if wanted == "newest":
        return [runtime.releases[-1]]
    low, dots, high = wanted.partition("..")
    if dots and not low and not high:
        raise UsageError(
            f"'{runtime.name}@..' names no release. Name the first or the last one, as in {runtime.name}@"
            f"{runtime.releases[0].version}.., or take `{runtime.name} --all`."
        )
    if dots:
        lowest = min(_prefixed(runtime, low), default=None) if low else Version("0")
        highest = max(_prefixed(runtime, high), default=None) if high else Version(runtime.releases[-1].version)
        lowest = lowest or _version(low, runtime)
        highest = highest or _version(high, runtime)
        if lowest > highest:
            raise UsageError(
                f"'{runtime.name}@{wanted}' ends before it begins. Name the older release first: "
                f"{runtime.name}@{high}..{low}."
            )
        selected = [release for release in runtime.releases if lowest <= Version(release.version) <= highest]
    else:
        exact = [release for release in runtime.releases if release.version == wanted]
        prefixed = _prefixed(runtime, wanted)
        selected = exact or [release for release in runtime.releases if Version(release.version) in prefixed]
    if not selected:
        raise UsageError(
            f"{runtime.name} has no release '{wanted}'. {nearest(wanted, [row.version for row in runtime.releases])} "
            f"`crosscheck list releases {runtime.name}` shows all."
        )
    return selected


def _prefixed(runtime: Runtime, prefix: str) -> list[Version]:
    return [
        Version(release.version)
        for release in runtime.releases
        if release.version == prefix or release.version.startswith(prefix + ".")
    ]


def _version(text: str, runtime: Runtime) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        raise UsageError(
            f"'{text}' is not a version. {nearest(text, [row.version for row in runtime.releases])}"
        ) from None


def _variants(
    runtime: Runtime, release: Release, wanted: str | None, named: bool, everything: bool
) -> Iterable[Target]:
    if wanted is not None:
        selected = [variant for variant in release.variants if variant.name == wanted]
        if not selected:
            names = [variant.name for variant in release.variants]
            raise UsageError(f"{runtime.name} {release.version} has no variant '{wanted}'. {nearest(wanted, names)}")
    elif everything:
        selected = list(release.variants)
    else:
        selected = [variant for variant in release.variants if variant.default or (named and variant.name == PLAIN)]
    return [Target(runtime, release, variant) for variant in selected]


def finding_named(word: str) -> Finding:
    """The finding of that name. Raises UsageError, with the nearest names, if there is none."""
    if word not in list(Finding):
        raise UsageError(f"'{word}' is no finding. {nearest(word, list(Finding))}")
    return Finding(word)


def matching(patterns: Sequence[str], names: Iterable[str], what: str) -> list[str]:
    """The names that match any of the globs, in order. Raises UsageError for a glob without a match."""
    candidates = list(dict.fromkeys(names))
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in candidates):
            raise UsageError(f"no {what} matches '{pattern}'. {nearest(pattern, candidates)}")
    return [name for name in candidates if any(fnmatchcase(name, pattern) for pattern in patterns)]
