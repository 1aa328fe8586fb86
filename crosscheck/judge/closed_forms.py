"""Compares the answer of a call with both closed forms: `wrong-gradient`, `mode-ignored`, `order-dependent`."""

from __future__ import annotations

from collections.abc import Sequence

from crosscheck.cells import Array, Asks, Finding, Intent, Observation, Scenario
from crosscheck.judge.case import Case
from crosscheck.judge.compare import relative_error
from crosscheck.judge.evidence import across_readings
from crosscheck.judge.form_errors import FormErrors
from crosscheck.judge.predictions import numbers
from crosscheck.judge.thresholds import CLOSED_FORM, REPEATABLE
from crosscheck.probe import recorded
from crosscheck.records import Errors, Evidence, Later
from crosscheck.repeatability import distance, size

__all__ = [
    "clean_answer",
    "gradient_error",
    "later_errors",
    "mode_ignored",
    "no_gradient",
    "order_dependent",
    "undecided",
    "wrong_answer",
]


def wrong_answer(case: Case) -> list[Evidence]:
    """`wrong-gradient` (for a prediction mode `wrong-prediction`): the answer matches neither mode's closed form.

    A closed form of the other mode that is zero does not count, and for nondeterministic cells only the mode's own: a
    match with the other's proves nothing. An answer that is zero altogether is `no-gradient`.
    """
    finding = Finding.WRONG_GRADIENT if case.asks is Asks.GRADIENT else Finding.WRONG_PREDICTION
    evidence: dict[str, Evidence] = {}
    answers = case.answers
    for row, value, errors in answers:
        intent = Intent(case.mode.intent)
        others = frozenset() if case.nondeterministic else errors.matches - errors.zero
        if intent in errors.matches or intent in errors.undecided or others or row.reading in evidence:
            continue
        if _nothing(case, value, errors):
            continue
        nearest = intent if errors.matches else min(Intent, key=errors.of)
        inference = errors.threshold(Intent.INFERENCE).value
        evidence[row.reading] = Evidence(
            finding,
            f"relative error of {case.call} against the {'' if errors.matches else 'nearer '}closed form, "
            f"{nearest} mode",
            errors.of(nearest),
            errors.threshold(nearest).value,
            errors.threshold(nearest).why,
            f"{errors.both}; {numbers(value)}"
            + ("; the other mode's closed form is zero here and proves nothing" if errors.matches & errors.zero else "")
            + (_at_later_statistics(case, row, value, inference) or _renormalized(case, value)),
        )
    return across_readings(evidence, (row.reading for row, _, _ in answers))


def _at_later_statistics(case: Case, row: Observation, value: Array, threshold: float) -> str:
    """Whether the answer matches the inference-mode form at statistics moved by the call itself."""
    for when in ("between", "asked", "after"):
        if not any(key.startswith(recorded.tensor(recorded.STATE, when)) for key in row.arrays):
            continue
        weights = case.weights_at(row, when)
        if weights is None:
            continue
        if FormErrors(case.asked, value, case.asks, weights).of(Intent.INFERENCE) <= threshold:
            return f"; it is the inference-mode form at the statistics in state/{when}, moved by the call"
    return ""


def _renormalized(case: Case, value: Array) -> str:
    """Whether the answer is the training-mode gradient of batch renormalization."""
    if case.asks is not Asks.GRADIENT or not case.network.batch_norms:
        return ""
    expected = case.asked.renormalized_gradient
    if relative_error(value, expected, case.asked.gradient()) > CLOSED_FORM.value:
        return ""
    return "; it is the training-mode closed form of batch renormalization with constant corrections r and d"


def _nothing(case: Case, value: Array, errors: FormErrors) -> bool:
    """Whether a gradient is zero in every entry, which the mode's own closed form is not.

    Zero is an answer, if a wrong one, where it is the other mode's and the call moved statistics as that mode does, or
    where other trials give other answers.
    """
    if case.asks is not Asks.GRADIENT or value.any() or case.nondeterministic:
        return False
    if errors.matches and any(pair.moved for pair in case.changes if pair.key in case.statistics):
        return False
    return bool(_expected(case).any())


def _expected(case: Case) -> Array:
    """The closed form of the mode's own gradient."""
    return case.asked.gradient(Intent(case.mode.intent) is Intent.TRAINING)


