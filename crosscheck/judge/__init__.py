"""Derives findings from observations and the oracle. Pure; every finding has its numbers and threshold."""

from crosscheck.judge.attribution import Exported, Origin, exported
from crosscheck.judge.evidence import Curve, Evidence, Judgement, Outcome, Reading, Update
from crosscheck.judge.file_reference import FileTruth
from crosscheck.judge.judging import judge
from crosscheck.judge.lines import line
from crosscheck.judge.reference import Truth
from crosscheck.judge.schema import validate
from crosscheck.judge.settings import told

__all__ = [
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
    "judge",
    "line",
    "told",
    "validate",
]
