"""`crosscheck recipe`: prints the calls that left a network unchanged in a finished run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from crosscheck.errors import UsageError
from crosscheck.matrix.selection import nearest
from crosscheck.report.order import gradients
from crosscheck.report.reading import read_cells, read_run
from crosscheck.report.recipes import Cookbook, Recipe, recipes
from crosscheck.runtimes.catalog import catalog
from crosscheck.script.writer import example

__all__ = ["recipe"]

#: Other ways that are named beside a recipe.
_NAMED = 4
#: Control characters: texts of runtimes must not steer the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def recipe(console: Console, folder: Path, wanted: Sequence[str]) -> None:
    """Print the recipes of the named runtimes, or of all, as measured by the run in `folder`.

    Raises UsageError without a finished run there, for a runtime that there is not, and for one of which that run has
    measured no gradient.
    """
    if not (folder / "cells.jsonl").exists():
        raise UsageError(
            f"{folder} holds no finished run, and recipes are measured. "
            f"`crosscheck run {' '.join([*wanted, '--out', str(folder)])}` makes one."
        )
    cells = read_cells(folder)
    run = read_run(folder / "run.json", cells)
    books = {book.runtime: book for book in recipes(run, cells, example)}
    for name in wanted:
        if name not in books:
            raise UsageError(_missing(name, folder, {cell["runtime"] for cell in gradients(cells)}))
    if not books:
        raise UsageError(f"the run in {folder} measured no gradient. `crosscheck run --out {folder}` does.")
    for number, name in enumerate(name for name in books if name in wanted or not wanted):
        if number:
            console.print()
        _print(console, books[name])


def _missing(name: str, folder: Path, asked: set[str]) -> str:
    if name in asked:
        return f"the run in {folder} could measure no gradient of {name}; its report says why."
    if name in catalog():
        return f"the run in {folder} asked {name} for no gradient. `crosscheck run {name} --out {folder}` does."
    return f"unknown runtime '{name}'. {nearest(name, catalog())}"


def _print(console: Console, book: Cookbook) -> None:
    _line(console, book.title, 0, "bold")
    for of in book.recipes:
        _line(console, f"gradient in {of.intent} mode", 2, "underline")
        if not of.ranges:
            _line(console, "not measured in this run", 4)
        for found in of.ranges:
            _line(console, _headline(found), 4)
            for line in found.code.splitlines():
                _line(console, line, 8, "bold green" if found.safe else "")
            _line(console, _measured(found), 6, "dim")


def _line(console: Console, text: str, indent: int, style: str = "") -> None:
    # Code is there to be copied: no line is broken or filled up, whatever the width.
    console.print(
        " " * indent, Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text), style=style), sep="", soft_wrap=True
    )


def _headline(found: Recipe) -> str:
    first, last = found.releases[0], found.releases[-1]
    releases = first if first == last else f"{first} to {last} ({len(found.releases)} releases measured)"
    if found.safe:
        return f"{releases}: {found.mode} is clean"
    ways = f"the {found.ways} ways measured" if found.ways > 1 else "the one way measured"
    harm = f"the least harmful, {found.mode}, shows" if found.ways > 1 else f"{found.mode} shows"
    return f"{releases}: no recipe among {ways}; {harm} {', '.join(found.shows)}"


def _measured(found: Recipe) -> str:
    facts = [f"measured on {', '.join(found.networks)}, in {', '.join(found.scenarios)}"]
    if found.unmeasured:
        facts.append(f"not measurable on {', '.join(found.unmeasured)}")
    statistics = found.statistics
    facts.append("undocumented" if statistics == "undocumented" else f"documented: statistics {statistics}")
    if found.safe:
        facts.insert(1, _unchanged(found))
    if found.also:
        more = len(found.also) - _NAMED
        facts.append(f"clean there, too: {', '.join(found.also[:_NAMED])}{f' and {more} more' if more > 0 else ''}")
    return "; ".join(facts)


def _unchanged(found: Recipe) -> str:
    """What `clean` was measured by."""
    read = "every persistent tensor is exactly what it was"
    if not found.unread:
        return read
    unread = "no persistent tensor can be read, and no later prediction changed"
    if set(found.unread) == set(found.networks):
        return unread
    return f"{read}; on {', '.join(found.unread)} {unread}"
