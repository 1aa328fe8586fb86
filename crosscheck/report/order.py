"""Sorting, filtering and grouping of judged cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from packaging.version import InvalidVersion, Version

from crosscheck.cells import Asks, Finding, Status
from crosscheck.report.records import PLAIN, JudgedCell, Run
from crosscheck.report.vocabulary import MEASURED

__all__ = [
    "all_clean",
    "as_installed",
    "by_release",
    "by_version",
    "distinct",
    "findings_of",
    "gradients",
    "measured",
    "mode_order",
    "own",
    "release_order",
    "releases_of",
    "runtime_order",
    "title_of",
]


def release_order(run: Run, cells: Iterable[JudgedCell], runtime: str) -> tuple[str, ...]:
    """List the runtime's releases that have cells, oldest first as `run.json` has them, those it does not name last."""
    present = distinct(cell["release"] for cell in cells if cell["runtime"] == runtime)
    known = run["runtimes"][runtime]["releases"] if runtime in run["runtimes"] else []
    return tuple([name for name in known if name in present] + [name for name in present if name not in known])


def mode_order(run: Run, cells: Iterable[JudgedCell], runtime: str) -> tuple[str, ...]:
    """List the runtime's modes that have cells, in the adapter's order, those that `run.json` does not name last."""
    present = distinct(cell["mode"] for cell in cells if cell["runtime"] == runtime)
    known = [mode["name"] for mode in run["runtimes"][runtime]["modes"]] if runtime in run["runtimes"] else []
    return tuple([name for name in known if name in present] + [name for name in present if name not in known])


def runtime_order(run: Run, cells: Iterable[JudgedCell]) -> list[str]:
    """List the runtimes as `run.json` has them, then those that only cells name."""
    return distinct([*run["runtimes"], *(cell["runtime"] for cell in cells)])


def releases_of(run: Run, cells: Sequence[JudgedCell]) -> tuple[tuple[str, str], ...]:
    """List (runtime, release) of every cell, in their orders."""
    runtimes = runtime_order(run, cells)
    return tuple((runtime, release) for runtime in runtimes for release in release_order(run, cells, runtime))


def gradients(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """Pick the cells that ask for a gradient, in a way that their release has, of networks that it built itself."""
    return [cell for cell in own(cells) if cell["asks"] == Asks.GRADIENT and cell["status"] != Status.NOT_IN_RELEASE]


def own(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """Leave out the cells that read a file which another runtime exported: what is wrong there may be the file's."""
    return [cell for cell in cells if cell["exported"] is None or cell["asks"] == Asks.EXPORT]


def measured(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """Pick the cells in which something was measured: only they have findings."""
    return [cell for cell in cells if cell["status"] in MEASURED]


def as_installed(cells: Iterable[JudgedCell]) -> list[JudgedCell]:
    """Pick the cells of releases as they are installed, under no other switches."""
    return [cell for cell in cells if cell["variant"] == PLAIN]


def all_clean(cells: Iterable[JudgedCell]) -> bool:
    """Tell whether every cell was measured, and has nothing but `clean`."""
    return all(cell["status"] == Status.OK and cell["findings"] == [Finding.CLEAN] for cell in cells)


def findings_of(cells: Iterable[JudgedCell]) -> set[str]:
    """Return all findings of all cells."""
    return {finding for cell in cells for finding in cell["findings"]}


def by_release(cells: Iterable[JudgedCell]) -> Mapping[str, list[JudgedCell]]:
    """Group cells by release, in the order in which releases first occur."""
    grouped: dict[str, list[JudgedCell]] = defaultdict(list)
    for cell in cells:
        grouped[cell["release"]].append(cell)
    return dict(grouped)


def by_version(releases: Iterable[str]) -> tuple[str, ...]:
    """Sort distinct releases, the oldest first (PEP 440); names that are no versions come last, as text."""

    def rank(name: str) -> tuple[bool, Version, str]:
        try:
            return False, Version(name), name
        except InvalidVersion:
            return True, Version("0"), name

    return tuple(sorted(set(releases), key=rank))


def title_of(run: Run, runtime: str) -> str:
    """Return what people call the runtime."""
    return run["runtimes"][runtime]["title"] if runtime in run["runtimes"] else runtime


def distinct(names: Iterable[str]) -> list[str]:
    """Drop repeats, keep the order."""
    return list(dict.fromkeys(names))
