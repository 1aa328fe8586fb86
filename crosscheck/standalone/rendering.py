"""Writes the statements that a script carries: their own text, with names that are unique in one file, and cuts."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crosscheck.standalone.scopes import imports_house
from crosscheck.standalone.sources import MODE, Module, Part, Place, Unit

__all__ = ["Names", "Renderer"]

#: Remarks to tools, which mean nothing to readers.
PRAGMA = re.compile(rb"  # (type: ignore|noqa|fmt: )[^\n]*")


class Names:
    """What each name of each module is called in one file."""

    def __init__(self, modules: Sequence[Module], prefixed: frozenset[Place]) -> None:
        self.modules = modules
        self.prefixed = prefixed

    def of(self, place: Place) -> str:
        """The name as it is in its module or, where it is not alone, after the module's."""
        module, name = place
        return f"{module.rpartition('.')[2]}_{name.lstrip('_')}" if place in self.prefixed else name

    def hidden(self) -> set[Place]:
        """Names that a local variable of the same name hides where they are mentioned under another."""
        found = set()
        for module in self.modules:
            for unit in module.units:
                for one in (unit.uses, *(part.uses for part in unit.parts)):
                    for node, scope in one.globals:
                        place = module.place(node)
                        if place is not None and self.of(place) in scope:
                            found.add(place)
        return found


