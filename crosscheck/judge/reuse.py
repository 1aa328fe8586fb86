"""Findings about what users do with a network after a toolkit's call: `save-changed`, and parts of two others."""

from __future__ import annotations

from collections.abc import Iterable

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
    pair = _with_and_without(case)
    if pair is None:
        return []
    row, without = pair
    errors = _errors(row, without)
    if recorded.SAVE in errors:
        return []  # which is `poisoned`, and leaves nothing to load
    if (error := errors.get(recorded.LOAD)) is not None:
        what = f"{SAVED}: a network made anew does not load the state that was saved after {case.call}"
        why = "what is saved before the call loads, and must after it"
        return [Evidence(Finding.SAVE_CHANGED, what, None, None, why, error)]
    arrays = _arrays(row, without, recorded.PREDICTION_RESTORED)
    if arrays is None or any(pair.moved for pair in case.predictions):
        return []
    before, after = arrays
    change, threshold = distance(before, after), case.rounding * size(before)
    if change <= threshold:
        return []
    what = f"{SAVED}: largest change of the prediction of a network made anew that loads the saved state"
    detail = f"{numbers(before)} became {numbers(after)}; the network itself predicts as before"
    return [Evidence(Finding.SAVE_CHANGED, what, change, threshold, ROUNDING.why, detail)]


def not_reusable(case: Case) -> list[Evidence]:
    """What of saving, copying, pickling and differentiating twice raises after the call, and does not without it."""
    pair = _with_and_without(case)
    errors = {} if pair is None else _errors(*pair)
    why = "what works without the call must work after it"
    return [
        Evidence(Finding.POISONED, f"{SAVED}: {words} raised after {case.call} had returned", None, None, why, error)
        for what, words in WORDS.items()
        if (error := errors.get(what)) is not None
    ]


def differentiated_otherwise(case: Case) -> list[Evidence]:
    """A double backward in evaluation mode has another value after the call, though predictions are the same."""
    pair = _with_and_without(case)
    arrays = None if pair is None else _arrays(*pair, recorded.REUSE + recorded.TWICE)
    if arrays is None or any(pair.moved for pair in case.predictions):
        return []
    after, before = arrays[1], arrays[0]
    change, threshold = distance(before, after), REPEATABLE.value * size(before)
    if change <= threshold:
        return []
    what = f"{SAVED}: largest change of the gradient of the gradient's norm, in evaluation mode, after {case.call}"
    detail = f"{numbers(after)} instead of {numbers(before)}"
    return [Evidence(Finding.ORDER_DEPENDENT, what, change, threshold, REPEATABLE.why, detail)]


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


def _errors(row: Observation, without: Observation) -> dict[str, str]:
    """What raised after the call and worked without it: the use -> the error."""
    worked = {step.label for step in without.steps if step.error is None}
    return {
        step.label.removeprefix(recorded.REUSE): step.error
        for step in row.steps
        if step.label.startswith(recorded.REUSE) and step.error is not None and step.label in worked
    }


def _arrays(row: Observation, without: Observation, key: str) -> tuple[Array, Array] | None:
    """An array of the trial without the call, and that of the trial with it; None if either lacks."""
    before, after = without.arrays.get(key), row.arrays.get(key)
    return None if before is None or after is None else (before, after)
