"""Compares what the cells of a run show with what is expected of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from crosscheck.cells import MEASURED, Finding, Status
from crosscheck.expectations.entries import ANSWERS, WORDS, Entry, Expectations, Grid, bits, parts_of
from crosscheck.records import JudgedCell

__all__ = ["Kind", "Outcome", "Unmatched", "Verdict", "compare", "troubles"]

_RANKS = {word: rank for rank, word in enumerate(WORDS)}


class Kind(StrEnum):
    """How a cell stands to what is expected of it, the most important first."""

    UNEXPECTED = "unexpected"
    FIXED = "fixed"
    EXPECTED = "expected"


@dataclass(frozen=True)
class Verdict:
    """A cell that shows something, or should.

    `unexpected` and `expected` are what it shows, `fixed` what it should show and does not; `entry` decides about it.
    """

    unexpected: tuple[str, ...]
    fixed: tuple[str, ...]
    expected: tuple[str, ...]
    entry: Entry | None

    @property
    def kind(self) -> Kind:
        """The most important kind that it has."""
        return Kind.UNEXPECTED if self.unexpected else Kind.FIXED if self.fixed else Kind.EXPECTED

    @property
    def reason(self) -> str:
        """The reason of its entry, with the link."""
        return "" if self.entry is None else " ".join(filter(None, (self.entry.reason, self.entry.link)))

    def __str__(self) -> str:
        """Write `unexpected: racy; expected: leak (it is documented)`."""
        named = ((Kind.UNEXPECTED, self.unexpected), (Kind.FIXED, self.fixed), (Kind.EXPECTED, self.expected))
        words = "; ".join(f"{kind}: {', '.join(words)}" for kind, words in named if words)
        return f"{words} ({self.reason})" if self.reason and (self.fixed or self.expected) else words


@dataclass(frozen=True)
class Unmatched:
    """A pattern of an entry that decides about no cell of the run; `why` completes "line LINE: PATTERN"."""

    entry: Entry
    pattern: str
    why: str

    @property
    def line(self) -> int:
        """Where the entry begins."""
        return self.entry.line


@dataclass(frozen=True)
class Outcome:
    """A run against a file of expectations: verdicts by cell id, in the order of the run.

    strict: whether the file has to be true in every entry, or may expect what is not there.
    """

    file: str
    verdicts: Mapping[str, Verdict]
    unmatched: tuple[Unmatched, ...]
    strict: bool = False

    @property
    def counts(self) -> dict[Kind, int]:
        """The number of cells of each kind."""
        counts = Counter(verdict.kind for verdict in self.verdicts.values())
        return {kind: counts[kind] for kind in Kind}

    def of(self, kind: Kind | str) -> dict[str, Verdict]:
        """The verdicts of a kind."""
        return {name: verdict for name, verdict in self.verdicts.items() if verdict.kind == kind}

    @property
    def failed(self) -> bool:
        """Whether something is unexpected; where `strict`, also whether an entry is not true or matches nothing."""
        counts = self.counts
        return bool(counts[Kind.UNEXPECTED] or (self.strict and (counts[Kind.FIXED] or self.unmatched)))


def troubles(cell: JudgedCell) -> tuple[str, ...] | None:
    """The findings of a cell but `clean`, and `crashed` or `refused`; None if it could not be measured."""
    if cell.status not in MEASURED and cell.status not in ANSWERS:
        return None
    answer = (cell.status.value,) if cell.status in ANSWERS else ()
    return _ordered({finding.value for finding in cell.findings if finding != Finding.CLEAN} | {*answer})


def gone(troubles_before: Collection[str], cell: JudgedCell) -> frozenset[str]:
    """Those of these troubles that the cell is known not to have: it was measured, and the judge could decide."""
    if cell.status is not Status.OK:
        return frozenset()
    missing = frozenset(troubles_before).difference(troubles(cell) or ())
    return missing if cell.findings else missing & {*ANSWERS}


def compare(cells: Sequence[JudgedCell], expectations: Expectations, strict: bool = False) -> Outcome:
    """The verdicts of the cells. One that could not be measured, or that its release does not have, has none."""
    deciding, unmatched = _deciding(Grid(cells), len(cells), expectations.entries)
    verdicts = {}
    for number, cell in enumerate(cells):
        verdict = _verdict(cell, deciding.get(number))
        if verdict is not None:
            verdicts[cell.id] = verdict
    return Outcome(expectations.file, verdicts, unmatched, strict)


def _deciding(grid: Grid, count: int, entries: Sequence[Entry]) -> tuple[dict[int, Entry], tuple[Unmatched, ...]]:
    """The last entry that matches each cell, and the patterns that decide nothing."""
    deciding: dict[int, Entry] = {}
    unmatched: list[Unmatched] = []
    undecided = (1 << count) - 1
    for entry in reversed(entries):
        matches = {pattern: grid.matching(parts_of(pattern)) for pattern in entry.cells}
        whole = 0
        for cells in matches.values():
            whole |= cells
        for number in bits(whole & undecided):
            deciding[number] = entry
        lost = [Unmatched(entry, pattern, "matches no cell") for pattern, cells in matches.items() if not cells]
        if whole and not whole & undecided:
            lost.append(Unmatched(entry, entry.cells[0], "is overridden by later entries in all its cells"))
        unmatched += reversed(lost)
        undecided &= ~whole
    return deciding, tuple(reversed(unmatched))


def _verdict(cell: JudgedCell, entry: Entry | None) -> Verdict | None:
    shown = troubles(cell)
    if shown is None:
        return None
    wanted = frozenset() if entry is None else entry.findings
    allowed = wanted | (frozenset() if entry is None else entry.sometimes)
    missing = gone(wanted, cell)
    verdict = Verdict(
        unexpected=tuple(word for word in shown if word not in allowed),
        fixed=_ordered(missing),
        expected=tuple(word for word in shown if word in allowed),
        entry=entry,
    )
    return verdict if shown or missing else None


def _ordered(words: set[str] | frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(words, key=_RANKS.__getitem__))