def no_gradient(case: Case) -> list[Evidence]:
    """The gradient is zero in every entry, and the closed form of its mode is not."""
    evidence: dict[str, Evidence] = {}
    answers = case.answers
    for row, value, errors in answers:
        intent = Intent(case.mode.intent)
        right = intent in errors.matches or intent in errors.undecided
        if row.reading in evidence or right or not _nothing(case, value, errors):
            continue
        detail = "the other mode's is zero, too: whether that was computed, or nothing, cannot be seen here"
        what = f"largest entry of {case.call}, where the closed form of its mode has {size(_expected(case)):.4g}"
        evidence[row.reading] = Evidence(
            Finding.NO_GRADIENT, what, 0.0, 0.0, "zero is no gradient", detail if errors.matches else ""
        )
    return across_readings(evidence, (row.reading for row, _, _ in answers))


def mode_ignored(case: Case) -> list[Evidence]:
    """The answer matches the other mode's closed form, which is not zero, and not the requested mode's."""
    if case.nondeterministic:
        return []
    evidence: dict[str, Evidence] = {}
    intent = Intent(case.mode.intent)
    answers = case.answers
    for row, _, errors in answers:
        if not errors.matches - errors.zero or intent in errors.matches or row.reading in evidence:
            continue
        if intent in errors.undecided:
            continue
        (other,) = errors.matches
        evidence[row.reading] = Evidence(
            Finding.MODE_IGNORED,
            f"relative error of {case.call} against the closed form of {intent} mode",
            errors.of(intent),
            errors.threshold(intent).value,
            errors.threshold(intent).why,
            f"it matches {other} mode, with an error of {errors.of(other):.3g}",
        )
    return across_readings(evidence, (row.reading for row, _, _ in answers))


#: Answers after the first: key, and the moments of the snapshots before and after it.
AGAIN = (recorded.GRADIENT_SECOND, (recorded.AFTER, recorded.AFTER_SECOND))
INFERENCE = (recorded.GRADIENT_INFERENCE, (recorded.AFTER_SECOND, recorded.LAST))


def order_dependent(case: Case) -> list[Evidence]:
    """A correct call is wrong after another mode, or itself, ran in the same process.

    Excluded if trials of one reading disagree: the later call can then be wrong at random.
    """
    if case.nondeterministic:
        return []
    if case.cell.scenario is Scenario.ORDER:
        return _order(case)
    if case.cell.scenario in (Scenario.GRADIENT, Scenario.PREDICT_ONLY):
        return _again(case) + _inference_afterwards(case)
    return []


def _order(case: Case) -> list[Evidence]:
    if not case.answers:
        return []
    _, reference, right = case.answers[0]  # trials by itself agree
    # Only a call that is right by itself can be wrong because of an earlier one.
    if not right.matches:
        return []
    evidence: dict[str, Evidence] = {}
    for row in case.of("after-other"):
        if (value := row.arrays.get(case.answer)) is None:
            continue
        apart, threshold = distance(value, reference), REPEATABLE.value * size(reference)
        if apart > threshold:
            what = f"after a training-mode gradient of another network: change of {case.answer}"
            detail = f"{numbers(value)} instead of {numbers(reference)}"
            evidence["other"] = Evidence(Finding.ORDER_DEPENDENT, what, apart, threshold, REPEATABLE.why, detail)
    for row in case.of("after-same"):
        value, weights = row.arrays.get(case.answer), case.weights_at(row, "before")
        if value is None or weights is None or Intent.INFERENCE not in right.matches:
            continue
        errors = FormErrors(case.truth, value, case.asks, weights)
        if Intent.INFERENCE not in errors.matches and not errors.undecided:
            what = f"after a training-mode gradient of the same network: relative error of {case.answer} against the"
            evidence["same"] = _dependent(f"{what} inference-mode form at the current statistics", errors)
    return list(evidence.values())


def _again(case: Case) -> list[Evidence]:
    """The second answer of the call, against the first answer's form, at the current statistics."""
    key = case.answer.replace("first", "second")
    for row, _, first in case.answers:
        if not first.matches:
            continue
        errors = _later(case, row, key, AGAIN[1], case.asks)
        if errors is None or errors.undecided:
            continue
        if not first.matches & errors.matches:
            form = min(first.matches)
            what = f"{row.reading}: relative error of {key} against the {form} form, which {case.answer} matched"
            return [_dependent(what, errors, form)]
    return []


