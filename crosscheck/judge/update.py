"""Solves for the law by which the moving statistics changed, and for the step in which they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from crosscheck.cells import Array, Asks, Observation, Scenario
from crosscheck.judge.case import Case, tensors
from crosscheck.judge.evidence import Update, When
from crosscheck.networks import BatchNorm
from crosscheck.oracle import BatchStatistics, Law, Statistics
from crosscheck.oracle.corrections import CORRECTIONS
from crosscheck.repeatability import distance

__all__ = ["COUNTERS", "Solved", "solve_update", "update"]

#: What runtimes call a layer's count of its updates: persistent tensors of one entry, named `<node>.<one of these>`.
COUNTERS = ("num_batches_tracked", "counter", "updates")


#: What a law needed to fit, begun.
FORWARD = "with the batch statistics of a forward that normalizes by"


@dataclass(frozen=True)
class Solved:
    """The law of a change: `law` is the common one, its residual the worst, or None and `problem` says why.

    note: what the law needed to fit, beyond the batch statistics of training mode; empty where nothing.
    """

    law: Law | None
    problem: str = ""
    note: str = ""


def solve_update(case: Case, before: Mapping[str, Array], after: Mapping[str, Array]) -> Solved | None:
    """The law by which all batch normalizations' statistics went from `before` to `after`; None where none moved.

    The batch statistics are those of the training-mode forward of the probe input. They do not depend on the moving
    ones, so they are the same in every call. Where they do not fit, those of a forward that normalizes by the moving
    statistics are tried: a runtime may collect statistics while it predicts, or normalize by what it has just updated.
    """
    moved = [
        norm
        for norm in case.network.batch_norms
        if any(
            name in before and name in after and distance(before[name], after[name]) > 0
            for name in (norm.mean, norm.variance)
        )
    ]
    if not moved:
        return None
    unread = [norm.node for norm in moved if not {norm.mean, norm.variance} <= before.keys() & after.keys()]
    if unread:
        return Solved(None, f"the runtime shows only one of the two statistics of {', '.join(unread)}")
    weights = case.network.weights
    reshaped = [
        norm.node
        for norm in moved
        if any(
            values[name].shape != weights[name].shape
            for values in (before, after)
            for name in (norm.mean, norm.variance)
        )
    ]
    if reshaped:
        return Solved(
            None, f"the runtime holds the statistics of {', '.join(reshaped)} in another shape than the network"
        )

    pairs = {norm: (_statistics(before, norm), _statistics(after, norm)) for norm in moved}

    # Only a timed reading shows hidden tensors, counters among them, as they were before.
    built = next((tensors(row, "built") for row in case.of("timed")), {})

    def attempt(batches: Mapping[str, BatchStatistics]) -> Solved:
        return _common(
            {
                norm.node: case.truth.law(norm, *pair, batches[norm.node], counted=_counted({**built, **before}, norm))
                for norm, pair in pairs.items()
            }
        )

    training = attempt(case.truth.batch_statistics)
    if training.law is not None:
        return training
    inference = attempt(case.truth.inference_batch_statistics)
    if inference.law is not None:
        return replace(inference, note=f"{FORWARD} the moving ones")
    statistics = {name: after[name] for norm in moved for name in (norm.mean, norm.variance)}
    updated = attempt(case.truth.batch_statistics_by({**weights, **statistics}))
    # After more than one update, each batch was another one.
    if updated.law is not None and updated.law.count == 1:
        return replace(updated, note=f"{FORWARD} the ones that it has just updated")
    return training


def _statistics(values: Mapping[str, Array], norm: BatchNorm) -> Statistics:
    return Statistics(np.asarray(values[norm.mean], np.float64), np.asarray(values[norm.variance], np.float64))


def _counted(values: Mapping[str, Array], norm: BatchNorm) -> int | None:
    """How many updates the layer has counted; None where it does not count, or does not show it."""
    counters = (values.get(f"{norm.node}.{name}") for name in COUNTERS)
    return next((int(value.item()) for value in counters if value is not None and value.size == 1), None)


def _common(laws: Mapping[str, Law | None]) -> Solved:
    """The one law of all layers that moved, with the first layer's momentum and the variance that explains them all.

    Layers of which each takes its own variance follow one law nevertheless: it is called mixed.
    """
    lawless = [node for node, law in laws.items() if law is None]
    if lawless:
        return Solved(None, f"no update law explains the change of {', '.join(lawless)}")
    known = [law for law in laws.values() if law is not None]
    # The declared momentum may differ from layer to layer; a momentum of the runtime's own may not.
    kinds = {
        (
            law.average,
            law.convention,
            law.count,
            round(law.momentum, 3) if (law.average, law.convention) == ("exponential", "other") else None,
        )
        for law in known
    }
    corrections = tuple(name for name in CORRECTIONS if all(name in law.corrections for law in known))
    if len(kinds) > 1:
        told = "; ".join(
            f"{node}: {law.count} x {law.momentum:.4g}, {law.variance}" for node, law in laws.items() if law
        )
        return Solved(None, f"the layers follow different laws: {told}")
    return Solved(replace(known[0], corrections=corrections, residual=max(law.residual for law in known)))


def update(case: Case) -> Update | None:
    """When and by which law the statistics moved, from the timed reading; None where it could not be taken.

    Where nothing is seen to move in it although it does in the undisturbed one, `when` is "none" and the law is that of
    the undisturbed one.
    """
    timed = next((row for row in case.of("timed") if tensors(row, "asked")), None)
    if timed is None or not case.statistics or case.cell.scenario not in (Scenario.GRADIENT, Scenario.PREDICT_ONLY):
        return None
    rows = [timed, *case.of(case.primary)]
    solved = next(filter(None, (solve_update(case, *case.around(row)) for row in rows)), None)
    taken_apart = bool(tensors(timed, "between"))
    law = solved.law if solved else None
    when = _when(case, timed, law)
    if solved is None:
        return Update("none", taken_apart, 0, None, "unknown", None)
    if law is None:
        return Update(when, taken_apart, None, None, "unknown", None)
    return Update(when, taken_apart, law.count, law.momentum, law.variance, law.residual, law.convention, law.average)


def _when(case: Case, timed: Observation, law: Law | None) -> When:
    """The first snapshot by which the statistics had moved."""
    if tensors(timed, "between"):
        forward = _moved(case, timed, "predicted", "between")
        backward = _moved(case, timed, "between", "asked")
        if forward or backward:
            return "both" if forward and backward else "forward" if forward else "backward"
    elif _moved(case, timed, "predicted", "asked"):
        twice = case.asks is Asks.GRADIENT and law is not None and law.count == 2
        return "both" if twice else "forward"
    late = any(_moved(case, timed, "asked", when) for when in ("read", "after"))
    return "read" if late else "none"


def _moved(case: Case, row: Observation, earlier: str, later: str) -> bool:
    before, after = tensors(row, earlier), tensors(row, later)
    return any(distance(before[name], after[name]) > 0 for name in case.statistics & before.keys() & after.keys())
