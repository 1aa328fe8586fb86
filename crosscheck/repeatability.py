"""Defines equality of arrays and of trials, for the matrix (repetition) and the judge (comparison).

`NOT_WAITING` readings read or predict directly after the call. All others wait for the call first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crosscheck.cells import Array, Observation
from crosscheck.probe import recorded

__all__ = [
    "ABSOLUTE",
    "NOT_WAITING",
    "RELATIVE",
    "REWRITE",
    "agree",
    "at_pace",
    "beyond_rounding",
    "by_pace",
    "differing",
    "distance",
    "moved",
    "outcomes",
    "predicting_changes",
    "predicting_moves",
    "read_early",
    "same",
    "size",
    "unlike_waiting",
    "waiting_disagree",
]

#: Relative to the largest entry of the two arrays: two runs of one float32 program on one machine differ by rounding
#: at most, a leak by more.
RELATIVE = 1e-4
#: Absolute tolerance, for statistics that start at zero and have no scale.
ABSOLUTE = 1e-6

#: Relative to each entry: a statistic that is computed anew from itself ends within a few roundings of its type.
#: Also the number of `least` numbers that an entry near zero may be off, where a relative rounding is next to nothing.
REWRITE = 4.0

#: The readings that do not wait for the call under test. Only their first read differs from waiting readings.
NOT_WAITING = ("unsettled", "immediate")

#: The key that shows that a second mode, the inference-mode gradient, ran in the trial.
SECOND_MODE = recorded.GRADIENT_INFERENCE
#: Recorded after a second mode ran; excluded, since its variation is that mode's.
AFTERWARDS = (
    SECOND_MODE,
    recorded.INPUT_INFERENCE,
    recorded.PREDICTION_LAST,
    recorded.PREDICTION_INPUT + recorded.LAST,
    recorded.tensor(recorded.STATE, recorded.LAST),
)
#: The public view of tensors that `state/last/` records already.
REPEATED = recorded.tensor(recorded.PARAMETERS, recorded.LAST)


def distance(one: Array, other: Array) -> float:
    """The largest absolute difference of two arrays, float64.

    Equal NaNs and infinities have distance 0. Other non-finite pairs, and different shapes, have distance inf.
    """
    if one.shape != other.shape:
        return math.inf
    # Fast path: most arrays are equal bit by bit.
    if one is other or (one.dtype == other.dtype and one.tobytes() == other.tobytes()):
        return 0.0
    here, there = np.asarray(one, np.float64), np.asarray(other, np.float64)
    alike = (here == there) | (np.isnan(here) & np.isnan(there))
    with np.errstate(invalid="ignore"):
        apart = np.where(alike, 0.0, np.abs(here - there))
    return float(np.max(np.where(np.isnan(apart), math.inf, apart), initial=0.0))


def least(kind: np.dtype[Any]) -> float:
    """The rounding of numbers near zero in a float type: what kernels take for zero.

    That is everything below the smallest normal number for float32 and float64, since processors that flush subnormal
    numbers to zero do so in any operation on them. float16 is calculated in float32, whose range covers its subnormal
    numbers: these have their spacing.
    """
    facts = np.finfo(kind)
    return float(facts.tiny if facts.bits >= 32 else facts.tiny * facts.eps)


def beyond_rounding(before: Array, after: Array) -> tuple[float, float]:
    """The change of the entry that exceeds its own rounding most, and the rounding allowed for it, both absolute.

    Without such an entry, the largest change.

    The rounding of an entry is `REWRITE` times the spacing of its float type there, at least times `least` of the type.
    Integers have none.
    """
    if before.shape != after.shape or not np.issubdtype(before.dtype, np.floating):
        return distance(before, after), 0.0
    if before.dtype == after.dtype and before.tobytes() == after.tobytes():
        return 0.0, 0.0
    here, there = np.asarray(before, np.float64), np.asarray(after, np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where((here == there) | (np.isnan(here) & np.isnan(there)), 0.0, np.abs(here - there))
    apart = np.where(np.isnan(apart), math.inf, apart)
    if not apart.any():
        return 0.0, 0.0
    largest = np.maximum(np.abs(here), np.abs(there))
    spacing = float(np.finfo(before.dtype).eps) * np.where(np.isfinite(largest), largest, 0.0)
    allowed = REWRITE * np.maximum(spacing, least(before.dtype))
    excess = apart - allowed
    worst = int(np.argmax(excess if np.max(excess) > 0 else apart))
    return float(apart.flat[worst]), float(allowed.flat[worst])


def moved(before: Array, after: Array) -> bool:
    """Whether a tensor changed by more than its rounding."""
    change, rounding = beyond_rounding(before, after)
    return change > rounding


def size(values: Array) -> float:
    """The largest absolute value of the finite entries; 0 without any."""
    numbers = np.abs(np.asarray(values, np.float64))
    largest = float(np.max(numbers, initial=0.0))
    return largest if math.isfinite(largest) else float(np.max(numbers, initial=0.0, where=np.isfinite(numbers)))


def same(one: Array, other: Array) -> bool:
    """Whether two trials measured the same array, up to rounding (`RELATIVE`, `ABSOLUTE`). Symmetric."""
    apart = distance(one, other)
    return apart <= ABSOLUTE or apart <= ABSOLUTE + RELATIVE * max(size(one), size(other))


def differing(one: Observation, other: Observation) -> list[str]:
    """The keys whose arrays differ or that only one of two trials of a reading recorded, in the order of the steps."""
    excluded = (REPEATED, *AFTERWARDS) if SECOND_MODE in one.arrays or SECOND_MODE in other.arrays else (REPEATED,)
    return [
        key
        for key in dict.fromkeys((*one.arrays, *other.arrays))
        if not key.startswith(excluded)
        and not (key in one.arrays and key in other.arrays and same(one.arrays[key], other.arrays[key]))
    ]


def agree(one: Observation, other: Observation) -> bool:
    """Whether two trials of one reading ended with the same status and recorded the same arrays."""
    return one.status == other.status and not differing(one, other)


def outcomes(rows: Sequence[Observation]) -> list[list[Observation]]:
    """Trials of one reading, grouped by agreement with the first of each group; the largest group first."""
    groups: list[list[Observation]] = []
    for row in rows:
        group = next((group for group in groups if agree(group[0], row)), None)
        if group is None:
            groups.append([row])
        else:
            group.append(row)
    return sorted(groups, key=len, reverse=True)


def at_pace(rows: Sequence[Observation], step: str) -> list[Observation]:
    """The trials that took a step (`recorded.HOLD` or `recorded.REST`)."""
    return [row for row in rows if any(taken.label == step for taken in row.steps)]


def by_pace(rows: Sequence[Observation]) -> bool:
    """Whether trials of one reading differ by their pace: held back ones agree, rested ones too, and both differ.

    By chance alone, at least two of each kind seldom do so.
    """
    held, rested = at_pace(rows, recorded.HOLD), at_pace(rows, recorded.REST)
    alike = all(len(trials) > 1 and len(outcomes(trials)) == 1 for trials in (held, rested))
    return alike and not agree(held[0], rested[0])


def read_early(row: Observation) -> bool:
    """Whether a tensor that was read directly after the call is another one in the settled state."""
    at_once, after = _tensors(row, recorded.AT_ONCE), _tensors(row, recorded.AFTER)
    return any(not same(at_once[name], after[name]) for name in at_once.keys() & after.keys())


def waiting_disagree(rows: Sequence[Observation]) -> bool:
    """Whether trials of one waiting reading disagree."""
    readings = dict.fromkeys(row.reading for row in rows if row.reading not in NOT_WAITING)
    return any(len(outcomes([row for row in rows if row.reading == reading])) > 1 for reading in readings)


def predicting_moves(timed: Observation) -> bool:
    """Whether the documented prediction, which a timed trial takes first, moved a persistent tensor by itself."""
    before, after = _tensors(timed, recorded.BUILT), _tensors(timed, recorded.PREDICTED)
    return any(moved(before[name], after[name]) for name in before.keys() & after.keys())


def predicting_changes(undisturbed: Observation) -> bool:
    """Whether the second of two predictions before the call differs from the first, by more than rounding."""
    first, again = (
        undisturbed.arrays.get(key) for key in (recorded.PREDICTION_BEFORE, recorded.PREDICTION_BEFORE_AGAIN)
    )
    return first is not None and again is not None and not same(first, again)


def unlike_waiting(
    row: Observation, undisturbed: Observation | None, timed: Observation | None
) -> list[tuple[str, Array, Array]]:
    """Differences of a non-waiting trial from a waiting one: (key, its array, the waiting trial's).

    Waiting must change neither the next prediction, nor the answer, nor the settled state. The undisturbed trial has
    one prediction more before the call than the others: if predicting moves tensors or changes the next prediction, the
    timed trial is compared instead, whose state before the next prediction is recorded as `asked`. A settled state that
    is the timed trial's of that moment is no difference either: the next prediction, not waiting, moves what is left.
    """
    moves = (timed is not None and predicting_moves(timed)) or (
        undisturbed is not None and predicting_changes(undisturbed)
    )
    reference = timed if moves else undisturbed
    if reference is None:
        return []
    settled = "asked" if moves and row.reading == "unsettled" else "after"
    expected = _settled(reference, settled)
    asked = {} if timed is None or row.reading != "unsettled" else _state(timed, "asked")
    return [
        (key, value, expected[key])
        for key, value in _settled(row, "after").items()
        if key in expected and not same(value, expected[key]) and not (key in asked and same(value, asked[key]))
    ]


def _settled(row: Observation, when: str) -> dict[str, Array]:
    keys = [
        key
        for key in (
            recorded.PREDICTION_AFTER,
            recorded.GRADIENT_FIRST,
            recorded.FORWARD_FIRST,
        )
        if key in row.arrays
    ]
    return {key: row.arrays[key] for key in keys} | _state(row, when)


def _state(row: Observation, when: str) -> dict[str, Array]:
    """The persistent tensors of a moment, by the keys that they have after the call."""
    return {recorded.tensor(recorded.STATE, recorded.AFTER, name): value for name, value in _tensors(row, when).items()}


def _tensors(row: Observation, when: str) -> Mapping[str, Array]:
    prefix = recorded.tensor(recorded.STATE, when)
    return {key.removeprefix(prefix): value for key, value in row.arrays.items() if key.startswith(prefix)}
