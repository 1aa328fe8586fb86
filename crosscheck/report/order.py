"""In which order runtimes, releases and modes stand, and what all cells of a release show together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from crosscheck.cells import Finding, Status
from crosscheck.report.records import JudgedCell, Run

__all__ = [
    "all_clean",
    "by_release",
    "distinct",
    "findings_of",
    "mode_order",
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


def title_of(run: Run, runtime: str) -> str:
    """Return what people call the runtime."""
    return run["runtimes"][runtime]["title"] if runtime in run["runtimes"] else runtime


def distinct(names: Iterable[str]) -> list[str]:
    """Drop repeats, keep the order."""
    return list(dict.fromkeys(names))
