"""Which places of a sequence to ask next, so that every change between two asked places is found.

Between two neighbouring places with different outcomes the middle is asked, and so on: O(log n) questions a change. A
change back and forth between two places with the same outcome is not seen; `anchors` are places that are asked anyway.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Border", "Search"]


@dataclass(frozen=True)
class Border:
    """Neighbouring places with different outcomes: without the property, or with it, up to `before`.

    begins: whether the property holds at `after`. unknown: the places in between, none of which could be measured.
    """

    before: int
    after: int
    begins: bool
    unknown: tuple[int, ...]


@dataclass
class Search:
    """The search along places 0 to `count` - 1.

    outcomes: place -> whether the property holds there; None if that could not be measured. confirmed: places whose
    outcome was confirmed by further trials.
    """

    count: int
    anchors: frozenset[int] = frozenset()
    outcomes: dict[int, bool | None] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)

    def wanted(self) -> set[int]:
        """The places to ask next; none if all changes between asked places are found."""
        unasked = {place for place in self.anchors if place not in self.outcomes} | {
            place for place in (self._end(range(self.count)), self._end(range(self.count - 1, -1, -1))) if place >= 0
        }
        if unasked:
            return unasked
        return {
            min(between, key=lambda place: abs(2 * place - before - after))
            for before, after in self._changes()
            if (between := [place for place in range(before + 1, after) if place not in self.outcomes])
        }

    def unconfirmed(self) -> set[int]:
        """Measured places beside a border, and measured anchors, that were not confirmed."""
        beside = {place for border in self.borders() for place in (border.before, border.after)}
        measured = {place for place in self.anchors if self.outcomes.get(place) is not None}
        return (beside | measured) - self.confirmed

    def borders(self) -> list[Border]:
        """The changes between neighbouring measured places, in order."""
        return [
            Border(before, after, bool(self.outcomes[after]), tuple(range(before + 1, after)))
            for before, after in self._changes()
        ]

    @property
    def measured(self) -> list[int]:
        """The places with an outcome, in order."""
        return sorted(place for place, outcome in self.outcomes.items() if outcome is not None)

    def _changes(self) -> Iterable[tuple[int, int]]:
        return (
            (before, after)
            for before, after in itertools.pairwise(self.measured)
            if self.outcomes[before] != self.outcomes[after]
        )

    def _end(self, places: Iterable[int]) -> int:
        """The first of these places that is not asked, if all before it could not be measured; else -1."""
        for place in places:
            if place not in self.outcomes:
                return place
            if self.outcomes[place] is not None:
                return -1
        return -1
