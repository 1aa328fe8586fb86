"""A run as SARIF 2.1.0: a rule for each finding, a result for each finding of a cell."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from crosscheck.cells import Finding, Status
from crosscheck.expectations import Kind, Outcome, Verdict, gone, troubles
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.cell_diff import different_numbers
from crosscheck.report.results import Results
from crosscheck.report.vocabulary import FINDINGS, Word, finding_word, status_word

__all__ = ["sarif"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: What is a result beside findings: the runtime's own answers.
_ANSWERS = (Status.CRASHED, Status.REFUSED)
#: The tone of a finding -> its level. "written": no number is wrong yet.
_LEVELS = {"broken": "error", "leak": "error", "wrong": "error", "order": "error", "written": "warning"}
_ANSWER_LEVELS = {Status.CRASHED: "error", Status.REFUSED: "note"}
#: Kind -> state where the baseline is the file of expectations.
_STATES = {Kind.UNEXPECTED: "new", Kind.EXPECTED: "unchanged", Kind.FIXED: "absent"}
#: Version of what a fingerprint is made of.
FINGERPRINT = "crosscheck/v1"


def sarif(run: Run, cells: Sequence[JudgedCell], outcome: Outcome | None = None, against: Results | None = None) -> str:
    """The document.

    The baseline is an earlier run, `against`: a result is `updated` if numbers of its cell differ, and `absent` if the
    cell is known not to have the finding any more. Without one, it is what is expected by `outcome`. What is expected
    is suppressed, with the reason, in both cases.

    A result lies in the file of its network: relative to a checkout of crosscheck for a network that ships with it, to
    the folder of the run for one that a runtime exported, else as the user named it. Cells that could not be measured
    are notifications.
    """
    rules = [_rule(word, _LEVELS[word.tone]) for word in FINDINGS if word.name != Finding.CLEAN]
    rules += [_rule(status_word(name), level) for name, level in _ANSWER_LEVELS.items()]
    places = {rule["id"]: number for number, rule in enumerate(rules)}
    notifications = [_notification(cell) for cell in cells if _failed(cell)]
    invocation = {
        "executionSuccessful": not notifications,
        "toolExecutionNotifications": notifications,
        **({"commandLine": shlex.join(run.command)} if run.command else {}),
    }
    if against is None:
        found = [result for cell in cells for result in _results(run, cell, outcome)]
    else:
        earlier = {cell.id: cell for cell in against.cells}
        found = [
            result for cell in cells for result in _results_since(run, cell, outcome, against.run, earlier.get(cell.id))
        ]
    results = [
        {**result, "ruleIndex": places[result["ruleId"]]} if result["ruleId"] in places else result for result in found
    ]
    driver = {"name": "crosscheck", "rules": rules, **({"version": run.crosscheck} if run.crosscheck else {})}
    runs = [{"tool": {"driver": driver}, "invocations": [invocation], "results": results}]
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": runs}, ensure_ascii=False, indent=1) + "\n"


def _rule(word: Word, level: str) -> dict[str, Any]:
    text = {"text": _sentence(word)}
    return {
        "id": word.name,
        "name": word.name,
        "shortDescription": text,
        "help": text,
        "defaultConfiguration": {"level": level},
    }


def _results(run: Run, cell: JudgedCell, outcome: Outcome | None) -> Iterator[dict[str, Any]]:
    verdict = None if outcome is None else outcome.verdicts.get(cell.id)
    if verdict is None:
        for name in troubles(cell) or ():
            yield _result(run, cell, name)
        return
    for kind, names in (
        (Kind.UNEXPECTED, verdict.unexpected),
        (Kind.EXPECTED, verdict.expected),
        (Kind.FIXED, verdict.fixed),
    ):
        for name in names:
            result = {**_result(run, cell, name), "baselineState": _STATES[kind]}
            if kind is Kind.EXPECTED:
                result["suppressions"] = [_suppression(verdict)]
            yield result


def _results_since(
    run: Run, cell: JudgedCell, outcome: Outcome | None, other: Run, before: JudgedCell | None
) -> Iterator[dict[str, Any]]:
    """The results of a cell, with their states since an earlier run, `other`, in which it was `before`.

    Findings of cells that only the earlier run has, or that could not be measured or decided, have no result: nobody
    knows whether they are gone.
    """
    verdict = None if outcome is None else outcome.verdicts.get(cell.id)
    had = () if before is None else troubles(before) or ()
    for name in troubles(cell) or ():
        result = {**_result(run, cell, name), "baselineState": "new"}
        if before is not None and name in had:
            differs = different_numbers(before, cell)
            same = not differs and before.status == cell.status
            result["baselineState"] = "unchanged" if same else "updated"
            if differs:
                result["properties"] = {"differs": differs}
        if verdict is not None and name in verdict.expected:
            result["suppressions"] = [_suppression(verdict)]
        yield result
    if before is not None:
        absent = gone(had, cell)
        yield from ({**_result(other, before, name), "baselineState": "absent"} for name in had if name in absent)


def _result(run: Run, cell: JudgedCell, name: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{cell.id} {name}".encode(errors="replace")).hexdigest()
    word = status_word(name) if name in _ANSWERS else finding_word(name)
    said = cell.reason if name in _ANSWERS else next((row.what for row in cell.evidence if row.finding == name), "")
    level = _ANSWER_LEVELS[Status(name)] if name in _ANSWERS else _LEVELS[word.tone]
    return {
        "ruleId": name,
        "level": level,
        # What all results of a rule have in common comes first: viewers group by it.
        "message": {
            "text": f"{_sentence(word)[:-1]}{': ' if said else ''}{said or ''}; `crosscheck explain {cell.id}`"
        },
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _file(run, cell)},
                    # The file is binary; code scanning of GitHub shows no result without a line.
                    "region": {"startLine": 1},
                },
                "logicalLocations": [{"fullyQualifiedName": cell.id, "kind": "cell"}],
            }
        ],
        "fingerprints": {FINGERPRINT: digest},
        # The only one that code scanning of GitHub reads: without it, results of one file and rule count as one.
        "partialFingerprints": {"primaryLocationLineHash": digest},
    }


def _sentence(word: Word) -> str:
    return f"{word.meaning[:1].upper()}{word.meaning[1:]}."


def _suppression(verdict: Verdict) -> dict[str, Any]:
    return {"kind": "external", **({"justification": verdict.reason} if verdict.reason else {})}


def _file(run: Run, cell: JudgedCell) -> str:
    """The reference to the file of the cell's network."""
    facts = run.networks.get(cell.network)
    if facts is not None and facts.file is not None:
        words = (word for word in run.command if PurePath(word).name == facts.file.file)
        path = next(words, facts.file.file)
    elif cell.exported is not None and cell.exported.file and cell.exported.network == cell.network:
        path = cell.exported.file
    else:
        path = f"models/{cell.network}/network.onnx"
    return ("file://" if path.startswith("/") else "") + quote(path, errors="replace")


def _failed(cell: JudgedCell) -> bool:
    return troubles(cell) is None and cell.status is not Status.NOT_IN_RELEASE


def _notification(cell: JudgedCell) -> dict[str, Any]:
    return {
        "level": "error",
        "descriptor": {"id": cell.status.value},
        "message": {"text": f"{cell.id}: {cell.status}{f': {cell.reason}' if cell.reason else ''}"},
    }
