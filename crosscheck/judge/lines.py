"""Writes a cell and its judgement as a line of `cells.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosscheck.cells import Asks, Cell, Intent
from crosscheck.judge.cuts import cut
from crosscheck.records import CellEnvironment, Judgement, Question
from crosscheck.records.conversion import plain, structured
from crosscheck.records.versions import CELL_SCHEMA
from crosscheck.runtimes.mode import Mode

__all__ = ["fields_of", "judgement_of", "line"]


def fields_of(judgement: Judgement) -> dict[str, Any]:
    """The fields of a line that the judge fills, as JSON types. Long lists are cut."""
    return plain(cut(judgement))


def judgement_of(fields: Mapping[str, Any]) -> Judgement:
    """The judgement, with short lists, that `fields_of` wrote."""
    return structured(fields, Judgement)


def line(
    cell: Cell,
    mode: Mode,
    fields: Mapping[str, Any],
    *,
    released: str,
    default_call: bool = False,
    environment: CellEnvironment,
    reproduce: str,
    call: str = "",
    arrays: str | None = None,
    exported: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The line of a cell as JSON types: the fields of a `JudgedCell`, and the version of the file.

    fields: what `fields_of` wrote. released: the release's date or "". default_call: whether the mode is the runtime's
    default. environment: of the trials. reproduce: the command that runs only this cell. call: the
    displayed text of the mode, by default the mode's own. arrays: the .npz with the cell's arrays, relative to the
    output folder. exported: the fields of an `Exported`, if the cell wrote or read a file.
    """
    question = Question(
        id=cell.id,
        runtime=cell.runtime,
        release=cell.release,
        released=released,
        variant=cell.variant,
        mode=cell.mode,
        intent=Intent(mode.intent),
        asks=Asks(mode.asks),
        network=cell.network,
        scenario=cell.scenario,
        call=call or mode.in_release(cell.release).call,
        default_call=default_call,
        contract=mode.contract,
    )
    rest = {
        "environment": plain(environment),
        "arrays": arrays,
        "exported": exported,
        "reproduce": reproduce,
    }
    return {"schema": CELL_SCHEMA, **plain(question), **fields, **rest}
