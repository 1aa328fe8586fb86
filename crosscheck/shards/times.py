"""Estimates how long cells take, from the cells of a past run, or from figures that come with crosscheck."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

from crosscheck.matrix.plan import Planned
from crosscheck.matrix.selection import Target
from crosscheck.records import JudgedCell
from crosscheck.report import load

__all__ = ["OVERHEAD", "Times", "figures", "imports_of", "means", "past", "trial"]

#: Times of a default run; `python -m crosscheck.shards` prints those of another one.
FIGURES = "figures.json"
#: Where figures come from, in words.
SHIPPED = "the figures that come with crosscheck"
#: Wall time times parallel trials, over the seconds of trials and imports: forks, and cores that wait for the last
#: trials. Measured in a default run of 1,656 cells on two cores.
OVERHEAD = 1.28
#: What cells have in common, from the narrowest to all.
Kind = tuple[str, ...]


@dataclass(frozen=True)
class Times:
    """Times of past runs, in seconds.

    source: where they are from, in words. cells: id -> all trials of a measured cell. trials: kind of cells -> a trial,
    on average. imports: target, or runtime, or "" for all -> the import. disk_mb: runtime -> an environment's size, on
    average. otherwise: for what is not in these.
    """

    source: str
    cells: Mapping[str, float] = field(default_factory=dict, repr=False)
    trials: Mapping[Kind, float] = field(default_factory=dict, repr=False)
    imports: Mapping[str, float] = field(default_factory=dict, repr=False)
    disk_mb: Mapping[str, int] = field(default_factory=dict, repr=False)
    otherwise: Times | None = field(default=None, repr=False)

    def of(self, planned: Planned) -> float:
        """The seconds of all trials of a cell."""
        if not planned.trials:
            return 0.0
        cell = planned.cell
        if cell.id in self.cells:
            return self.cells[cell.id]
        return len(planned.trials) * self._trial(list(_kinds(cell.runtime, cell.mode, cell.network, cell.scenario)))

    def importing(self, target: Target) -> float:
        """The seconds of an import."""
        return self._import((target.id, target.runtime.name, ""))

    def disk(self, target: Target) -> int | None:
        """The size of an environment (MB), as the runtime's folder says, or of others of the runtime."""
        if target.release.disk_mb is not None or self.otherwise is None:
            listed = [release.disk_mb for release in target.runtime.releases if release.disk_mb is not None]
            average = round(fmean(listed)) if listed else None
            return target.release.disk_mb or self.disk_mb.get(target.runtime.name, average)
        return self.otherwise.disk(target)

    def _trial(self, kinds: list[Kind]) -> float:
        """Of the narrowest kind that is known here, or otherwise; that of all cells comes last."""
        *narrow, anything = kinds
        known = [times for times in (self, self.otherwise) if times is not None]
        rows = [*((times, kind) for times in known for kind in narrow), *((times, anything) for times in known)]
        return next((times.trials[kind] for times, kind in rows if kind in times.trials), 0.0)

    def _import(self, names: tuple[str, ...]) -> float:
        rows = [(times, name) for name in names for times in (self, self.otherwise) if times is not None]
        return next((times.imports[name] for times, name in rows if name in times.imports), 0.0)


def _kinds(runtime: str, mode: str, network: str, scenario: str) -> Iterator[Kind]:
    yield runtime, mode, network, scenario
    yield runtime, "", network, scenario
    yield runtime, "", "", scenario
    yield (runtime,)
    yield ()


def past(folder: Path) -> Times:
    """The times of the run in a folder. Raises UsageError if there is none."""
    results = load(folder)
    measured = [cell for cell in results.cells if cell.trials]
    return Times(
        source=str(folder),
        cells={cell.id: cell.seconds for cell in measured},
        trials=means((kind, trial(cell)) for cell in measured for kind in _kinds_of(cell)),
        imports={**imports_of(results.run.import_seconds), **results.run.import_seconds},
        otherwise=figures(),
    )


@functools.cache
def figures() -> Times:
    """The figures that come with crosscheck."""
    text = resources.files("crosscheck.shards").joinpath(FIGURES).read_text(encoding="utf-8")
    record = json.loads(text)
    rows = [
        ((runtime, "", network, scenario), float(seconds))
        for runtime, scenarios in record["trials"].items()
        for scenario, networks in scenarios.items()
        for network, seconds in networks.items()
    ]
    return Times(
        source=SHIPPED,
        trials=means((kind, seconds) for key, seconds in rows for kind in _kinds(*key)),
        imports={"": fmean(record["imports"].values()), **record["imports"]},
        disk_mb=record["disk_mb"],
    )


def _kinds_of(cell: JudgedCell) -> Iterable[Kind]:
    return _kinds(cell.runtime, cell.mode, cell.network, cell.scenario)


def trial(cell: JudgedCell) -> float:
    """The seconds of a trial of a measured cell, on average."""
    return cell.seconds / sum(row.count for row in cell.trials)


def imports_of(seconds: Mapping[str, float]) -> dict[str, float]:
    """The import of each runtime, and of all under "", on average; `seconds` are those of targets."""
    return means((name, value) for target, value in seconds.items() for name in (target.partition("@")[0], ""))


def means(rows: Iterable[tuple[Any, float]]) -> dict[Any, float]:
    """The average of the values of each key."""
    values: dict[Any, list[float]] = defaultdict(list)
    for key, value in rows:
        values[key].append(value)
    return {key: fmean(here) for key, here in values.items()}
