"""Builds the section of a user's network: the file, its pictures with their gradients, and its cells beside others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from crosscheck.cells import Asks, Finding, Intent, Scenario, Status
from crosscheck.probe.recorded import GRADIENT_FIRST, PREDICTION_AFTER, PREDICTION_BEFORE
from crosscheck.report.arrays import INPUT, Array, Arrays, reference_gradient
from crosscheck.report.number_text import (
    before_and_after,
    gradient_error_text,
    release_spans,
    scientific,
    significant,
)
from crosscheck.report.order import distinct, measured, mode_order, own, release_order, runtime_order, title_of
from crosscheck.report.records import PLAIN, FileFacts, JudgedCell, Run, anchor
from crosscheck.report.saliency import Saliency, Shot, are_pictures, picture, saliency
from crosscheck.report.vocabulary import MEASURED, worst_first

__all__ = ["Figure", "Maps", "OwnNetwork", "OwnRow", "own_networks"]

#: Maximum rows of the input in the page, and maximum different maps of a runtime in one mode.
ROWS = 4
DIFFERENT = 4
#: The scenarios that predict before and after one call.
AROUND = (Scenario.GRADIENT, Scenario.PREDICT_ONLY)


@dataclass(frozen=True)
class Figure:
    """The maps of one runtime that look alike, an image a row of the input; the reference has no calls.

    numbers: the largest entry of each row. calls: mode, releases as text, and the HTML id of the first cell. errors: of
    the calls, against the reference, relative to its largest entry.
    """

    title: str
    shots: tuple[Shot, ...]
    numbers: str
    calls: tuple[tuple[str, str, str], ...] = ()
    errors: str = ""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Maps:
    """The gradients of one intent: the reference first, then each runtime's. omitted: further maps that differ."""

    intent: str
    figures: tuple[Figure, ...]
    omitted: int


@dataclass(frozen=True)
class OwnRow:
    """Modes and releases of a runtime with the same results, over all scenarios; every number is text.

    calls: mode -> releases (with `+variant`), each with the HTML id of its cell. others: findings of the same calls on
    other networks, with the number of networks that have them. asked: the number of other networks.
    """

    runtime: str
    findings: tuple[str, ...]
    statuses: tuple[str, ...]
    reason: str
    before: str
    after: str
    gradient_error: str
    others: tuple[tuple[str, int], ...]
    asked: int
    calls: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class OwnNetwork:
    """A user's network. pictures: the rows of its input, if they are pictures."""

    name: str
    facts: FileFacts
    pictures: tuple[Shot, ...]
    maps: tuple[Maps, ...]
    rows: tuple[OwnRow, ...]


def own_networks(run: Run, cells: Sequence[JudgedCell], arrays: Arrays) -> tuple[OwnNetwork, ...]:
    """The networks of `run.json` that were loaded from a user's file."""
    files = {name: facts["file"] for name, facts in run["networks"].items() if "file" in facts}
    asked = own(cells)
    return tuple(_network(run, asked, arrays, name, facts) for name, facts in files.items())


def _network(run: Run, cells: Sequence[JudgedCell], arrays: Arrays, name: str, facts: FileFacts) -> OwnNetwork:
    here = [cell for cell in cells if cell["network"] == name]
    reference = arrays.reference(name, [INPUT, *map(reference_gradient, Intent)])
    shown = min(facts["rows"], ROWS)
    pictures: tuple[Shot, ...] = ()
    maps: tuple[Maps, ...] = ()
    x = reference.get(INPUT)
    if x is not None and are_pictures(x.shape):
        sizes = "x".join(map(str, x.shape[2:]))
        pictures = tuple(picture(row, f"Row {at} of the input, {sizes} pixels") for at, row in enumerate(x[:shown]))
        maps = tuple(_maps(run, here, arrays, reference[key], intent, shown) for intent, key in _keys(reference))
    return OwnNetwork(name, facts, pictures, maps, tuple(_rows(run, cells, arrays, name, shown)))


