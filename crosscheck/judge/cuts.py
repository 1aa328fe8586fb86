"""Cuts the lists of a judgement that grow with the network to the most telling entries, for a line of `cells.jsonl`.

A line has some 20 kB at most. The arrays of the cell have everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from crosscheck.cells import Array
from crosscheck.records import Evidence, Judgement, TensorPair

__all__ = ["cut"]

#: Evidence of one finding: the largest numbers.
EVIDENCE = 10
#: Changes of tensors: the largest.
CHANGES = 40
#: Numbers in small tensors before and after, those of the largest changes: about 8 kB.
NUMBERS = 400
#: Numbers of a prediction, which is whole or left out: one of a thousand classes has 20 kB.
PREDICTION = 128


def cut(judgement: Judgement) -> Judgement:
    """The judgement with short lists; `omitted` has the number of entries that were left out of each, without zeros.

    What stays has its order. A prediction that is left out has its number of entries.
    """
    shorter = replace(
        judgement,
        evidence=_evidence(judgement.evidence),
        state_changes=_changes(judgement.state_changes),
        tensors=_tensors(judgement.tensors, judgement.state_changes),
        prediction_before=_prediction(judgement.prediction_before),
        prediction_after=_prediction(judgement.prediction_after),
    )
    omitted = {
        "evidence": len(judgement.evidence) - len(shorter.evidence),
        "state_changes": len(judgement.state_changes) - len(shorter.state_changes),
        "tensors": len(judgement.tensors) - len(shorter.tensors),
        "prediction_before": _numbers(judgement.prediction_before) - _numbers(shorter.prediction_before),
        "prediction_after": _numbers(judgement.prediction_after) - _numbers(shorter.prediction_after),
    }
    return replace(shorter, omitted={**judgement.omitted, **{name: count for name, count in omitted.items() if count}})


def _evidence(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    kept: set[int] = set()
    for finding in {item.finding for item in evidence}:
        places = [place for place, item in enumerate(evidence) if item.finding is finding]
        kept.update(sorted(places, key=lambda place: -_size(evidence[place].value))[:EVIDENCE])
    return tuple(item for place, item in enumerate(evidence) if place in kept)


def _changes(changes: Mapping[str, float]) -> Mapping[str, float]:
    kept = set(_largest(changes)[:CHANGES])
    return {name: change for name, change in changes.items() if name in kept}


def _tensors(tensors: Mapping[str, TensorPair], changes: Mapping[str, float]) -> Mapping[str, TensorPair]:
    kept, left = set(), NUMBERS
    for name in _largest({name: changes[name] for name in tensors}):
        left -= len(tensors[name].before) + len(tensors[name].after or ())
        if left < 0:
            break
        kept.add(name)
    return {name: pair for name, pair in tensors.items() if name in kept}


def _prediction(values: Array | None) -> Array | None:
    return None if _numbers(values) > PREDICTION else values


def _largest(changes: Mapping[str, float]) -> list[str]:
    """The names, largest changes first."""
    return sorted(changes, key=lambda name: -_size(changes[name]))


def _size(value: float | None) -> float:
    """The rank of a number: an event without one, and NaN, are as telling as infinity."""
    return math.inf if value is None or math.isnan(value) else abs(value)


def _numbers(value: Array | None) -> int:
    return 0 if value is None else value.size
