"""A run as JUnit XML: a suite for each release, a case for each cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from crosscheck.cells import Finding, Status
from crosscheck.expectations import Kind, Outcome, Verdict, troubles
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.vocabulary import finding_word, worst_first
from crosscheck.report.xml_text import xml_text

__all__ = ["junit"]

#: Rows of evidence in a case; `crosscheck explain` prints all.
EVIDENCE = 6


def junit(run: Run, cells: Iterable[JudgedCell], outcome: Outcome | None = None) -> str:
    """The document, for Jenkins and what reads the same.

    A finding is a failure; a cell that could not be measured, that crashed or was refused, is an error; one that its
    release does not have, or that is undecided, is skipped. With `outcome`, what is expected is skipped, too, and of an
    outcome that is `strict`, what is expected and not there fails.
    """
    by_target: dict[str, list[JudgedCell]] = {}
    for cell in cells:
        by_target.setdefault(cell.target, []).append(cell)
    suites = [_suite(run, target, members, outcome) for target, members in by_target.items()]
    if outcome is not None and outcome.strict and outcome.unmatched:
        suites.append(_of_entries(outcome))
    document = JUnitXml("crosscheck")
    for suite in suites:
        document.add_testsuite(suite)
    # Not `update_statistics`: it counts skipped cases of all suites, for which the root has no attribute.
    document.tests, document.failures, document.errors = (
        sum(getattr(suite, name) for suite in suites) for name in ("tests", "failures", "errors")
    )
    document.time = round(sum(suite.time for suite in suites), 3)
    text: str = document.tostring().decode()  # type: ignore[no-untyped-call]
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n"


def _suite(run: Run, target: str, cells: Sequence[JudgedCell], outcome: Outcome | None) -> TestSuite:
    suite = TestSuite(xml_text(target))
    if run.started:
        suite.timestamp = xml_text(run.started)
    first = cells[0]
    for name in ("runtime", "release", "variant"):
        suite.add_property(name, xml_text(getattr(first, name)))
    cases = []
    for cell in cells:
        case = TestCase(xml_text(cell.id), xml_text(cell.target), round(cell.seconds, 3))
        verdict = None if outcome is None else outcome.verdicts.get(cell.id)
        result = _result(cell, verdict, outcome)
        if result is not None:
            case.result = [result]
        if verdict is not None and verdict.fixed:
            case.system_out = xml_text(str(verdict))
        cases.append(case)
    suite.add_testcases(cases)
    return suite


def _result(cell: JudgedCell, verdict: Verdict | None, outcome: Outcome | None) -> FinalResult | None:
    """The result of a case; None for one that passes."""
    shown = troubles(cell)
    if shown is None:
        reason = cell.reason or ""
        if cell.status is Status.NOT_IN_RELEASE:
            return _with(Skipped, cell.status.value, reason or "not in this release")
        return _with(Error, cell.status.value, reason or cell.status.value, cell.stderr)
    if verdict is not None and verdict.kind is Kind.EXPECTED:
        return _with(Skipped, Kind.EXPECTED.value, str(verdict))
    if verdict is not None and verdict.kind is Kind.FIXED:
        strict = outcome is not None and outcome.strict
        return _with(Failure, Kind.FIXED.value, str(verdict)) if strict else None
    if not shown:
        return None if cell.findings else _with(Skipped, "undecided", cell.undecided or "undecided")
    message = ", ".join(worst_first(shown)) if verdict is None else str(verdict)
    if cell.status is not Status.OK:
        return _with(Error, cell.status.value, f"{message}: {cell.reason}" if cell.reason else message, _details(cell))
    return _with(Failure, worst_first(verdict.unexpected if verdict else shown)[0], message, _details(cell))


def _details(cell: JudgedCell) -> str:
    """What the findings mean, the numbers behind them, and the commands that show and repeat the cell."""
    meanings = [f"{name}: {finding_word(name).meaning}" for name in worst_first(cell.findings) if name != Finding.CLEAN]
    evidence = [
        f"{row.finding}: {row.what}: {row.value} (threshold {row.threshold})" for row in cell.evidence[:EVIDENCE]
    ]
    commands = [f"crosscheck explain {cell.id}", cell.reproduce]
    return "\n".join(filter(None, [*meanings, *evidence, *commands, cell.stderr]))


def _with(kind: type[FinalResult], name: str, message: str, text: str = "") -> FinalResult:
    result = kind(xml_text(" ".join(message.split())), name)
    if text:
        result.text = xml_text(text)
    return result


def _of_entries(outcome: Outcome) -> TestSuite:
    """Entries that decide nothing, which fail."""
    suite = TestSuite(xml_text(outcome.file))
    cases = []
    for lost in outcome.unmatched:
        case = TestCase(xml_text(f"line {lost.line}: {lost.pattern}"), xml_text(outcome.file), 0.0)
        case.result = [_with(Failure, "unmatched", lost.why)]
        cases.append(case)
    suite.add_testcases(cases)
    return suite
