"""Solves for the law and the step of a change of moving statistics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from crosscheck.cells import Array, Asks, Observation, Scenario
from crosscheck.judge.case import Case, tensors
from crosscheck.networks import BatchNorm
from crosscheck.oracle import BatchStatistics, Law, Statistics, agree
from crosscheck.oracle.corrections import CORRECTIONS
from crosscheck.oracle.laws import SAME_UNDECLARED
from crosscheck.probe import recorded
from crosscheck.records import Update
from crosscheck.records.changes import Correction, When
from crosscheck.repeatability import moved as changed

__all__ = ["COUNTERS", "Solved", "common_law", "solve_update", "update"]

#: Names of a layer's update counter in runtimes: persistent tensors `<node>.<name>` with one entry.
COUNTERS = ("num_batches_tracked", "counter", "updates")

#: The start of the condition under which a law fits.
FORWARD = "with the batch statistics of a forward pass that normalizes by"


@dataclass(frozen=True)
class Solved:
    """The law of a change: `law` is the common law with the worst residual, or None with a `problem`.

    note: condition of the fit besides training-mode batch statistics; usually empty.
    several: the laws that explain the change equally well, if more than one does; then there is no single law.
    momenta: node -> the part that one update keeps, of layers that keep another part than the law's, which is the
        first layer's.
    """

    law: Law | None
    problem: str = ""
    note: str = ""
    several: tuple[Law, ...] = ()
    momenta: Mapping[str, float] = field(default_factory=dict)

    @property
    def explained(self) -> bool:
        """Whether a law explains the change, or more than one does."""
        return self.law is not None or bool(self.several)


def solve_update(case: Case, before: Mapping[str, Array], after: Mapping[str, Array]) -> Solved | None:
    """The common law of all batch normalizations from `before` to `after`; None if none moved.

    Uses the batch statistics of the training-mode forward of the probe input, which do not depend on the moving ones
    and so are the same in every call. If they do not fit, uses those of a forward that normalizes by the moving
    statistics: a runtime may collect statistics in prediction, or normalize by the updated ones.
    """
    moved = [
        norm
        for norm in case.network.batch_norms
        if any(
            name in before and name in after and changed(before[name], after[name])
            for name in (norm.mean, norm.variance)
        )
    ]
    if not moved:
        return None
    unread = [norm.node for norm in moved if not {norm.mean, norm.variance} <= before.keys() & after.keys()]
    if unread:
        return Solved(None, f"the runtime shows only one of the two statistics of {', '.join(unread)}")
    weights = case.weights
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

    # Only a timed reading records earlier values of hidden tensors such as counters.
    built = next((tensors(row, "built") for row in case.of("timed")), {})

    def attempt(batches: Mapping[str, BatchStatistics]) -> Solved:
        def laws(momentum: float | None) -> dict[str, tuple[Law, ...]]:
            counted = {norm: _counted({**built, **before}, norm) for norm in pairs}
            return {
                norm.node: case.truth.laws(norm, *pair, batches[norm.node], counted[norm], momentum)
                for norm, pair in pairs.items()
            }

        return common_law(laws, {norm.momentum for norm in pairs})

    training = attempt(case.truth.batch_statistics)
    if training.explained:
        return training
    inference = attempt(case.truth.inference_batch_statistics)
    if inference.explained:
        return replace(inference, note=f"{FORWARD} the moving statistics")
    statistics = {name: after[name] for norm in moved for name in (norm.mean, norm.variance)}
    updated = attempt(case.truth.batch_statistics_by({**weights, **statistics}))
    # After several updates, the batches differ.
    if updated.law is not None and updated.law.count == 1:
        return replace(updated, note=f"{FORWARD} the statistics it has just updated")
    return training


def common_law(laws: Callable[[float | None], Mapping[str, tuple[Law, ...]]], declared: Collection[float]) -> Solved:
    """The common law of all moved layers.

    laws: momentum (None: each layer's own) -> node -> the laws that explain its change equally well.
    declared: the momenta of the layers.
    """
    found = _common(laws(None))
    if not found.explained:
        return _one_momentum(laws, declared) or found
    return found


def _statistics(values: Mapping[str, Array], norm: BatchNorm) -> Statistics:
    return Statistics(np.asarray(values[norm.mean], np.float64), np.asarray(values[norm.variance], np.float64))


def _counted(values: Mapping[str, Array], norm: BatchNorm) -> int | None:
    """The layer's update counter; None if there is none or it is unreadable."""
    counters = (values.get(f"{norm.node}.{name}") for name in COUNTERS)
    return next((int(value.item()) for value in counters if value is not None and value.size == 1), None)


def _common(laws: Mapping[str, tuple[Law, ...]]) -> Solved:
    """The common law of all moved layers, with the first layer's momentum and the common variance.

    laws: node -> the laws that explain its change equally well. A layer that moved so little that nothing moving
    explains it, too, counts only if all layers did. Layers with different variances still follow one law, with variance
    "mixed".
    """
    lawless = [node for node, found in laws.items() if not found]
    if lawless:
        return Solved(None, f"no update law explains the change of {', '.join(lawless)}")
    telling = {node: found for node, found in laws.items() if all(law.count for law in found)} or laws
    first, *others = telling.values()
    each = [
        (law, *same)
        for law in first
        for same in [[next((one for one in found if _one_law(law, one)), None) for found in others]]
        if None not in same
    ]
    common = [_merged(laws_of) for laws_of in each]
    if not common:
        description = "; ".join(
            f"{node}: {law.count} x {law.momentum:.4g}, {law.variance}" for node, (law, *_) in telling.items()
        )
        return Solved(None, f"the layers follow different laws: {description}")
    if any(law.count == 0 or not agree(common[0], law) for law in common):
        return Solved(None, "more than one update law explains the change", several=tuple(common))
    kept = {node: law.momentum for node, law in zip(telling, each[0], strict=True) if law is not None}
    apart = {node: part for node, part in kept.items() if abs(part - common[0].momentum) > SAME_UNDECLARED}
    return Solved(common[0], momenta=apart)


def _one_law(one: Law, other: Law) -> bool:
    """Whether two layers follow the same law. The declared momentum may differ between them; an undeclared must not."""
    same = (one.average, one.convention, one.count) == (other.average, other.convention, other.count)
    undeclared = (one.average, one.convention) == ("exponential", "other")
    return same and (not undeclared or abs(one.momentum - other.momentum) <= SAME_UNDECLARED)


def _merged(laws: Sequence[Law | None]) -> Law:
    """One law of several layers, with the corrections that fit all of them and the worst residual."""
    solved = [law for law in laws if law is not None]
    corrections = tuple(name for name in CORRECTIONS if all(name in law.corrections for law in solved))
    distinct = frozenset[tuple[Correction, Correction]]().union(*(law.distinct for law in solved))
    residual = max(law.residual for law in solved)
    return replace(solved[0], corrections=corrections, distinct=distinct, residual=residual)


def _one_momentum(
    laws: Callable[[float | None], Mapping[str, tuple[Law, ...]]], declared: Collection[float]
) -> Solved | None:
    """The law of layers that all keep one part which not all of them declare.

    A part that some layer declares is preferred, then the fewest updates: a part and its power fit equally well, and
    the power is the smaller one. Arguments are those of `common_law`.
    """
    solved = []
    fitting = [law for found in laws(None).values() for law in found]
    for momentum in sorted({part for law in fitting for part in (law.momentum, law.momentum**law.count)}):
        keeping = {
            node: tuple(law for law in found if law.convention == "keep") for node, found in laws(momentum).items()
        }
        if (law := _common(keeping).law) is not None:
            solved.append(replace(law, convention="other"))
    if not solved:
        return None
    return Solved(min(solved, key=lambda law: (law.momentum not in declared, law.residual)))


def update(case: Case) -> Update | None:
    """The time and law of the change, from the timed reading; None without it.

    If statistics move only in the undisturbed reading, `when` is "none" and the law is that reading's.
    """
    timed = next((row for row in case.of("timed") if tensors(row, "asked")), None)
    if timed is None or not case.statistics or case.cell.scenario not in (Scenario.GRADIENT, Scenario.PREDICT_ONLY):
        return None
    around = [(row, *case.around(row)) for row in (timed, *case.of(case.primary))]
    solved = next(
        filter(None, (solve_update(case, before, after) for _, before, after in (*around, *case.calls))), None
    )
    taken_apart = _parted(case, timed)
    law = solved.law if solved else None
    when = "adopted" if solved is not None and case.mode.adopts else _when(case, timed, law)
    if solved is None:
        return Update("none", taken_apart, 0, None, "unknown", None)
    if law is None:
        return Update(when, taken_apart, None, None, "unknown", None)
    return Update(when, taken_apart, law.count, law.momentum, law.variance, law.residual, law.convention, law.average)


def _when(case: Case, timed: Observation, law: Law | None) -> When:
    """The first snapshot with moved statistics."""
    if _parted(case, timed):
        forward = _moved(case, timed, "predicted", "between")
        backward = _moved(case, timed, "between", "asked")
        if forward or backward:
            return "both" if forward and backward else "forward" if forward else "backward"
    elif _moved(case, timed, "predicted", "asked"):
        twice = case.asks is Asks.GRADIENT and law is not None and law.count == 2
        return "both" if twice else "forward"
    late = any(_moved(case, timed, "asked", when) for when in ("read", "after"))
    if not late and _moved(case, timed, recorded.AFTER, recorded.SECOND):
        return "second"
    return "read" if late else "none"


def _parted(case: Case, timed: Observation) -> bool:
    """Whether forward and backward are separate calls; what precedes a toolkit's call is no part of it."""
    return bool(tensors(timed, recorded.BETWEEN)) and not case.mode.starts


def _moved(case: Case, row: Observation, earlier: str, later: str) -> bool:
    before, after = tensors(row, earlier), tensors(row, later)
    return any(changed(before[name], after[name]) for name in case.statistics & before.keys() & after.keys())
