"""Findings about persistent tensors: `state-moved`, `parameters-written`, `corrupted`; and the recorded changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np

from crosscheck.cells import Array, Finding, Observation, Scenario
from crosscheck.judge.case import Case, Pair, largest, tensors
from crosscheck.judge.compare import became_non_finite
from crosscheck.judge.thresholds import EXACT, LAW, NEVER, REWRITTEN
from crosscheck.judge.update import solve_update
from crosscheck.probe import recorded
from crosscheck.records import Evidence, TensorPair
from crosscheck.repeatability import distance, moved, same

__all__ = ["corrupted", "parameters_written", "public_view", "small_tensors", "state_changes", "state_moved"]

#: Maximum entries of a tensor in a line of cells.jsonl.
SMALL = 64


def state_moved(case: Case) -> list[Evidence]:
    """A moving statistic or a hidden tensor changed, but no probed prediction.

    Not statistics that the user's own lines replace by returned ones, or that are the user's own arrays.
    """
    if case.cell.scenario is Scenario.EXPORT or any(pair.moved for pair in case.predictions):
        return []
    detail = "no prediction was made" if not case.predictions else "no prediction after it changed"
    if case.predicting_moves:
        detail += "; predicting alone moves tensors too"
    return _changes(case, Finding.STATE_MOVED, parameters=False, detail=detail)


def parameters_written(case: Case) -> list[Evidence]:
    """Gamma, beta or another weight changed; in `predict-only`, by the documented prediction, too.

    Not by the training of `interleaved`, whose end depends on all that its calls do.
    """
    if case.cell.scenario is Scenario.INTERLEAVED:
        return []
    return _changes(case, Finding.PARAMETERS_WRITTEN, parameters=True, detail="")


def _changes(case: Case, finding: Finding, parameters: bool, detail: str) -> list[Evidence]:
    """Evidence for each changed tensor of that kind: the largest change in any reading."""
    written = case.network.weights.keys() - case.statistics
    own = case.statistics if case.mode.fed or case.mode.adopts else frozenset()
    kind = [pair for pair in case.all_changes if (pair.key in written) == parameters and pair.key not in own]
    # Other scenarios ask what their call does, and the prediction is none of it.
    predicting = case.predicting_writes if parameters and case.cell.scenario is Scenario.PREDICT_ONLY else ()

    def call(pair: Pair) -> str:
        if pair in predicting:
            return "the documented prediction"
        return "the second call" if pair in case.second_changes else "the call"

    return [
        Evidence(
            finding,
            f"{pair.reading}: largest change of {pair.key} by {call(pair)}",
            pair.change,
            pair.threshold,
            REWRITTEN if pair.key in case.statistics else EXACT.why,
            detail,
        )
        for pair in largest([*predicting, *kind])
    ]


def corrupted(case: Case) -> list[Evidence]:
    """The change follows no update law, is not finite, or differs between trials."""
    return _non_finite(case) + _lawless(case) + _nondeterministic(case)


def _non_finite(case: Case) -> list[Evidence]:
    tensors = {
        pair.key: Evidence(
            Finding.CORRUPTED,
            f"{pair.reading}: NaN or infinite entries of {pair.key} after the call",
            float(np.sum(~np.isfinite(pair.after))),
            NEVER.value,
            "a finite network and input give finite numbers",
            "all were finite before",
        )
        for pair in (*case.predictions, *case.changes)
        if became_non_finite(pair.before, pair.after)
    }
    return list(tensors.values())


def _lawless(case: Case) -> list[Evidence]:
    """No update law fits; several that fit equally well are no corruption.

    A second call may go on from averages that are not among the statistics: then both calls together follow a law.
    Excludes scenarios with many inputs, training, exports, and calls of toolkits that predict inputs of their own.
    """
    if not (case.by_its_batches and case.mode.answered.of_the_input):
        return []
    for row, before, after in case.calls:
        solved = solve_update(case, before, after)
        if solved is not None and not solved.explained and not _explained(case, case.around(row)[0], after):
            detail = "; ".join(
                f"{name} {_short(before[name])} became {_short(after[name])}"
                for norm in case.network.batch_norms[:2]
                for name in (norm.mean, norm.variance)
                if name in before and name in after
            )
            return [
                Evidence(
                    Finding.CORRUPTED, f"{row.reading}: {solved.problem}", None, case.law_tolerance, LAW.why, detail
                )
            ]
    return []


def _explained(case: Case, before: Mapping[str, Array], after: Mapping[str, Array]) -> bool:
    solved = solve_update(case, before, after)
    return solved is not None and solved.explained


def _short(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    flat = np.ravel(values)
    return " ".join(f"{float(value):.6g}" for value in flat[:2]) + (" ..." if len(flat) > 2 else "")


def _nondeterministic(case: Case) -> list[Evidence]:
    """Trials of one reading changed the network to different states."""
    for reading, count in Counter(row.reading for row in case.measured).items():
        ends = [_end(row) for row in case.of(reading) if count > 1 and _changed(case, row)]
        if any(
            not same(one[key], other[key]) for one, other in combinations(ends, 2) for key in one.keys() & other.keys()
        ):
            what = f"{reading}: trials that changed the network to different states"
            why = "a law has one result per input"
            return [Evidence(Finding.CORRUPTED, what, len(ends), NEVER.value, why)]
    return []


def _changed(case: Case, row: Observation) -> bool:
    alone = replace(case, observations=[row])
    return any(pair.moved for pair in (*alone.predictions, *alone.changes))


def _end(row: Observation) -> dict[str, Array]:
    """The final state and predictions of a trial; not a prediction that did not wait for the call."""
    last = {f"last/{name}": value for name, value in tensors(row, "last").items()}
    prediction = recorded.PREDICTION_LAST if row.reading == "immediate" else recorded.PREDICTION_AFTER
    return last | {
        key: value
        for key, value in row.arrays.items()
        if key.startswith((recorded.tensor(recorded.STATE, recorded.AFTER), prediction))
    }


def state_changes(case: Case) -> dict[str, float]:
    """The largest change of each tensor in the primary reading (hidden tensors: timed reading); 0 if no bit changed."""
    changes: dict[str, float] = {}
    for reading in (case.primary, "timed"):
        here = [pair for pair in case.changes if pair.reading == reading]
        worst = {key: max(pair.change for pair in here if pair.key == key) for key in {pair.key for pair in here}}
        changes = {**worst, **changes}
    return dict(sorted(changes.items()))


def small_tensors(case: Case) -> dict[str, TensorPair]:
    """Small statistics, hidden tensors and changed parameters of one trial, the timed one if possible."""
    for row in (*case.of("timed"), *case.of(case.primary)):
        before, after = case.around(row)
        pairs = {name: (before[name], after[name]) for name in sorted(before.keys() & after.keys())}
        written = case.network.weights.keys() - case.statistics
        tensors = {
            name: TensorPair(old.ravel().tolist(), None if distance(old, new) == 0 else new.ravel().tolist())
            for name, (old, new) in pairs.items()
            if max(old.size, new.size) <= SMALL and (name not in written or distance(old, new) > 0)
        }
        if tensors:
            return tensors
    return {}


def public_view(case: Case) -> Literal["shows", "hides"] | None:
    """Whether the runtime's own view of its parameters differs after a change; None without a change or a view."""
    for row in (*case.of("timed"), *case.of(case.primary)):
        before_state, after_state = case.around(row)
        changed = any(moved(before_state[name], after_state[name]) for name in before_state.keys() & after_state.keys())
        after = tensors(row, "after", "parameters") or tensors(row, "last", "parameters")
        if not changed or not after:
            continue
        before = tensors(row, "predicted", "parameters") or tensors(row, "before", "parameters") or case.initial
        differs = any(distance(before[name], after[name]) > 0 for name in before.keys() & after.keys())
        return "shows" if differs else "hides"
    return None
