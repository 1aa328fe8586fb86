"""The JSON Schema of a line of `cells.jsonl`, made from the dataclasses, and the check of a line against it.

`python -m crosscheck.records.schema` prints it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import types
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import jsonschema  # type: ignore[import-untyped]

from crosscheck.cells import Array, Finding, Status
from crosscheck.records.judged_cell import JudgedCell
from crosscheck.records.keywords import Keywords, Tensor
from crosscheck.records.versions import CELL_SCHEMA

__all__ = ["cell_schema", "validate"]

#: A number, or the text of one that JSON does not have. A pattern is about texts alone.
_NUMBER: Mapping[str, Any] = {"type": ["number", "string"], "pattern": "^(NaN|-?Infinity)$"}
_SCALARS: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: _NUMBER,
    Any: {},
}
#: What holds between fields: `clean` stands alone, and only what was measured has findings.
_RULES: Mapping[str, Any] = {
    "allOf": [
        {
            "if": {"properties": {"findings": {"contains": {"const": Finding.CLEAN.value}}}},
            "then": {"properties": {"findings": {"maxItems": 1}}},
        },
        {
            "if": {"properties": {"status": {"enum": [Status.OK.value, Status.CRASHED.value]}}},
            "else": {"properties": {"findings": {"maxItems": 0}, "evidence": {"maxItems": 0}}},
        },
    ]
}


def validate(line: dict[str, Any]) -> None:
    """Validate one line. Raises ValueError with the location and the violation."""
    problem = jsonschema.exceptions.best_match(_validator().iter_errors(line))
    if problem is not None:
        where = "/".join(str(part) for part in problem.absolute_path) or "the line"
        raise ValueError(f"{line.get('id', 'a line without id')}: {where}: {problem.message}")


@functools.cache
def cell_schema() -> dict[str, Any]:
    """The schema, draft 2020-12. A line that is written has every field, defaults included."""
    definitions: dict[str, Any] = {}
    line = _object(JudgedCell, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": inspect.getdoc(JudgedCell),
        **line,
        "required": ["schema", *line["required"]],
        "properties": {"schema": {"const": CELL_SCHEMA}, **line["properties"]},
        **_RULES,
        "$defs": definitions,
    }


@functools.cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(cell_schema())


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a dataclass or a named tuple."""
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else kind._fields
    return {
        "description": inspect.getdoc(kind),
        "type": "object",
        "required": list(names),
        "additionalProperties": False,
        "properties": {name: _schema(hints[name], definitions) for name in names},
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; `definitions` takes those of dataclasses and named tuples by name."""
    if kind == Tensor or kind is Array:
        definitions["numbers"] = {
            "type": ["number", "string", "array"],
            "pattern": _NUMBER["pattern"],
            "items": {"$ref": "#/$defs/numbers"},
        }
        return {"type": "array", "items": {"$ref": "#/$defs/numbers"}}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        schema = _schema(arguments[0], definitions)
        for keywords in arguments[1:]:
            schema = {**schema, **_keywords(keywords)}
        if schema.get("pattern") == _NUMBER["pattern"] and schema.keys() & {"minimum", "maximum"}:
            del schema["pattern"]  # a number with bounds is finite
            schema["type"] = "number"
        return schema
    if origin in (Union, types.UnionType):
        (some,) = [argument for argument in arguments if argument is not type(None)]
        return _or_null(_schema(some, definitions))
    if origin is Literal:
        return {"enum": list(arguments)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = (
            {"enum": [member.value for member in kind]} if issubclass(kind, StrEnum) else _object(kind, definitions)
        )
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        return {**schema, "type": [*names, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _keywords(keywords: Keywords) -> dict[str, Any]:
    """Keywords in JSON Schema's spelling."""
    values = {name: value for name, value in dataclasses.asdict(keywords).items() if value is not None}
    camel = {name: name.title().replace("_", "") for name in values}
    return {camel[name][0].lower() + camel[name][1:]: value for name, value in values.items()}


if __name__ == "__main__":
    print(json.dumps(cell_schema(), indent=2))
