"""Everything that crosscheck stores, defined once: a judged cell with its parts, and a run."""

from crosscheck.records.changes import ClosedForms, Curve, Errors, Flip, Later, TensorPair, Update
from crosscheck.records.contract import Contract
from crosscheck.records.evidence import Again, Cause, Evidence, FirstLayer, Outcome, Reading
from crosscheck.records.exported import Exported, Trip
from crosscheck.records.judged_cell import CellEnvironment, JudgedCell, Judgement, Question, rows_of

__all__ = [
    "Again",
    "Cause",
    "CellEnvironment",
    "ClosedForms",
    "Contract",
    "Curve",
    "Errors",
    "Evidence",
    "Exported",
    "FirstLayer",
    "Flip",
    "JudgedCell",
    "Judgement",
    "Later",
    "Outcome",
    "Question",
    "Reading",
    "TensorPair",
    "Trip",
    "Update",
    "rows_of",
]
