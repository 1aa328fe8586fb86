"""The update law of the statistics that one call moved, solved by the judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import numpy as np

from crosscheck.cells import Array
from crosscheck.judge.changes import law_text
from crosscheck.judge.update import common_law
from crosscheck.live.findings import moved_state
from crosscheck.live.model import Batch, Batches, Norm
from crosscheck.live.observed import Observed
from crosscheck.oracle import BatchStatistics, Law, Statistics, explanations

__all__ = ["law_of"]

#: Two batches with statistics this close, relative to their size, are one batch seen twice: recomputation repeats
#: itself up to rounding.
SAME_BATCH = 1e-6
#: A law of different batches counts only if it keeps the part by which they were weighted, up to rounding.
SAME_MOMENTUM = 1e-6


def law_of(observed: Observed) -> str:
    """A sentence: the common law of all moved batch normalizations, or why none was determined."""
    names = set(moved_state(observed))
    norms = [norm for norm in observed.model.norms() if names & {norm.mean, norm.variance}]
    if not norms or observed.after is None:
        return "no law determined: none of these is a statistic of a batch normalization that crosscheck knows"
    batches = {norm.name: observed.batches[norm.name] for norm in norms if norm.name in observed.batches}
    if len(batches) < len(norms):
        batches = _replayed(observed)
    unseen = [norm.name for norm in norms if norm.name not in batches]
    if unseen:
        return f"no law determined: what layer {unseen[0]} was given is not known, as {observed.model.unseen}"

    def laws(momentum: float | None) -> Mapping[str, tuple[Law, ...]]:
        return {norm.name: _laws(observed, norm, batches[norm.name], momentum) for norm in norms}

    solved = common_law(laws, {_momentum(norm) for norm in norms})
    return f"law: {law_text(solved)}" if solved.explained else f"no law determined: {solved.problem}"


def _replayed(observed: Observed) -> Batches:
    """The batches of a forward pass of the input in training mode: those of a call that gave the model this input."""
    with suppress(Exception):  # the finding stands without its law
        return observed.model.replay(observed.x)
    return {}


def _momentum(norm: Norm) -> float:
    """The declared momentum. A cumulative average has none, and is found by the layer's counter with any."""
    return 1.0 if norm.momentum is None else norm.momentum


def _laws(observed: Observed, norm: Norm, seen: Sequence[Batch], momentum: float | None) -> tuple[Law, ...]:
    """The laws that explain the change of one layer equally well."""
    before, after = (_statistics(snapshot.state, norm) for snapshot in (observed.before, observed.after) if snapshot)
    declared = _momentum(norm) if momentum is None else momentum
    counter = observed.before.state.get(norm.counter)
    counted = None if counter is None else int(counter.item())

    def explained(batch: Batch) -> tuple[Law, ...]:
        return explanations(before, after, BatchStatistics(*batch), declared, counted=counted, epsilon=norm.epsilon)

    if all(_close(seen[0], batch) for batch in seen[1:]):
        return explained(seen[0])
    # Different batches act like their mean, weighted by what the later ones keep of each.
    return tuple(
        law
        for kept in dict.fromkeys((declared, 1 - declared))
        if 0 < kept < 1
        for law in explained(_weighted(seen, kept))
        if law.count == len(seen) and abs(law.momentum - kept) <= SAME_MOMENTUM
    )


def _statistics(values: Mapping[str, Array], norm: Norm) -> Statistics:
    return Statistics(np.asarray(values[norm.mean], np.float64), np.asarray(values[norm.variance], np.float64))


def _close(one: Batch, other: Batch) -> bool:
    scale = float(np.max(np.abs(one.mean)) + np.max(one.variance))
    apart = max(float(np.max(np.abs(one.mean - other.mean))), float(np.max(np.abs(one.variance - other.variance))))
    return one.size == other.size and apart <= SAME_BATCH * scale


def _weighted(seen: Collection[Batch], kept: float) -> Batch:
    weights = np.array([kept ** (len(seen) - number) for number in range(1, len(seen) + 1)])
    weights /= weights.sum()
    mean = sum(weight * batch.mean for weight, batch in zip(weights, seen, strict=True))
    variance = sum(weight * batch.variance for weight, batch in zip(weights, seen, strict=True))
    return Batch(np.asarray(mean), np.asarray(variance), max(batch.size for batch in seen))
