"""The formats in which a run is written for other programs, beside its page."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from crosscheck.expectations import Outcome
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.junit import junit
from crosscheck.report.markdown import markdown
from crosscheck.report.results import Results
from crosscheck.report.run_summary import run_summary
from crosscheck.report.sarif import sarif
from crosscheck.whole_files import whole

__all__ = ["FORMATS", "write_formats"]

Format = Callable[[Run, Sequence[JudgedCell], Outcome | None], str]

#: Name of a format -> what makes its text.
FORMATS: Mapping[str, Format] = {"junit": junit, "sarif": sarif, "markdown": markdown, "summary": run_summary}


def write_formats(
    paths: Mapping[str, Path],
    run: Run,
    cells: Sequence[JudgedCell],
    outcome: Outcome | None = None,
    against: Results | None = None,
) -> None:
    """Write the run in each of these formats to its file, which appears whole or not at all.

    against: an earlier run, which decides about the baseline states of SARIF.
    """
    formats: Mapping[str, Format] = {**FORMATS, "sarif": functools.partial(sarif, against=against)}
    for name, path in paths.items():
        with whole(path) as unfinished:
            # Runtimes' messages can contain lone surrogates, which UTF-8 cannot encode.
            unfinished.write_text(formats[name](run, cells, outcome), encoding="utf-8", errors="replace")
