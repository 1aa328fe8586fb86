"""Observations and oracle in, findings out; pure. Every finding comes with its numbers and their threshold."""

from crosscheck.judge.evidence import Curve, Evidence, Judgement, Outcome, Reading, Update
from crosscheck.judge.judging import judge
from crosscheck.judge.line import line
from crosscheck.judge.schema import validate
from crosscheck.judge.truth import Truth

__all__ = [
    "Curve",
    "Evidence",
    "Judgement",
    "Outcome",
    "Reading",
    "Truth",
    "Update",
    "judge",
    "line",
    "validate",
]
