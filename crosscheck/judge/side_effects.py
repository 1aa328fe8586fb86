"""Findings about side effects of a call: `poisoned`, `input-written`, `mode-left-changed`."""

from __future__ import annotations

from crosscheck.cells import Finding
from crosscheck.judge.case import Case
from crosscheck.judge.evidence import Evidence
from crosscheck.judge.thresholds import NEVER
from crosscheck.probe import recorded
from crosscheck.repeatability import distance

__all__ = ["input_written", "mode_left_changed", "poisoned"]


def poisoned(case: Case) -> list[Evidence]:
    """A step after the call under test raised, or the process died in it."""
    evidence: dict[tuple[str, str], Evidence] = {}
    for row in case.measured:
        came_back = False
        for step in row.steps:
            if came_back and step.error is not None:
                what = f"{row.reading}: {step.label} raised after {case.call} had returned"
                why = "a step that worked before the call must work after it"
                evidence[row.reading, step.label] = Evidence(Finding.POISONED, what, None, None, why, step.error)
            came_back = came_back or (step.label == case.call and step.error is None)
    return list(evidence.values())


def input_written(case: Case) -> list[Evidence]:
    """The runtime wrote to the input array. The probe records that array only if it changed."""
    inputs = {recorded.INPUT + when: case.network.x for when in ("first", "second", "inference")}
    evidence: dict[str, Evidence] = {}
    for row in case.measured:
        for key, value in row.arrays.items():
            if key.startswith(recorded.INPUT) and key not in evidence:
                expected = inputs.get(key)
                change = None if expected is None else distance(value, expected)
                what = f"{row.reading}: largest change of the input array during {key.removeprefix('input/')}"
                evidence[key] = Evidence(Finding.INPUT_WRITTEN, what, change, NEVER.value, NEVER.why)
    return list(evidence.values())


def mode_left_changed(case: Case) -> list[Evidence]:
    """The call changed a global mode flag of the runtime."""
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
    return list(evidence.values())
