"""A run as one JSON object, for scripts that decide what to do about it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from crosscheck.expectations import Kind, Outcome
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.order import runtime_order
from crosscheck.report.summary import answer

__all__ = ["SUMMARY_SCHEMA", "run_summary"]

#: Version of the object. A new field needs no new version.
SUMMARY_SCHEMA = 1


def run_summary(run: Run, cells: Sequence[JudgedCell], outcome: Outcome | None = None) -> str:
    """The object: counts of the run and of each runtime, its leaking releases, and `expectations` (null without)."""
    said = answer(run, cells)
    runtimes = {}
    for runtime in runtime_order(run, cells):
        here = [cell for cell in cells if cell.runtime == runtime]
        runtimes[runtime] = {
            **_counts(here),
            "releases_measured": [release for name, release in said.measured if name == runtime],
            "releases_leaking": [release for name, release in said.leaking if name == runtime],
        }
    summary = {
        "schema": SUMMARY_SCHEMA,
        "crosscheck": run.crosscheck,
        "started": run.started,
        "command": list(run.command),
        "seconds": run.seconds.get("total"),
        **_counts(cells),
        "runtimes": runtimes,
        "expectations": None if outcome is None else _expectations(outcome),
    }
    return json.dumps(summary, ensure_ascii=False, indent=1) + "\n"


def _counts(cells: Sequence[JudgedCell]) -> dict[str, Any]:
    return {
        "cells": len(cells),
        "statuses": _counted(cell.status.value for cell in cells),
        "findings": _counted(finding.value for cell in cells for finding in cell.findings),
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _expectations(outcome: Outcome) -> dict[str, Any]:
    named = {
        kind.value: [
            {
                "cell": name,
                "unexpected": list(verdict.unexpected),
                "fixed": list(verdict.fixed),
                "expected": list(verdict.expected),
                "reason": verdict.entry.reason if verdict.entry else "",
                "link": verdict.entry.link if verdict.entry else "",
            }
            for name, verdict in outcome.of(kind).items()
        ]
        for kind in (Kind.UNEXPECTED, Kind.FIXED)
    }
    unmatched = [{"line": lost.line, "pattern": lost.pattern, "why": lost.why} for lost in outcome.unmatched]
    counts = {kind.value: count for kind, count in outcome.counts.items()}
    return {
        "file": outcome.file,
        "strict": outcome.strict,
        "failed": outcome.failed,
        "counts": counts,
        **named,
        "unmatched": unmatched,
    }
