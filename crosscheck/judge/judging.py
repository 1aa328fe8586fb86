"""Judges one cell from its observations: status, findings with evidence, and the measured fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from crosscheck.cells import MEASURED, Array, Asks, Cell, Finding, Intent, Observation, Scenario, Status
from crosscheck.judge import closed_forms, distribution, onnx_file, predictions, reuse, side_effects, state, visibility
from crosscheck.judge.case import AGAIN, STEPWISE, Case
from crosscheck.judge.changes import change_evidence
from crosscheck.judge.curves import curve
from crosscheck.judge.layers import first_layer
from crosscheck.judge.reference import Truth
from crosscheck.judge.thresholds import EXACT, REWRITTEN, ROUNDING
from crosscheck.judge.update import update
from crosscheck.networks import Network
from crosscheck.probe import recorded
from crosscheck.records import ClosedForms, Evidence, Judgement
from crosscheck.runtimes.mode import Mode

__all__ = ["FINDERS", "costs_of", "judge"]

#: Functions from a case to the evidence of one finding, empty without the finding.
FINDERS = (
    predictions.leak,
    state.state_moved,
    state.corrupted,
    side_effects.poisoned,
    reuse.not_reusable,
    closed_forms.wrong_answer,
    closed_forms.mode_ignored,
    closed_forms.no_gradient,
    predictions.wrong_prediction,
    closed_forms.order_dependent,
    reuse.differentiated_otherwise,
    distribution.racy,
    distribution.unrepeatable,
    state.parameters_written,
    side_effects.input_written,
    side_effects.gradients_left,
    side_effects.mode_left_changed,
    predictions.export_changed,
    onnx_file.file_changed,
    reuse.save_changed,
)

#: Scenarios that call and observe the same network, so that moved statistics are visible.
CALLS = (Scenario.GRADIENT, Scenario.PREDICT_ONLY, Scenario.TWENTY)
SMALL = 64  # maximum entries of a gradient in a line of cells.jsonl


def judge(
    cell: Cell,
    mode: Mode,
    network: Network,
    truth: Truth,
    observations: Sequence[Observation],
    inference: Sequence[Observation] = (),
) -> Judgement:
    """Judge a cell by all its trials.

    inference: the observations of the same cell with mode `mode.inference`, if measured. Without them a wrong
    inference-mode gradient after this mode is no finding: it may be wrong by itself.

    Raises ValueError without observations of the primary reading: the caller has the status of unmeasured cells.
    """
    case = Case(cell, mode, network, truth.in_mode(mode), observations, inference)
    status = _status(case)
    reason, trials = _reason(case, status), distribution.distribution(case)
    costs = costs_of((row.seconds, row.peak_bytes, row.stderr) for row in observations)
    if status not in MEASURED:
        return Judgement(status=status, reason=reason, trials=trials, **costs)

    evidence = [item for finder in FINDERS for item in finder(case)]
    moved = next((item.finding for item in evidence if item.finding in (Finding.LEAK, Finding.STATE_MOVED)), None)
    if moved is not None:
        evidence += change_evidence(case, moved)
    open_questions = [closed_forms.undecided(case), "" if moved else visibility.unseen(case), _not_compared(case)]
    undecided = "; ".join(filter(None, open_questions)) or None
    # A crashed cell is not clean: its remaining steps are unknown.
    if not evidence and status is Status.OK and undecided is None:
        evidence = _clean(case)
    findings = {item.finding for item in evidence}
    before, after = _prediction_pair(case)
    gradient = _small_gradient(case)
    return Judgement(
        status=status,
        reason=reason,
        undecided=undecided,
        findings=tuple(finding for finding in Finding if finding in findings),
        evidence=tuple(evidence),
        contradicts=_contradicts(case),
        trials=trials,
        prediction_before=before,
        prediction_after=after,
        top1_before=_top1(before),
        top1_after=_top1(after),
        gradient=gradient,
        closed_forms=None if gradient is None else _closed_forms(case),
        gradient_error=closed_forms.gradient_error(case),
        later=closed_forms.later_errors(case),
        state_changes=state.state_changes(case),
        tensors=state.small_tensors(case),
        update=update(case),
        public_view=state.public_view(case),
        curve=curve(case),
        first_layer=first_layer(case),
        **costs,
    )


def _not_compared(case: Case) -> str:
    """Why `interleaved` compares nothing; "" if it does."""
    if case.cell.scenario is not Scenario.INTERLEAVED or case.predictions:
        return ""
    missing = "with" if case.without_call is not None else "without"
    return f"the same training {missing} the calls did not come to its end"


def costs_of(trials: Iterable[tuple[float, int, str]]) -> dict[str, Any]:
    """The fields of a judgement that depend on seconds, peak bytes and standard error of its trials.

    No other field depends on these, so that cells whose trials recorded the same have all others in common.
    """
    seconds, peaks, errors = zip(*trials, strict=True)
    return {
        "seconds": float(sum(value for value in seconds if np.isfinite(value))),
        "peak_bytes": max(peaks),
        "stderr": next(filter(None, errors), ""),
    }


def _status(case: Case) -> Status:
    """The first status of the primary reading that is not ok; else crashed if another reading crashed; else ok."""
    primary = [row.status for row in case.observations if row.reading == case.primary]
    if not primary:
        raise ValueError(f"{case.cell.id}: no trial of the reading {case.primary}; nothing to judge")
    bad = next((status for status in primary if status is not Status.OK), None)
    if bad is not None:
        return bad
    return Status.CRASHED if any(row.status is Status.CRASHED for row in case.observations) else Status.OK


def _reason(case: Case, status: Status) -> str | None:
    """The distinct reasons of a status that is not ok, or of failed readings."""
    if status not in MEASURED:
        rows = [row for row in case.observations if row.reading == case.primary and row.status is status]
        return rows[0].reason
    messages = [
        f"{row.reading}: {row.status}{f' ({row.reason})' if row.reason else ''}"
        for row in case.observations
        if row.reason or row.status is not Status.OK
    ]
    return "; ".join(dict.fromkeys(messages)) or None


def _clean(case: Case) -> list[Evidence]:
    """The largest numbers and their thresholds; empty if nothing was recorded."""
    evidence = []
    # Of equal changes, one that the call lies between.
    if pair := max(case.predictions, key=lambda pair: (pair.change, pair.key not in AGAIN), default=None):
        what = f"{pair.reading}: largest change from {case.earlier} to {pair.key}"
        evidence.append(Evidence(Finding.CLEAN, what, pair.change, pair.threshold, ROUNDING.why))
    if change := max(case.changes, key=lambda pair: pair.change, default=None):
        names = len({pair.key for pair in case.changes})
        what, detail = "largest change of a persistent tensor", f"of {names} tensors"
        if case.users_own:
            detail += "; the call's own lines replace the statistics by those that the runtime returned"
        elif change.change:
            rewritten = sorted({pair.key for pair in case.changes if pair.change})
            detail += f"; rewritten with their own value, up to rounding: {', '.join(rewritten)}"
        why = REWRITTEN if change.change else EXACT.why
        evidence.append(Evidence(Finding.CLEAN, what, change.change, change.threshold, why, detail))
    return evidence + closed_forms.clean_answer(case)


def _contradicts(case: Case) -> bool | None:
    """Whether the contract is contradicted; None if neither statistics nor predictions were recorded.

    True if they changed and the contract says that statistics stay, or if none changed and it says that a call moves
    them.
    """
    statistics = [pair for pair in case.all_changes if pair.key in case.statistics]
    if not statistics and not case.predictions:
        return None
    changed = any(pair.moved for pair in (*statistics, *case.predictions))
    if case.mode.contract.statistics == "move":
        return bool(statistics) and not changed and case.cell.scenario in CALLS
    return changed and case.mode.contract.statistics == "stay"


def _prediction_pair(case: Case) -> tuple[Array | None, Array | None]:
    """The first prediction of the primary reading, and the one after the last call reached."""
    row = case.of(case.primary)[0]
    if case.cell.scenario is Scenario.INTERLEAVED:
        pair = next(iter(case.predictions), None)
        return (None, None) if pair is None else (pair.before, pair.after)
    last = recorded.PREDICTION_AFTER
    if case.cell.scenario in STEPWISE:
        *_, last = "", *case.later(row)
    return row.arrays.get(case.first), row.arrays.get(last)


def _top1(prediction: Array | None) -> list[int] | None:
    """The class of each row, for outputs (rows, classes) with at least two classes."""
    if prediction is None or prediction.ndim != 2 or prediction.shape[1] < 2:
        return None
    return [int(index) for index in np.argmax(prediction, axis=1)]


def _closed_forms(case: Case) -> ClosedForms:
    """Both closed forms of the gradient at the network's own statistics, in float32, the type of runtimes' answers."""
    forms = {intent.value: case.truth.gradient(intent is Intent.TRAINING).astype(np.float32) for intent in Intent}
    return ClosedForms(**{intent: form.tolist() for intent, form in forms.items()})


def _small_gradient(case: Case) -> list[Any] | None:
    if case.asks is not Asks.GRADIENT or not case.mode.answered.shown(case.network.operators):
        return None
    for row in case.of(case.primary):
        value = row.arrays.get(case.answer)
        if value is not None and value.size <= SMALL:
            return list(value.tolist())
    return None
