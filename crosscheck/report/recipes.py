"""Per runtime: the shortest call that was measured to give a gradient and to leave the network as it was.

`clean` has no tolerance for persistent tensors: every one that can be read is exactly what it was. (The sign of a zero
and the payload of a NaN are not looked at.)
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from crosscheck.cells import Finding, Intent
from crosscheck.report.order import (
    all_clean,
    as_installed,
    distinct,
    findings_of,
    gradients,
    measured,
    mode_order,
    release_order,
    runtime_order,
    title_of,
)
from crosscheck.report.records import JudgedCell, Run
from crosscheck.report.vocabulary import FINDINGS, worst_first

__all__ = ["Cookbook", "Examples", "Recipe", "Recipes", "recipes"]

#: Makes the complete program of a cell's mode, or None where there is none.
Examples = Callable[[JudgedCell], str | None]

#: With these a call has not answered the question, whatever else it did or left.
_NO_ANSWER = frozenset({Finding.WRONG_GRADIENT, Finding.MODE_IGNORED, Finding.WRONG_PREDICTION})
#: How little harm a finding does: the larger, the less.
_MILDNESS = {word.name: rank for rank, word in enumerate(FINDINGS)}

#: A file that a call reads and that has a gradient in it, by the name of its form (`crosscheck.networks.forms`).
_GRADIENT_FILE = re.compile(r"\b(?P<form>[\w-]*?(?P<batch>-batch)?)-gradient\.onnx\b")
#: The forms that `crosscheck gradient` writes of a user's model.
_WRITTEN_FORM = re.compile(r"opset-\d+(-batch)?")


@dataclass(frozen=True)
class Recipe:
    """How to ask for a gradient in releases that follow each other, as they are installed.

    releases: all that were measured between the first and the last of them, oldest first.
    safe: whether `mode` is a recipe: clean in every measured cell of these releases, measured on more than half of the
        networks it was asked about, and the shortest of its kind. Where no way of asking is that in any of the
        releases, it is one that most of them have, with the right gradient if possible, and the least harm.
    code: a complete program, where examples are made; else its call, after the command that writes the gradient file
        which the call reads, if it reads one.
    shows: its findings; `clean` stands alone.
    networks, scenarios: what it was measured with; `unmeasured` are networks that it was asked about in vain, `unread`
        those on which the runtime shows no persistent tensor, so that predictions alone tell that nothing moved.
    ways: how many ways of asking were measured in these releases.
    also: other ways that are safe in every one of these releases, on as many networks.
    """

    releases: tuple[str, ...]
    safe: bool
    mode: str
    code: str
    statistics: str
    link: str
    shows: tuple[str, ...]
    networks: tuple[str, ...]
    scenarios: tuple[str, ...]
    unmeasured: tuple[str, ...]
    unread: tuple[str, ...]
    ways: int
    also: tuple[str, ...]


@dataclass(frozen=True)
class Recipes:
    """The gradient in one mode, over all measured releases, the newest first; none where nothing was measured."""

    intent: str
    ranges: tuple[Recipe, ...]


@dataclass(frozen=True)
class Cookbook:
    """One runtime's recipes, for the inference-mode and the training-mode gradient."""

    runtime: str
    title: str
    recipes: tuple[Recipes, ...]


def recipes(run: Run, cells: Sequence[JudgedCell], examples: Examples | None = None) -> tuple[Cookbook, ...]:
    """Find the recipes of every runtime of which a gradient was measured as installed, in the order of the run."""
    asked = as_installed(gradients(cells))
    return tuple(
        Cookbook(
            runtime,
            title_of(run, runtime),
            tuple(Recipes(str(intent), _ranges(run, asked, runtime, intent, examples)) for intent in Intent),
        )
        for runtime in runtime_order(run, measured(asked))
        if any(cell["runtime"] == runtime for cell in measured(asked))
    )


