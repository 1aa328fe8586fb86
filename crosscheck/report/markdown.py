"""A run in a few lines of Markdown, for the summary of a job."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from crosscheck.cells import MEASURED, Finding, Status
from crosscheck.expectations import Kind, Outcome
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.order import runtime_order, title_of
from crosscheck.report.summary import answer
from crosscheck.report.vocabulary import worst_first

__all__ = ["markdown"]

#: Most cells, or entries, of a list; `--summary` has all.
LISTED = 20
#: Signs that lay out a text, or begin markup.
_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~&]")


def markdown(run: Run, cells: Sequence[JudgedCell], outcome: Outcome | None = None) -> str:
    """The text: the answer, what is unexpected or fixed, and a table of runtimes."""
    parts = ["## crosscheck", _answer(run, cells)]
    if outcome is not None:
        parts += _expectations(outcome)
    return "\n\n".join([*parts, "\n".join(_table(run, cells))]) + "\n\n"


def _answer(run: Run, cells: Sequence[JudgedCell]) -> str:
    said = answer(run, cells)
    leaking, measured = len(said.leaking), len(said.measured)
    statuses = Counter(cell.status.value for cell in cells if cell.status not in MEASURED)
    releases = f"{measured} {'release' if measured == 1 else 'releases'}"
    what = f"{'**Yes**' if leaking else '**No**'}, in {leaking or 'none'} of {releases}" if measured else "Not measured"
    others = ", ".join(f"{statuses[name]} {name}" for name in worst_first(statuses))
    return (
        f"Does an input gradient change a later prediction? {what}. {len(cells)} cells"
        f"{f', of which without findings: {others}' if others else ''}."
    )


def _expectations(outcome: Outcome) -> Iterator[str]:
    counts = outcome.counts
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    verdict = "as expected" if not outcome.failed else "**not as expected**"
    yield f"Against {_code(outcome.file)}, {verdict}: {said}, {len(outcome.unmatched)} patterns without cells."
    for kind in (Kind.UNEXPECTED, Kind.FIXED):
        found = outcome.of(kind)
        lines = [f"- {_code(name)}: {_escaped(str(verdict))}" for name, verdict in found.items()]
        if lines:
            yield f"### {kind.value.capitalize()}\n\n" + "\n".join(_cut(lines))
    lines = [f"- line {lost.line}: {_code(lost.pattern)} {lost.why}" for lost in outcome.unmatched]
    if lines:
        yield "### Patterns without cells\n\n" + "\n".join(_cut(lines))


def _cut(lines: Sequence[str]) -> list[str]:
    more = len(lines) - LISTED
    return [*lines[:LISTED], *([f"- and {more} more"] if more > 0 else [])]


def _table(run: Run, cells: Sequence[JudgedCell]) -> Iterator[str]:
    yield "| runtime | releases | cells | clean | findings | not measured |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for runtime in runtime_order(run, cells):
        here = [cell for cell in cells if cell.runtime == runtime]
        if not here:
            continue
        findings = Counter(finding.value for cell in here for finding in cell.findings)
        clean = findings.pop(Finding.CLEAN.value, 0)
        statuses = Counter(cell.status.value for cell in here if cell.status is not Status.OK)
        columns = (
            _escaped(title_of(run, runtime)),
            str(len({cell.target for cell in here})),
            str(len(here)),
            str(clean),
            ", ".join(f"{findings[name]} {name}" for name in worst_first(findings)),
            ", ".join(f"{statuses[name]} {name}" for name in worst_first(statuses)),
        )
        yield f"| {' | '.join(columns)} |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda sign: f"\\{sign[0]}", " ".join(text.split()))


def _code(text: str) -> str:
    """The text as code, in more backticks than it has in a row."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{ticks}{pad}{' '.join(text.split())}{pad}{ticks}"
