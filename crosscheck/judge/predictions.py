"""Findings about predictions: `leak`, `wrong-prediction` (of the documented prediction), `export-changed`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crosscheck.cells import Array, Asks, Finding, Intent, Scenario
from crosscheck.judge.case import AGAIN, Case, Pair
from crosscheck.judge.compare import relative_error
from crosscheck.judge.evidence import across_readings
from crosscheck.judge.thresholds import CLOSED_FORM, EXACT, NEVER, ROUNDING
from crosscheck.probe import recorded
from crosscheck.records import Evidence
from crosscheck.repeatability import distance, size

__all__ = ["export_changed", "leak", "numbers", "wrong_prediction"]

SHOWN = 4  # maximum numbers of an array in a sentence


def leak(case: Case) -> list[Evidence]:
    """A prediction after the call differs from the one before, or two before the call differ beyond noise.

    Not where the user's own lines replace statistics by returned ones, or the statistics are the user's own arrays.
    """
    if case.cell.scenario is Scenario.EXPORT or case.users_own:
        return []
    before = [pair for pair in case.predictions if pair.key in AGAIN]
    after = [pair for pair in case.predictions if pair.key not in AGAIN]
    evidence = _changed(case, Finding.LEAK, after) + _changed(
        case, Finding.LEAK, before, "; predicting alone changes it"
    )
    return evidence + _changed_answers(case) + _changed_classes(case)


def _changed(case: Case, finding: Finding, pairs: Sequence[Pair], note: str = "") -> list[Evidence]:
    """Evidence of changed predictions, one per reading: `prediction/after` if it changed, else the largest change."""
    worst: dict[str, Pair] = {}
    for pair in pairs:
        previous = worst.get(pair.reading)
        larger = previous is None or (previous.key != recorded.PREDICTION_AFTER and pair.change > previous.change)
        if pair.moved and larger:
            worst[pair.reading] = pair
    return across_readings(
        {
            reading: Evidence(
                finding,
                f"largest change from {case.earlier} to {pair.key}",
                pair.change,
                pair.threshold,
                ROUNDING.why,
                f"{numbers(pair.before)} became {numbers(pair.after)}{note}",
            )
            for reading, pair in worst.items()
        },
        [pair.reading for pair in pairs],
    )


def _changed_answers(case: Case) -> list[Evidence]:
    """A prediction mode whose two answers for the same input differ, so that it keeps state between calls."""
    evidence = {}
    for row in case.measured if case.asks is Asks.PREDICTION else ():
        first, second = (row.arrays.get(recorded.FORWARD + key) for key in ("first", "second"))
        if (
            first is not None
            and second is not None
            and (change := distance(first, second)) > size(first) * case.rounding
        ):
            evidence[row.reading] = Evidence(
                Finding.LEAK,
                "largest change from forward/first to forward/second",
                change,
                size(first) * case.rounding,
                ROUNDING.why,
                f"{numbers(first)} became {numbers(second)}",
            )
    return across_readings(evidence, [row.reading for row in case.measured if recorded.FORWARD_SECOND in row.arrays])


def _changed_classes(case: Case) -> list[Evidence]:
    """Held-out images with a changed class; classes are integers, so any change counts."""
    changed = [
        (count, f"{row.reading}: held-out images whose class at {key} differs from classes/0", len(first))
        for row in case.measured
        if (first := row.arrays.get(recorded.CLASSES_START)) is not None
        for key, classes in row.arrays.items()
        if key.startswith(recorded.CLASSES) and (count := int(np.sum(classes != first)))
    ]
    if not changed:
        return []
    most, what, images = max(changed, key=lambda item: item[0])
    return [Evidence(Finding.LEAK, what, most, NEVER.value, NEVER.why, f"of {images} images")]


def wrong_prediction(case: Case) -> list[Evidence]:
    """The first prediction differs from the oracle's."""
    expected, training = (case.truth.prediction(training) for training in (False, True))
    errors = [
        (relative_error(value, expected, training), row.reading, value)
        for row in case.measured
        if (value := row.arrays.get(case.first)) is not None
    ]
    if not errors:
        return []
    error, reading, value = max(errors, key=lambda item: item[0])
    threshold = case.exceeded(error)
    if threshold is None:
        return []
    detail = f"{numbers(value)} instead of {numbers(expected)}"
    if relative_error(value, training, expected) <= CLOSED_FORM.value:
        detail += "; it is the training-mode prediction"
    what = f"{reading}: relative error of {case.first} against the oracle"
    return [Evidence(Finding.WRONG_PREDICTION, what, error, threshold.value, threshold.why, detail)]


def export_changed(case: Case) -> list[Evidence]:
    """Exporting changed a prediction or tensor of the network, or the exported network predicts differently."""
    if case.cell.scenario is not Scenario.EXPORT:
        return []
    evidence = _changed(case, Finding.EXPORT_CHANGED, case.predictions)
    for pair in case.changes:
        if pair.moved:
            what = f"change of {pair.key} by the export"
            evidence.append(Evidence(Finding.EXPORT_CHANGED, what, pair.change, pair.threshold, EXACT.why))
    for row in case.measured:
        before, exported = row.arrays.get(case.first), row.arrays.get(recorded.PREDICTION_EXPORTED)
        if before is not None and exported is not None:
            forms = [np.asarray(before, np.float64)]
            if case.mode.intent == Intent.TRAINING:
                # A network exported in training form may normalize by the batch's statistics.
                forms.append(case.truth.prediction(True))
            error = min(relative_error(exported, form) for form in forms)
            if threshold := case.exceeded(error):
                what = "difference of the exported network's prediction, relative to the largest entry"
                detail = f"{numbers(exported)} instead of {numbers(before)}"
                evidence.append(Evidence(Finding.EXPORT_CHANGED, what, error, threshold.value, threshold.why, detail))
    return list({(item.what): item for item in evidence}.values())


def numbers(values: Array) -> str:
    """The first numbers of an array with six digits, and the total count if there are more."""
    flat = np.ravel(values)
    excerpt = " ".join(f"{float(value):.6g}" for value in flat[:SHOWN])
    return excerpt if len(flat) <= SHOWN else f"{excerpt} ... ({len(flat)} numbers, the largest {size(flat):.6g})"