def _keys(reference: Mapping[str, Array]) -> Iterable[tuple[Intent, str]]:
    return ((intent, key) for intent in Intent if (key := reference_gradient(intent)) in reference)


def _maps(run: Run, cells: Sequence[JudgedCell], arrays: Arrays, expected: Array, intent: Intent, shown: int) -> Maps:
    reference = _salient(expected, shown)
    figures = [_figure("float64 reference", reference, intent)]
    asked = [
        cell
        for cell in measured(cells)
        if (cell["asks"], cell["intent"], cell["scenario"]) == (Asks.GRADIENT, intent, Scenario.GRADIENT)
    ]
    omitted = 0
    for runtime in runtime_order(run, asked):
        groups: list[tuple[Sequence[Saliency | None], list[JudgedCell]]] = []
        for cell in _in_order(run, asked, runtime):
            gradient = arrays.of(cell, [GRADIENT_FIRST]).get(GRADIENT_FIRST)
            if gradient is None or gradient.size != expected.size:
                continue
            maps = _salient(gradient.reshape(expected.shape), shown)
            group = next((members for other, members in groups if _alike(maps, other)), None)
            if group is None:
                groups.append((maps, [cell]))
            else:
                group.append(cell)
        order, title = release_order(run, asked, runtime), title_of(run, runtime)
        figures += [_figure(title, alike, intent, members, order) for alike, members in groups[:DIFFERENT]]
        omitted += len(groups[DIFFERENT:])
    return Maps(intent, tuple(figures), omitted)


def _in_order(run: Run, cells: Sequence[JudgedCell], runtime: str) -> list[JudgedCell]:
    """The cells of a runtime by mode, variant (as installed first) and release, the newest first."""
    modes = {mode: at for at, mode in enumerate(mode_order(run, cells, runtime))}
    releases = {release: -at for at, release in enumerate(release_order(run, cells, runtime))}
    return sorted(
        (cell for cell in cells if cell["runtime"] == runtime),
        key=lambda cell: (modes[cell["mode"]], cell["variant"] != PLAIN, cell["variant"], releases[cell["release"]]),
    )


def _salient(gradient: Array, shown: int) -> list[Saliency | None]:
    return [saliency(row) for row in gradient[:shown]]


def _alike(maps: Sequence[Saliency | None], others: Sequence[Saliency | None]) -> bool:
    pairs = zip(maps, others, strict=True)
    return all(one.like(other) if one and other else one is other for one, other in pairs)


def _figure(
    title: str,
    maps: Sequence[Saliency | None],
    intent: Intent,
    cells: Sequence[JudgedCell] = (),
    releases: Sequence[str] = (),
) -> Figure:
    shots, numbers = [], []
    for at, one in enumerate(maps):
        if one is None:
            numbers.append("not finite")
            continue
        numbers.append(scientific(one.largest))
        where = f"largest entry {numbers[-1]} in pixel row {one.place[0]}, column {one.place[1]}"
        shots.append(one.shot(f"Saliency map of row {at}, {intent}-mode gradient, {title}: {where}"))
    errors = dict.fromkeys(scientific(error) for cell in cells if (error := _error(cell, intent)) is not None)
    return Figure(
        title=title,
        shots=tuple(shots),
        numbers=" / ".join(numbers),
        calls=tuple(_calls(cells, releases)),
        errors=", ".join(errors),
        findings=worst_first(finding for cell in cells for finding in cell["findings"]),
    )


def _calls(cells: Sequence[JudgedCell], releases: Sequence[str]) -> Iterable[tuple[str, str, str]]:
    for mode in distinct(cell["mode"] for cell in cells):
        members = [cell for cell in cells if cell["mode"] == mode]
        spans = release_spans([(cell["release"], cell["variant"]) for cell in members], releases)
        yield mode, spans, anchor(members[0])


