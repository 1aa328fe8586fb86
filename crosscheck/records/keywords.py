"""Types of fields with keywords of JSON Schema: what a type alone does not say of a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

__all__ = ["Class", "Count", "Keywords", "Name", "Size", "Tensor", "says"]


@dataclass(frozen=True)
class Keywords:
    """Keywords of JSON Schema (draft 2020-12) that hold for a field, in Python's spelling."""

    description: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    min_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool | None = None


def says(description: str) -> Keywords:
    """The description of a field."""
    return Keywords(description=description)


#: A text that is never empty.
Name = Annotated[str, Keywords(min_length=1)]
#: How many there are of something that is listed.
Count = Annotated[int, Keywords(minimum=1)]
#: A number or an index from 0 on.
Size = Annotated[int, Keywords(minimum=0)]
#: The number of a class.
Class = Size


@dataclass(frozen=True)
class _Nested:
    """Marks lists of numbers, or of such lists."""


#: Nested lists of numbers.
Tensor = Annotated[list[Any], _Nested()]
