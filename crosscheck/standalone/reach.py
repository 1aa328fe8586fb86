"""What of an adapter one mode can reach.

What is left out: functions and classes that nothing mentions; methods whose name nothing mentions, neither after a dot
nor as a string; modes other than those that are wanted or named in a string; entries of tables that are keyed by ONNX
operators which the network does not have, or by modes, or their APIs (`executor`), which are not asked. A statement
that does something unknown stays. So code may be left in that is not needed, but none is left out on a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from crosscheck.networks.graph import OPERATORS
from crosscheck.standalone.sources import MODE, Module, Part, Place, Unit

__all__ = ["Kept", "Reach", "Wanted"]

#: Module -> its units that stay, and the parts of each that do.
Kept = Mapping[str, Sequence[tuple[Unit, Sequence[Part]]]]


@dataclass(frozen=True)
class Wanted:
    """What a script is about: the modes it asks in, and the operators of its network."""

    modes: frozenset[str]
    operators: frozenset[str]


class Reach:
    """What is reached from `roots`.

    modes: all modes there are. narrow: the tables, keyed by APIs or modes, of which entries are left out.
    strings: every string constant in what is kept. tables_by_mode: the tables in it that are keyed like that.
    """

    def __init__(
        self,
        modules: Sequence[Module],
        modes: frozenset[str],
        roots: Sequence[Place],
        wanted: Wanted,
        narrow: frozenset[Place] = frozenset(),
    ) -> None:
        self.wanted = wanted
        self.narrow = narrow
        self.strings: set[str] = set()
        self._places = set(roots)
        self._attributes: set[str] = set()
        self._looked_up: set[str] = set()
        units = {unit: module for module in modules for unit in module.units}
        kept: dict[Unit, set[Part]] = {}
        grows = True
        while grows:
            grows = False
            for unit, module in units.items():
                if unit not in kept:
                    if not self._needed(module, unit):
                        continue
                    kept[unit] = set()
                    self._mention(module, unit)
                    grows = True
                for part in unit.parts:
                    if part not in kept[unit] and self._stays(module, unit, part):
                        kept[unit].add(part)
                        self._mention(module, part)
                        grows = True
        self.kept: Kept = {
            module.name: [
                (unit, [part for part in unit.parts if part in kept[unit]]) for unit in module.units if unit in kept
            ]
            for module in modules
        }
        words = [mode.split(".") for mode in modes]
        apis = {".".join(parts[:length]) for parts in words for length in range(1, len(parts) + 1)}
        self.tables_by_mode = {
            (module.name, min(unit.names)) for unit, module in units.items() if unit in kept and _keyed(unit, apis)
        }

    def _mention(self, module: Module, what: Unit | Part) -> None:
        self._attributes |= what.uses.attributes
        self.strings |= what.uses.strings
        self._looked_up |= what.uses.looked_up
        self._places |= module.mentioned(what)
        if isinstance(what, Part) and what.mode is not None:
            self._places.add(MODE)

    def _needed(self, module: Module, unit: Unit) -> bool:
        if unit.acts or not unit.modes.isdisjoint(self.wanted.modes) or not unit.modes.isdisjoint(self.strings):
            return True
        return any((module.name, name) in self._places for name in unit.names)

    def _stays(self, module: Module, unit: Unit, part: Part) -> bool:
        if part.kind == "method":
            special = part.key.startswith("__") and part.key.endswith("__")
            return not part.abstract and (special or part.key in self._attributes or part.key in self.strings)
        if part.kind == "mode":
            return part.key in self.wanted.modes or part.key in self.strings
        if part.key in self._looked_up:
            return True
        if _keyed(unit, OPERATORS.keys()):
            return part.key in self.wanted.operators
        if unit.keys and (module.name, min(unit.names)) in self.narrow:
            return any(mode == part.key or mode.startswith(part.key + ".") for mode in self.wanted.modes)
        return True


def _keyed(unit: Unit, names: Set[str]) -> bool:
    """Whether it is a table all of whose keys are such names."""
    return bool(unit.keys) and unit.keys <= names
