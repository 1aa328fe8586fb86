"""Selects, per runtime, the shortest call measured to give a gradient and to leave the network unchanged.

A call is safe if it is `clean`, where its own lines replace no statistics; or if it leaves nothing but parameter
gradients and the runtime has a line that clears them, which is then part of the recipe.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from crosscheck.cells import Finding, Intent, Status
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.order import (
    all_clean,
    as_installed,
    base_of,
    decided,
    distinct,
    findings_of,
    gradients,
    mode_order,
    release_order,
    runtime_order,
    title_of,
)
from crosscheck.report.vocabulary import FINDINGS, worst_first
from crosscheck.runtimes.mode import TOLD

__all__ = ["Cookbook", "Examples", "Recipe", "Recipes", "recipes"]

#: Returns the complete program of a cell's mode, or None.
Examples = Callable[[JudgedCell], str | None]

#: Findings of a call without a right answer.
_NO_ANSWER = frozenset({Finding.WRONG_GRADIENT, Finding.MODE_IGNORED, Finding.WRONG_PREDICTION})
#: The state of a toolkit's user who has gradients on the parameters that are not to be cleared.
KEPT = "gradients"
#: Finding -> mildness: the larger, the less harm.
_MILDNESS = {word.name: rank for rank, word in enumerate(FINDINGS)}

#: The gradient file that a call reads, named after its form (`crosscheck.networks.forms`).
_GRADIENT_FILE = re.compile(r"\b(?P<form>[\w-]*?(?P<batch>-batch)?)-gradient\.onnx\b")
#: The forms written by `crosscheck gradient`.
_WRITTEN_FORM = re.compile(r"opset-\d+(-batch)?")


@dataclass(frozen=True)
class Recipe:
    """A gradient call for consecutive releases, as installed.

    releases: all measured ones between the first and the last, oldest first.
    safe: whether `mode` is a recipe: clean, or clean but for gradients that `clears` removes, in every measured cell of
        these releases, measured on more than half of the planned networks, and the shortest such mode; of a toolkit,
        its default call in the shortest state, if that is one. If no release has a recipe, `mode` is available in most
        releases, with the right gradient if possible, and the least harm.
    code: a complete program if examples are made; else the call, preceded by the command that writes its gradient file,
        if it reads one.
    shows: its findings; `clean` only as a single finding.
    networks, scenarios: of its measured cells; `unmeasured` are networks without a measurement, `unread` those without
        readable persistent tensors, whose predictions alone show that nothing moved.
    ways: the number of modes measured in these releases.
    also: other modes that are safe in all of these releases, on as many networks.
    clears: the line that removes the gradients that the call leaves on parameters; "" if it leaves none.
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
    clears: str = ""


@dataclass(frozen=True)
class Recipes:
    """Recipes of one intent over all measured releases, the newest first."""

    intent: str
    ranges: tuple[Recipe, ...]


@dataclass(frozen=True)
class Cookbook:
    """One runtime's recipes for the inference-mode and the training-mode gradient.

    base: of a toolkit, the runtime that it asks; its calls may answer something else than a gradient.
    """

    runtime: str
    title: str
    recipes: tuple[Recipes, ...]
    base: str = ""


def recipes(run: Run, cells: Sequence[JudgedCell], examples: Examples | None = None) -> tuple[Cookbook, ...]:
    """The recipes of every runtime with a gradient measured as installed, in the order of the run."""
    other = _of_other_networks(run)
    gradient_cells = [cell for cell in as_installed(gradients(cells)) if (cell.runtime, cell.mode) not in other]
    return tuple(
        Cookbook(
            runtime,
            title_of(run, runtime),
            tuple(Recipes(str(intent), _ranges(run, gradient_cells, runtime, intent, examples)) for intent in Intent),
            base_of(run, runtime),
        )
        for runtime in runtime_order(run, decided(gradient_cells))
        if any(cell.runtime == runtime for cell in decided(gradient_cells))
    )


def _of_other_networks(run: Run) -> frozenset[tuple[str, str]]:
    """(runtime, mode) of modes whose layers are told to leave out, or to use, something else than the network's say."""
    return frozenset(
        (name, mode.name)
        for name, runtime in run.runtimes.items()
        for mode in runtime.modes
        if any(getattr(mode, word) for word in TOLD)
    )


def _ranges(
    run: Run, gradient_cells: Iterable[JudgedCell], runtime: str, intent: Intent, examples: Examples | None
) -> tuple[Recipe, ...]:
    """Cover the releases by as few ranges as possible, each as long as any mode allows, from the newest back."""
    ours = [cell for cell in gradient_cells if cell.runtime == runtime]
    usual = _usual(ours) if base_of(run, runtime) else frozenset()
    wanted = [cell for cell in ours if cell.intent == intent]
    measured_cells = decided(wanted)
    releases = release_order(run, measured_cells, runtime)
    modes = mode_order(run, measured_cells, runtime)
    cells_of: dict[tuple[str, str], list[JudgedCell]] = defaultdict(list)
    for cell in wanted:
        cells_of[cell.release, cell.mode].append(cell)
    facts = run.runtimes.get(runtime)
    clears = facts.clears if facts else ""
    kept = {mode.name for mode in facts.modes if mode.starts == KEPT} if facts else set()
    cleared = [mode for mode in modes if clears and mode not in kept]
    safe = [_safe({mode: cells_of[release, mode] for mode in modes}, cleared) for release in releases]
    ranges = []
    end = len(releases)
    while end:
        reach = {mode: _start(safe, end, mode) for mode in safe[end - 1]}
        start = min(reach.values(), default=_start_of_none(safe, end))
        here = releases[start:end]
        ways = {mode: [cell for release in here for cell in cells_of[release, mode]] for mode in modes}
        candidates = [mode for mode in modes if reach.get(mode) == start]
        chosen = min(candidates, key=lambda mode: (mode not in usual, _length(ways[mode])), default=None)
        chosen = chosen or _mildest(ways, usual)
        also = tuple(mode for mode in candidates if mode != chosen)
        count = sum(bool(decided(cells)) for cells in ways.values())
        recipe = _recipe(run, here, ways[chosen], also, count, safe=bool(candidates))
        if examples is not None:
            recipe = _complete(recipe, ways[chosen], examples)
        if recipe.safe and Finding.GRADIENTS_LEFT in recipe.shows:
            recipe = replace(recipe, code=f"{recipe.code.rstrip()}\n{clears}\n", clears=clears)
        ranges.append(recipe)
        end = start
    return tuple(ranges)


