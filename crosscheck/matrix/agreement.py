"""Do trials of one cell agree? Those that do not are repeated, so that the report can show a distribution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from crosscheck.cells import Array
from crosscheck.matrix.journal import Record

__all__ = ["agree", "wanting"]

#: Disagreeing trials are repeated in rounds, until there are so many of a reading. Most races show in the first round;
#: what happens once in twenty trials shows in thirty (1 - 0.95**30 = 79 %).
ROUNDS = (8, 16, 30)
#: The distribution shows once so many trials of a reading deviate from its commonest outcome.
DEVIATING = 4

#: Two runs of the same float32 code on the same machine differ by rounding at most; a leak differs by more.
RELATIVE, ABSOLUTE = 1e-4, 1e-6

#: What a reading has in common with the others: it does not depend on what was read on the way.
SHARED = ("prediction/before", "prediction/after", "gradient/first", "forward/first", "state/after/")

#: What comes after another mode was asked, whose whims are not this cell's.
AFTERWARDS = ("gradient/inference", "input/inference", "prediction/last", "state/last/", "parameters/last/")


def wanting(records: Sequence[Record]) -> dict[str, int]:
    """How many trials of which readings are wanted: none of those that agree with themselves and with the first one.

    A reading that only disagrees with the first one is repeated, with that one, for a single round.
    """
    observed = {reading: [row for row in records if row.reading == reading] for reading in _readings(records)}
    found: dict[str, int] = {}
    for reading, rows in observed.items():
        deviating = len(rows) - _commonest(rows)
        if 0 < deviating < DEVIATING:
            found[reading] = next((count for count in ROUNDS if count > len(rows)), len(rows))
    first = next(iter(observed))
    for reading in ("unsettled", "immediate"):
        if reading in observed and not agree(observed[first][0], observed[reading][0], SHARED):
            for one in (first, reading):
                found.setdefault(one, max(ROUNDS[0], len(observed[one])))
    return found


def _commonest(rows: Sequence[Record]) -> int:
    """How often the commonest of the outcomes occurs."""
    counts: list[tuple[Record, int]] = []
    for row in rows:
        for index, (known, count) in enumerate(counts):
            if agree(known, row):
                counts[index] = known, count + 1
                break
        else:
            counts.append((row, 1))
    return max(count for _, count in counts)


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
