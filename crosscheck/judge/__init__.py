"""Observations and oracle in, findings out; pure. Every finding comes with its numbers and their threshold."""

from crosscheck.judge.evidence import Curve, Evidence, Judgement, Outcome, Reading, Update
from crosscheck.judge.files import FileTruth
from crosscheck.judge.judging import judge
from crosscheck.judge.line import line
from crosscheck.judge.road import Exported, Origin, exported
from crosscheck.judge.schema import validate
from crosscheck.judge.truth import Truth

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
    "validate",
]
