"""Shared fixtures: the toy runtime, and jobs run on it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from crosscheck.job import JOURNAL, Job, Result, run
from crosscheck.matrix.server import ONE_THREAD
from crosscheck.matrix.settings import Progress
from crosscheck.runtimes.catalog import Runtime, load_runtime

Cells = dict[str, dict[str, Any]]
Measure = Callable[..., Path]

# Tests run on every core already: further threads of a BLAS would only wait for each other. Workers inherit this.
os.environ.update(ONE_THREAD)

#: The modules that take longest, the longest first. They begin first, so that no core is idle at the end.
LONGEST = (
    *("test_findings", "test_runtimes", "test_documentation", "test_shown_programs", "test_judgements", "test_kills"),
    *("test_small_runtimes", "test_bad_runtimes", "test_reduce", "test_job", "test_script", "test_reported_cases"),
    *("test_node_probe", "test_traced", "test_torch", "test_live", "test_shortage", "test_hostile_files"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest modules first, each module's in their own order."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


class SilentProgress(Progress):
    """Records the progress of a run."""

    def __init__(self) -> None:
        self.reused = 0
        self.steps: list[str] = []
        self.cells: list[str] = []
        self.environments: list[tuple[str, str]] = []
        self.lacking: dict[str, str] = {}
        self.notes: list[str] = []
        self.judged: list[tuple[int, int]] = []

    def left_out(self, target: str, lack: str) -> None:
        self.lacking[target] = lack

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def step(self, what: str) -> None:
        self.steps.append(what)

    def begin(self, environments: int, cells: int, reused: int) -> None:
        self.reused = reused

    def environment(self, target: str, state: str) -> None:
        self.environments.append((target, state))

    def cell(self, cell: str) -> None:
        self.cells.append(cell)

    def judging(self, done: int, cells: int) -> None:
        self.judged.append((done, cells))


@pytest.fixture(scope="session")
def toy() -> Runtime:
    """The toy runtime, loaded by the catalog."""
    return load_runtime(Path(__file__).parent / "toy")


@pytest.fixture(scope="session")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Measure:
    """Returns a function that runs a job in a new folder, by what other modules have measured before.

    For modules about findings of real modes, several of which ask for the same trials. One runs at a time.
    """
    base = tmp_path_factory.getbasetemp()
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def measure_it(job: Job, runtimes: Mapping[str, Runtime] | None = None) -> Path:
        common = session / ("measured" if runtimes is None else "measured-" + "-".join(runtimes))
        with FileLock(f"{common}.lock"):
            run(dataclasses.replace(job, out=common), SilentProgress(), runtimes)
            folder = tmp_path_factory.mktemp("run")
            shutil.copytree(common, folder, ignore=shutil.ignore_patterns(f"{JOURNAL}*", "lock"), dirs_exist_ok=True)
        return folder

    return measure_it


@pytest.fixture
def progress() -> SilentProgress:
    return SilentProgress()


@pytest.fixture
def run_toy(toy: Runtime, tmp_path: Path, progress: SilentProgress) -> Callable[..., Result]:
    """Returns a function that runs a job on the toy, with output in `tmp_path`."""

    def run_it(what: str = "toy", **options: Any) -> Result:
        return run(Job(what=[what], out=tmp_path, **options), progress, {"toy": toy})

    return run_it


def read_cells(folder: Path) -> Cells:
    """The judged cells of a run's `cells.jsonl`, by id."""
    lines = [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]
    return {line["id"]: line for line in lines}


def cells_by_mode(folder: Path) -> Cells:
    """The judged cells of a run of one target, network and scenario. A cell without a measurement fails."""
    cells = {cell["mode"]: cell for cell in read_cells(folder).values()}
    for cell in cells.values():
        assert "ok" == cell["status"], f"{cell['id']} is {cell['status']}: {cell['reason']}"
    return cells
