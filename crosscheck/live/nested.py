"""Inputs and outputs of models: one array, or tuples, lists and dicts of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["applied", "leaves", "mapped"]


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(place, leaf) of every leaf but None; the place of a single array is `name`, of others `name[key]`."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{name}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        for number, part in enumerate(value):
            yield from leaves(part, f"{name}[{number}]")
    elif value is not None:
        yield name, value


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same structure with `function` applied to every leaf but None."""
    if isinstance(value, Mapping):
        return {key: mapped(function, part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)([mapped(function, part) for part in value])
    return None if value is None else function(value)


def applied(model: Callable[..., Any], x: Any) -> Any:
    """The model's output for one array, a tuple of positional inputs, or a dict of named ones."""
    if isinstance(x, Mapping):
        return model(**x)
    return model(*x) if isinstance(x, tuple) else model(x)
