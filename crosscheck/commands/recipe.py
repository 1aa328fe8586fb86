"""`crosscheck recipe`: prints the calls that left a network unchanged in a finished run."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from crosscheck.commands.options import add_out
from crosscheck.ending import OK
from crosscheck.errors import UsageError
from crosscheck.matrix.selection import one_by_one
from crosscheck.report.order import gradients
from crosscheck.report.recipes import Cookbook, Recipe, recipes
from crosscheck.report.results import load
from crosscheck.runtimes.catalog import catalog
from crosscheck.runtimes.known import TOOLKITS, unknown_runtime
from crosscheck.script.writer import example

__all__ = ["arguments", "main", "recipe"]

#: Maximum alternatives named with a recipe.
_NAMED = 4
#: Control characters, removed from runtimes' texts.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("runtime", nargs="*", metavar="RUNTIME", help="only these runtimes; `toolkits` is all toolkits")
    add_out(parser, "the folder of the run")


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print the recipes."""
    recipe(console, parsed.out, parsed.runtime)
    return OK


def recipe(console: Console, folder: Path, wanted: Sequence[str]) -> None:
    """Print the recipes of the named runtimes, by default all, from the run in `folder`.

    Raises UsageError without a finished run there, for an unknown runtime, and for one without a measured gradient.
    """
    if not (folder / "cells.jsonl").exists():
        raise UsageError(
            f"{folder} has no finished run to take recipes from. "
            f"`crosscheck run {' '.join([*wanted, '--out', str(folder)])}` makes one."
        )
    results = load(folder)
    books = {book.runtime: book for book in recipes(results.run, results.cells, example)}
    names = list(_names(wanted, books))
    for name in names:
        if name not in books:
            raise UsageError(_missing(name, folder, {cell.runtime for cell in gradients(results.cells)}))
    if not books:
        raise UsageError(f"the run in {folder} measured no gradient. `crosscheck run --out {folder}` measures some.")
    for number, name in enumerate(name for name in books if name in names or not names):
        if number:
            console.print()
        _print(console, books[name])


def _names(words: Iterable[str], measured: Collection[str]) -> Iterator[str]:
    """The words, `toolkits` replaced by the names of those that are measured, if any is."""
    for word in words:
        yield from [name for name in one_by_one([word], catalog()) if name in measured] or [word]


def _missing(name: str, folder: Path, requested: set[str]) -> str:
    if name in requested:
        return f"the run in {folder} could measure no gradient of {name}; its report says why."
    if name in catalog() or name == TOOLKITS:
        return (
            f"the run in {folder} has no gradient mode of {name}. `crosscheck run {name} --out {folder}` measures one."
        )
    return str(unknown_runtime(name, [*catalog(), TOOLKITS]))


def _print(console: Console, book: Cookbook) -> None:
    _line(console, book.title, 0, "bold")
    for of in book.recipes:
        _line(console, f"gradient in {of.intent} mode", 2, "underline")
        if not of.ranges:
            _line(console, "not measured in this run", 4)
        for recipe in of.ranges:
            _line(console, _headline(recipe), 4)
            for line in recipe.code.splitlines():
                _line(console, line, 8, "bold green" if recipe.safe else "")
            _line(console, _measured(recipe), 6, "dim")


def _line(console: Console, text: str, indent: int, style: str = "") -> None:
    # Code lines are neither wrapped nor padded, so that they can be copied.
    console.print(
        " " * indent, Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text), style=style), sep="", soft_wrap=True
    )


def _headline(recipe: Recipe) -> str:
    first, last = recipe.releases[0], recipe.releases[-1]
    releases = first if first == last else f"{first} to {last} ({len(recipe.releases)} releases measured)"
    if recipe.clears:
        return f"{releases}: {recipe.mode} leaves parameter gradients, which the last line clears; else it is clean"
    if recipe.safe:
        return f"{releases}: {recipe.mode} is clean"
    modes = f"the {recipe.ways} modes measured" if recipe.ways > 1 else "the one mode measured"
    harm = f"the least harmful, {recipe.mode}, shows" if recipe.ways > 1 else f"{recipe.mode} shows"
    return f"{releases}: no recipe among {modes}; {harm} {', '.join(recipe.shows)}"


def _measured(recipe: Recipe) -> str:
    facts = [f"measured on {', '.join(recipe.networks)}, in {', '.join(recipe.scenarios)}"]
    if recipe.unmeasured:
        facts.append(f"not measurable on {', '.join(recipe.unmeasured)}")
    statistics = recipe.statistics
    facts.append("undocumented" if statistics == "undocumented" else f"documented: statistics {statistics}")
    if recipe.safe:
        facts.insert(1, _unchanged(recipe))
    if recipe.also:
        more = len(recipe.also) - _NAMED
        named = ", ".join(recipe.also[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        facts.append(f"{'likewise' if recipe.clears else 'also clean'}: {named}")
    return "; ".join(facts)


def _unchanged(recipe: Recipe) -> str:
    """The evidence of `clean`."""
    read = "every persistent tensor is unchanged, statistics up to four roundings"
    if not recipe.unread:
        return read
    unread = "no persistent tensor is readable, but no later prediction changed"
    if set(recipe.unread) == set(recipe.networks):
        return unread
    return f"{read}; on {', '.join(recipe.unread)} {unread}"
