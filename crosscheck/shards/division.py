"""Divides the cells of a plan into shards of about the same duration."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from crosscheck.cells import Asks
from crosscheck.errors import UsageError
from crosscheck.exchange import readers
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.selection import Target
from crosscheck.shards.times import Times

__all__ = ["Division", "Shard", "Unit", "balanced", "divided"]

#: Seconds to make an environment, per MB of it: packages come with some 20 MB a second, unpacking included.
MAKING = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """One of several parts of a job, numbered from 1."""

    number: int
    count: int

    @classmethod
    def parsed(cls, text: str) -> Shard:
        """From `3/8`. Raises UsageError."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if match is None:
            raise UsageError(f"--shard takes a number and a count, as in 3/8; not '{text}'.")
        shard = cls(int(match[1]), int(match[2]))
        if not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard {text}: there is no shard {shard.number} of {shard.count}; the first is 1.")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Unit:
    """What is never divided.

    name: for a fixed order. seconds: of its trials. needs: what must be done once in each shard that has the unit, such
    as an environment -> seconds.
    """

    name: str
    seconds: float
    needs: Mapping[str, float] = field(default_factory=dict)


def balanced(units: Iterable[Unit], count: int) -> list[list[Unit]]:
    """At most `count` parts, none of them empty: the longest unit first, each to the part that ends first with it.

    A part that already has what the unit needs comes before one that ends earlier, unless it gets more than an equal
    share of the whole. Without `needs`, no part takes longer than 4/3 - 1/(3 count) of the longest part of the best
    division (R. L. Graham, Bounds on multiprocessing timing anomalies, 1969).
    """
    units = sorted(units, key=lambda unit: (-unit.seconds - sum(unit.needs.values()), unit.name))
    share = (sum(unit.seconds for unit in units) + sum(_needed(units).values())) / count
    parts: list[list[Unit]] = [[] for _ in range(count)]
    ends, done = [0.0] * count, [set[str]() for _ in range(count)]
    for unit in units:
        added = [unit.seconds + sum(unit.needs[name] for name in unit.needs.keys() - here) for here in done]

        def order(part: int, added: Sequence[float] = added) -> tuple[bool, float, float]:
            end = ends[part] + added[part]
            return end > share, end if end > share else added[part], end

        part = min(range(count), key=order)
        ends[part] += added[part]
        done[part] |= unit.needs.keys()
        parts[part].append(unit)
    return [part for part in parts if part]


def _needed(units: Iterable[Unit]) -> dict[str, float]:
    """All that units need."""
    return {name: seconds for unit in units for name, seconds in unit.needs.items()}


@dataclass(frozen=True)
class Division:
    """The parts of a job: of each, the targets that it measures, or those of their modes, as `target/mode`."""

    parts: tuple[tuple[str, ...], ...]

    def of(self, number: int, plan: Sequence[Planned]) -> list[Planned]:
        """The cells of a part, numbered from 1. Raises UsageError if there are fewer parts."""
        count = len(self.parts)
        if number > count:
            raise UsageError(
                f"shard {number} has nothing to do: the job divides into {count} part{'s' if count > 1 else ''}."
            )
        names = set(self.parts[number - 1])
        return [planned for planned in plan if planned.target.id in names or _name(planned) in names]


def _name(planned: Planned) -> str:
    """As in a cell's id."""
    return f"{planned.target.id}/{planned.mode.name}"


def divided(plan: Sequence[Planned], selected: Sequence[Target], count: int, times: Times) -> Division:
    """The division of a plan into at most `count` parts.

    Cells of a release in one environment are a unit. One that takes longer than an equal part of the whole is divided
    into targets, and a target that does into modes, of which none is without its counterpart for inference.
    """
    cells: dict[str, list[Planned]] = {planned.target.id: [] for planned in plan}
    for planned in plan:
        cells[planned.target.id].append(planned)
    share = sum(map(times.of, plan)) / count
    groups = _grouped(cells.values(), lambda here: environment_of(here[0].target))
    members: dict[str, list[Planned]] = {}
    for group in groups:
        whole = [planned for here in group for planned in here]
        for here in [whole] if _seconds(whole, times) <= share else group:
            for unit in [here] if _seconds(here, times) <= share else _families(here):
                members[_name(unit[0])] = unit
    reading = readers(selected)
    units = [Unit(name, _seconds(unit, times), _needs(unit, reading, times)) for name, unit in members.items()]
    parts = [[planned for unit in part for planned in members[unit.name]] for part in balanced(units, count)]
    return Division(tuple(_names(part, cells) for part in parts))


def environment_of(target: Target) -> str:
    """What targets with the same environment have in common."""
    return f"{target.runtime.name} {target.release.version} {target.runtime.lock(target.release, target.variant)}"


def environments_of(cells: Iterable[Planned], reading: Iterable[Target]) -> dict[str, Target]:
    """The environments that cells need, each with a target: also those of the `reading` targets, for exported files."""
    asked = [planned for planned in cells if planned.trials]
    exports = any(Asks(planned.mode.asks) is Asks.EXPORT for planned in asked)
    targets = [*(planned.target for planned in asked), *(reading if exports else ())]
    return {environment_of(target): target for target in reversed(targets)}


def _needs(cells: Iterable[Planned], reading: Iterable[Target], times: Times) -> dict[str, float]:
    """The seconds until each environment is ready to measure."""
    return {
        name: times.importing(target) + MAKING * (times.disk(target) or 0)
        for name, target in environments_of(cells, reading).items()
    }


def _seconds(cells: Iterable[Planned], times: Times) -> float:
    return sum(map(times.of, cells))


def _families(cells: Iterable[Planned]) -> list[list[Planned]]:
    """The cells of one target by mode, those with the same counterpart for inference together."""
    return _grouped(cells, lambda planned: planned.mode.inference or planned.mode.name)


def _grouped(rows: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return list(groups.values())


def _names(part: Iterable[Planned], cells: Mapping[str, Collection[Planned]]) -> tuple[str, ...]:
    """The targets of which a part has all cells, and the modes of the others, in the order of the plan."""
    own: dict[str, dict[str, int]] = {}
    for planned in part:
        modes = own.setdefault(planned.target.id, {})
        modes[_name(planned)] = modes.get(_name(planned), 0) + 1
    names = {
        target: [target] if sum(modes.values()) == len(cells[target]) else list(modes) for target, modes in own.items()
    }
    return tuple(name for target in cells for name in names.get(target, ()))
