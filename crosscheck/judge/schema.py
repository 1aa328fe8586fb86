"""Validates lines of `cells.jsonl` against their JSON Schema."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import Any

import jsonschema  # type: ignore[import-untyped]

__all__ = ["cell_schema", "validate"]


@functools.cache
def cell_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    schema: dict[str, Any] = json.loads(files(__package__).joinpath("cell.schema.json").read_text(encoding="utf-8"))
    return schema


@functools.cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(cell_schema())


def validate(line: dict[str, Any]) -> None:
    """Validate one line. Raises ValueError with the location and the violation."""
    problem = jsonschema.exceptions.best_match(_validator().iter_errors(line))
    if problem is not None:
        where = "/".join(str(part) for part in problem.absolute_path) or "the line"
        raise ValueError(f"{line.get('id', 'a line without id')}: {where}: {problem.message}")
