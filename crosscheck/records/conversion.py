"""Records as JSON types and back. NaN and infinities are "NaN", "Infinity" and "-Infinity" in JSON."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import cattrs
import numpy as np
from cattrs.cols import namedtuple_dict_structure_factory, namedtuple_dict_unstructure_factory
from cattrs.v import format_exception

from crosscheck.cells import Array, Asks, Finding, Intent, Scenario, Status
from crosscheck.records.contract import Contract
from crosscheck.records.keywords import Tensor

__all__ = ["NON_FINITE", "plain", "structured"]

Record = TypeVar("Record")

#: Most fields that a message names.
MOST = 3

#: Texts of the numbers that JSON does not have.
NON_FINITE: Mapping[str, float] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def plain(record: Any) -> dict[str, Any]:
    """A record as JSON types."""
    fields: dict[str, Any] = _converter().unstructure(record)
    return fields


def structured(fields: Mapping[str, Any], kind: type[Record]) -> Record:
    """The record that `plain` was called with. Absent fields get their defaults, unknown ones are left out.

    Raises ValueError, naming some fields, where a field has another type, or is absent and has no default.
    """
    try:
        return _converter().structure(fields, kind)
    except Exception:
        # The converter that finds out which field it was takes twice as long.
        try:
            return _converter(detailed=True).structure(fields, kind)
        except Exception as problem:
            raise ValueError("; ".join(cattrs.transform_error(problem, format_exception=_said)[:MOST])) from problem


def _said(problem: BaseException, kind: type | None) -> str:
    return str(problem) if type(problem) is ValueError else format_exception(problem, kind)


@functools.cache
def _converter(detailed: bool = False) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exactly(kind))
    for enum in (Asks, Finding, Intent, Scenario, Status):
        converter.register_structure_hook(enum, _member(enum))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    converter.register_structure_hook_func(lambda kind: kind == Tensor, lambda value, _: _tensor(value))
    converter.register_structure_hook_func(
        lambda kind: kind is Array, lambda value, _: np.asarray(_tensor(value), np.float64)
    )
    converter.register_structure_hook(Contract, namedtuple_dict_structure_factory(Contract, converter))
    converter.register_unstructure_hook(Contract, namedtuple_dict_unstructure_factory(Contract, converter))
    converter.register_unstructure_hook_func(lambda kind: kind == Tensor or kind is Array, _json)
    for numeric in (bool, int, float, list, tuple, np.generic, np.ndarray):
        converter.register_unstructure_hook(numeric, _json)
    return converter


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def read(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{value!r:.80} is not {kind.__name__}")
        return value

    return read


def _member(enum: type[StrEnum]) -> Callable[[Any, Any], StrEnum]:
    members = {member.value: member for member in enum}

    def read(value: Any, _: Any) -> StrEnum:
        try:
            return members[value]
        except KeyError:
            raise ValueError(f"{value!r:.80} is not one of {', '.join(members)}") from None

    return read


def _number(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return value
    number = NON_FINITE.get(value) if isinstance(value, str) else None
    if number is None:
        raise ValueError(f"{value!r:.80} is not a number")
    return number


def _tensor(value: Any) -> list[Any]:
    if type(value) is not list:
        raise ValueError(f"{value!r:.80} is not a list")
    return [item if type(item) is float else _tensor(item) if type(item) is list else _number(item) for item in value]


def _json(value: Any) -> Any:
    """Numbers, and nested lists of them, as JSON types."""
    match value:
        case np.ndarray():
            return _json(value.tolist())
        case list() | tuple():
            return [_json(item) for item in value]
        case bool() | np.bool_():
            return bool(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value) if math.isfinite(value) else _text(float(value))
    return value


def _text(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
