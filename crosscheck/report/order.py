"""Sorting, filtering and grouping of judged cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from packaging.version import InvalidVersion, Version

from crosscheck.cells import MEASURED, PLAIN, Asks, Finding, Status
from crosscheck.records import JudgedCell
from crosscheck.records.run import ModeFacts, Run

__all__ = [
    "all_clean",
    "as_installed",
    "base_of",
    "by_release",
    "by_version",
    "decided",
    "distinct",
    "findings_of",
    "gradients",
    "grouped",
    "in_order",
    "measured",
    "mode_order",
    "modes_of",
    "own",
    "release_order",
    "releases_of",
    "runtime_order",
    "title_of",
]

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")

#: Findings that say nothing of the answer and of the statistics.
_NO_HARM = frozenset({Finding.GRADIENTS_LEFT})


def release_order(run: Run, cells: Iterable[JudgedCell], runtime: str) -> tuple[str, ...]:
    """The runtime's releases with cells, in the order of `run.json` (oldest first), unlisted ones last."""
    present = distinct(cell.release for cell in cells if cell.runtime == runtime)
    listed = run.runtimes[runtime].releases if runtime in run.runtimes else []
    return tuple([name for name in listed if name in present] + [name for name in present if name not in listed])


def mode_order(run: Run, cells: Iterable[JudgedCell], runtime: str) -> tuple[str, ...]:
    """The runtime's modes with cells, in the adapter's order, modes not in `run.json` last."""
    present = distinct(cell.mode for cell in cells if cell.runtime == runtime)
    listed = [mode.name for mode in run.runtimes[runtime].modes] if runtime in run.runtimes else []
    return tuple([name for name in listed if name in present] + [name for name in present if name not in listed])


def modes_of(run: Run, runtime: str) -> dict[str, ModeFacts]:
    """The facts of the runtime's modes by name."""
    return {mode.name: mode for mode in run.runtimes[runtime].modes} if runtime in run.runtimes else {}


def runtime_order(run: Run, cells: Iterable[JudgedCell]) -> list[str]:
    """The runtimes in the order of `run.json`, then those of cells only."""
    return distinct([*run.runtimes, *(cell.runtime for cell in cells)])


def releases_of(run: Run, cells: Sequence[JudgedCell]) -> tuple[tuple[str, str], ...]:
    """(runtime, release) of every cell, in `runtime_order` and `release_order`."""
    runtimes = runtime_order(run, cells)
    return tuple((runtime, release) for runtime in runtimes for release in release_order(run, cells, runtime))


def in_order(run: Run, cells: Iterable[JudgedCell], runtime: str) -> list[JudgedCell]:
    """The runtime's cells by mode, variant (as installed first) and release, the newest first."""
    here = [cell for cell in cells if cell.runtime == runtime]
    modes = {mode: at for at, mode in enumerate(mode_order(run, here, runtime))}
    releases = {release: -at for at, release in enumerate(release_order(run, here, runtime))}
    return sorted(
        here,
        key=lambda cell: (modes[cell.mode], cell.variant != PLAIN, cell.variant, releases[cell.release]),
    )


def gradients(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """The gradient cells of modes in their release, without imported files."""
    return [cell for cell in own(cells) if cell.asks == Asks.GRADIENT and cell.status != Status.NOT_IN_RELEASE]


def own(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """The cells without imported files of other runtimes, whose errors may be the file's."""
    return [cell for cell in cells if cell.exported is None or cell.asks == Asks.EXPORT]


def measured(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """The measured cells; only they have findings."""
    return [cell for cell in cells if cell.status in MEASURED]


def decided(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """The measured cells without those that show no harm and could not have shown it."""
    return [cell for cell in measured(cells) if not cell.undecided or set(cell.findings) - _NO_HARM]


def as_installed(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """The cells of the variant `plain`."""
    return [cell for cell in cells if cell.variant == PLAIN]


def all_clean(cells: Iterable[JudgedCell]) -> bool:
    """Whether every cell is measured with `clean` as its only finding."""
    return all(cell.status == Status.OK and cell.findings == (Finding.CLEAN,) for cell in cells)


def findings_of(cells: Iterable[JudgedCell]) -> set[str]:
    """All findings of all cells."""
    return {finding for cell in cells for finding in cell.findings}


def by_release(cells: Iterable[JudgedCell]) -> Mapping[str, list[JudgedCell]]:
    """Group cells by release, in order of first occurrence."""
    grouped: dict[str, list[JudgedCell]] = defaultdict(list)
    for cell in cells:
        grouped[cell.release].append(cell)
    return dict(grouped)


def by_version(releases: Iterable[str]) -> tuple[str, ...]:
    """Sort distinct releases, the oldest first (PEP 440); other names come last, as text."""

    def rank(name: str) -> tuple[bool, Version, str]:
        try:
            return False, Version(name), name
        except InvalidVersion:
            return True, Version("0"), name

    return tuple(sorted(set(releases), key=rank))


def title_of(run: Run, runtime: str) -> str:
    """The runtime's display name."""
    return run.runtimes[runtime].title if runtime in run.runtimes else runtime


def base_of(run: Run, runtime: str) -> str:
    """Of a toolkit, the runtime that it asks; "" for others."""
    return run.runtimes[runtime].base if runtime in run.runtimes else ""


def distinct(names: Iterable[str]) -> list[str]:
    """Remove duplicates and keep the order."""
    return list(dict.fromkeys(names))


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """The items with each key, keys and items in the order of their first occurrence."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
