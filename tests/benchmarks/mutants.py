"""Changes the code in one place at a time, and counts the changes that the tests do not see.

    uv run python -m tests.benchmarks.mutants [--seed N] [--count N] FILE ... -- TEST ...

    uv run python -m tests.benchmarks.mutants crosscheck/matrix/journal.py -- tests/test_journal.py

Draws places at random from the files, and runs the tests, which stop at the first failure, once for each. A change
replaces a comparison, an operator or a number by another, inverts a condition, or leaves out a statement, an entry of a
list (such as a step of a scenario), or the value that a function returns. It is made in a copy of the tree. Prints
every change with which the tests pass; some of those cannot be observed. Code that runs in another process is changed
there, too. The exit code is 1 if the tests fail without a change.

All tests run for a change that none of them sees. To see others soon, the tests that execute the changed statement run
first, quick ones before slow ones: they run once without a change, and the lines that each executes are recorded.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.executed_lines import VARIABLE, Record, Request

ROOT = Path(__file__).parents[2]
#: A mutant that never ends is as good as seen. The most seconds of the tests, and the processor's time of a mutant,
#: which is so many times that of the unchanged tests: the machine may be busy.
SECONDS = 1800
LONGER = 3

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip
FUNCTIONS = {"any": "all", "all": "any", "min": "max", "max": "min"}

Change = Callable[[], None]


def main() -> int:
    """Draw, change, test and print."""
    parser = argparse.ArgumentParser(description="Changes of the code that the tests do not see.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=40, help="changes drawn")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--tests", nargs="+", required=True, metavar="TEST")
    arguments = ["--tests" if word == "--" else word for word in sys.argv[1:]]
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        asked = Request(record=str(tree / "record.json"), files=[str(tree / file) for file in parsed.files])
        if not passes(tree, parsed.tests, SECONDS, asked):
            print("The tests fail without a change.")
            return 1
        limit = 10 + LONGER * round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)
        record = Record(**json.loads(Path(asked.record).read_text()))
        sources = {file: (tree / file).read_text() for file in parsed.files}
        places = [(file, index) for file, text in sources.items() for index in range(len(changes(ast.parse(text))))]
        drawn = random.Random(parsed.seed).sample(places, min(parsed.count, len(places)))  # noqa: S311
        survivors = 0
        for count, (file, index) in enumerate(drawn, start=1):
            text = sources[file]
            module = ast.parse(text)
            line, change = changes(module)[index]
            change()
            mutant = ast.unparse(ast.fix_missing_locations(module))
            (tree / file).write_text(mutant)
            tests = record.tests.get(str(tree / file), {})
            first = sorted({test for near in statement(ast.parse(text), line) for test in tests.get(str(near), [])})
            if passes(tree, parsed.tests, limit, Request(first=first, seconds=record.seconds)):
                survivors += 1
                print(f"{file}:{line}", *difference(ast.unparse(ast.parse(text)), mutant), sep="\n    ", flush=True)
            (tree / file).write_text(text)
            print(f"{count} of {len(drawn)}", end="\r", file=sys.stderr)
    print(f"{survivors} of {len(drawn)} changes survive, drawn from {len(places)}")
    return 0


def passes(tree: Path, tests: list[str], limit: int, request: Request) -> bool:
    """Whether the tests pass in `limit` seconds of the processor's time.

    In one process, as the order is one of all of them. Without bytecode, which is kept by times too coarse for files
    written so often.
    """
    (tree / "request.json").write_text(json.dumps(dataclasses.asdict(request)))
    plugins = ["-p", "no:cacheprovider", "-p", "tests.benchmarks.executed_lines"]
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-n", "0", *plugins, *tests]
    try:
        return (
            subprocess.run(
                command,
                cwd=tree,
                env={**os.environ, VARIABLE: str(tree / "request.json")},
                capture_output=True,
                timeout=SECONDS,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
            ).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False


def statement(module: ast.Module, line: int) -> range:
    """The lines of the innermost statement at a line; of one that has a body, those before it."""
    around = [node for node in ast.walk(module) if isinstance(node, ast.stmt) and line in lines_of(node)]
    return min(map(lines_of, around), key=len, default=range(line, line + 1))


def lines_of(node: ast.stmt) -> range:
    """The lines of a statement without its body."""
    body = getattr(node, "body", None)
    end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
    return range(node.lineno, max(end, node.lineno + 1))


def changes(module: ast.Module) -> list[tuple[int, Change]]:
    """Every change of a module that can be made, with its line.

    Types, decorators and docstrings are left alone, and so is `strict` of `zip`, an assertion.
    """
    ignored = {id(node) for root in ast.walk(module) for part in unexecuted(root) for node in ast.walk(part)}
    return [
        (line, change)
        for node in ast.walk(module)
        if id(node) not in ignored
        for line, change in (*of_expression(node), *of_block(node))
    ]


def unexecuted(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that are types, decorators or assertions."""
    match node:
        case ast.Call(func=ast.Name(id="zip"), keywords=keywords):
            return list(keywords)
        case ast.FunctionDef():
            return [*node.decorator_list, *([node.returns] if node.returns else [])]
        case ast.ClassDef(decorator_list=decorators):
            return list(decorators)
        case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
            return [annotation]
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return [node]
        case ast.Subscript(value=ast.Name(id="Callable" | "Literal" | "dict" | "list" | "set" | "tuple" | "frozenset")):
            return [node]
    return []


def of_expression(node: ast.AST) -> Iterator[tuple[int, Change]]:
    """The changes of one expression, or of the value that a function returns."""

    def put(field: str, value: object) -> tuple[int, Change]:
        return getattr(node, "lineno", 0), lambda: setattr(node, field, value)

    match node:
        case ast.Compare(ops=[first, *rest]) if type(first) in COMPARISONS:
            yield put("ops", [COMPARISONS[type(first)](), *rest])
        case ast.BoolOp():
            yield put("op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.BinOp() if type(node.op) in OPERATORS:
            yield put("op", OPERATORS[type(node.op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield put("operand", ast.UnaryOp(ast.Not(), node.operand))
        case ast.Constant(value=bool() as value):
            yield put("value", not value)
        case ast.Constant(value=int() as value):
            yield put("value", value + 1)
        case ast.Constant(value=float() as value):
            yield put("value", value * 2 or 1.0)
        case ast.Call(func=ast.Name(id=name) as function) if name in FUNCTIONS:
            yield node.lineno, lambda: setattr(function, "id", FUNCTIONS[name])
        case ast.List(elts=entries, ctx=ast.Load()) | ast.Tuple(elts=entries, ctx=ast.Load()) if len(entries) > 1:
            for at in range(len(entries)):
                yield put("elts", entries[:at] + entries[at + 1 :])
        case ast.Return(value=ast.expr() as value):
            if not isinstance(value, ast.Constant):
                yield put("value", ast.Constant(None))


def of_block(node: ast.AST) -> Iterator[tuple[int, Change]]:
    """For each call and assignment in a function or a branch: a change that leaves it out."""
    if isinstance(node, ast.Module | ast.ClassDef):
        return
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        for at, statement in enumerate(block if isinstance(block, list) else ()):
            documents = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if isinstance(statement, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign) and not documents:
                yield statement.lineno, lambda block=block, at=at: block.__setitem__(at, ast.Pass())  # type: ignore[misc]


def difference(before: str, after: str) -> list[str]:
    """The changed lines."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


if __name__ == "__main__":
    sys.exit(main())
