"""Derives findings from observations and the oracle. Pure; every finding has its numbers and threshold."""

from crosscheck.judge.file_reference import FileTruth
from crosscheck.judge.judging import costs_of, judge
from crosscheck.judge.lines import fields_of, judgement_of, line
from crosscheck.judge.reference import Truth

__all__ = [
    "FileTruth",
    "Truth",
    "costs_of",
    "fields_of",
    "judge",
    "judgement_of",
    "line",
]
