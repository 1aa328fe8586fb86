"""What `run` and `report` do with a finished run: formats for other programs, and a look at what is expected."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from crosscheck.commands.options import FOLDER
from crosscheck.errors import UsageError
from crosscheck.terminal import printable

if TYPE_CHECKING:
    from crosscheck.expectations import Expectations, Outcome
    from crosscheck.report import Results


__all__ = ["NO_OUTPUTS", "Outputs", "add_outputs", "outputs_of", "say"]

HELP = {
    "junit": "JUnit XML: a suite for each release, a case for each cell",
    "sarif": "SARIF 2.1.0: a rule for each finding",
    "markdown": "a summary in Markdown",
    "summary": "a summary as one JSON object",
}
#: The file that GitHub shows as a job's summary.
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
#: Most cells of a kind, and most patterns that match nothing, that are printed.
LISTED = 20
#: Most of these patterns where they are no failure: a run of a part of the matrix leaves many without cells.
FEW = 3


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """What `outputs_of` reads."""
    parser.add_argument(
        "--expect", type=Path, metavar="FILE", help="the findings that are expected; exit with 1 if there are others"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1, too, if an expected finding is gone or an entry matches nothing; entries need a reason",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="OTHER",
        help="an earlier run: the report lists the changes since then, as `crosscheck diff RUN OTHER` does, and each "
        "result of --sarif has its baselineState",
    )
    for name, what in HELP.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"also write {what}")


@dataclass(frozen=True)
class Outputs:
    """The options. paths: format -> file. against: the earlier run."""

    expectations: Expectations | None = None
    strict: bool = False
    paths: Mapping[str, Path] = field(default_factory=dict)
    against: Results | None = None

    def make(self, folder: Path, step_summary: bool = False) -> Outcome | None:
        """Write the formats of the run in `folder`; return how it compares with what is expected, if anything is.

        step_summary: append a summary to GitHub's file, if it names one.
        """
        from crosscheck import report
        from crosscheck.expectations import compare
        from crosscheck.report.formats import FORMATS, write_formats

        summary = os.environ.get(STEP_SUMMARY) if step_summary else None
        if self.expectations is None and not self.paths and not summary:
            return None
        results = report.load(folder)
        outcome = None if self.expectations is None else compare(results.cells, self.expectations, self.strict)
        write_formats(self.paths, results.run, results.cells, outcome, self.against)
        if summary:
            with open(summary, "a", encoding="utf-8", errors="replace") as file:
                file.write(FORMATS["markdown"](results.run, results.cells, outcome))
        return outcome


#: Of a command that is told none.
NO_OUTPUTS = Outputs()


def outputs_of(parsed: argparse.Namespace) -> Outputs:
    """The options, before anything is measured. Raises UsageError for files that cannot be read or written."""
    if parsed.strict and parsed.expect is None:
        raise UsageError("--strict is about expectations, and none are named: --expect FILE does so.")
    paths = {name: path for name in HELP if (path := getattr(parsed, name)) is not None}
    for name, path in paths.items():
        if path.is_dir() or not path.parent.is_dir():
            why = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
            raise UsageError(f"--{name} {path}: {why}. Name a file in a folder that there is.")
    expectations = against = None
    if parsed.expect is not None:
        from crosscheck.expectations import read_expectations

        expectations = read_expectations(parsed.expect, parsed.strict)
    if parsed.against is not None:  # before a run replaces it, if it is the one in --out
        from crosscheck.report import load

        against = load(parsed.against)
    return Outputs(expectations, parsed.strict, paths, against)


def say(console: Console, folder: Path, outcome: Outcome, quiet: bool = False) -> None:
    """Print what is not as expected; if `quiet`, nothing unless that is a failure."""
    from crosscheck.expectations import Kind

    if quiet and not outcome.failed:
        return
    out = [] if folder == FOLDER else ["--out", str(folder)]
    unexpected = [
        f"unexpected: {name}: {', '.join(verdict.unexpected)}; {shlex.join(['crosscheck', 'explain', name, *out])}"
        for name, verdict in outcome.of(Kind.UNEXPECTED).items()
    ]
    fixed = [
        f"fixed: {name}: {', '.join(verdict.fixed)}; {outcome.file}, line {verdict.entry.line}"
        for name, verdict in outcome.verdicts.items()
        if verdict.fixed and verdict.entry
    ]
    unmatched = [f"{outcome.file}, line {lost.line}: {lost.pattern} {lost.why}" for lost in outcome.unmatched]
    for lines, most in ((unexpected, LISTED), (fixed, LISTED), (unmatched, LISTED if outcome.strict else FEW)):
        for line in lines[:most]:
            console.print(printable(line), soft_wrap=True)
        if len(lines) > most:
            console.print(f"and {len(lines) - most} more; --summary FILE has all")
    counts = ", ".join(f"{count} {kind}" for kind, count in outcome.counts.items())
    console.print(printable(f"against {outcome.file}: {counts}"), soft_wrap=True)
