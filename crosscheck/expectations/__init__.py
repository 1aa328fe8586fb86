"""What the owner of a job expects of its cells: `expect.toml`, beside the measurement and never an input to it."""

from crosscheck.expectations.entries import Entry, Expectations, parts_of
from crosscheck.expectations.outcome import Kind, Outcome, Unmatched, Verdict, compare, gone, troubles
from crosscheck.expectations.reading import read_expectations
from crosscheck.expectations.writing import updated

__all__ = [
    "Entry",
    "Expectations",
    "Kind",
    "Outcome",
    "Unmatched",
    "Verdict",
    "compare",
    "gone",
    "parts_of",
    "read_expectations",
    "troubles",
    "updated",
]
