"""Findings about side effects of a call: `poisoned`, `input-written`, `mode-left-changed`."""

from __future__ import annotations

from crosscheck.cells import Finding, Observation, Scenario
from crosscheck.judge.case import Case, largest, tensors
from crosscheck.judge.thresholds import NEVER, REWRITTEN
from crosscheck.probe import recorded
from crosscheck.records import Evidence
from crosscheck.repeatability import distance

__all__ = ["gradients_left", "input_written", "mode_left_changed", "poisoned"]

#: Moments of snapshots before the call under test.
EARLIER = (recorded.BUILT, recorded.PREDICTED, recorded.BEFORE)
TOLD = 3  # maximum names in a sentence


def poisoned(case: Case) -> list[Evidence]:
    """A step after the call under test raised, or the process died in it."""
    evidence: dict[tuple[str, str], Evidence] = {}
    for row in case.measured:
        came_back = False
        for step in row.steps:
            if came_back and step.error is not None and not step.label.startswith(recorded.REUSE):
                what = f"{row.reading}: {step.label} raised after {case.call} had returned"
                why = "a step that worked before the call must work after it"
                evidence[row.reading, step.label] = Evidence(Finding.POISONED, what, None, None, why, step.error)
            came_back = came_back or (step.label == case.call and step.error is None)
    return list(evidence.values())


def input_written(case: Case) -> list[Evidence]:
    """The runtime wrote to the input array. The probe records that array only if it changed.

    The documented prediction counts in `predict-only`; other scenarios ask what their call does.
    """
    inputs = {recorded.INPUT + when: case.network.x for when in ("first", "second", "inference")}
    evidence: dict[str, Evidence] = {}
    for row in case.measured:
        for key, value in row.arrays.items():
            if key.startswith(recorded.INPUT) and key not in evidence:
                expected = inputs.get(key)
                change = None if expected is None else distance(value, expected)
                what = f"{row.reading}: largest change of the input array during {key.removeprefix('input/')}"
                evidence[key] = Evidence(Finding.INPUT_WRITTEN, what, change, NEVER.value, NEVER.why)
    predicted = _predictions_input_written(case) if case.cell.scenario is Scenario.PREDICT_ONLY else []
    return list(evidence.values()) + predicted + _statistics_written(case)


def _predictions_input_written(case: Case) -> list[Evidence]:
    """The documented prediction wrote to its input array, in the first trial that shows it."""
    for row in case.measured:
        for key, value in row.arrays.items():
            if key.startswith(recorded.PREDICTION_INPUT):
                what = f"{row.reading}: largest change of the input array during the documented prediction "
                what += key.removeprefix(recorded.PREDICTION_INPUT)
                change = distance(value, case.network.x)
                return [Evidence(Finding.INPUT_WRITTEN, what, change, NEVER.value, NEVER.why)]
    return []


def _statistics_written(case: Case) -> list[Evidence]:
    """The runtime wrote to moving statistics that were fed: arrays of the caller, which later predictions take, too."""
    if not case.mode.fed:
        return []
    predicted = max((pair.change for pair in case.predictions), default=0.0)
    detail = f"it is fed to the next prediction, too, which changes by up to {predicted:.4g}" if predicted else ""
    return [
        Evidence(
            Finding.INPUT_WRITTEN,
            f"{pair.reading}: largest change of {pair.key}, an array of the caller",
            pair.change,
            pair.threshold,
            REWRITTEN,
            detail,
        )
        for pair in largest(pair for pair in case.all_changes if pair.key in case.statistics)
    ]


def gradients_left(case: Case) -> list[Evidence]:
    """What the call left on the network, or took from its parameters' gradients, in the first trial that shows it.

    Of a toolkit only trials show it that have looked at the state in which its call finds the network.
    """
    for row in case.measured:
        if case.mode.starts and row.reading != "timed":
            continue
        names = _new(case, row, recorded.LEFT) + (_overwritten(row) if case.mode.starts else [])
        if names:
            what = f"{row.reading}: what the call left on the network"
            listed = ", ".join(names[:TOLD]) + (f" and {len(names) - TOLD} more" if len(names) > TOLD else "")
            why = "no prediction reads it; the next training step or gradient adds to it"
            return [Evidence(Finding.GRADIENTS_LEFT, what, len(names), NEVER.value, why, listed)]
    return []


def _overwritten(row: Observation) -> list[str]:
    """Gradients and hooks of the user's own that are others, or gone, after the call of a toolkit."""
    before, after = (tensors(row, when, recorded.LEFT.strip("/")) for when in (recorded.BETWEEN, recorded.ASKED))
    if not after and not tensors(row, recorded.ASKED):
        return []
    gone = [f"{name} (gone)" for name in sorted(before.keys() - after.keys())]
    kept = sorted(before.keys() & after.keys())
    return gone + [f"{name} (overwritten)" for name in kept if distance(before[name], after[name]) > 0]


def _new(case: Case, row: Observation, kind: str) -> list[str]:
    """The names of a kind in the snapshots after the call that were in none before it."""
    earlier = (*EARLIER, recorded.BETWEEN) if case.mode.starts else EARLIER
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for key in row.arrays:
        if key.startswith(kind):
            _, when, name = key.split("/", 2)
            found[when in earlier].add(name)
    return sorted(found[False] - found[True])


def mode_left_changed(case: Case) -> list[Evidence]:
    """The call changed a global mode flag of the runtime, or a layer's, against what the user's own lines set."""
    when = case.call.rpartition("/")[2] if "/" in case.call else "first"
    evidence: dict[str, Evidence] = {}
    for row in case.measured:
        flags = {step.label: step.flags for step in row.steps if step.flags is not None}
        before, after = flags.get(recorded.FLAGS_BEFORE + when), flags.get(recorded.FLAGS_AFTER + when)
        if before is None or after is None:
            continue
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                detail = f"{before.get(name)} before, {after.get(name)} after"
                what = f"{row.reading}: the flag {name!r}"
                evidence.setdefault(name, Evidence(Finding.MODE_LEFT_CHANGED, what, None, None, NEVER.why, detail))
        for name in _new(case, row, recorded.SWITCHED):
            what = f"{row.reading}: the mode flag of {name}"
            why = "only the user's own lines set it"
            evidence.setdefault(
                name, Evidence(Finding.MODE_LEFT_CHANGED, what, None, None, why, "the call switched it")
            )
    return list(evidence.values())