def _inference_afterwards(case: Case) -> list[Evidence]:
    """The inference-mode gradient after this mode, if it is right by itself.

    Without observations of that mode by itself there is no evidence: it may be wrong in any order.
    """
    if case.mode.inference == case.mode.name or not _right_alone(case, case.inference):
        return []
    for row in case.of(case.primary):
        errors = _later(case, row, *INFERENCE)
        if errors is None:
            continue
        if Intent.INFERENCE not in errors.matches and not errors.undecided:
            what = f"after this mode: relative error of the gradient by {case.mode.inference}, correct when run alone,"
            return [_dependent(f"{what} against the inference-mode form at the current statistics", errors)]
    return []


def _later(
    case: Case, row: Observation, key: str, moments: Sequence[str], asks: Asks = Asks.GRADIENT
) -> FormErrors | None:
    """The errors of a later answer at the statistics that were in use; None if it or they are unknown."""
    errors = _at_moments(case, row, key, moments, asks)
    return next((item for item in errors if item.matches), errors[0]) if errors else None


def _at_moments(
    case: Case, row: Observation, key: str, moments: Sequence[str], asks: Asks = Asks.GRADIENT
) -> list[FormErrors]:
    """The errors of a later answer at the statistics read before it, then at others that may have been in use.

    Statistics that are read may be stale, or move by being read: if the answer matches no form at those, but one at the
    statistics read after it, these were in use. So were averages that only a renormalization reads, if it matches then.
    Empty if the answer or the statistics before it are unknown.
    """
    value = row.arrays.get(key) if case.has_form else None
    known = [weights for when in moments if (weights := case.weights_at(row, when)) is not None]
    if value is None or case.weights_at(row, moments[0]) is None:
        return []
    if case.truth.renormalization_averages is not None:
        known.append(case.truth.renormalization_averages)
    return [FormErrors(case.truth, value, asks, weights) for weights in known]


def _right_alone(case: Case, inference: Sequence[Observation]) -> bool:
    values = [row.arrays[recorded.GRADIENT_FIRST] for row in inference if recorded.GRADIENT_FIRST in row.arrays]
    matches = [FormErrors(case.truth, value, Asks.GRADIENT).matches for value in values]
    return bool(matches) and all(Intent.INFERENCE in found for found in matches)


def _dependent(what: str, errors: FormErrors, form: Intent = Intent.INFERENCE) -> Evidence:
    threshold = errors.threshold(form)
    return Evidence(Finding.ORDER_DEPENDENT, what, errors.of(form), threshold.value, threshold.why, errors.both)


def undecided(case: Case) -> str:
    """Why the answer of the call under test decides nothing at this input; "" if it does."""
    intent = Intent(case.mode.intent)
    for _, _, errors in case.answers:
        if intent in errors.undecided:
            return f"{case.call} cannot be decided at this input: {errors.undecided[intent]}"
    return ""


def clean_answer(case: Case) -> list[Evidence]:
    """The error of the right gradient in the primary reading, and its threshold."""
    for row, _, errors in case.answers if case.asks is Asks.GRADIENT else ():
        if row.reading != case.primary:
            continue
        form = min(errors.sides or Intent, key=errors.of)
        what = f"relative error of {case.call} against the {form} closed form"
        detail = (
            "the same with other sides of kinks that are within rounding: Relus near zero, ties of pools, and the like"
            if errors.sides
            else ""
        )
        threshold = errors.threshold(form)
        return [Evidence(Finding.CLEAN, what, errors.of(form), threshold.value, threshold.why, detail)]
    return []


def gradient_error(case: Case) -> Errors | None:
    """The errors of the primary reading's gradient, relative to the largest entry of either closed form."""
    rows = case.answers if case.asks is Asks.GRADIENT else []
    return next((errors.line for row, _, errors in rows if row.reading == case.primary), None)


def later_errors(case: Case) -> Later | None:
    """The errors of the gradients after the call under test, at the statistics at which they are least."""
    for row in case.of(case.primary):
        errors: dict[str, Errors | None] = {}
        for name, answer in (("gradient_again", AGAIN), ("inference_gradient", INFERENCE)):
            known = _at_moments(case, row, *answer)
            errors[name] = min(known, key=lambda item: min(map(item.of, Intent))).line if known else None
        if any(errors.values()):
            return Later(**errors)
    return None
