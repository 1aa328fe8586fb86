"""Entries of an `expect.toml`, and which cells their patterns match."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from crosscheck.cells import Finding, Status
from crosscheck.records import JudgedCell

__all__ = ["ANSWERS", "PARTS", "WORDS", "Entry", "Expectations", "Grid", "bits", "parts_of"]

#: The statuses that a runtime brings about itself; they are expected like findings. Others are failures to measure.
ANSWERS = (Status.CRASHED.value, Status.REFUSED.value)
#: What an entry can name.
WORDS = (*(finding.value for finding in Finding), *ANSWERS)
#: The parts of a pattern, as in a cell's id.
PARTS = ("runtime@release+variant", "mode", "network", "scenario")


@dataclass(frozen=True)
class Entry:
    """Cells, and what they show.

    cells: patterns, `runtime@release+variant/mode/network/scenario`, a glob for each part; parts left out at the end
    match all. findings: shown by all of these cells; none for clean ones. sometimes: shown by chance. line: where the
    entry begins in its file, from 1. text: the entry as it stands there, with the comments above it.
    """

    cells: tuple[str, ...]
    findings: frozenset[str]
    sometimes: frozenset[str] = frozenset()
    reason: str = ""
    link: str = ""
    line: int = 0
    text: str = ""


@dataclass(frozen=True)
class Expectations:
    """The entries of a file, of which the last one that matches a cell decides. head: the text before the first."""

    file: str
    entries: tuple[Entry, ...]
    head: str = ""


class Grid:
    """Numbers the cells of a run; a set of cells is an integer with a bit for each."""

    def __init__(self, cells: Sequence[JudgedCell]) -> None:
        self.coordinates = [(cell.target, cell.mode, cell.network, cell.scenario.value) for cell in cells]
        places: list[dict[str, int]] = [defaultdict(int) for _ in PARTS]
        for number, coordinates in enumerate(self.coordinates):
            for place, name in zip(places, coordinates, strict=True):
                place[name] |= 1 << number
        self._places = places
        self.part = functools.cache(self._part)

    def _part(self, at: int, glob: str) -> int:
        """The cells whose part number `at` matches."""
        return functools.reduce(
            operator.or_, (cells for name, cells in self._places[at].items() if fnmatchcase(name, glob)), 0
        )

    def matching(self, parts: Iterable[str]) -> int:
        """The cells that match every part of a pattern."""
        return functools.reduce(operator.and_, (self.part(at, glob) for at, glob in enumerate(parts)))


def parts_of(pattern: str) -> tuple[str, ...]:
    """The globs of a pattern, without those that it leaves out. Raises ValueError for a pattern that is none."""
    parts = tuple(pattern.split("/"))
    if len(parts) > len(PARTS) or not all(parts):
        raise ValueError(f"'{pattern}' is no pattern of cells, {'/'.join(PARTS)}")
    return parts


def bits(cells: int) -> Iterator[int]:
    """The numbers of the cells of a set."""
    while cells:
        lowest = cells & -cells
        yield lowest.bit_length() - 1
        cells ^= lowest