class Renderer:
    """Writes units under the names that they have in one file, and remembers how: modes have most of them in common."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._written: dict[tuple[Unit, tuple[Part, ...]], bytes] = {}

    def render(self, module: Module, units: Sequence[tuple[Unit, Sequence[Part]]]) -> str:
        """The text of a module's units, under a line with the module's name."""
        text = f"\n\n# ---- {module.title} ----\n".encode()
        before: ast.stmt | None = None
        for unit, parts in units:
            key = unit, tuple(parts)
            if key not in self._written:
                self._written[key] = PRAGMA.sub(b"", _unit(module, unit, parts, self.names))
            apart = any(isinstance(one, ast.FunctionDef | ast.ClassDef) for one in (unit.node, before))
            close = before is not None and module.starts[before.end_lineno or 0] == _start(module, unit.node)
            text += (b"\n\n" if apart else b"" if close else b"\n") + self._written[key] + b"\n"
            before = unit.node
        return text.decode()


#: Bytes from one offset to another become others.
Edit = tuple[int, int, bytes]


def _unit(module: Module, unit: Unit, parts: Sequence[Part], names: Names) -> bytes:
    start = _start(module, unit.node)
    left = {part.node for part in parts}
    gone = [part for part in unit.parts if part.node not in left]
    cuts = [*_methods(module, unit, gone), *_elements(module, unit, gone)]
    edits = [
        *_renames(module, unit, parts, names),
        *_modes(module, parts, names),
        *_docstrings(module, unit),
        *_imports(module, unit),
    ]
    inside = [edit for edit in edits if not any(cut[0] <= edit[0] < cut[1] for cut in cuts)]
    end = _offset(module, unit.node.end_lineno or 0, unit.node.end_col_offset or 0)
    source = module.encoded
    # A remark at the end of the statement's last line belongs to it.
    line_end = source.find(b"\n", end)
    rest = source[end : line_end if line_end >= 0 else len(source)]
    text, at = b"", start
    for first, last, replacement in sorted([*cuts, *inside]):
        text += source[at:first] + replacement
        at = last
    text += source[at:end] + (rest if rest.lstrip().startswith(b"#") else b"")
    if isinstance(unit.node, ast.ClassDef) and not _body_left(unit, gone):
        text = text.rstrip() + b"\n    pass"
    return text.rstrip()


def _body_left(unit: Unit, gone: Sequence[Part]) -> bool:
    assert isinstance(unit.node, ast.ClassDef)
    cut = {id(part.node) for part in gone}
    return any(id(one) not in cut for one in unit.node.body)


def _renames(module: Module, unit: Unit, parts: Sequence[Part], names: Names) -> Iterator[Edit]:
    renamed: dict[int, str] = {}
    for found in (unit.uses, *(part.uses for part in parts)):
        for node, _ in found.globals:
            place = module.place(node)
            if place is not None and names.of(place) != ast.unparse(node):
                renamed[id(node)] = names.of(place)
        for quoted, name in found.quoted:
            place = module.place(ast.Name(name))
            if place is not None and names.of(place) != name:
                renamed[id(quoted)] = json.dumps(names.of(place))
    yield from _within(module, unit.node, renamed, frozenset(part.node for part in unit.parts if part.mode is not None))
    if isinstance(unit.node, ast.FunctionDef | ast.ClassDef) and (module.name, unit.node.name) in names.prefixed:
        word = "class" if isinstance(unit.node, ast.ClassDef) else "def"
        first = _offset(module, unit.node.lineno, unit.node.col_offset + len(word) + 1)
        yield first, first + len(unit.node.name), names.of((module.name, unit.node.name)).encode()


def _within(module: Module, node: ast.AST, renamed: Mapping[int, str], modes: frozenset[ast.AST]) -> Iterator[Edit]:
    """The edits of a node; an f-string is written anew: before CPython 3.12 nothing tells what stands where in it."""
    if isinstance(node, ast.JoinedStr):
        if any(id(inner) in renamed for inner in ast.walk(node)):
            yield _span(module, node, ast.unparse(_renamed(node, renamed)).encode())
    elif id(node) in renamed:
        assert isinstance(node, ast.expr)
        yield _span(module, node, renamed[id(node)].encode())
    elif node not in modes:
        for child in ast.iter_child_nodes(node):
            yield from _within(module, child, renamed, modes)


def _renamed(node: ast.AST, renamed: Mapping[int, str]) -> ast.AST:
    """A copy of a node with other names."""
    if id(node) in renamed:
        return ast.Name(renamed[id(node)], ast.Load())
    fields = {
        name: [_renamed(one, renamed) if isinstance(one, ast.AST) else one for one in value]
        if isinstance(value, list)
        else _renamed(value, renamed)
        if isinstance(value, ast.AST)
        else value
        for name, value in ast.iter_fields(node)
    }
    return type(node)(**fields)


def _docstrings(module: Module, unit: Unit) -> Iterator[Edit]:
    """Docstrings are cut to their first paragraph."""
    for node in ast.walk(unit.node):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and "\n" in str(first.value.value):
                told = " ".join(str(first.value.value).partition("\n\n")[0].split())
                if "\\" not in told and '"' not in told:
                    yield _span(module, first.value, f'"""{told}"""'.encode())


def _methods(module: Module, unit: Unit, gone: Sequence[Part]) -> Iterator[Edit]:
    for part in gone:
        if part.kind == "method":
            assert isinstance(part.node, ast.FunctionDef)
            start = _start(module, part.node)
            first = len(module.encoded[:start].rstrip())
            yield first, _offset(module, part.node.end_lineno or 0, part.node.end_col_offset or 0), b""


def _imports(module: Module, unit: Unit) -> Iterator[Edit]:
    """Imports of what is in the same file go, with their lines."""
    for node in ast.walk(unit.node):
        bodies: list[Any] = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
        for body in (body for body in bodies if isinstance(body, list)):
            for number, one in enumerate(body):
                if not imports_house(one):
                    continue
                first, last = _span(module, one, b"")[:2]
                if len(body) == 1:
                    yield first, last, b"pass"
                elif number + 1 < len(body):
                    yield first, _span(module, body[number + 1], b"")[0], b""
                else:
                    yield _span(module, body[number - 1], b"")[1], last, b""


def _modes(module: Module, parts: Sequence[Part], names: Names) -> Iterator[Edit]:
    """A mode is written as what it is, whatever made it; without call and contract, which are there for the report."""
    made: dict[ast.AST, list[str]] = {}
    for part in parts:
        if part.mode is not None:
            mode = part.mode
            told = [json.dumps(mode.name), json.dumps(mode.intent), json.dumps(mode.asks), '""', "None"]
            told += [
                f"{name}={json.dumps(value)}" for name in ("inference", "training") if (value := getattr(mode, name))
            ]
            told += ["file=True"] if mode.file else []
            made.setdefault(part.node, []).append(f"{names.of(MODE)}({', '.join(told)})")
    for node, texts in made.items():
        assert isinstance(node, ast.expr)
        yield _span(module, node, ", ".join(texts).encode())


def _elements(module: Module, unit: Unit, gone: Sequence[Part]) -> Iterator[Edit]:
    """An element of a list goes with what follows it up to the next one; the last with what stands before it."""
    cut = {id(part.node) for part in gone}
    for node in ast.walk(unit.node):
        if isinstance(node, ast.Dict):
            pairs = [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]
        elif isinstance(node, ast.Tuple | ast.List):
            pairs = [(one, one) for one in node.elts]
        else:
            continue
        if not any(id(first) in cut for first, _ in pairs):
            continue
        if all(id(first) in cut for first, _ in pairs) and len(pairs) == len(getattr(node, "elts", pairs)):
            yield _span(module, node, b"{}" if isinstance(node, ast.Dict) else b"()")
            continue
        yield from _cut(module, node, pairs, cut)


def _cut(module: Module, node: ast.expr, pairs: Sequence[tuple[ast.expr, ast.expr]], cut: set[int]) -> Iterator[Edit]:
    kept_end: int | None = None
    for number, (first, last) in enumerate(pairs):
        start = _offset(module, first.lineno, first.col_offset)
        end = _offset(module, last.end_lineno or 0, last.end_col_offset or 0)
        if id(first) not in cut:
            kept_end = end
        elif any(id(later) not in cut for later, _ in pairs[number + 1 :]):
            following = pairs[number + 1][0]
            yield start, _offset(module, following.lineno, following.col_offset), b""
        else:
            assert kept_end is not None
            last_end = _offset(module, pairs[-1][1].end_lineno or 0, pairs[-1][1].end_col_offset or 0)
            alone = isinstance(node, ast.Tuple) and sum(id(one) not in cut for one, _ in pairs) == 1
            close = _offset(module, node.end_lineno or 0, node.end_col_offset or 0)
            has_comma = b"," in module.encoded[last_end:close]
            yield kept_end, last_end, b"," if alone and not has_comma else b""
            return


def _span(module: Module, node: ast.expr | ast.stmt, replacement: bytes) -> Edit:
    return (
        _offset(module, node.lineno, node.col_offset),
        _offset(module, node.end_lineno or 0, node.end_col_offset or 0),
        replacement,
    )


def _offset(module: Module, line: int, column: int) -> int:
    return module.starts[line - 1] + column


def _start(module: Module, node: ast.stmt) -> int:
    """Where a statement begins, its decorators and the remarks right above it included."""
    line = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    while line > 1 and module.lines[line - 2].strip().startswith(b"#"):
        line -= 1
    return _offset(module, line, 0)
