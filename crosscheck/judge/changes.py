"""Extra evidence for `leak` and `state-moved`: the update law, observer effects, stale reads."""

from __future__ import annotations

from collections.abc import Mapping

from crosscheck.cells import Finding
from crosscheck.judge.case import Case, tensors
from crosscheck.judge.thresholds import LAW, NEVER, REPEATABLE
from crosscheck.judge.update import Solved, solve_update
from crosscheck.oracle import Law
from crosscheck.records import Evidence
from crosscheck.repeatability import distance, same

__all__ = ["change_evidence", "law_text"]

#: Averages besides the exponential one -> description.
AVERAGES = {
    "cumulative": "a cumulative average",
    "debiased": "a debiased average",
    "first-replaces": "an average whose first batch replaces the old value",
    "debiased-mean": "a debiased average of the mean, replaced by the batch's, and an exponential one of the variance",
    "overcorrected": "a debiased average that did not start at zero",
    "renormalized": "batch renormalization, which averages the standard deviation instead of the variance",
    "renormalized-twice": "batch renormalization, whose renormalization averages (0.99) are averaged again",
    "replaced": "the batch's statistics replace the old ones",
}
#: Batch variances -> description.
VARIANCES = {
    "unbiased-epsilon": "variance plus epsilon, times n / (n - 1)",
    "keras-2": "variance times n / (n - 1 - epsilon), the correction of Keras 2",
    "keras-2-fused": "unbiased variance times n / (n - 1 - epsilon), the correction of Keras 2",
    "keras-2-theano": "variance plus epsilon, times n / (n - 1 - epsilon), the correction of Keras 2 on Theano",
    "mixed": "variances that differ between layers",
}
TOLD = 4  # maximum tensors or laws named in a sentence


def change_evidence(case: Case, finding: Finding) -> list[Evidence]:
    """Extra evidence for `finding`, `leak` or `state-moved`."""
    return _law(case, finding) + _disturbed(case, finding) + _stale(case, finding)


def _law(case: Case, finding: Finding) -> list[Evidence]:
    """The update law, if one fits, or the first of several; without one the finding is `corrupted`."""
    if not case.by_its_batches:
        return []
    timed = [(row, *case.around(row)) for row in case.of("timed")]
    solved = [(row, one) for row, *around in (*timed, *case.calls) if (one := solve_update(case, *around)) is not None]
    for row, one in solved:
        if one.law is not None:
            what = f"{row.reading}: misfit of the moving statistics against their update law"
            return [Evidence(finding, what, one.law.residual, case.law_tolerance, LAW.why, law_text(one))]
    for row, one in solved:
        if one.several:
            best = min(law.residual for law in one.several)
            what = f"{row.reading}: smallest misfit of the moving statistics against update laws"
            return [Evidence(finding, what, best, case.law_tolerance, LAW.why, law_text(one))]
    return []


def law_text(solved: Solved) -> str:
    """The law in words, or the first of several; empty without one."""
    if solved.law is not None:
        return _text(solved.law) + _other_momenta(solved.momenta) + (f"; {solved.note}" if solved.note else "")
    if not solved.several:
        return ""
    more = f"; and {len(solved.several) - TOLD} more" if len(solved.several) > TOLD else ""
    texts = "; or ".join(_text(law) for law in solved.several[:TOLD])
    return f"no single law, as these explain it equally well: {texts}{more}"


def _text(law: Law) -> str:
    if law.count == 0:
        return "nothing, up to rounding"
    times = "once" if law.count == 1 else f"{law.count} times"
    variance = VARIANCES.get(law.variance, f"{law.variance} variance")
    text = f"{times} {law.momentum:.6g} x old + {1 - law.momentum:.6g} x batch, {variance}"
    return text if law.average == "exponential" else f"{AVERAGES[law.average]}: {text}"


def _other_momenta(momenta: Mapping[str, float]) -> str:
    """The layers whose momentum is not that of the law, by momentum."""
    layers: dict[str, list[str]] = {}
    for node, part in momenta.items():
        layers.setdefault(f"{part:.6g} x old + {1 - part:.6g} x batch", []).append(node)
    return "".join(f"; {', '.join(nodes)}: {text}" for text, nodes in layers.items())


def _disturbed(case: Case, finding: Finding) -> list[Evidence]:
    """Observer effect: the timed and the undisturbed reading end with different statistics."""
    timed, undisturbed = next(iter(case.of("timed")), None), next(iter(case.of("undisturbed")), None)
    if timed is None or undisturbed is None or case.predicting_moves:
        return []
    observed, unobserved = tensors(timed, "after"), tensors(undisturbed, "after")
    names = sorted(case.statistics & observed.keys() & unobserved.keys())
    apart = {name: distance(observed[name], unobserved[name]) for name in names}
    other = [name for name in names if not same(observed[name], unobserved[name])]
    if not other:
        return []
    what = "difference of the final state with and without reads of tensors between forward and backward"
    listed = ", ".join(other[:TOLD]) + (" ..." if len(other) > TOLD else "")
    why = f"reading tensors must not change the outcome; {REPEATABLE.why}"
    return [Evidence(finding, what, max(apart[name] for name in other), NEVER.value, why, f"reading changes {listed}")]


def _stale(case: Case, finding: Finding) -> list[Evidence]:
    """Tensors that still have their old value directly after the call, and change later."""
    for row in case.of("unsettled"):
        before, after = case.around(row)
        at_once = tensors(row, "at-once")
        stale = [
            name
            for name in sorted(before.keys() & after.keys() & at_once.keys())
            if distance(before[name], after[name]) > 0 and distance(before[name], at_once[name]) == 0
        ]
        if stale:
            what = "unsettled: tensors read directly after the call with their old value, which change later"
            why = "a read that does not wait can be stale"
            return [Evidence(finding, what, len(stale), NEVER.value, why, ", ".join(stale[:TOLD]))]
    return []
