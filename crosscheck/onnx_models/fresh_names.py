"""New names beside those that a model has, in a time that does not depend on how many of one kind there are."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["FreshNames"]


class FreshNames:
    """Names that are taken, and new ones. joint: stands between a name and the number that tells it from others."""

    def __init__(self, taken: Iterable[str] = (), joint: str = ".") -> None:
        self._taken = set(taken)
        self._joint = joint
        self._numbers: dict[str, int] = {}

    def of(self, base: str) -> str:
        """`base`, with the lowest number from 2 on that is free if it is taken; it is taken from then on."""
        name, number = base, self._numbers.get(base, 2)
        while name in self._taken:
            name, number = f"{base}{self._joint}{number}", number + 1
        self._numbers[base] = number
        self._taken.add(name)
        return name
