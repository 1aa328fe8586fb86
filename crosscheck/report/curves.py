"""Groups equal curves of `twenty` and `ascent`, and draws those of each runtime as an SVG of accuracy against calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from crosscheck.cells import Asks
from crosscheck.records import Flip, JudgedCell
from crosscheck.records.run import Run
from crosscheck.report.number_text import significant
from crosscheck.report.order import grouped

__all__ = ["Asking", "CurveGroup", "Members", "Panel", "chart", "panels"]

#: Size of the drawing and edges of the plot, in SVG user units.
WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 190, 8, 118
#: Height of a line's label, and its most characters; number of line colours in the style sheet.
LABEL, LETTERS, COLOURS = 13, 24, 6
#: Maximum lines of a drawing; the table lists all.
DRAWN = 6


@dataclass(frozen=True)
class Asking:
    """A mode, whether it is a control (predictions only), and the HTML id of its first cell."""

    mode: str
    control: bool
    anchor: str


@dataclass(frozen=True)
class Members:
    """Modes of a runtime with the group's curve in the same (release, variant) pairs."""

    runtime: str
    modes: tuple[Asking, ...]
    releases: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CurveGroup:
    """Equal curves: accuracies (0 to 1) and the probe image's classes before the first call and after each.

    `flips` are the held-out images with a changed class, from the first cell that records any.
    """

    accuracy: tuple[float, ...]
    top1: tuple[int, ...]
    label: int | None
    members: tuple[Members, ...]
    flips: tuple[Flip, ...]

    @property
    def change(self) -> float:
        """Accuracy after the last call minus accuracy before the first."""
        return self.accuracy[-1] - self.accuracy[0]

    @property
    def flat(self) -> bool:
        """Whether accuracy and class stay constant."""
        return len(set(self.accuracy)) == 1 and len(set(self.top1)) == 1

    @property
    def modes(self) -> tuple[tuple[str, Asking], ...]:
        """(runtime, mode) pairs."""
        return tuple((members.runtime, asking) for members in self.members for asking in members.modes)

    @property
    def lowest(self) -> float:
        """The lowest accuracy."""
        return min(self.accuracy)

    @property
    def first_other_class(self) -> int | None:
        """The number of the first call after which the image's class differs from the initial one."""
        return next((call for call, top1 in enumerate(self.top1) if top1 != self.top1[0]), None)


@dataclass(frozen=True)
class Panel:
    """All curves of one network under one scenario, the largest drop in accuracy first."""

    network: str
    scenario: str
    groups: tuple[CurveGroup, ...]

    @property
    def drawings(self) -> tuple[tuple[str, tuple[CurveGroup, ...]], ...]:
        """Each runtime with its groups, up to `DRAWN`: the largest drops, and a flat group if there is one."""
        runtimes = dict.fromkeys(members.runtime for group in self.groups for members in group.members)
        return tuple((runtime, _drawn(self.groups, runtime)) for runtime in runtimes)

    @property
    def flipped(self) -> CurveGroup | None:
        """The group with the largest drop among groups with flipped images."""
        return next((group for group in self.groups if group.flips), None)


def _drawn(groups: Sequence[CurveGroup], runtime: str) -> tuple[CurveGroup, ...]:
    of_runtime = [
        replace(group, members=members)
        for group in groups
        if (members := tuple(one for one in group.members if one.runtime == runtime))
    ]
    flat = [group for group in of_runtime[DRAWN:] if group.flat][:1]
    return (*of_runtime[: DRAWN - len(flat)], *flat)


def panels(run: Run, cells: Sequence[JudgedCell]) -> tuple[Panel, ...]:
    """A panel for each (scenario, network) with curves, in the order of `run.json`."""
    drawn = [cell for cell in cells if cell.curve is not None and cell.curve.accuracy]
    scenarios, networks = list(run.scenarios), list(run.networks)

    def rank(key: tuple[str, str]) -> tuple[int, int, str, str]:
        scenario, network = key
        return (
            scenarios.index(scenario) if scenario in scenarios else len(scenarios),
            networks.index(network) if network in networks else len(networks),
            scenario,
            network,
        )

    keys = sorted({(cell.scenario, cell.network) for cell in drawn}, key=rank)
    return tuple(
        Panel(
            network,
            scenario,
            _groups([cell for cell in drawn if (cell.scenario, cell.network) == (scenario, network)]),
        )
        for scenario, network in keys
    )


