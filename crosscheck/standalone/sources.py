"""A runtime's adapter and the modules that it imports, taken apart into units that a script can carry or leave out."""

from __future__ import annotations

import ast
import builtins
import itertools
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import crosscheck
from crosscheck.errors import UsageError
from crosscheck.probe.adapter import Mode
from crosscheck.standalone.scopes import HOUSE, Uses, bound_names, imports_house, uses

__all__ = ["MODE", "Module", "NoScript", "Part", "Place", "Unit", "load_modules"]

#: A name of a module of the house: the module's name, and the name in it.
Place = tuple[str, str]

#: Where the class of modes stands.
MODE: Place = (Mode.__module__, Mode.__name__)
#: Decorators from these modules register nothing.
PURE_DECORATORS = frozenset({"contextlib", "functools"})


@dataclass(frozen=True, eq=False)
class Part:
    """What can be left out of a unit: a method, an entry of a table, a mode in a list of modes.

    kind: "method", "entry" or "mode". key: the method's or the mode's name, the entry's key. last: an entry's value.
    mode: what an element of a list of modes is; a starred element is as many parts as it stands for modes.
    """

    kind: str
    key: str
    node: ast.AST
    uses: Uses = field(repr=False)
    last: ast.AST
    mode: Mode | None = None

    @cached_property
    def abstract(self) -> bool:
        """Whether it is a method that only says that a subclass has it."""
        body = [one for one in getattr(self.node, "body", []) if not _is_text(one)]
        return len(body) == 1 and isinstance(body[0], ast.Raise) and "NotImplementedError" in ast.unparse(body[0])


@dataclass(frozen=True, eq=False)
class Unit:
    """A statement at the top of a module.

    uses: what it mentions outside its parts. names: what it binds. modes: those that it registers, if that is all that
    it does beside binding names. acts: it does something that is not known, and so has to stay.
    """

    node: ast.stmt
    uses: Uses = field(repr=False)
    names: frozenset[str]
    parts: tuple[Part, ...]
    modes: frozenset[str] = frozenset()
    acts: bool = False

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of a table that has no others than strings; empty for all else."""
        entries = frozenset(part.key for part in self.parts if part.kind == "entry")
        value = getattr(self.node, "value", None)
        return entries if isinstance(value, ast.Dict) and len(value.keys) == len(entries) else frozenset()


@dataclass(frozen=True, eq=False)
class Module:
    """One source file: its units, and what its imports bind.

    modules: local name -> module of the house. names: local name -> (module of the house, name there).
    externals: local name -> the import statement that binds it.
    """

    name: str
    source: str = field(repr=False)
    units: tuple[Unit, ...] = field(repr=False)
    modules: Mapping[str, str] = field(repr=False)
    names: Mapping[str, Place] = field(repr=False)
    externals: Mapping[str, str] = field(repr=False)
    _mentioned: dict[int, frozenset[Place]] = field(default_factory=dict, repr=False)

    @cached_property
    def defined(self) -> frozenset[str]:
        """The names that its units bind."""
        return frozenset(name for unit in self.units for name in unit.names)

    @cached_property
    def lines(self) -> list[bytes]:
        """The source's lines."""
        return self.encoded.splitlines(keepends=True)

    @cached_property
    def starts(self) -> list[int]:
        """The offset of each line."""
        return list(itertools.accumulate((len(line) for line in self.lines), initial=0))

    @cached_property
    def encoded(self) -> bytes:
        """The source in the bytes that ast's columns count."""
        return self.source.encode()

    def place(self, node: ast.Name | ast.Attribute) -> Place | None:
        """Which name of which module of the house is mentioned; None for others."""
        if isinstance(node, ast.Attribute):
            assert isinstance(node.value, ast.Name)
            return self.modules[node.value.id], node.attr
        if node.id in self.names:
            return self.names[node.id]
        return (self.name, node.id) if node.id in self.defined else None

    def mentioned(self, what: Unit | Part) -> frozenset[Place]:
        """The names of the house that a unit or a part of one mentions."""
        if id(what) not in self._mentioned:
            nodes = [node for node, _ in what.uses.globals] + [ast.Name(name) for _, name in what.uses.quoted]
            self._mentioned[id(what)] = frozenset(filter(None, map(self.place, nodes)))
        return self._mentioned[id(what)]

    @property
    def title(self) -> str:
        """The last two parts of its path: `mxnet/models.py`."""
        return "/".join(self.name.split(".")[-2:]) + ".py"


