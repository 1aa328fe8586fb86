"""Derives findings from observations and the oracle. Pure; every finding has its numbers and threshold."""

from crosscheck.judge.attribution import Exported, Origin, exported
from crosscheck.judge.evidence import Again, Cause, Curve, Evidence, Judgement, Outcome, Reading, Update
from crosscheck.judge.file_reference import FileTruth
from crosscheck.judge.judging import judge
from crosscheck.judge.lines import fields_of, judgement_of, line, plain
from crosscheck.judge.reference import Truth
from crosscheck.judge.schema import validate

__all__ = [
    "Again",
    "Cause",
    "Curve",
    "Evidence",
    "Exported",
    "FileTruth",
    "Judgement",
    "Origin",
    "Outcome",
    "Reading",
    "Truth",
    "Update",
    "exported",
    "fields_of",
    "judge",
    "judgement_of",
    "line",
    "plain",
    "validate",
]