def _safe(ways: Mapping[str, Sequence[JudgedCell]], cleared: Collection[str]) -> frozenset[str]:
    """The safe modes of one release, measured on as many networks as any of them; see `Recipe.safe`.

    Those that leave gradients only if no other is safe. cleared: modes after which a line may remove all gradients.
    """
    usable = {
        mode: decided(cells)
        for mode, cells in ways.items()
        if _widely_measured(cells) and _code(cells[0]) is not None and not any(map(_adopts, decided(cells)))
    }
    clean = {mode: len(_networks(cells)) for mode, cells in usable.items() if all_clean(cells)}
    if not clean:
        mended = {Finding.CLEAN, Finding.GRADIENTS_LEFT}
        clean = {
            mode: len(_networks(cells))
            for mode, cells in usable.items()
            if mode in cleared and findings_of(cells) <= mended and all(cell.status == Status.OK for cell in cells)
        }
    return frozenset(mode for mode, count in clean.items() if count == max(clean.values()))


def _adopts(cell: JudgedCell) -> bool:
    """Whether the call's own lines replace the statistics by returned ones."""
    return cell.update is not None and cell.update.when == "adopted"


def _widely_measured(cells: Sequence[JudgedCell]) -> bool:
    # A mode refused for every batch normalization must not count as safe by its controls.
    return 2 * len(_networks(decided(cells))) > len(_networks(cells))


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
    """Characters of the code except white space, which defines "shortest"."""
    return len("".join((_code(cells[0]) or cells[0].call).split()))


def _usual(cells: Sequence[JudgedCell]) -> frozenset[str]:
    """The modes of a toolkit with its default call, in whatever state: others do not answer the same question."""
    default = {_call(cell) for cell in cells if cell.default_call}
    return frozenset(cell.mode for cell in cells if _call(cell) in default)


def _call(cell: JudgedCell) -> str:
    """What a toolkit's mode asks, without the state: `saliency` of `eval.saliency`."""
    return cell.mode.partition(".")[2]


def _mildest(ways: Mapping[str, Sequence[JudgedCell]], usual: Collection[str]) -> str:
    """The mode by: releases that have it, networks measured, right answer, least harm, default call, short code."""

    def harm(mode: str) -> tuple[int, bool, bool, int, bool, int]:
        cells = decided(ways[mode])
        findings = findings_of(cells)
        mildness = min((_MILDNESS.get(finding, -1) for finding in findings), default=-1)
        releases = {cell.release for cell in cells}
        unanswered = not _NO_ANSWER.isdisjoint(findings)
        unwide = not _widely_measured(ways[mode])
        return -len(releases), unwide, unanswered, -mildness, mode not in usual, _length(ways[mode])

    return min((mode for mode in ways if decided(ways[mode])), key=harm)


def _networks(cells: Iterable[JudgedCell]) -> set[str]:
    return {cell.network for cell in cells}


def _recipe(
    run: Run,
    releases: tuple[str, ...],
    gradient_cells: Sequence[JudgedCell],
    also: tuple[str, ...],
    ways: int,
    safe: bool,
) -> Recipe:
    cells = decided(gradient_cells)
    unread = [cell for cell in cells if not cell.state_changes]
    newest = cells[-1]
    networks = distinct([*run.networks, *(cell.network for cell in gradient_cells)])
    findings = findings_of(cells)
    return Recipe(
        releases=releases,
        safe=safe,
        mode=newest.mode,
        code=_code(newest) or newest.call,
        statistics=newest.contract.statistics,
        link=newest.contract.link,
        shows=worst_first(findings - {Finding.CLEAN} or findings),
        networks=tuple(network for network in networks if network in _networks(cells)),
        scenarios=tuple(distinct(cell.scenario for cell in cells)),
        unmeasured=tuple(network for network in networks if network in _networks(gradient_cells) - _networks(cells)),
        unread=tuple(network for network in networks if network in _networks(unread)),
        ways=ways,
        also=also,
    )


def _complete(recipe: Recipe, cells: Sequence[JudgedCell], examples: Examples) -> Recipe:
    """The recipe with a complete program instead of the call, if there is one."""
    program = examples(decided(cells)[-1])
    return recipe if program is None else replace(recipe, code=program)


def _code(cell: JudgedCell) -> str | None:
    """The call, preceded by the command that writes its gradient file; None if no command writes it."""
    file = _GRADIENT_FILE.search(cell.call)
    if file is None:
        return cell.call
    if not _WRITTEN_FORM.fullmatch(file["form"]):
        return None
    switch = " --training" if file["batch"] else ""
    return f"$ crosscheck gradient model.onnx -o {file[0]}{switch}\n{cell.call}"
