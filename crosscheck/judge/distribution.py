"""The distribution of a reading's trials over outcomes; the findings `unrepeatable` and `racy`."""

from __future__ import annotations

import math
from collections import Counter

from crosscheck.cells import MEASURED, Array, Finding, Observation
from crosscheck.judge.case import Case, tensors
from crosscheck.judge.thresholds import AGREEMENT, REPEATABLE
from crosscheck.probe import recorded
from crosscheck.records import Evidence, Outcome, Reading
from crosscheck.repeatability import (
    ABSOLUTE,
    NOT_WAITING,
    at_pace,
    differing,
    distance,
    moved,
    outcomes,
    same,
    size,
    unlike_waiting,
)

__all__ = ["distribution", "racy", "unrepeatable"]

TOLD = 3  # maximum tensors named in an outcome
#: Step of a trial -> its pace, in words.
PACED = {
    recorded.HOLD: "with the runtime's other threads held back",
    recorded.REST: "after these threads had come to rest",
}


def unrepeatable(case: Case) -> list[Evidence]:
    """Trials of one waiting reading disagree: nondeterminism, or uninitialised memory."""
    readings = dict.fromkeys(row.reading for row in case.measured if row.reading not in NOT_WAITING)
    return [item for reading in readings for item in _repeats(case, Finding.UNREPEATABLE, reading)][:1]


def racy(case: Case) -> list[Evidence]:
    """Non-waiting trials disagree with waiting ones, or among themselves, and all waiting trials agree.

    If waiting trials disagree, there is no evidence of a race: the others can differ at random.

    A tensor that still has its old value when read at once is stale, not racy: a lazy runtime returns it every time. It
    is a race if trials disagree, if the value is neither old nor new, or if a later prediction, the answer or the
    settled state differs. Not if reading does it: if tensors that had not moved after waiting move by being read.
    """
    if case.nondeterministic:
        return []
    repeats = [item for reading in NOT_WAITING for item in _repeats(case, Finding.RACY, reading)]
    return _without_waiting(case) + _partially_written(case) + repeats[:1]


def _without_waiting(case: Case) -> list[Evidence]:
    undisturbed, timed = (next(iter(case.of(reading)), None) for reading in ("undisturbed", "timed"))
    waiting = "timed" if case.predicting_moves else "undisturbed"
    evidence: list[Evidence] = []
    for reading in NOT_WAITING:
        apart: dict[str, float] = {}
        scale: dict[str, float] = {}
        for row in case.of(reading):
            for key, value, expected in unlike_waiting(row, undisturbed, timed):
                if reading == "unsettled" and _by_reading(case, key, value):
                    continue
                apart[key] = max(distance(value, expected), apart.get(key, 0.0))
                scale[key] = max(size(value), size(expected))
        # One piece of evidence for all tensors of the state: the largest difference.
        others = sorted((key for key in apart if key.startswith(recorded.STATE)), key=lambda key: -apart[key])
        details = {key: "" for key in apart if key not in others}
        if others:
            details[others[0]] = f"the largest of {len(others)} tensors" if len(others) > 1 else ""
        for key, detail in details.items():
            threshold = ABSOLUTE + AGREEMENT.value * scale[key]
            what = f"{reading} against {waiting}: largest difference of {key}"
            evidence.append(Evidence(Finding.RACY, what, apart[key], threshold, AGREEMENT.why, detail))
    return evidence


def _by_reading(case: Case, key: str, value: Array) -> bool:
    """Whether reading tensors made that array: timed trials, which agree, end with it, and moved tensors by reading.

    A tensor that is read after waiting is another one then when it is read again.
    """
    timed = next(iter(case.of("timed")), None)
    if timed is None or key not in timed.arrays or not same(value, timed.arrays[key]):
        return False
    first, again = tensors(timed, recorded.ASKED), tensors(timed, recorded.READ)
    return any(moved(first[name], again[name]) for name in first.keys() & again.keys())


def _partially_written(case: Case) -> list[Evidence]:
    """Tensors whose value, read at once, is neither the old nor the new one."""
    if case.predicting_moves:
        return []
    for row in case.of("unsettled"):
        before, after = case.around(row)
        for name, value in tensors(row, "at-once").items():
            if name not in before or name not in after or same(value, before[name]) or same(value, after[name]):
                continue
            apart = min(distance(value, before[name]), distance(value, after[name]))
            what = f"unsettled: distance of {name}, read directly after the call, from both its old and its new value"
            threshold = ABSOLUTE + REPEATABLE.value * max(size(before[name]), size(after[name]))
            return [Evidence(Finding.RACY, what, apart, threshold, AGREEMENT.why)]
    return []


def _repeats(case: Case, finding: Finding, reading: str) -> list[Evidence]:
    rows = case.of(reading)
    groups = outcomes(rows)
    if len(groups) < 2:
        return []
    what = f"{reading}: distinct outcomes of {len(rows)} trials"
    detail = ", ".join(f"{len(group)} times" for group in groups[:TOLD])
    detail += f"{' ...' if len(groups) > TOLD else ''}; {_differences(groups[0][0], groups[1][0])}"
    return [Evidence(finding, what, len(groups), 1, REPEATABLE.why, detail)]


def _differences(one: Observation, other: Observation) -> str:
    if one.status != other.status:
        return f"one {one.status}, one {other.status}"
    keys = differing(one, other)
    return f"differing in {', '.join(keys[:TOLD])}{' ...' if len(keys) > TOLD else ''}"


def distribution(case: Case) -> tuple[Reading, ...]:
    """Every reading's trials by status and by distinct outcome, in the order of the readings."""
    evidence = []
    for reading in dict.fromkeys(row.reading for row in case.observations):
        rows = [row for row in case.observations if row.reading == reading]
        groups = outcomes(case.of(reading))
        ends = [
            Outcome(
                len(group),
                describe(case, group[0])
                + (f"; {_differences(groups[0][0], group[0])}" if index else "")
                + "".join(
                    f"; {len(paced)} of them {how}" for step, how in PACED.items() if (paced := at_pace(group, step))
                ),
            )
            for index, group in enumerate(groups)
        ]
        failures = Counter(f"{row.status}: {row.reason or ''}" for row in rows if row.status not in MEASURED)
        ends += [Outcome(count, what) for what, count in failures.most_common()]
        statuses = Counter(row.status.value for row in rows)
        evidence.append(Reading(reading, len(rows), dict(statuses), tuple(ends)))
    return tuple(evidence)


def describe(case: Case, row: Observation) -> str:
    """Describe an outcome: changed predictions and tensors, and the step that raised or that the process died in."""
    alone = Case(case.cell, case.mode, case.network, case.truth, [row])
    parts = []
    most = max((pair.change for pair in alone.predictions), default=None)
    if most is not None:
        parts.append(f"predictions change by {most:.4g}" if most else "predictions stay")
    before, after = case.around(row)
    changes = {name: distance(before[name], after[name]) for name in before.keys() & after.keys()}
    moving = sorted((name for name, change in changes.items() if change), key=lambda name: (-changes[name], name))
    if moving:
        text = ", ".join(f"{name} by {changes[name]:.4g}" for name in moving[:TOLD])
        parts.append(text + (f" and {len(moving) - TOLD} more" if len(moving) > TOLD else ""))
    elif changes:
        parts.append("tensors stay")
    parts += [
        f"the process died in {step.label}" if math.isnan(step.seconds) else f"{step.label} raised"
        for step in row.steps
        if step.error is not None
    ][:1]
    return "; ".join(parts) or "no prediction or tensor was read"
