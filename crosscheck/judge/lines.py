"""Writes a cell and its judgement as a line of `cells.jsonl`: strict JSON that conforms to `cell.schema.json`."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import cattrs
import numpy as np

from crosscheck.cells import Array, Cell
from crosscheck.judge.attribution import Exported
from crosscheck.judge.cuts import cut
from crosscheck.judge.evidence import Judgement
from crosscheck.runtimes.mode import Mode

__all__ = ["SCHEMA", "fields_of", "judgement_of", "line", "plain"]

SCHEMA = 1
OMITTED = "omitted"


def fields_of(judgement: Judgement) -> dict[str, Any]:
    """The fields of a line that the judge fills, as JSON types; NaN and infinities are "NaN", "Infinity", "-Infinity".

    Long lists are cut, and `omitted` counts what is left out.
    """
    shorter, omitted = cut(judgement)
    return {**plain(shorter), OMITTED: omitted}


def judgement_of(fields: Mapping[str, Any]) -> Judgement:
    """The judgement, with short lists, that `fields_of` wrote."""
    return _converter().structure(fields, Judgement)


def line(
    cell: Cell,
    mode: Mode,
    fields: Mapping[str, Any],
    *,
    released: str,
    default_call: bool = False,
    environment: Mapping[str, Any],
    reproduce: str,
    call: str = "",
    arrays: str | None = None,
    exported: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The line of a cell as JSON types.

    fields: what `fields_of` wrote. released: the release's date or "". default_call: whether the mode is the runtime's
    default. environment: {"python", "lock", "packages", "variables"}. reproduce: the command that runs only this cell.
    call: the displayed text of the mode, by default the mode's own. arrays: the .npz with the cell's arrays, relative
    to the output folder. exported: facts of the file it wrote or read (`plain` of an `Exported`), if any.
    """
    about = {
        "schema": SCHEMA,
        "id": cell.id,
        "runtime": cell.runtime,
        "release": cell.release,
        "released": released,
        "variant": cell.variant,
        "mode": cell.mode,
        "intent": mode.intent,
        "asks": mode.asks,
        "network": cell.network,
        "scenario": cell.scenario.value,
        "call": call or mode.in_release(cell.release).call,
        "default_call": default_call,
        "contract": mode.contract._asdict(),
    }
    rest = {"environment": _json(environment), "arrays": arrays, "exported": exported, "reproduce": reproduce}
    return {**about, **fields, **rest}


def plain(facts: Judgement | Exported) -> dict[str, Any]:
    """A record of the judge as JSON types, like those of `fields_of`."""
    fields: dict[str, Any] = _json(asdict(facts))
    return fields


@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook_func(lambda kind: kind is Array, lambda value, _: np.asarray(value, np.float64))
    return converter


def _json(value: Any) -> Any:
    """Convert to JSON types recursively."""
    match value:
        case Mapping():
            return {str(key): _json(item) for key, item in value.items()}
        case np.ndarray():
            return _json(value.tolist())
        case list() | tuple():
            return [_json(item) for item in value]
        case bool() | np.bool_():
            return bool(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return _number(float(value))
        case str():
            return str(value)
    return value


def _number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
