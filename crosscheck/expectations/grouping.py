"""Covers a set of cells by few patterns that match none of the others."""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Iterator

from crosscheck.expectations.entries import Grid, bits

__all__ = ["covering"]

#: What ends a part of a name: globs stand for whole parts, as in `gluon.*` and `*.eval.default`.
_BREAKS = re.compile("[.-]")
#: Signs that have a meaning in patterns.
_SPECIAL = re.compile(r"[*?\[/]")


def covering(grid: Grid, wanted: int, others: int) -> list[str]:
    """Patterns that together match all cells of `wanted`, and none of `others`; in the order of their first cells.

    The one that matches most is taken first (a greedy set cover); of those that match the same, the most literal.
    """
    candidates: dict[tuple[str, ...], None] = {}
    for number in bits(wanted):
        target, *names = grid.coordinates[number]
        choices = [list(_targets(target)), *(list(_globs(name)) for name in names)]
        for pattern in itertools.product(*choices):
            candidates.setdefault(pattern, None)
    heap = []
    for pattern in candidates:
        cells = grid.matching(pattern)
        if not cells & others:
            heap.append((-(cells & wanted).bit_count(), _vagueness(pattern), pattern, cells & wanted))
    heapq.heapify(heap)
    left, chosen = wanted, []
    while left:
        count, vagueness, pattern, cells = heapq.heappop(heap)
        now = (cells & left).bit_count()
        if now == -count:
            chosen.append((pattern, cells))
            left &= ~cells
        elif now:
            heapq.heappush(heap, (-now, vagueness, pattern, cells))
    return [_written(pattern) for pattern, _ in sorted(_needed(chosen), key=lambda item: item[1] & -item[1])]


def _needed(chosen: list[tuple[tuple[str, ...], int]]) -> list[tuple[tuple[str, ...], int]]:
    """The patterns without those of which others match all cells."""
    needed = list(chosen)
    for item in chosen:
        rest = 0
        for other in needed:
            rest |= other[1] if other is not item else 0
        if not item[1] & ~rest:
            needed.remove(item)
    return needed


def _targets(target: str) -> Iterator[str]:
    """The release itself, all that begin as its version, and all of the runtime; in the same variant."""
    runtime, _, rest = target.partition("@")
    release, plus, variant = rest.partition("+")
    runtime, variant = _literal(runtime), plus + _literal(variant)
    yield f"{runtime}@{_literal(release)}{variant}"
    for place in _BREAKS.finditer(release):
        yield f"{runtime}@{_literal(release[: place.end()])}*{variant}"
    yield f"{runtime}@*{variant}"


def _globs(name: str) -> Iterator[str]:
    """The name, and globs that keep its beginning or its end."""
    yield _literal(name)
    yield _literal(name) + "*"
    for place in _BREAKS.finditer(name):
        yield _literal(name[: place.end()]) + "*"
        yield "*" + _literal(name[place.start() :])
    yield "*"


def _literal(text: str) -> str:
    return _SPECIAL.sub(lambda sign: "?" if sign[0] == "/" else f"[{sign[0]}]", text)


def _vagueness(pattern: tuple[str, ...]) -> tuple[int, int]:
    return sum("*" in part for part in pattern), -sum(map(len, pattern))


def _written(pattern: tuple[str, ...]) -> str:
    return "/".join(pattern)
