"""What has to persist while a network is reduced: one finding, of one kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from crosscheck.cells import Finding, Status
from crosscheck.judge import Truth
from crosscheck.locate import LOCATED
from crosscheck.networks import Network
from crosscheck.probe import recorded
from crosscheck.reduce.experiment import Answer, Trials, judged
from crosscheck.subnetworks.smaller import differentiable

__all__ = ["Symptom", "fewest_trials"]

#: Findings from a comparison of a gradient with a closed form, which is sound only where the gradient is continuous.
BY_CLOSED_FORM = (Finding.WRONG_GRADIENT, Finding.MODE_IGNORED, Finding.ORDER_DEPENDENT)
#: A number this many times as large as its threshold is no rounding; the finding it came from may have been larger.
CLEAR = 10.0
#: Trials of a candidate where those of the cell disagree: what memory that nobody wrote decides is right now and then.
REPEATED = 4


@dataclass(frozen=True)
class Symptom:
    """A finding and its kind.

    status: the cell's, `ok` or `crashed`. findings: all of the cell; a smaller network may lack others, but with a new
    one it has another defect. answer: whether the first answer is "finite", "zero" or "not finite"; None where trials
    differ, since then it is chance. when: the step that moves statistics, or None. clear: the least number, in units of
    its threshold. always: whether every trial alone shows the finding, though trials differ.
    """

    finding: Finding
    status: Status
    findings: frozenset[Finding]
    answer: str | None
    when: str | None
    clear: float
    always: bool

    @classmethod
    def of(cls, answer: Answer, finding: Finding) -> Symptom:
        """The symptom of a cell that has the finding."""
        judgement = answer.judgement
        return cls(
            finding,
            judgement.status,
            frozenset(judgement.findings),
            None if Finding.UNREPEATABLE in judgement.findings else _kind(answer),
            None if judgement.update is None else judgement.update.when,
            min(CLEAR, max(_sizes(answer, finding), default=0.0)),
            _always(answer, finding),
        )

    def shown_by(self, answer: Answer) -> bool:
        """Whether a cell has this finding, of this kind, and none that is new."""
        judgement = answer.judgement
        if self.finding not in judgement.findings:
            return False
        here = Symptom.of(answer, self.finding)
        return (
            here.status == self.status
            and (self.answer is None or here.answer in (None, self.answer))
            and (self.when is None or here.when in (None, self.when))
            and here.findings <= self.findings
            and here.clear >= self.clear
            and here.always >= self.always
        )

    def sound_in(self, network: Network) -> bool:
        """Whether a wrong number in this network is a defect, and no matter of taste.

        At a kink runtimes may rightly choose; a gradient that is zero in both modes has no scale.
        """
        if self.finding not in BY_CLOSED_FORM:
            return True
        truth = Truth.of(network)
        return differentiable(network) and any(np.any(truth.gradient(training)) for training in (False, True))


def fewest_trials(answer: Answer, symptom: Symptom) -> Trials:
    """The fewest trials among those of a cell that show its symptom: of one reading, of it and another, of all.

    Where trials disagree, the first reading is always taken several times.
    """
    every = Trials.every(answer.planned)
    least = REPEATED if symptom.findings & {Finding.UNREPEATABLE, Finding.RACY} else 1
    for inference in dict.fromkeys((False, bool(answer.inference))):
        for readings, count in _fewer(every, least):
            trials = Trials(readings, count, inference, symptom.finding is Finding.UNREPEATABLE)
            if trials.of(answer.observations) and symptom.shown_by(answer.judged_by(trials)):
                return trials
    return every


def _fewer(every: Trials, least: int) -> Iterator[tuple[tuple[str, ...], int]]:
    """Readings, and how often the first of them is taken: few first."""
    first, *others = every.readings
    for count in (least, max(least, every.count)):
        yield (first,), count
    for other in others:
        yield (first, other), least
    for count in (least, max(least, every.count)):
        yield every.readings, count


def _sizes(answer: Answer, finding: Finding) -> Iterator[float]:
    """The numbers behind a finding, in units of their thresholds; infinite where there is no threshold to exceed."""
    for item in answer.judgement.evidence:
        if item.finding is finding:
            sized = item.value is not None and item.threshold and np.isfinite(item.value)
            yield float(item.value) / float(item.threshold) if sized else np.inf  # type: ignore[arg-type]


def _always(answer: Answer, finding: Finding) -> bool:
    """Whether every trial of the first reading alone shows the finding; trials that agree are not asked one by one.

    Memory that nobody wrote may be zero, so that there is no gradient in some of the trials.
    """
    if Finding.UNREPEATABLE not in answer.judgement.findings:
        return True
    shows = LOCATED.get(finding, frozenset({finding}))
    first = [row for row in answer.observations if row.reading == answer.observations[0].reading]
    alone = (judged(replace(answer, observations=[row])) for row in first)
    return all(not shows.isdisjoint(one.judgement.findings) for one in alone)


def _kind(answer: Answer) -> str | None:
    """Whether the first answer is finite, zero or neither; None where none was recorded."""
    for row in answer.observations:
        for key in (recorded.GRADIENT_FIRST, recorded.FORWARD_FIRST):
            if key in row.arrays:
                value = row.arrays[key]
                return "not finite" if not np.isfinite(value).all() else "finite" if np.any(value) else "zero"
    return None
