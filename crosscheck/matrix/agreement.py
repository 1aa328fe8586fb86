"""Do trials of one cell agree? Those that do not are repeated, so that the report can show a distribution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from crosscheck.cells import Array
from crosscheck.matrix.journal import Record

__all__ = ["agree", "disagreeing"]

#: Two runs of the same float32 code on the same machine differ by rounding at most; a leak differs by more.
RELATIVE, ABSOLUTE = 1e-4, 1e-6

#: What a reading has in common with the others: it does not depend on what was read on the way.
SHARED = ("prediction/before", "prediction/after", "gradient/first", "forward/first", "state/after/")

#: What comes after another mode was asked, whose whims are not this cell's.
AFTERWARDS = ("gradient/inference", "input/inference", "prediction/last", "state/last/", "parameters/last/")


def disagreeing(records: Sequence[Record]) -> set[str]:
    """The readings that disagree with themselves, or with the first reading about what they share."""
    observed = {reading: [row for row in records if row.reading == reading] for reading in _readings(records)}
    found = {reading for reading, rows in observed.items() if any(not agree(rows[0], row) for row in rows[1:])}
    first, *others = observed
    for reading in others:
        if reading in ("unsettled", "immediate") and not agree(observed[first][0], observed[reading][0], SHARED):
            found |= {first, reading}
    return found


def agree(one: Record, other: Record, about: Iterable[str] = ("",)) -> bool:
    """Whether two observations ended alike with the same numbers, as far as both have keys that begin with `about`."""
    if one.status != other.status:
        return False
    if one.keys == other.keys and one.arrays == other.arrays:
        return True
    here, there = one.observation().arrays, other.observation().arrays
    names = [{name for name in arrays if not name.startswith(AFTERWARDS)} for arrays in (here, there)]
    if tuple(about) == ("",) and names[0] != names[1]:
        return False
    shared = [name for name in names[0] & names[1] if name.startswith(tuple(about))]
    return all(_close(here[name], there[name]) for name in shared)


def _close(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    scale = np.nanmax(np.abs(one), initial=0.0, where=np.isfinite(one)) if one.size else 0.0
    return bool(np.allclose(one, other, rtol=RELATIVE, atol=ABSOLUTE + RELATIVE * float(scale), equal_nan=True))


def _readings(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(record.reading for record in records))
