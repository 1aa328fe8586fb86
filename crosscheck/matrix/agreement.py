"""Decides which trials of a cell to repeat: disagreeing ones, for a distribution in the report."""

from __future__ import annotations

from collections.abc import Sequence

from crosscheck.cells import Observation
from crosscheck.repeatability import NOT_WAITING, by_pace, outcomes, read_early, unlike_waiting
from crosscheck.scenarios.steps import PACES

__all__ = ["SERVERS", "wanting"]

#: Numbers of trials per reading after each round of repetition. Most races appear in the first round; thirty trials
#: show an outcome of probability 1/20 with probability 1 - 0.95**30 = 79 %.
ROUNDS = (8, 16, 30)
#: Number of trials that deviate from the commonest outcome at which repetition stops.
DEVIATING = 4

#: Number of further probe servers, one trial each, before a cell of a doubtful mode counts as repeatable. Forks of one
#: server share its heap, including uninitialised memory. In seven runs of MXNet 0.9.5 all 20 such cells
#: disagreed: 12 in the first server, 8 there in five runs, and in the other two in the first or second further server.
SERVERS = 4


def wanting(rows: Sequence[Observation]) -> dict[str, int]:
    """Reading -> number of trials to reach; readings that agree internally and with waiting ones are omitted.

    A reading that disagrees only with waiting ones is repeated, together with the first reading, for one round. If one
    that does not wait disagrees internally, the first reading, which waits, gets as many trials: chance would show.
    Trials that differ by their pace alone are a race, whose odds further trials would only estimate. A reading of which
    a trial read tensors before they changed has one trial of each pace at least: a lazy runtime is early at every pace.
    """
    observed: dict[str, list[Observation]] = {}
    for row in rows:
        observed.setdefault(row.reading, []).append(row)
    deviating = {reading: len(here) - len(outcomes(here)[0]) for reading, here in observed.items()}
    wanted = {
        reading: next((count for count in ROUNDS if count > len(here)), len(here))
        for reading, here in observed.items()
        if 0 < deviating[reading] < DEVIATING and not by_pace(here)
    }
    first = next(iter(observed))
    for reading in _unlike_waiting(observed):
        for one in (first, reading):
            wanted.setdefault(one, max(ROUNDS[0], len(observed[one])))
    for reading in NOT_WAITING:
        here = observed.get(reading, [])
        if reading not in wanted and len(here) < len(PACES) and any(map(read_early, here)):
            wanted[reading] = len(PACES)
        count = wanted.get(reading, len(here))
        if deviating.get(reading):
            wanted[first] = max(count, wanted.get(first, 0))
    return wanted


def _unlike_waiting(observed: dict[str, list[Observation]]) -> list[str]:
    """The non-waiting readings of which a trial disagrees with the first waiting trial."""
    undisturbed, timed = (next(iter(observed.get(reading, ())), None) for reading in ("undisturbed", "timed"))
    return [
        reading
        for reading in NOT_WAITING
        if any(unlike_waiting(row, undisturbed, timed) for row in observed.get(reading, ()))
    ]
