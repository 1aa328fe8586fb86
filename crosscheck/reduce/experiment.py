"""Measures and judges one question about many networks, by probe servers that stay up in between."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType

import numpy as np

from crosscheck.cells import Observation
from crosscheck.environments.environment import Environment
from crosscheck.judge import Truth, judge
from crosscheck.matrix.bench import Standby, ThisMachine
from crosscheck.matrix.engine import Engine
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.plan import Planned, inference_cell, planned_cell, readings_of
from crosscheck.matrix.settings import Progress, Settings
from crosscheck.networks import Network
from crosscheck.records import Judgement

__all__ = ["Answer", "Experiment", "Trials", "judged"]


@dataclass(frozen=True)
class Trials:
    """The trials of a network: the first of the readings `count` times, the others once.

    inference: whether the mode's inference-mode counterpart is measured, too, for comparison. further_servers: whether
    trials that disagree are repeated by further servers.
    """

    readings: tuple[str, ...]
    count: int
    inference: bool
    further_servers: bool

    @classmethod
    def every(cls, planned: Planned) -> Trials:
        """As `crosscheck run` measures the cell."""
        readings = readings_of(planned.cell.scenario, planned.mode, planned.network)
        return cls(readings, 2, inference=True, further_servers=True)

    def of(self, observations: Sequence[Observation]) -> list[Observation]:
        """Those among the observations of more trials."""
        kept: list[Observation] = []
        for reading in self.readings:
            rows = [row for row in observations if row.reading == reading]
            kept += rows[: self.count if reading == self.readings[0] else 1]
        return kept


@dataclass(frozen=True, eq=False)
class Answer:
    """One measured and judged cell; no observations if it could not be measured."""

    planned: Planned
    judgement: Judgement
    observations: Sequence[Observation] = ()
    inference: Sequence[Observation] = ()
    environment: Environment | None = field(default=None, repr=False)

    def judged_by(self, trials: Trials) -> Answer:
        """The same cell, judged by fewer trials."""
        return judged(
            replace(
                self,
                observations=trials.of(self.observations),
                inference=trials.of(self.inference) if trials.inference else (),
            )
        )


class Experiment:
    """Asks what a planned cell asks, about other networks. A context manager."""

    def __init__(self, planned: Planned, settings: Settings) -> None:
        self.planned, self.settings = planned, settings
        self._open = ExitStack()
        self._standby = self._open.enter_context(Standby())
        self._journal = self._open.enter_context(Journal(self._standby.scratch() / "journal.sqlite"))

    def __enter__(self) -> Experiment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def ask(self, network: Network, trials: Trials, progress: Progress, journal: Journal | None = None) -> Answer:
        """Measure and judge the cell with this network; trials that `journal` has already are not run again."""
        kept = self._journal if journal is None else journal
        target, mode, scenario = self.planned.target, self.planned.mode, self.planned.cell.scenario
        planned = planned_cell(target, mode, network, scenario, trials.readings, trials.count)
        other = inference_cell(planned) if trials.inference else None
        plan = [planned] if other is None else [planned, other]
        settings = replace(self.settings, further_servers=trials.further_servers)
        measured = Engine(kept, settings, progress, ThisMachine(self._standby)).measure(plan)
        environment = measured.environments.get(planned.target.id)
        if planned.cell.id in measured.statuses:
            status, reason, stderr = measured.statuses[planned.cell.id]
            return Answer(planned, Judgement(status=status, reason=reason, stderr=stderr), environment=environment)
        observations, inference = (kept.observations(measured.keys.get(one.cell.id, ())) for one in (planned, plan[-1]))
        if len(plan) == 1:
            inference = []
        return judged(Answer(planned, Judgement(status=observations[0].status), observations, inference, environment))


def judged(answer: Answer) -> Answer:
    """The answer with the judgement of its observations."""
    planned = answer.planned
    # What a runtime read from memory that nobody wrote may overflow, or be a negative variance.
    with np.errstate(all="ignore"):
        judgement = judge(
            planned.cell,
            planned.mode,
            planned.network,
            Truth.of(planned.network),
            answer.observations,
            answer.inference,
        )
    return replace(answer, judgement=judgement)
