"""Builds the first table: predictions of the network `seed` before and after one gradient, per release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crosscheck.cells import MEASURED, PLAIN, Array, Asks, Finding, Intent, Scenario, Status
from crosscheck.records import JudgedCell, rows_of
from crosscheck.records.run import Run
from crosscheck.report.number_text import prediction_text
from crosscheck.report.order import mode_order, releases_of
from crosscheck.report.vocabulary import worst_first

__all__ = ["SeedNumbers", "SeedRow", "seed_rows"]


@dataclass(frozen=True)
class SeedNumbers:
    """One call on the network `seed`: the prediction before and after, as text, and the findings."""

    mode: str
    before: str
    after: str
    findings: tuple[str, ...]
    anchor: str


@dataclass(frozen=True)
class SeedRow:
    """A release's row: a training-intent and an inference-intent gradient, None if not measured.

    `status` and `reason` explain the absence of both.
    """

    runtime: str
    release: str
    training: SeedNumbers | None
    inference: SeedNumbers | None
    status: str
    reason: str


def seed_rows(run: Run, cells: Sequence[JudgedCell]) -> tuple[SeedRow, ...]:
    """Rows of `seed` under `gradient`, each release as installed.

    Training: the first leaking mode, else the first measured one. Inference: the first clean mode, else the first
    measured one. Modes are in the adapter's order.
    """
    chosen = [
        cell
        for cell in cells
        if cell.network == "seed"
        and cell.scenario == Scenario.GRADIENT
        and cell.asks == Asks.GRADIENT
        and cell.variant == PLAIN
        and cell.status != Status.NOT_IN_RELEASE
    ]
    rows = []
    for runtime, release in releases_of(run, chosen):
        here = [cell for cell in chosen if (cell.runtime, cell.release) == (runtime, release)]
        rank = {mode: at for at, mode in enumerate(mode_order(run, here, runtime))}
        here.sort(key=lambda cell: rank[cell.mode])
        training, inference = _pick(here, Intent.TRAINING, Finding.LEAK), _pick(here, Intent.INFERENCE, Finding.CLEAN)
        rows.append(SeedRow(runtime, release, training, inference, here[0].status, here[0].reason or ""))
    return tuple(rows)


def _pick(cells: Sequence[JudgedCell], intent: Intent, finding: Finding) -> SeedNumbers | None:
    intended = [cell for cell in cells if cell.intent == intent and _predicted(cell)]
    first = next((cell for cell in intended if finding in cell.findings), intended[0] if intended else None)
    if first is None:
        return None
    return SeedNumbers(
        mode=first.mode,
        before=_text(first.prediction_before),
        after=_text(first.prediction_after),
        findings=worst_first(first.findings),
        anchor=first.anchor,
    )


def _text(prediction: Array | None) -> str:
    return "" if prediction is None else prediction_text(rows_of(prediction))


def _predicted(cell: JudgedCell) -> bool:
    both = cell.prediction_before is not None and cell.prediction_after is not None
    return both and cell.status in MEASURED