def _error(cell: JudgedCell, intent: Intent) -> float | None:
    errors = cell["gradient_error"]
    if errors is None:
        return None
    return errors["training"] if intent is Intent.TRAINING else errors["inference"]


def _rows(run: Run, cells: Sequence[JudgedCell], arrays: Arrays, name: str, shown: int) -> Iterable[OwnRow]:
    """One for the calls of a runtime that agree, in the order of runtimes and modes."""
    available = [cell for cell in cells if cell["status"] != Status.NOT_IN_RELEASE]
    here = [cell for cell in available if cell["network"] == name]
    others: dict[tuple[str, ...], list[JudgedCell]] = defaultdict(list)
    for cell in available:
        if cell["network"] != name:
            others[_same_call(cell)].append(cell)
    calls: dict[tuple[str, ...], list[JudgedCell]] = {}
    for runtime in runtime_order(run, here):
        for cell in _in_order(run, here, runtime):
            calls.setdefault(_same_call(cell), []).append(cell)
    rows: dict[OwnRow, dict[str, tuple[tuple[str, str], ...]]] = defaultdict(dict)
    for key, of_call in calls.items():
        row, worst = _row(of_call, others[key], arrays, shown)
        release = worst["release"] + ("" if worst["variant"] == PLAIN else f"+{worst['variant']}")
        rows[row][worst["mode"]] = (*rows[row].get(worst["mode"], ()), (release, anchor(worst)))
    return (replace(row, calls=members) for row, members in rows.items())


def _same_call(cell: JudgedCell) -> tuple[str, ...]:
    return cell["runtime"], cell["release"], cell["variant"], cell["mode"]


def _row(
    cells: Sequence[JudgedCell], others: Sequence[JudgedCell], arrays: Arrays, shown: int
) -> tuple[OwnRow, JudgedCell]:
    """The row without calls, and the cell that shows its worst finding."""
    findings = _findings(cells)
    worst = next((cell for cell in cells if findings and findings[0] in cell["findings"]), cells[0])
    around = next((cell for cell in cells if cell["scenario"] in AROUND), worst)
    before, after = _answers(around, arrays, shown)
    by_network: dict[str, list[JudgedCell]] = defaultdict(list)
    for cell in measured(others):
        by_network[cell["network"]].append(cell)
    counts = Counter(finding for of_network in by_network.values() for finding in _findings(of_network))
    row = OwnRow(
        runtime=worst["runtime"],
        findings=findings,
        statuses=worst_first(cell["status"] for cell in cells if cell["status"] != Status.OK),
        reason=next((cell["reason"] for cell in cells if cell["status"] not in MEASURED and cell["reason"]), "") or "",
        before=before,
        after=after,
        gradient_error=gradient_error_text(around["gradient_error"]),
        others=tuple((finding, counts[finding]) for finding in worst_first(counts)),
        asked=len(by_network),
    )
    return row, worst


def _findings(cells: Sequence[JudgedCell]) -> tuple[str, ...]:
    """The worst first; `clean` only where there is no other."""
    every = worst_first(finding for cell in cells for finding in cell["findings"])
    return tuple(name for name in every if name != Finding.CLEAN) or every


def _answers(cell: JudgedCell, arrays: Arrays, shown: int) -> tuple[str, str]:
    """The class of each row and its score before and after the call; other outputs as in all tables."""
    recorded = arrays.of(cell, [PREDICTION_BEFORE, PREDICTION_AFTER])
    pair = [recorded.get(key) for key in (PREDICTION_BEFORE, PREDICTION_AFTER)]
    if not all(value is not None and value.ndim == 2 and value.shape[1] > 1 for value in pair):
        return before_and_after(cell)
    before, after = (" / ".join(_class(row) for row in value[:shown]) for value in pair if value is not None)
    return before, after


def _class(scores: Array) -> str:
    if not np.isfinite(scores).all():
        return "not finite"
    best = int(scores.argmax())
    return f"{best}: {significant(float(scores[best]))}"
