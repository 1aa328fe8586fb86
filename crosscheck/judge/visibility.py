"""Whether a leak could be seen in a network at all: whether new statistics would change its prediction."""

from __future__ import annotations

from crosscheck.cells import Scenario
from crosscheck.judge.case import Case
from crosscheck.judge.file_reference import FileTruth
from crosscheck.judge.thresholds import ROUNDING

__all__ = ["unseen"]


def unseen(case: Case) -> str:
    """Why no leak could be seen in the cell's network; "" if one could, or if it has no batch normalization.

    A runtime that shows its statistics shows an update where predictions do not: then one could be seen, too.
    """
    truth = case.truth
    if isinstance(truth, FileTruth) and truth.source is not None and case.network.own is not None:
        truth = truth.source
    norms = truth.network.batch_norms
    if not norms or case.cell.scenario is Scenario.EXPORT or truth.update.prediction > ROUNDING.value:
        return ""
    if truth.update.statistics & {pair.key for pair in case.all_changes}:
        return ""
    if all(norm.momentum == 1 for norm in norms):
        why = "every batch normalization keeps its old statistics (momentum 1)"
    elif not truth.update.statistics:
        why = "its statistics are the batch's own already"
    else:
        why = "its prediction does not change by new statistics"
    return f"a leak cannot be seen in this network: {why}"
