"""Builds the pictures in a user's network's input, and saliency maps of their gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crosscheck.cells import Array, Asks, Intent, Scenario
from crosscheck.probe.recorded import GRADIENT_FIRST
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.arrays import INPUT, PREDICTION, Arrays, reference_gradient
from crosscheck.report.number_text import release_spans, scientific
from crosscheck.report.order import distinct, in_order, measured, release_order, runtime_order, title_of
from crosscheck.report.saliency import Saliency, Shot, are_pictures, picture, saliency
from crosscheck.report.scores import classes_text, classified
from crosscheck.report.vocabulary import worst_first

__all__ = ["Figure", "Maps", "Pictures", "pictures_of"]

#: Maximum different maps of a runtime in one mode.
DIFFERENT = 6


@dataclass(frozen=True)
class Figure:
    """The maps of calls of one runtime that look alike and have the same findings, an image a row of the input.

    The reference has no calls.

    numbers: the largest entry of each row. answers: the different predictions of the calls, before and after, as text.
    calls: mode, releases as text, and the HTML id of the first cell. errors: of the calls, against the closed form of
    their mode, relative to its largest entry. toolkits: what the calls answer that are a toolkit's, in words.
    """

    title: str
    shots: tuple[Shot, ...]
    numbers: str
    answers: tuple[tuple[str, str], ...]
    calls: tuple[tuple[str, str, str], ...] = ()
    errors: str = ""
    findings: tuple[str, ...] = ()
    toolkits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Maps:
    """The gradients of one intent: the reference first, then each runtime's. omitted: further maps that differ."""

    intent: str
    figures: tuple[Figure, ...]
    omitted: int


@dataclass(frozen=True)
class Pictures:
    """The first rows of the input, and their class by the reference; and the maps of both intents."""

    shots: tuple[Shot, ...]
    classes: str
    maps: tuple[Maps, ...]


def pictures_of(run: Run, cells: Sequence[JudgedCell], arrays: Arrays, network: str, rows: int) -> Pictures | None:
    """The first rows of a network's input with their gradients in `cells`; None if they are no pictures."""
    reference = arrays.reference(network, [INPUT, PREDICTION, *map(reference_gradient, Intent)])
    x = reference.get(INPUT)
    if x is None or not are_pictures(x.shape):
        return None
    sizes = "x".join(map(str, x.shape[2:]))
    shots = tuple(picture(row, f"Row {at} of the input, {sizes} pixels") for at, row in enumerate(x[:rows]))
    maps = tuple(
        _maps(run, cells, arrays, reference[key], intent, rows)
        for intent in Intent
        if (key := reference_gradient(intent)) in reference
    )
    return Pictures(shots, classes_text(reference.get(PREDICTION), rows), maps)


def _maps(run: Run, cells: Sequence[JudgedCell], arrays: Arrays, expected: Array, intent: Intent, rows: int) -> Maps:
    salient = _salient(expected, rows)
    numbers, shots = _shown(salient, f"{intent}-mode gradient, float64 reference")
    figures, omitted = [Figure("float64 reference", shots, numbers, ())], 0
    asked = [
        cell
        for cell in measured(cells)
        if (cell.asks, cell.intent, cell.scenario) == (Asks.GRADIENT, intent, Scenario.GRADIENT)
    ]
    for runtime in runtime_order(run, asked):
        groups: list[tuple[Sequence[Saliency | None], list[JudgedCell]]] = []
        for cell in in_order(run, asked, runtime):
            gradient = arrays.of(cell, [GRADIENT_FIRST]).get(GRADIENT_FIRST)
            if gradient is None or gradient.size != expected.size:
                continue
            salient = _salient(gradient.reshape(expected.shape), rows)
            alike = [members for other, members in groups if _alike(salient, other) and _equal(cell, members[0])]
            if alike:
                alike[0].append(cell)
            else:
                groups.append((salient, [cell]))
        figures += [_figure(run, maps, members, arrays, rows) for maps, members in groups[:DIFFERENT]]
        omitted += len(groups[DIFFERENT:])
    return Maps(intent, tuple(figures), omitted)


def _salient(gradient: Array, rows: int) -> list[Saliency | None]:
    return [saliency(row) for row in gradient[:rows]]


def _alike(maps: Sequence[Saliency | None], others: Sequence[Saliency | None]) -> bool:
    pairs = zip(maps, others, strict=True)
    return all(one.like(other) if one and other else one is other for one, other in pairs)


def _equal(one: JudgedCell, other: JudgedCell) -> bool:
    return set(one.findings) == set(other.findings)


def _figure(
    run: Run, maps: Sequence[Saliency | None], cells: Sequence[JudgedCell], arrays: Arrays, rows: int
) -> Figure:
    first = cells[0]
    title = title_of(run, first.runtime)
    facts = run.runtimes.get(first.runtime)
    answers = {mode.name: mode.answers for mode in facts.modes} if facts else {}
    numbers, shots = _shown(maps, f"{first.intent}-mode gradient, {title} {first.mode}")
    return Figure(
        title=title,
        shots=shots,
        numbers=numbers,
        answers=tuple(dict.fromkeys(classified(cell, arrays, rows) for cell in cells)),
        calls=tuple(_calls(run, cells)),
        errors=", ".join(distinct(_errors(cells))),
        findings=worst_first(first.findings),
        toolkits=tuple(distinct(answers[cell.mode] for cell in cells if answers.get(cell.mode))),
    )


def _errors(cells: Sequence[JudgedCell]) -> Iterator[str]:
    for cell in cells:
        if errors := cell.gradient_error:
            yield scientific(errors.training if cell.intent == Intent.TRAINING else errors.inference)


def _shown(maps: Sequence[Saliency | None], what: str) -> tuple[str, tuple[Shot, ...]]:
    """The largest entry of each map as text, and the images of those that are finite."""
    numbers, shots = [], []
    for at, one in enumerate(maps):
        if one is None:
            numbers.append("not finite")
            continue
        numbers.append(scientific(one.largest))
        where = f"largest entry {numbers[-1]} in pixel row {one.place[0]}, column {one.place[1]}"
        shots.append(one.shot(f"Saliency map of row {at}, {what}: {where}"))
    return " / ".join(numbers), tuple(shots)


def _calls(run: Run, cells: Sequence[JudgedCell]) -> Iterator[tuple[str, str, str]]:
    releases = release_order(run, cells, cells[0].runtime)
    for mode in distinct(cell.mode for cell in cells):
        members = [cell for cell in cells if cell.mode == mode]
        spans = release_spans([(cell.release, cell.variant) for cell in members], releases)
        yield mode, spans, members[0].anchor