def _ranges(
    run: Run, asked: Iterable[JudgedCell], runtime: str, intent: Intent, examples: Examples | None
) -> tuple[Recipe, ...]:
    """Cover the releases by as few ranges as there can be: each reaches back from the newest as far as any way does."""
    wanted = [cell for cell in asked if cell["runtime"] == runtime and cell["intent"] == intent]
    found = measured(wanted)
    releases = release_order(run, found, runtime)
    modes = mode_order(run, found, runtime)
    cells_of: dict[tuple[str, str], list[JudgedCell]] = defaultdict(list)
    for cell in wanted:
        cells_of[cell["release"], cell["mode"]].append(cell)
    safe = [_safe({mode: cells_of[release, mode] for mode in modes}) for release in releases]
    ranges = []
    end = len(releases)
    while end:
        reach = {mode: _start(safe, end, mode) for mode in safe[end - 1]}
        start = min(reach.values(), default=_start_of_none(safe, end))
        here = releases[start:end]
        ways = {mode: [cell for release in here for cell in cells_of[release, mode]] for mode in modes}
        candidates = [mode for mode in modes if reach.get(mode) == start]
        chosen = min(candidates, key=lambda mode: _length(ways[mode])) if candidates else _mildest(ways)
        also = tuple(mode for mode in candidates if mode != chosen)
        count = sum(bool(measured(cells)) for cells in ways.values())
        recipe = _recipe(run, here, ways[chosen], also, count, safe=bool(candidates))
        ranges.append(recipe if examples is None else _complete(recipe, ways[chosen], examples))
        end = start
    return tuple(ranges)


def _safe(ways: Mapping[str, Sequence[JudgedCell]]) -> frozenset[str]:
    """The modes of one release that may be recipes, measured on as many networks as any of them; see `Recipe.safe`."""
    clean = {
        mode: len(_networks(measured(cells)))
        for mode, cells in ways.items()
        if _widely_measured(cells) and all_clean(measured(cells)) and _code(cells[0]) is not None
    }
    return frozenset(mode for mode, count in clean.items() if count == max(clean.values()))


def _widely_measured(cells: Sequence[JudgedCell]) -> bool:
    # What is refused wherever there is a batch normalization must not pass for safe by its controls.
    return 2 * len(_networks(measured(cells))) > len(_networks(cells))


def _start(clean: Sequence[frozenset[str]], end: int, mode: str) -> int:
    start = end
    while start and mode in clean[start - 1]:
        start -= 1
    return start


def _start_of_none(clean: Sequence[frozenset[str]], end: int) -> int:
    start = end
    while start and not clean[start - 1]:
        start -= 1
    return start


def _length(cells: Sequence[JudgedCell]) -> int:
    """Characters of the code, white space aside: what "shortest" means here."""
    return len("".join((_code(cells[0]) or cells[0]["call"]).split()))


def _mildest(ways: Mapping[str, Sequence[JudgedCell]]) -> str:
    """The mode that most releases have, then one that was widely measured, answers, harms least, and is short."""

    def harm(mode: str) -> tuple[int, bool, bool, int, int]:
        cells = measured(ways[mode])
        found = findings_of(cells)
        mildness = min((_MILDNESS.get(finding, -1) for finding in found), default=-1)
        releases = {cell["release"] for cell in cells}
        unanswered = not _NO_ANSWER.isdisjoint(found)
        return -len(releases), not _widely_measured(ways[mode]), unanswered, -mildness, _length(ways[mode])

    return min((mode for mode in ways if measured(ways[mode])), key=harm)


def _networks(cells: Iterable[JudgedCell]) -> set[str]:
    return {cell["network"] for cell in cells}


def _recipe(
    run: Run, releases: tuple[str, ...], asked: Sequence[JudgedCell], also: tuple[str, ...], ways: int, safe: bool
) -> Recipe:
    cells = measured(asked)
    unread = [cell for cell in cells if not cell["state_changes"]]
    newest = cells[-1]
    networks = distinct([*run["networks"], *(cell["network"] for cell in asked)])
    found = findings_of(cells)
    return Recipe(
        releases=releases,
        safe=safe,
        mode=newest["mode"],
        code=_code(newest) or newest["call"],
        statistics=newest["contract"]["statistics"],
        link=newest["contract"]["link"],
        shows=worst_first(found - {Finding.CLEAN} or found),
        networks=tuple(network for network in networks if network in _networks(cells)),
        scenarios=tuple(distinct(cell["scenario"] for cell in cells)),
        unmeasured=tuple(network for network in networks if network in _networks(asked) - _networks(cells)),
        unread=tuple(network for network in networks if network in _networks(unread)),
        ways=ways,
        also=also,
    )


def _complete(recipe: Recipe, cells: Sequence[JudgedCell], examples: Examples) -> Recipe:
    """The recipe with a complete program in place of the call, where there is one."""
    program = examples(measured(cells)[-1])
    return recipe if program is None else replace(recipe, code=program)


def _code(cell: JudgedCell) -> str | None:
    """The call, after the command that writes its gradient file; None where there is no command for such a file."""
    file = _GRADIENT_FILE.search(cell["call"])
    if file is None:
        return cell["call"]
    if not _WRITTEN_FORM.fullmatch(file["form"]):
        return None
    switch = " --training" if file["batch"] else ""
    return f"$ crosscheck gradient model.onnx -o {file[0]}{switch}\n{cell['call']}"