class NoScript(UsageError):
    """There is no script for a cell; the message says why."""


def load_modules(files: Mapping[str, Path], modes: frozenset[str]) -> list[Module]:
    """The modules in `files`, by the names that they are to have, and those they import, each after what it imports.

    modes: the names of all modes that an adapter among them makes. Every module is executed anew, statement by
    statement, to see what each does; adapters import their runtime in `load` only, so none is imported.
    """
    loader = _Loader(modes)
    for name, path in files.items():
        loader.load(name, path)
    return list(loader.modules.values())


class _Loader:
    """Loads modules of the house and notes what their statements do."""

    def __init__(self, modes: frozenset[str]) -> None:
        self.modes = modes
        self.modules: dict[str, Module] = {}
        self.fresh: dict[str, types.ModuleType] = {}

    def load(self, name: str, path: Path) -> None:
        source = path.read_text(encoding="utf-8")
        body = ast.parse(source).body
        if body and _is_text(body[0]):
            del body[0]  # the docstring
        # An import inside a function is carried out when the function is: what it names may need this module.
        later = [node for one in body for node in ast.walk(one) if node is not one and imports_house(node)]
        modules: dict[str, str] = {}
        names: dict[str, Place] = {}
        externals: dict[str, str] = {}
        for node in (*body, *later):
            for local, target in _imports(node):
                if isinstance(target, str):
                    externals[local] = target
                elif _file(".".join(target)) is None:
                    names[local] = target
                else:
                    modules[local] = ".".join(target)
        self._need(body)
        module = types.ModuleType(name)
        space = vars(module)
        space["__builtins__"] = {**vars(builtins), "__import__": self._import}
        self.fresh[name] = module
        units = [
            self._unit(statement, space, frozenset(modules), externals)
            for statement in body
            if not self._runs_as_import(statement, space, name)
        ]
        self.modules[name] = Module(name, source, tuple(units), modules, names, externals)
        self._need(later)

    def _need(self, nodes: Sequence[ast.AST]) -> None:
        for target in (target for node in nodes for _, target in _imports(node) if not isinstance(target, str)):
            name = ".".join(target) if _file(".".join(target)) else target[0]
            path = _file(name)
            if name not in self.fresh and path is not None:
                self.load(name, path)

    def _runs_as_import(self, statement: ast.stmt, space: dict[str, Any], name: str) -> bool:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            _execute(statement, space, name)
            return True
        return False

    def _import(self, name: str, *rest: Any) -> Any:
        """What `import` is to the modules that are loaded here: those of the house are the new ones."""
        names = rest[2] if len(rest) > 2 and rest[2] else ()
        if name in self.fresh:
            return self.fresh[name]
        here = {one: self.fresh[f"{name}.{one}"] for one in names if f"{name}.{one}" in self.fresh}
        return types.SimpleNamespace(**here) if here else builtins.__import__(name, *rest)

    def _unit(
        self, statement: ast.stmt, space: dict[str, Any], modules: frozenset[str], externals: Mapping[str, str]
    ) -> Unit:
        before = _contents(space)
        _execute(statement, space, space["__name__"])
        added, strange = _added(before, _contents(space))
        parts = tuple(self._parts(statement, space, modules))
        mentioned = uses([statement], modules, frozenset(id(node) for part in parts for node in _nodes(part)))
        registers = bool(added) and not strange and added <= self.modes
        plain = isinstance(statement, ast.Assign | ast.AnnAssign | ast.ClassDef) or _undecorated(statement, externals)
        return Unit(
            node=statement,
            uses=mentioned,
            names=bound_names(statement),
            parts=parts,
            modes=frozenset(added) if registers else frozenset(),
            acts=not registers and (not plain or bool(added) or strange),
        )

    def _parts(self, statement: ast.stmt, space: dict[str, Any], modules: frozenset[str]) -> Iterator[Part]:
        if isinstance(statement, ast.ClassDef):
            for inner in statement.body:
                if isinstance(inner, ast.FunctionDef):
                    yield Part("method", inner.name, inner, uses([inner], modules), inner)
                elif isinstance(inner, ast.Assign):
                    yield from _elements(inner.value, space)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            yield from _elements(statement.value, space)
            if isinstance(statement.value, ast.Dict):
                yield from _entries(statement.value, modules)


