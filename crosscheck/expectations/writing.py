"""Writes the expectations that a run fulfils, and keeps what is still true of an older file."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crosscheck.expectations.entries import WORDS, Entry, Expectations, Grid, parts_of
from crosscheck.expectations.grouping import covering
from crosscheck.expectations.outcome import Kind, Verdict, compare, troubles
from crosscheck.expectations.reading import TABLE
from crosscheck.records import JudgedCell

__all__ = ["Written", "updated"]

HEAD = """\
# What `crosscheck run --expect FILE` expects. The last entry that matches a cell decides about it; a cell that none
# matches is expected to be clean. `crosscheck expect RUN -o FILE` keeps entries that are true, and writes the others
# anew."""
#: Longest line of a list that is written in one line.
WIDTH = 110


@dataclass(frozen=True)
class Written:
    """The text of a file, the number of its entries, of which `kept` are old ones, and the old ones not in it."""

    text: str
    entries: int
    kept: int
    replaced: tuple[Entry, ...]


def updated(cells: Sequence[JudgedCell], old: Expectations | None = None) -> Written:
    """A file that these cells fulfil.

    Old entries stay as they are if each pattern matches a cell and all cells that they decide show what they say. The
    others are replaced by new ones, with the reason of the entry that decided before and says the same.
    """
    kept = _true(cells, old)
    entries = [*kept, *_entries(cells, kept, old)]
    replaced = tuple(entry for entry in (() if old is None else old.entries) if not _among(entry, kept))
    head = HEAD if old is None else old.head.strip("\n")
    texts = [head] * bool(head) + [(entry.text or _text(entry)).strip("\n") for entry in entries]
    return Written("\n\n".join(texts) + "\n", len(entries), len(kept), replaced)


def _true(cells: Sequence[JudgedCell], old: Expectations | None) -> tuple[Entry, ...]:
    """The entries that are true; without one that is not, an earlier one may decide, and be wrong."""
    kept = () if old is None else old.entries
    while True:
        outcome = compare(cells, Expectations("", kept))
        wrong = [verdict.entry for verdict in outcome.verdicts.values() if verdict.kind is not Kind.EXPECTED]
        wrong += [lost.entry for lost in outcome.unmatched]
        left = tuple(entry for entry in kept if not _among(entry, wrong))
        if left == kept:
            return kept
        kept = left


def _among(entry: Entry, entries: Iterable[Entry | None]) -> bool:
    return any(entry is other for other in entries)


def _entries(cells: Sequence[JudgedCell], kept: tuple[Entry, ...], old: Expectations | None) -> list[Entry]:
    """Entries for the cells about which `kept` do not decide."""
    verdicts = {} if old is None else compare(cells, old).verdicts
    by_runtime: dict[str, list[JudgedCell]] = defaultdict(list)
    for cell in cells:
        by_runtime[cell.runtime].append(cell)
    entries = [entry for here in by_runtime.values() for entry in _of_runtime(here, kept, verdicts)]
    return _deciding(cells, kept, entries)


def _of_runtime(
    cells: Sequence[JudgedCell], kept: tuple[Entry, ...], verdicts: Mapping[str, Verdict]
) -> Iterator[Entry]:
    """Entries for the cells of a runtime; alike ones have the same entry, except for reasons that stood there."""
    grid = Grid(cells)
    forbidden = 0
    for entry in kept:
        for pattern in entry.cells:
            forbidden |= grid.matching(parts_of(pattern))
    alike: dict[frozenset[str], int] = defaultdict(int)
    groups: dict[tuple[frozenset[str], str, str], int] = defaultdict(int)
    measured = 0
    for number, cell in enumerate(cells):
        shown, bit = troubles(cell), 1 << number
        if shown is None:
            continue
        measured |= bit
        if shown and not forbidden & bit:
            words = frozenset(shown)
            earlier = verdicts[cell.id].entry if cell.id in verdicts else None
            said = (earlier.reason, earlier.link) if earlier and earlier.findings == words else ("", "")
            alike[words] |= bit
            groups[words, *said] |= bit
    for (words, reason, link), wanted in groups.items():
        patterns = covering(grid, wanted, (measured | forbidden) & ~alike[words])
        yield Entry(tuple(patterns), words, reason=reason, link=link)


def _deciding(cells: Sequence[JudgedCell], kept: tuple[Entry, ...], entries: Sequence[Entry]) -> list[Entry]:
    """The new entries without those that later ones override in all cells, which say the same of them."""
    unmatched = compare(cells, Expectations("", (*kept, *entries))).unmatched
    idle = [lost.entry for lost in unmatched]
    return [entry for entry in entries if not _among(entry, idle)]


def _text(entry: Entry) -> str:
    words = [word for word in WORDS if word in entry.findings]
    lines = [f"[[{TABLE}]]", f"cells = {_list(entry.cells)}", f"findings = {_list(words or ['clean'])}"]
    if entry.sometimes:
        lines.append(f"sometimes = {_list([word for word in WORDS if word in entry.sometimes])}")
    lines.append(f"reason = {_quoted(entry.reason)}")
    if entry.link:
        lines.append(f"link = {_quoted(entry.link)}")
    return "\n".join(lines)


def _list(texts: Sequence[str]) -> str:
    quoted = [_quoted(text) for text in texts]
    line = f"[{', '.join(quoted)}]"
    return line if len(line) <= WIDTH else "[\n" + "".join(f"    {text},\n" for text in quoted) + "]"


def _quoted(text: str) -> str:
    """A TOML string: as JSON's, but for DEL, which TOML escapes."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
