"""A judged cell: one line of `cells.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from crosscheck.cells import Array, Asks, Finding, Intent, Scenario, Status, name_of_target
from crosscheck.records.changes import ClosedForms, Curve, Errors, Later, TensorPair, Update
from crosscheck.records.contract import UNDOCUMENTED, Contract
from crosscheck.records.evidence import Cause, Evidence, FirstLayer, Reading
from crosscheck.records.exported import Exported
from crosscheck.records.keywords import Class, Count, Keywords, Name, Tensor, says

__all__ = ["CellEnvironment", "JudgedCell", "Judgement", "Question", "rows_of"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was asked: the cell, and what is known of it before it is measured."""

    id: Annotated[Name, says("runtime@release[+variant]/mode/network/scenario")]
    runtime: Name
    release: Name
    released: Annotated[str, says("date of the release, or empty where it is not known")] = ""
    variant: Annotated[Name, says("plain for a release as it is installed")]
    mode: Name
    intent: Intent
    asks: Asks
    network: Name
    scenario: Scenario
    call: Annotated[str, says("the mode as a user would write it")] = ""
    default_call: Annotated[bool, says("whether users get this mode who say nothing about modes")] = False
    contract: Contract = UNDOCUMENTED

    @property
    def target(self) -> str:
        """The name of runtime, release and variant."""
        return name_of_target(self.runtime, self.release, self.variant)

    @property
    def across_releases(self) -> tuple[str, ...]:
        """What the same questions of other releases have in common."""
        return self.runtime, self.variant, self.mode, self.network, self.scenario

    @property
    def anchor(self) -> str:
        """The cell's id as an HTML id: white space, which HTML ids cannot contain, becomes `_`."""
        return "_".join(self.id.split())


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the judge says of a cell."""

    status: Status
    reason: str | None = None
    undecided: Annotated[
        str | None, says("why the cell shows neither that the call is right and changes nothing, nor the contrary")
    ] = None
    findings: Annotated[tuple[Finding, ...], Keywords(unique_items=True)] = ()
    evidence: tuple[Evidence, ...] = ()
    contradicts: Annotated[
        bool | None,
        says("something changed though the contract says that it stays, or nothing moved though it says move"),
    ] = None
    trials: tuple[Reading, ...] = ()
    prediction_before: Array | None = None
    prediction_after: Array | None = None
    top1_before: list[Class] | None = None
    top1_after: list[Class] | None = None
    gradient: Tensor | None = None
    closed_forms: Annotated[
        ClosedForms | None, says("what the gradient should be, where it is small enough to stand here")
    ] = None
    gradient_error: Errors | None = None
    later: Later | None = None
    state_changes: Mapping[str, float] = field(default_factory=dict)
    tensors: Annotated[Mapping[str, TensorPair], says("small persistent tensors")] = field(default_factory=dict)
    update: Update | None = None
    public_view: Literal["shows", "hides"] | None = None
    curve: Curve | None = None
    first_layer: FirstLayer | None = None
    cause: Annotated[Cause | None, says("the node at fault for one of the findings")] = None
    seconds: Annotated[float, Keywords(minimum=0)] = 0.0
    peak_bytes: Annotated[int, Keywords(minimum=0), says("the largest resident memory of a trial")] = 0
    stderr: str = ""
    omitted: Annotated[
        Mapping[str, Count],
        says("entries that are left out of long fields, by field: the smallest ones, or a large prediction as a whole"),
    ] = field(default_factory=dict)


def rows_of(prediction: Array) -> list[list[float]]:
    """The numbers of each row of the batch; predictions may have more than two axes."""
    rows: list[list[float]] = prediction.reshape(len(prediction), -1).tolist() if prediction.size else []
    return rows


@dataclass(frozen=True)
class CellEnvironment:
    """The trials' environment."""

    python: str = ""
    lock: Annotated[str, says("the file in the runtime's folder of locks")] = ""
    packages: Annotated[Mapping[str, str], says("what is installed, by name")] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    sources: Annotated[str, says("the digest of the texts that were executed")] = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedCell(Judgement, Question):
    """A judged cell: one line of crosscheck's cells.jsonl."""

    environment: CellEnvironment = CellEnvironment()
    arrays: Annotated[str | None, says("the .npz of the cell's arrays, relative to the output folder")] = None
    exported: Exported | None = None
    reproduce: Annotated[Name, says("the command that measures this cell")] = ""
