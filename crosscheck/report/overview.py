"""Builds the overview: one row for each runtime's newest release, and one for each toolkit's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crosscheck.cells import MEASURED, Asks, Finding, Intent, Status
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.matrix import Square, square_of
from crosscheck.report.order import (
    all_clean,
    as_installed,
    base_of,
    by_release,
    distinct,
    findings_of,
    own,
    release_order,
    runtime_order,
    title_of,
)
from crosscheck.report.vocabulary import worst_first

__all__ = ["COLUMNS", "STATES", "Answered", "OverviewRow", "overview", "toolkits"]

#: The columns: heading and meaning.
COLUMNS = (
    ("Inference", "gradient modes that should use the moving statistics"),
    ("Training", "gradient modes that should use the batch's own statistics"),
    ("Default", "the gradient of a call without any argument about modes"),
    ("Prediction", "inference-mode forward passes, as many as gradients"),
    ("Export", "modes that write the network to a file"),
)
#: The columns of toolkits: heading and meaning.
STATES = (
    ("In training", "as the constructor of a network leaves it"),
    ("In evaluation", "after net.eval()"),
    ("Frozen", "in training, its batch normalizations in evaluation"),
    ("With gradients", "in evaluation, with gradients on the parameters that are not to be lost"),
)
#: `Mode.starts` of each of them.
_STARTS = ("train", "eval", "frozen", "gradients")

#: Findings that are no defect where the documentation says that statistics move.
_AS_SAID = frozenset({Finding.LEAK, Finding.STATE_MOVED, Finding.GRADIENTS_LEFT})


@dataclass(frozen=True)
class Answered:
    """One square: of `asked` modes, how many were `measured`, and how many are `clean` in every cell.

    `findings` are those of the other modes, the worst first; `statuses` all statuses except `ok`.
    `target` is the HTML id of a cell with the worst finding, else of the first cell; None without cells.
    """

    asked: int
    measured: int
    clean: int
    findings: tuple[str, ...]
    statuses: tuple[str, ...]
    target: str | None


@dataclass(frozen=True)
class OverviewRow:
    """A runtime's newest release of this run, as installed: one square per column of `COLUMNS`.

    strip: the measured releases, oldest first, with what their gradients show beside documented moves of statistics.
    base: of a toolkit, the runtime that it asks; then the squares are of `STATES`.
    """

    runtime: str
    title: str
    release: str
    strip: tuple[tuple[str, Square], ...]
    squares: tuple[Answered, ...]
    base: str = ""


def overview(run: Run, cells: Sequence[JudgedCell]) -> tuple[OverviewRow, ...]:
    """One row per runtime with cells that is no toolkit, for its newest release, a measured one if there is one."""
    rows = []
    for runtime, release, measured, newest in _newest(run, cells):
        if base_of(run, runtime):
            continue
        gradients = [cell for cell in newest if cell.asks == Asks.GRADIENT]
        columns = (
            [cell for cell in gradients if cell.intent == Intent.INFERENCE],
            [cell for cell in gradients if cell.intent == Intent.TRAINING],
            [cell for cell in gradients if cell.default_call],
            [cell for cell in newest if (cell.asks, cell.intent) == (Asks.PREDICTION, Intent.INFERENCE)],
            [cell for cell in newest if cell.asks == Asks.EXPORT],
        )
        squares = tuple(map(_answered, columns))
        rows.append(OverviewRow(runtime, title_of(run, runtime), release, _strip(run, measured), squares))
    return tuple(rows)


def toolkits(run: Run, cells: Sequence[JudgedCell]) -> tuple[OverviewRow, ...]:
    """The same of toolkits."""
    rows = []
    for runtime, release, measured, newest in _newest(run, cells):
        if base := base_of(run, runtime):
            starts = {mode.name: mode.starts for mode in run.runtimes[runtime].modes}
            columns = ([cell for cell in newest if starts.get(cell.mode) == state] for state in _STARTS)
            strip, squares = _strip(run, measured), tuple(map(_answered, columns))
            rows.append(OverviewRow(runtime, title_of(run, runtime), release, strip, squares, base))
    return tuple(rows)


def _newest(run: Run, cells: Sequence[JudgedCell]) -> Iterator[tuple[str, str, list[JudgedCell], list[JudgedCell]]]:
    """Each runtime with cells, its newest release, its measured cells, and the cells of that release."""
    for runtime in runtime_order(run, cells):
        here = [cell for cell in own(as_installed(cells)) if cell.runtime == runtime]
        measured = [cell for cell in here if cell.status in MEASURED]
        if here:
            release = release_order(run, measured or here, runtime)[-1]
            newest = [cell for cell in here if cell.release == release and cell.status != Status.NOT_IN_RELEASE]
            yield runtime, release, measured, newest


def _strip(run: Run, cells: Sequence[JudgedCell]) -> tuple[tuple[str, Square], ...]:
    """A square for each release with a gradient among the measured cells of a runtime."""
    of_release = by_release(cell for cell in cells if cell.asks == Asks.GRADIENT)
    return tuple(
        (release, square_of([cell for cell in of_release[release] if not _announced(cell)] or of_release[release]))
        for release in release_order(run, cells, cells[0].runtime if cells else "")
        if release in of_release
    )


def _announced(cell: JudgedCell) -> bool:
    """Whether the cell shows nothing but what the documentation says of it."""
    return cell.contract.statistics == "move" and bool(cell.findings) and _AS_SAID.issuperset(cell.findings)


def _answered(cells: Sequence[JudgedCell]) -> Answered:
    modes = distinct(cell.mode for cell in cells)
    by_mode = {mode: [cell for cell in cells if cell.mode == mode] for mode in modes}
    measured = [mode for mode in modes if any(cell.status in MEASURED for cell in by_mode[mode])]
    clean = [mode for mode in measured if all_clean(by_mode[mode])]
    findings = worst_first(findings_of(cell for cell in cells if cell.mode not in clean) - {Finding.CLEAN})
    worst = [cell for cell in cells if findings and findings[0] in cell.findings]
    linked = next(iter(worst or cells), None)
    return Answered(
        asked=len(modes),
        measured=len(measured),
        clean=len(clean),
        findings=findings,
        statuses=worst_first(cell.status for cell in cells if cell.status != Status.OK),
        target=None if linked is None else linked.anchor,
    )
