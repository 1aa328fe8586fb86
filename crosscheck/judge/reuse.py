"""Findings about what users do with a network after a toolkit's call: `save-changed`, and parts of two others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from crosscheck.cells import Array, Finding, Observation, Scenario
from crosscheck.judge.case import Case
from crosscheck.judge.predictions import numbers
from crosscheck.judge.thresholds import REPEATABLE, ROUNDING
from crosscheck.probe import recorded
from crosscheck.records import Evidence
from crosscheck.repeatability import distance, size
from crosscheck.scenarios.facts import SAVED

__all__ = ["differentiated_otherwise", "not_reusable", "save_changed", "shown_by"]

#: What a user does, in the words of a sentence.
WORDS = {
    recorded.SAVE: "saving the state",
    recorded.COPY: "copying the network",
    recorded.PICKLE: "pickling the network",
    recorded.TWICE: "differentiating the gradient's norm",
}


def save_changed(case: Case) -> list[Evidence]:
    """The saved state does not load into a network made anew, or that one predicts otherwise than without the call.

    Another prediction counts only where the network's own predictions are the same: else it is a `leak` already.
    """
    errors = _errors(case)
    if recorded.SAVE in errors:
        return []  # which is `poisoned`, and leaves nothing to load
    if (error := errors.get(recorded.LOAD)) is not None:
        what = f"{SAVED}: a network made anew does not load the state that was saved after {case.call}"
        why = "what is saved before the call loads, and must after it"
        return [Evidence(Finding.SAVE_CHANGED, what, None, None, why, error)]
    change = _change(case, recorded.PREDICTION_RESTORED, case.rounding)
    if change is None:
        return []
    what = f"{SAVED}: largest change of the prediction of a network made anew that loads the saved state"
    detail = f"{numbers(change.before)} became {numbers(change.after)}; the network itself predicts as before"
    return [Evidence(Finding.SAVE_CHANGED, what, change.largest, change.threshold, ROUNDING.why, detail)]


def not_reusable(case: Case) -> list[Evidence]:
    """What of saving, copying, pickling and differentiating twice raises after the call, and does not without it."""
    errors = _errors(case)
    why = "what works without the call must work after it"
    return [
        Evidence(Finding.POISONED, f"{SAVED}: {words} raised after {case.call} had returned", None, None, why, error)
        for what, words in WORDS.items()
        if (error := errors.get(what)) is not None
    ]


def differentiated_otherwise(case: Case) -> list[Evidence]:
    """A double backward in evaluation mode has another value after the call, though predictions are the same."""
    change = _change(case, recorded.REUSE + recorded.TWICE, REPEATABLE.value)
    if change is None:
        return []
    what = f"{SAVED}: largest change of the gradient of the gradient's norm, in evaluation mode, after {case.call}"
    detail = f"{numbers(change.after)} instead of {numbers(change.before)}"
    return [Evidence(Finding.ORDER_DEPENDENT, what, change.largest, change.threshold, REPEATABLE.why, detail)]


def shown_by(evidence: Iterable[Evidence]) -> dict[str, bool]:
    """What a program has to do with the network to show a cell's evidence, in its order -> whether it raises then."""
    found: dict[str, bool] = {}
    for item in evidence:
        if not item.what.startswith(f"{SAVED}: "):
            continue
        if item.finding is Finding.SAVE_CHANGED:
            found |= {recorded.SAVE: False, recorded.LOAD: False}
        elif item.finding is Finding.ORDER_DEPENDENT:
            found[recorded.TWICE] = False
        elif item.finding is Finding.POISONED:
            found |= {what: True for what, words in WORDS.items() if f": {words} " in item.what}
    return {what: found[what] for what in (*WORDS, recorded.LOAD) if what in found}


def _with_and_without(case: Case) -> tuple[Observation, Observation] | None:
    """The trial that reuses the network after the call, and the one that does without it; None if either lacks."""
    row, without = next(iter(case.of(SAVED)), None), case.without_call
    if case.cell.scenario is not Scenario.GRADIENT or row is None or without is None:
        return None
    return row, without


def _errors(case: Case) -> dict[str, str]:
    """What raised after the call and worked without it: the use -> the error."""
    pair = _with_and_without(case)
    if pair is None:
        return {}
    row, without = pair
    worked = {step.label for step in without.steps if step.error is None}
    return {
        step.label.removeprefix(recorded.REUSE): step.error
        for step in row.steps
        if step.label.startswith(recorded.REUSE) and step.error is not None and step.label in worked
    }


class _Change(NamedTuple):
    """An array of the trial without the call, that of the trial with it, and how far they are apart."""

    before: Array
    after: Array
    largest: float
    threshold: float


def _change(case: Case, key: str, tolerance: float) -> _Change | None:
    """The change of an array by the call, where the network's own predictions are the same; None if there is none.

    tolerance: relative to the largest entry without the call.
    """
    pair = _with_and_without(case)
    if pair is None or any(prediction.moved for prediction in case.predictions):
        return None
    after, before = (row.arrays.get(key) for row in pair)
    if before is None or after is None:
        return None
    change = _Change(before, after, distance(before, after), tolerance * size(before))
    return change if change.largest > change.threshold else None
