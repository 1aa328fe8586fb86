"""Shared fixtures: the toy runtime, and jobs run on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosscheck.job import Job, Result, run
from crosscheck.matrix.engine import Progress
from crosscheck.runtimes.catalog import Runtime, load_runtime

Cells = dict[str, dict[str, Any]]


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