def _elements(value: ast.expr, space: dict[str, Any]) -> Iterator[Part]:
    """The modes in a tuple or a list."""
    if not isinstance(value, ast.Tuple | ast.List):
        return
    for element in value.elts:
        inner = element.value if isinstance(element, ast.Starred) else element
        made = _evaluated(inner, space)
        found = made if isinstance(element, ast.Starred) and isinstance(made, tuple | list) else [made]
        if found and all(_is_mode(one) for one in found):
            for one in found:
                yield Part("mode", one.name, element, Uses(), element, one)


def _entries(value: ast.Dict, modules: frozenset[str]) -> Iterator[Part]:
    for key, item in zip(value.keys, value.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield Part("entry", key.value, key, uses([item], modules), item)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _nodes(part: Part) -> Iterator[ast.AST]:
    yield part.node
    yield part.last


def _imports(node: ast.AST) -> Iterator[tuple[str, str | Place]]:
    """Local name -> import statement, for what comes from elsewhere; or module and name there, for the house's."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            told = f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            package, _, module = alias.name.rpartition(".")
            yield alias.asname or alias.name.partition(".")[0], (package, module) if imports_house(node) else told
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        for alias in node.names:
            told = f"from {node.module} import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            yield alias.asname or alias.name, (node.module, alias.name) if imports_house(node) else told


def _file(name: str) -> Path | None:
    """The file of a module of the house; None for what is none."""
    path = Path(crosscheck.__file__).parent.joinpath(*name.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if name.startswith(HOUSE + ".") and candidate.is_file():
            return candidate
    return None


def _execute(statement: ast.stmt, space: dict[str, Any], name: str) -> None:
    code = compile(ast.Module([statement], []), f"<{name}>", "exec", dont_inherit=True)
    exec(code, space)  # noqa: S102 - an adapter's module, which the catalog executes as well


def _evaluated(expression: ast.expr, space: dict[str, Any]) -> Any:
    """What an element of a tuple is; None where it cannot be told apart from its class."""
    try:
        code = compile(ast.Expression(expression), "<element>", "eval", dont_inherit=True)
        return eval(code, dict(space))  # noqa: S307 - likewise
    except Exception:  # such as a name that only the class has
        return None


def _is_mode(value: Any) -> bool:
    return isinstance(value, tuple) and getattr(type(value), "_fields", None) == Mode._fields


#: Every container in sight: its id -> the container, and how much was in it.
Contents = dict[int, tuple[Any, frozenset[Any] | int]]


def _contents(space: Mapping[str, Any]) -> Contents:
    """The containers that a module's names stand for, and those in the attributes of its objects."""
    found: Contents = {}
    for name, value in list(space.items()):
        if name.startswith("__"):
            continue
        inner = (
            [] if isinstance(value, types.ModuleType | types.FunctionType | type) else getattr(value, "__dict__", {})
        )
        for container in (value, *(inner.values() if isinstance(inner, dict) else ())):
            if isinstance(container, dict):
                found[id(container)] = (container, frozenset(container))
            elif isinstance(container, list | set):
                found[id(container)] = (container, len(container))
    return found


def _added(before: Contents, after: Contents) -> tuple[frozenset[str], bool]:
    """The keys that dictionaries got, modes that lists got by their names; and whether anything else was changed."""
    keys: set[str] = set()
    strange = False
    for place, (container, was) in before.items():
        now = after.get(place, (container, was))[1]
        if now == was:
            continue
        if isinstance(now, frozenset) and isinstance(was, frozenset) and was <= now:
            keys |= {key for key in now - was if isinstance(key, str)}
            strange = strange or not all(isinstance(key, str) for key in now - was)
        elif isinstance(container, list) and isinstance(was, int) and all(_is_mode(one) for one in container[was:]):
            keys |= {one.name for one in container[was:]}
        else:
            strange = True
    return frozenset(keys), strange


def _undecorated(statement: ast.stmt, externals: Mapping[str, str]) -> bool:
    """Whether it is a function that nothing could have registered."""
    if not isinstance(statement, ast.FunctionDef):
        return False
    roots: Sequence[str] = [ast.unparse(one).partition(".")[0].partition("(")[0] for one in statement.decorator_list]
    return all(externals.get(root, "").split()[1:2] in [[pure] for pure in PURE_DECORATORS] for root in roots)
