"""Which names in a piece of Python are the module's, and which are local: what a linker must know to rename them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["HOUSE", "Uses", "bound_names", "imports_house", "uses"]

#: The package whose modules are linked into one file. What is imported from it is a module-level name wherever it is
#: imported.
HOUSE = "crosscheck"

Function = ast.FunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass
class Uses:
    """What a piece of code mentions.

    globals: every mention of a module-level name, and the locals in whose sight it stands. A mention is the Name, or
    the whole Attribute where the name is one of a module (`models.Bound`).
    quoted: annotations in quotation marks (`Optional["Model"]`), and the names in them.
    attributes: names after a dot. strings: all string constants, by which `getattr` may name attributes.
    looked_up: strings in square brackets or in a call of `get`.
    """

    globals: list[tuple[ast.Name | ast.Attribute, frozenset[str]]] = field(default_factory=list)
    quoted: list[tuple[ast.Constant, str]] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    strings: set[str] = field(default_factory=set)
    looked_up: set[str] = field(default_factory=set)


def uses(nodes: Sequence[ast.AST], modules: frozenset[str], skip: frozenset[int] = frozenset()) -> Uses:
    """What `nodes`, parts of a module's top level, mention. `modules`: the names that stand for modules.

    Nodes whose id() is in `skip` are left out, with all that is in them.
    """
    visitor = _Visitor(modules, skip)
    for node in nodes:
        visitor.visit(node)
    return visitor.found


def bound_names(node: ast.AST) -> frozenset[str]:
    """The names that executing a statement binds in its own scope."""
    return frozenset(_bound(node))


def imports_house(node: ast.AST) -> bool:
    """Whether it is an import of what will be in the same file."""
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    return any(name.partition(".")[0] == HOUSE for name in names)


class _Visitor(ast.NodeVisitor):
    def __init__(self, modules: frozenset[str], skip: frozenset[int]) -> None:
        self.modules = modules
        self.skip = skip
        self.found = Uses()
        #: Names of the functions around, and of the class whose body this is, if it is one's.
        self.scope: frozenset[str] = frozenset()
        self.own: frozenset[str] = frozenset()
        #: Whether this is the body of a class, in which what is bound is the class's.
        self.in_class = False

    def visit(self, node: ast.AST) -> None:
        if id(node) not in self.skip:
            super().visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if self.in_class and isinstance(node.ctx, ast.Store):
            return
        if node.id not in self.scope | self.own:
            self.found.globals.append((node, self.scope))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.found.attributes.add(node.attr)
        hidden = self.scope | self.own
        if isinstance(node.value, ast.Name) and node.value.id in self.modules and node.value.id not in hidden:
            self.found.globals.append((node, self.scope))
        else:
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found.strings.add(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._look_up(node.slice)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop") and node.args:
            self._look_up(node.args[0])
        self.generic_visit(node)

    def _look_up(self, key: ast.expr) -> None:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            self.found.looked_up.add(key.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        annotations = [one.annotation for one in _arguments(node.args)] + [node.returns]
        for inner in (inner for one in annotations if one is not None for inner in ast.walk(one)):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier():
                self.found.quoted.append((inner, inner.value))
        for outside in (*node.decorator_list, *_signature(node.args), *filter(None, [node.returns])):
            self.visit(outside)
        self._inside(_locals(node), node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for outside in _signature(node.args):
            self.visit(outside)
        self._inside(_locals(node), [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outside in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(outside)
        outer = self.own, self.in_class
        self.own, self.in_class = frozenset(), True
        for statement in node.body:
            self.visit(statement)
            self.own |= bound_names(statement)  # only what has been bound hides what the module has
        self.own, self.in_class = outer

    def _comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        targets = frozenset(name for one in node.generators for name in _stored(one.target))
        parts: list[ast.AST] = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for number, one in enumerate(node.generators):
            parts += [*([one.iter] if number else []), *one.ifs]
        self._inside(targets, parts)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    def _inside(self, names: frozenset[str], nodes: Sequence[ast.AST]) -> None:
        outer = self.scope, self.own, self.in_class
        # Functions do not see the names of a class.
        self.scope, self.own, self.in_class = self.scope | names, frozenset(), False
        for node in nodes:
            self.visit(node)
        self.scope, self.own, self.in_class = outer


def _signature(arguments: ast.arguments) -> Iterator[ast.expr]:
    yield from arguments.defaults
    yield from filter(None, arguments.kw_defaults)
    for argument in _arguments(arguments):
        if argument.annotation is not None:
            yield argument.annotation


def _arguments(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from filter(None, (arguments.vararg, arguments.kwarg))


def _locals(node: Function) -> frozenset[str]:
    names = {argument.arg for argument in _arguments(node.args)}
    if not isinstance(node, ast.Lambda):
        declared = {name for one in ast.walk(node) if isinstance(one, ast.Global) for name in one.names}
        names |= {name for statement in node.body for name in _bound(statement)} - declared
    return frozenset(names)


def _bound(node: ast.AST) -> Iterator[str]:
    """Names bound by `node` in the scope that it stands in; what is inside functions, classes, lambdas is their own."""
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            yield node.name
            return
        case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return
        case ast.Import() | ast.ImportFrom() if not imports_house(node):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.ExceptHandler(name=str(name)):
            yield name
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)


def _stored(node: ast.AST) -> Iterator[str]:
    return (one.id for one in ast.walk(node) if isinstance(one, ast.Name))
