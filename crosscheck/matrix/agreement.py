"""Decides which trials of a cell to repeat: disagreeing ones, for a distribution in the report."""

from __future__ import annotations

from collections.abc import Sequence

from crosscheck.cells import Observation
from crosscheck.matrix.journal import Record
from crosscheck.repeatability import NOT_WAITING, outcomes, unlike_waiting, waiting_disagree

__all__ = ["SERVERS", "doubtful", "wanting"]

#: Numbers of trials per reading after each round of repetition. Most races appear in the first round; thirty trials
#: show an outcome of probability 1/20 with probability 1 - 0.95**30 = 79 %.
ROUNDS = (8, 16, 30)
#: Number of trials that deviate from the commonest outcome at which repetition stops.
DEVIATING = 4

#: Number of further probe servers, one trial each, before a cell of a doubtful mode counts as repeatable. Forks of one
#: server share its heap, including uninitialised memory. In seven runs of MXNet 0.9.5 all 20 such cells
#: disagreed: 12 in the first server, 8 there in five runs, and in the other two in the first or second further server.
SERVERS = 4


def wanting(records: Sequence[Record]) -> dict[str, int]:
    """Reading -> number of trials to reach; readings that agree internally and with waiting ones are omitted.

    A reading that disagrees only with waiting ones is repeated, together with the first reading, for one round. If one
    that does not wait disagrees internally, the first reading, which waits, gets as many trials: chance would show.
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
    for reading in NOT_WAITING:
        rows = observed.get(reading, [])
        count = wanted.get(reading, len(rows))
        if len(outcomes(rows)) > 1 and count > len(observed[first]):
            wanted[first] = max(count, wanted.get(first, 0))
    return wanted


def doubtful(records: Sequence[Record]) -> bool:
    """Whether trials that wait disagree: other cells of the mode, or further trials, may then agree by chance."""
    return waiting_disagree([row for rows in _by_reading(records).values() for row in rows])


def _by_reading(records: Sequence[Record]) -> dict[str, list[Observation]]:
    """The observations by reading. Trials with equal bytes share arrays, for fast comparison."""
    arrays: dict[tuple[str, bytes], Observation] = {}
    observed: dict[str, list[Observation]] = {}
    for record in records:
        cached = arrays.get((record.keys, record.arrays))
        row = record.observation(None if cached is None else cached.arrays)
        arrays.setdefault((record.keys, record.arrays), row)
        observed.setdefault(record.reading, []).append(row)
    return observed


def _unlike_waiting(observed: dict[str, list[Observation]]) -> list[str]:
    """The non-waiting readings of which a trial disagrees with the first waiting trial."""
    undisturbed, timed = (next(iter(observed.get(reading, ())), None) for reading in ("undisturbed", "timed"))
    return [
        reading
        for reading in NOT_WAITING
        if any(unlike_waiting(row, undisturbed, timed) for row in observed.get(reading, ()))
    ]
