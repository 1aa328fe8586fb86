"""Writes a cell and its judgement as a line of `cells.jsonl`: strict JSON that conforms to `cell.schema.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from crosscheck.cells import Cell
from crosscheck.judge.attribution import Exported
from crosscheck.judge.cuts import cut
from crosscheck.judge.evidence import Judgement
from crosscheck.runtimes.mode import Mode

__all__ = ["SCHEMA", "line"]

SCHEMA = 1


def line(
    cell: Cell,
    mode: Mode,
    judgement: Judgement,
    *,
    released: str,
    default_call: bool = False,
    environment: Mapping[str, Any],
    reproduce: str,
    call: str = "",
    arrays: str | None = None,
    exported: Exported | None = None,
) -> dict[str, Any]:
    """The line as JSON types; NaN and infinities are the strings "NaN", "Infinity" and "-Infinity".

    Long lists are cut, and `omitted` counts what is left out.

    released: the release's date or "". default_call: whether the mode is the runtime's default.
    environment: {"python", "lock", "packages", "variables"}. reproduce: the command that runs only this cell.
    call: the displayed text of the mode, by default the mode's own. arrays: the .npz
    with the cell's arrays, relative to the output folder. exported: facts of the file it wrote or read, if any.
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
        "scenario": cell.scenario,
        "call": call or mode.in_release(cell.release).call,
        "default_call": default_call,
        "contract": mode.contract._asdict(),
    }
    file = None if exported is None else asdict(exported)
    shorter, omitted = cut(judgement)
    rest = {
        "omitted": omitted,
        "environment": dict(environment),
        "arrays": arrays,
        "exported": file,
        "reproduce": reproduce,
    }
    plain: dict[str, Any] = _json({**about, **asdict(shorter), **rest})
    return plain


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
