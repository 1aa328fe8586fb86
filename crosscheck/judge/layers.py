"""Finds the first layer whose output differs from the oracle's."""

from __future__ import annotations

from crosscheck.cells import Intent
from crosscheck.judge.case import Case
from crosscheck.judge.compare import relative_error
from crosscheck.probe import recorded
from crosscheck.records import FirstLayer

__all__ = ["first_layer"]


def first_layer(case: Case) -> FirstLayer | None:
    """The first node whose output differs from the oracle's in the reading `layers`; None if none differs or was read.

    Every intermediate tensor is a graph output in that reading, so a runtime cannot fuse nodes across them: if all are
    right and the answer is wrong, the optimised graph is wrong.
    """
    row = next(iter(case.of("layers")), None)
    if row is None:
        return None
    training = case.mode.intent == Intent.TRAINING
    expected, others = case.truth.layers(training), case.truth.layers(not training)
    for node in case.network.graph["nodes"]:
        name = node["outputs"][0]
        value = row.arrays.get(recorded.LAYER + name)
        if value is None or name not in expected:
            continue
        error = relative_error(value, expected[name], others[name])
        if case.exceeded(error):
            return FirstLayer(node=node["name"], op=node["op"], tensor=name, error=error)
    return None
