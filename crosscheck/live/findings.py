"""Findings about one call, in the judge's words and by its thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from crosscheck.cells import Array, Finding
from crosscheck.judge.compare import became_non_finite
from crosscheck.judge.predictions import numbers
from crosscheck.judge.thresholds import NOISE_FACTOR, ROUNDING
from crosscheck.live.observed import Observed
from crosscheck.live.snapshot import changed
from crosscheck.repeatability import distance, moved, size

__all__ = ["Found", "findings", "moved_state"]


#: Tensors of up to so many numbers are written whole.
SMALL = 4


@dataclass(frozen=True)
class Found:
    """A finding: a sentence, and a line for each thing that shows it."""

    finding: Finding
    sentence: str
    lines: tuple[str, ...] = ()


def findings(observed: Observed) -> list[Found]:
    """All findings, the worst first; empty if what changed is rounding."""
    return [*_predictions(observed), *_tensors(observed), *_left_behind(observed)]


def _predictions(observed: Observed) -> Iterator[Found]:
    if observed.problem is not None:
        what = "the model cannot be read" if observed.after is None else "predicting raises"
        problem = str(observed.problem).strip().partition("\n")[0]
        yield Found(Finding.POISONED, f"{what} after the call: {type(observed.problem).__name__}: {problem}")
    changes = tuple(_changed_predictions(observed))
    state = tuple(_state_changes(observed))
    if changes:
        also = () if state or _written(observed) else ("no tensor that can be read changed",)
        yield Found(Finding.LEAK, "the same input is predicted differently", changes + state + also)
    elif state:
        yield Found(Finding.STATE_MOVED, "tensors moved, the prediction of this input did not", state)


def _changed_predictions(observed: Observed) -> Iterator[str]:
    last = observed.last
    if last is None:
        return
    for name in {**observed.first, **last}:
        if name not in observed.first or name not in last:
            yield f"{name}: {'new' if name in last else 'gone'}"
            continue
        first, again, after = observed.first[name], observed.again[name], last[name]
        # The threshold is one of float32; outputs of a coarser type round more.
        coarser = max(1.0, _epsilon(first) / float(np.finfo(np.float32).eps))
        rounding, noise = ROUNDING.value * coarser * size(first), NOISE_FACTOR * distance(first, again)
        if distance(first, after) > max(rounding, noise):
            yield _change(name, first, after)
            yield from _classes(first, after)


def _epsilon(values: Array) -> float:
    return float(np.finfo(values.dtype).eps) if np.issubdtype(values.dtype, np.floating) else 0.0


def _classes(first: Array, after: Array) -> Iterator[str]:
    """Whether the largest of several numbers in a row is another one now."""
    if first.ndim != 2 or first.shape[1] < 2 or first.shape != after.shape:
        return
    old, new = first.argmax(axis=1), after.argmax(axis=1)
    rows = np.flatnonzero(old != new)
    if not rows.size:
        yield f"the class stays the same in {'the row' if len(old) == 1 else f'all {len(old)} rows'}"
        return
    row = int(rows[0])
    which = f"of {rows.size} of {len(old)} rows" if len(old) > 1 else ""
    yield " ".join(f"the class {which} changed: {old[row]} became {new[row]}".split()) + (
        f" in row {row}" if len(old) > 1 else ""
    )


def moved_state(observed: Observed) -> list[str]:
    """Names of persistent tensors, other than parameters, that changed by more than rounding, appeared or went."""
    if observed.after is None:
        return []
    before, after = observed.before.state, observed.after.state
    return [
        name
        for name in {**before, **after}
        if name not in before or name not in after or moved(before[name], after[name])
    ]


def _state_changes(observed: Observed) -> Iterator[str]:
    if observed.after is not None:
        before, after = observed.before.state, observed.after.state
        yield from (_change(name, before.get(name), after.get(name)) for name in moved_state(observed))


def _tensors(observed: Observed) -> Iterator[Found]:
    if observed.after is None:
        return
    before, after = observed.before, observed.after
    non_finite = [
        name
        for old, new in ((before.state, after.state), (before.parameters, after.parameters))
        for name in old
        if name in new and np.issubdtype(old[name].dtype, np.number) and became_non_finite(old[name], new[name])
    ]
    if non_finite:
        yield Found(Finding.CORRUPTED, f"not finite any more: {', '.join(non_finite)}")
    if written := _written(observed):
        yield Found(Finding.PARAMETERS_WRITTEN, "parameters have other values", written)
    if written := _changes(before.x, after.x):
        yield Found(Finding.INPUT_WRITTEN, "the call wrote into its input", written)


def _written(observed: Observed) -> tuple[str, ...]:
    return () if observed.after is None else _changes(observed.before.parameters, observed.after.parameters)


def _changes(before: Mapping[str, Array], after: Mapping[str, Array]) -> tuple[str, ...]:
    return tuple(
        _change(name, before.get(name), after.get(name))
        for name in {**before, **after}
        if name not in before or name not in after or changed(before[name], after[name])
    )


def _change(name: str, before: Array | None, after: Array | None) -> str:
    """All numbers of a small tensor; of others the one that changed most."""
    if before is None or after is None:
        return f"{name}: {'new' if before is None else 'gone'}"
    if before.shape != after.shape:
        return f"{name}: shape {before.shape} became {after.shape}"
    if before.size <= SMALL:
        return f"{name}: {numbers(before)} became {numbers(after)}"
    apart = np.abs(np.asarray(after, np.float64) - np.asarray(before, np.float64))
    place = np.unravel_index(np.argmax(np.where(np.isnan(apart), np.inf, apart)), before.shape)
    where = ", ".join(map(str, place))
    return f"{name}: {before[place]:.6g} became {after[place]:.6g} at [{where}], which changed most of {before.size}"


def _left_behind(observed: Observed) -> Iterator[Found]:
    if observed.after is None:
        return
    old, new = observed.before.flags, observed.after.flags
    flags = [
        f"{name}: {old.get(name, 'not there')} before, {new.get(name, 'not there')} after"
        for name in {**old, **new}
        if name not in old or name not in new or changed(old[name], new[name])
    ]
    if flags:
        yield Found(Finding.MODE_LEFT_CHANGED, "flags are not what they were", tuple(flags))
    left, by_now = observed.before.left, observed.after.left
    lines = [
        f"{name}: {'gone' if name not in by_now else 'changed' if name in left else 'left'}"
        for name in {**left, **by_now}
        if name not in left or name not in by_now or changed(left[name], by_now[name])
    ]
    if lines:
        yield Found(Finding.GRADIENTS_LEFT, "the next training step sees what the call left", tuple(lines))
