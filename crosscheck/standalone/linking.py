"""Links an adapter into one file: the statements that one mode needs, as they stand in the sources, and no others."""

from __future__ import annotations

import ast
import builtins
import re
import types
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from crosscheck.standalone.reach import Kept, Reach, Wanted
from crosscheck.standalone.rendering import Names, Renderer
from crosscheck.standalone.sources import Module, Place, Unit

__all__ = ["Linked", "Linker"]

Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Linked:
    """Python text.

    imports: what the code needs from elsewhere, as import statements. modules: the text of each module that is needed,
    in an order in which they can be executed. names: what these modules are called.
    """

    imports: str
    modules: tuple[str, ...]
    names: frozenset[str]


@dataclass(frozen=True)
class Linker:
    """Modules, each after those that it imports, and the names of all modes that they make.

    foremost: modules whose names stay what they are; of two that have the same name, the first's.
    """

    modules: Sequence[Module]
    modes: frozenset[str]
    foremost: Sequence[str]
    #: Names that the rest of the script has.
    reserved: frozenset[str] = frozenset()
    _narrow: dict[tuple[frozenset[str], frozenset[Unit]], frozenset[Place]] = field(default_factory=dict)

    def link(self, roots: Iterable[Place], wanted: Wanted) -> Linked:
        """The text that defines `roots`; they are called by `name`."""
        roots = tuple(roots)
        reach = Reach(self.modules, self.modes, roots, wanted)
        if not reach.tables_by_mode:
            return self._linked(reach.kept)
        # What is read when modes are made: statements that are no definitions.
        statements = {
            unit for units in reach.kept.values() for unit, _ in units if not isinstance(unit.node, Definition)
        }
        key = wanted.modes, frozenset(statements)
        if key not in self._narrow:
            self._narrow[key] = self._narrowed(reach, roots, wanted)
        return self._linked(Reach(self.modules, self.modes, roots, wanted, self._narrow[key]).kept)

    def _narrowed(self, reach: Reach, roots: Sequence[Place], wanted: Wanted) -> frozenset[Place]:
        """The tables of which entries can go. One that is read in full shows when the result is executed."""
        narrow: frozenset[Place] = frozenset()
        for table in sorted(reach.tables_by_mode):
            if self._makes(Reach(self.modules, self.modes, roots, wanted, narrow | {table}).kept, wanted):
                narrow |= {table}
        return narrow

    def strings(self, roots: Iterable[Place], wanted: Wanted) -> frozenset[str]:
        """Every string constant in what `link` would give, or more."""
        return frozenset(Reach(self.modules, self.modes, tuple(roots), wanted).strings)

    def name(self, place: Place) -> str:
        """What a name of a module is called in the script."""
        return self.names.of(place)

    @cached_property
    def names(self) -> Names:
        """Names that are the same in two modules, or hidden by a local one where they are used, get a prefix."""
        order = {name: number for number, name in enumerate(self.foremost)}
        ranked = sorted(self.modules, key=lambda module: order.get(module.name, len(order)))
        count = Counter(name for module in self.modules for name in module.defined)
        taken = set(dir(builtins)) | self.reserved
        taken |= {local for module in self.modules for local in module.externals}
        prefixed: set[Place] = set()
        for module in ranked:
            prefixed |= {(module.name, name) for name in module.defined & taken}
            # Without such a module, all of several that share a name are told apart.
            taken |= {name for name in module.defined if module.name in order or count[name] > 1}
            if module.name not in order:
                prefixed |= {(module.name, name) for name in module.defined if count[name] > 1}
        while True:
            names = Names(self.modules, frozenset(prefixed))
            hidden = names.hidden() - prefixed
            if not hidden:
                return names
            prefixed |= hidden

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self.names)

    def _linked(self, kept: Kept) -> Linked:
        texts, imports = [], set()
        here = [module for module in self.modules if kept.get(module.name)]
        for module in here:
            texts.append(self._renderer.render(module, kept[module.name]))
            for unit, parts in kept[module.name]:
                for found in (unit.uses, *(part.uses for part in parts)):
                    mentioned = {node.id for node, _ in found.globals if isinstance(node, ast.Name)}
                    imports |= {module.externals[name] for name in mentioned if name in module.externals}
        return Linked(_imports(imports), tuple(texts), frozenset(module.name for module in here))

    def _makes(self, kept: Kept, wanted: Wanted) -> bool:
        """Whether the text can be executed, and makes adapters with the wanted modes."""
        linked = self._linked(kept)
        module = types.ModuleType("linked")
        try:
            exec("\n".join((linked.imports, *linked.modules)), vars(module))  # noqa: S102 - adapters' own statements
            made = [
                value.modes for value in vars(module).values() if isinstance(value, type) and hasattr(value, "modes")
            ]
        except Exception:
            return False
        return any(wanted.modes <= {mode.name for mode in modes} for modes in made)


def _imports(statements: Iterable[str]) -> str:
    """Import statements, sorted, one for each module that things are taken from."""
    plain = sorted(one for one in statements if one.startswith("import "))
    taken: dict[str, list[str]] = {}
    for one in statements:
        if match := re.fullmatch(r"from (\S+) import (.+)", one):
            taken.setdefault(match[1], []).append(match[2])
    return "".join(
        f"{line}\n"
        for line in [*plain, *(f"from {name} import {', '.join(sorted(taken[name]))}" for name in sorted(taken))]
    )
