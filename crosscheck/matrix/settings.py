"""How a plan is measured, and what is told of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from crosscheck.matrix.budget import Budget
from crosscheck.matrix.server import Limits

__all__ = ["Progress", "Settings", "cores"]


class Progress:
    """Receives the progress of a run, and shows nothing of it. A context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def left_out(self, target: str, lack: str) -> None:
        """A target of the default matrix is skipped: this machine lacks a requirement."""

    def note(self, sentence: str) -> None:
        """Something was chosen for the user."""

    def step(self, what: str) -> None:
        """The run turns to something else, such as "writing the report"."""

    def begin(self, environments: int, cells: int, reused: int) -> None:
        """Measuring starts; `reused` cells are already done."""

    def environment(self, target: str, state: str) -> None:
        """An environment is `making`, `ready` or failed (then `state` is the reason)."""

    def cell(self, cell: str) -> None:
        """A cell is done."""

    def running(self, targets: Sequence[str]) -> None:
        """The targets with running trials."""

    def judging(self, done: int, cells: int) -> None:
        """So many of the cells that have to be judged are."""


@dataclass(frozen=True)
class Settings:
    """Parallel trials, isolation (`fork` or `new-interpreter`), limits per trial, and the time for all.

    further_servers: whether cells of a mode whose trials disagree are measured by further servers.
    """

    jobs: int
    isolation: str = "fork"
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(default_factory=Budget)
    further_servers: bool = True


def cores() -> int:
    """The number of cores available to this process."""
    return len(os.sched_getaffinity(0))
