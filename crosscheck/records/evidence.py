"""Why a cell has its findings: numbers with their thresholds, the outcomes of trials, and the node at fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from crosscheck.cells import Finding
from crosscheck.records.keywords import Count, Name, says

__all__ = ["Again", "Cause", "Evidence", "FirstLayer", "Outcome", "Reading"]


@dataclass(frozen=True)
class Evidence:
    """The evidence of a finding: the number, the threshold it exceeds (`clean`: meets), and the threshold's reason.

    value, threshold: None for an event without a number (a runtime's exception).
    """

    finding: Finding
    what: Name
    value: float | None
    threshold: float | None
    why: Name
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """The number of trials of a reading with the same outcome, and its description."""

    count: Count
    what: str


@dataclass(frozen=True)
class Reading:
    """The distribution of a reading's trials over statuses and over distinct outcomes (the most frequent first)."""

    reading: str
    count: Count
    statuses: Mapping[str, Count]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class FirstLayer:
    """The first node whose output differs from the oracle's: name, operator, tensor, relative error."""

    node: str
    op: str
    tensor: str
    error: float


@dataclass(frozen=True)
class Again:
    """The same question on a network without the operator at fault, and what it shows there."""

    network: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Cause:
    """The node at fault for a finding: name, operator and attributes.

    again: the question asked again, where the operator is not batch normalization and the network has some.
    """

    finding: Finding
    node: str
    op: str
    attributes: Mapping[str, Any]
    by: Annotated[str, says("how it was found")]
    first: Annotated[bool, says("whether the first node alone is wrong: the operator may not matter then")] = False
    again: Again | None = None
