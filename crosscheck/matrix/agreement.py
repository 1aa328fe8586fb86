"""Which trials of a cell are repeated: those that disagree, so that the report can show a distribution."""

from __future__ import annotations

from collections.abc import Sequence

from crosscheck.cells import Observation
from crosscheck.matrix.journal import Record
from crosscheck.repeatability import NOT_WAITING, outcomes, unlike_waiting, waiting_disagree

__all__ = ["SERVERS", "doubtful", "undecided", "wanting"]

#: Disagreeing trials are repeated in rounds, until there are so many of a reading. Most races show in the first round;
#: what happens once in twenty trials shows in thirty (1 - 0.95**30 = 79 %).
ROUNDS = (8, 16, 30)
#: The distribution shows once so many trials of a reading deviate from its commonest outcome.
DEVIATING = 4

#: From how many further probe servers a trial is taken before a cell of a doubtful mode counts as repeatable. Forks of
#: one server share its heap, and with it the memory that nobody wrote. The commonest outcome of such a cell (MXNet
#: 0.9.5, `executor.eval.default`) was seen in 14 of 24 processes: that 16 of them agree has a chance of 3 in 10,000.
SERVERS = 15


def wanting(records: Sequence[Record]) -> dict[str, int]:
    """How many trials of which readings are wanted: none of those that agree with themselves and with waiting ones.

    A reading that disagrees only with those that wait is repeated, with the first one, for a single round.
    """
    observed = _by_reading(records)
    wanted: dict[str, int] = {}
    for reading, rows in observed.items():
        deviating = len(rows) - len(outcomes(rows)[0])
        if 0 < deviating < DEVIATING:
            wanted[reading] = next((count for count in ROUNDS if count > len(rows)), len(rows))
    first = next(iter(observed))
    for reading in _unlike_waiting(observed):
        for one in (first, reading):
            wanted.setdefault(one, max(ROUNDS[0], len(observed[one])))
    return wanted


def doubtful(records: Sequence[Record]) -> bool:
    """Whether trials disagree in any way: then every cell of the mode may have agreed by chance."""
    observed = _by_reading(records)
    return any(len(outcomes(rows)) > 1 for rows in observed.values()) or bool(_unlike_waiting(observed))


def undecided(records: Sequence[Record]) -> bool:
    """Whether the trials that wait agree so far: more of them may still show that the cell is left to chance."""
    return not waiting_disagree([row for rows in _by_reading(records).values() for row in rows])


def _by_reading(records: Sequence[Record]) -> dict[str, list[Observation]]:
    """The observations by reading. Trials that left the same bytes share their arrays: comparing them takes no time."""
    arrays: dict[tuple[str, bytes], Observation] = {}
    observed: dict[str, list[Observation]] = {}
    for record in records:
        known = arrays.get((record.keys, record.arrays))
        row = record.observation(None if known is None else known.arrays)
        arrays.setdefault((record.keys, record.arrays), row)
        observed.setdefault(record.reading, []).append(row)
    return observed


def _unlike_waiting(observed: dict[str, list[Observation]]) -> list[str]:
    """The readings that do not wait and whose first trial disagrees with the first one that waits."""
    undisturbed, timed = (next(iter(observed.get(reading, ())), None) for reading in ("undisturbed", "timed"))
    return [
        reading
        for reading in NOT_WAITING
        if reading in observed and unlike_waiting(observed[reading][0], undisturbed, timed)
    ]
