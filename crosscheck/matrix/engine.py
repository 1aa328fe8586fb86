"""Measures a plan into a journal: this machine carries the trials out, or other machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from crosscheck.cells import Status
from crosscheck.matrix.bench import ThisMachine
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.ledger import Earlier, Ledger, Measured
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.settings import Progress, Settings

__all__ = ["Engine", "Executor"]

#: Why a cell is not measured that other machines did not measure.
NOT_MADE = "not measured, and its environment is not on this machine; `crosscheck run` makes it"


class Executor(Protocol):
    """Where trials run."""

    def execute(self, ledger: Ledger, settings: Settings, progress: Progress) -> None:
        """Run the trials in the ledger's queues until they are empty, and give it each record as it comes."""


@dataclass(frozen=True)
class Engine:
    """Measures plans into a journal.

    With `earlier`, no environment is made: what lacks one here is unavailable, if other machines did not measure it.
    """

    journal: Journal
    settings: Settings
    progress: Progress
    executor: Executor = field(default_factory=ThisMachine)
    earlier: Earlier | None = None

    def measure(self, plan: Sequence[Planned]) -> Measured:
        """Run every trial missing from the journal, and repetitions of disagreeing ones.

        After a kill, the journal has all finished trials.
        """
        if not plan:
            return Measured()
        settings = self.settings
        ledger = Ledger(
            plan, self.journal, settings.isolation, self.progress.cell, settings.limits.memory, self.earlier
        )
        if self.earlier is not None:
            self._leave_unmade(ledger)
        self.executor.execute(ledger, settings, self.progress)
        return ledger.done

    def _leave_unmade(self, ledger: Ledger) -> None:
        """Give up the targets whose environments are not on this machine."""
        for target in [target for target in ledger.queues if not ledger.done.environments[target.id].exists]:
            if count := ledger.give_up(target, Status.UNAVAILABLE, NOT_MADE):
                self.progress.note(f"{target.id}: {count} cells, some of parts of networks, were {NOT_MADE}.")
            del ledger.queues[target]