def chart(groups: Sequence[CurveGroup], description: str) -> Markup:
    """Draw accuracy (0 to 1) against the number of calls, one line per group, labelled with its modes where it ends.

    `description` is the accessible name. NaN leaves a gap in a line. Flat groups are dashed.
    """
    last = max((len(group.accuracy) - 1 for group in groups), default=0) or 1

    def x(call: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * call / last, 1)

    def y(accuracy: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * accuracy, 1)

    parts = [
        Markup('<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, description)
    ]
    for level in (0.0, 0.5, 1.0):
        parts.append(
            Markup('<path class="grid" d="M{} {}H{}"/><text class="axis" x="{}" y="{}">{}</text>').format(
                LEFT, y(level), RIGHT, LEFT - 6, y(level) + 4, f"{level:g}"
            )
        )
    for call in (0, last):
        parts.append(Markup('<text class="tick" x="{}" y="{}">{}</text>').format(x(call), BOTTOM + 14, call))
    parts.append(Markup('<text class="tick" x="{}" y="{}">calls</text>').format((LEFT + RIGHT) / 2, BOTTOM + 14))
    ends = _spread([y(_last_finite(group.accuracy)) for group in groups])
    for number, (group, end) in enumerate(zip(groups, ends, strict=True), 1):
        style = "flat" if group.flat else f"falls c{(number - 1) % COLOURS + 1}"
        parts.append(Markup('<g class="{}">').format(style))
        for run in _finite_runs(group.accuracy):
            points = " ".join(f"{x(call)},{y(accuracy)}" for call, accuracy in run)
            parts.append(Markup('<polyline class="line" points="{}"/>').format(points))
        from_x, from_y = x(len(group.accuracy) - 1), y(_last_finite(group.accuracy))
        parts.append(
            Markup('<path class="leader" d="M{} {}L{} {}"/><text class="label" x="{}" y="{}">{}</text></g>').format(
                from_x + 2, from_y, RIGHT + 8, end, RIGHT + 11, end + 4, _label(group)
            )
        )
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _label(group: CurveGroup) -> str:
    """The first mode of a group, and how many others it has."""
    (_, first), *others = group.modes
    more = f" +{len(others)}" if others else ""
    name = first.mode
    return (name if len(name) + len(more) <= LETTERS else f"{name[: LETTERS - len(more) - 1]}…") + more


def _last_finite(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if math.isfinite(value)), 0.0)


def _spread(heights: Sequence[float]) -> list[float]:
    """Label heights without overlap, each close to its line's own height."""
    placed = [0.0] * len(heights)
    free: float = TOP - LABEL
    for at in sorted(range(len(heights)), key=lambda at: heights[at]):
        free = placed[at] = max(heights[at], free + LABEL)
    # Labels beyond the bottom move up, from the lowest.
    limit: float = BOTTOM + LABEL
    for at in sorted(range(len(heights)), key=lambda at: -placed[at]):
        limit = placed[at] = min(placed[at], limit - LABEL)
    return placed


def _groups(cells: Sequence[JudgedCell]) -> tuple[CurveGroup, ...]:
    by_curve: dict[tuple[tuple[str, ...], tuple[int, ...], int | None], list[JudgedCell]] = {}
    for cell in cells:
        curve = cell.curve
        if curve is None:
            continue
        # As text, so that NaNs compare equal.
        key = (tuple(significant(value) for value in curve.accuracy), tuple(curve.top1), curve.label)
        by_curve.setdefault(key, []).append(cell)
    groups = [
        CurveGroup(tuple(float(value) for value in accuracy), top1, label, _members(equal), _flips(equal))
        for (accuracy, top1, label), equal in by_curve.items()
    ]
    return tuple(
        sorted(groups, key=lambda group: (group.flat, -math.inf if math.isnan(group.change) else group.change))
    )


def _flips(cells: Sequence[JudgedCell]) -> tuple[Flip, ...]:
    curves = [cell.curve for cell in cells]
    return next((tuple(curve.flips) for curve in curves if curve is not None and curve.flips), ())


def _members(cells: Sequence[JudgedCell]) -> tuple[Members, ...]:
    by_mode = grouped(cells, lambda cell: (cell.runtime, cell.mode))
    alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[Asking]] = {}
    for (runtime, mode), mode_cells in by_mode.items():
        releases = tuple((cell.release, cell.variant) for cell in mode_cells)
        asking = Asking(mode, mode_cells[0].asks == Asks.PREDICTION, mode_cells[0].anchor)
        alike.setdefault((runtime, releases), []).append(asking)
    return tuple(Members(runtime, tuple(modes), releases) for (runtime, releases), modes in alike.items())


def _finite_runs(values: Sequence[float]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for call, value in enumerate(values):
        if math.isfinite(value):
            runs[-1].append((call, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
