"""The curves of `twenty` and `ascent`: equal ones grouped, each drawn as a small SVG of accuracy against calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from crosscheck.cells import Asks
from crosscheck.report.figures import significant
from crosscheck.report.records import JudgedCell, Run, anchor

__all__ = ["Asking", "CurveGroup", "Members", "Panel", "panels", "svg"]

#: The drawing's size and its plot's edges, in SVG user units.
WIDTH, HEIGHT = 240, 132
LEFT, RIGHT, TOP, BOTTOM = 30, 232, 8, 92


@dataclass(frozen=True)
class Asking:
    """A way of asking, whether it is a control (asks for predictions only), and the HTML id of its first cell."""

    mode: str
    control: bool
    anchor: str


@dataclass(frozen=True)
class Members:
    """Ways of asking whose curve is the group's in the same (release, variant) pairs of a runtime."""

    runtime: str
    modes: tuple[Asking, ...]
    releases: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CurveGroup:
    """Equal curves: accuracies (0 to 1) and the probe image's classes before the first call and after each."""

    accuracy: tuple[float, ...]
    top1: tuple[int, ...]
    label: int | None
    members: tuple[Members, ...]

    @property
    def change(self) -> float:
        """Accuracy after the last call minus accuracy before the first."""
        return self.accuracy[-1] - self.accuracy[0]

    @property
    def flat(self) -> bool:
        """Neither the accuracy nor the image's class ever differs from where it began."""
        return len(set(self.accuracy)) == 1 and len(set(self.top1)) == 1

    @property
    def modes(self) -> tuple[tuple[str, Asking], ...]:
        """Its ways of asking, each with its runtime."""
        return tuple((members.runtime, asking) for members in self.members for asking in members.modes)

    @property
    def lowest(self) -> float:
        """The lowest accuracy on the way."""
        return min(self.accuracy)

    @property
    def first_other_class(self) -> int | None:
        """The number of the call after which the image's class first differed from the class before the first call."""
        return next((call for call, top1 in enumerate(self.top1) if top1 != self.top1[0]), None)


@dataclass(frozen=True)
class Panel:
    """All curves of one network under one scenario, those that fall most first."""

    network: str
    scenario: str
    groups: tuple[CurveGroup, ...]


def panels(run: Run, cells: Sequence[JudgedCell]) -> tuple[Panel, ...]:
    """Collect every (scenario, network) with curves, in the order of `run.json`."""
    drawn = [cell for cell in cells if cell["curve"] is not None and cell["curve"]["accuracy"]]
    scenarios, networks = list(run["scenarios"]), list(run["networks"])

    def rank(key: tuple[str, str]) -> tuple[int, int, str, str]:
        scenario, network = key
        return (
            scenarios.index(scenario) if scenario in scenarios else len(scenarios),
            networks.index(network) if network in networks else len(networks),
            scenario,
            network,
        )

    keys = sorted({(cell["scenario"], cell["network"]) for cell in drawn}, key=rank)
    return tuple(
        Panel(
            network,
            scenario,
            _groups([cell for cell in drawn if (cell["scenario"], cell["network"]) == (scenario, network)]),
        )
        for scenario, network in keys
    )


def svg(group: CurveGroup, description: str) -> Markup:
    """Draw the group's accuracy from 0 to 1 against the number of calls, and below it each class where it changes.

    `description` becomes the drawing's accessible name. Not-a-number leaves a gap in the line.
    """
    last = max(len(group.accuracy) - 1, 1)

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
                LEFT, y(level), RIGHT, LEFT - 4, y(level) + 3, f"{level:g}"
            )
        )
    for call in sorted({0, last // 2, last}):
        parts.append(Markup('<text class="tick" x="{}" y="{}">{}</text>').format(x(call), BOTTOM + 12, call))
    for run in _finite_runs(group.accuracy):
        points = " ".join(f"{x(call)},{y(accuracy)}" for call, accuracy in run)
        parts.append(Markup('<polyline class="line" points="{}"/>').format(points))
        parts.extend(
            Markup('<circle class="dot" cx="{}" cy="{}" r="1.6"/>').format(x(call), y(accuracy))
            for call, accuracy in run
        )
    parts.append(Markup('<text class="class" x="{}" y="{}">class</text>').format(LEFT - 7, BOTTOM + 30))
    previous = None
    for call, top1 in enumerate(group.top1):
        if top1 != previous:
            style = "held" if top1 == group.top1[0] else "other"
            parts.append(Markup('<text class="{}" x="{}" y="{}">{}</text>').format(style, x(call), BOTTOM + 30, top1))
        previous = top1
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _groups(cells: Sequence[JudgedCell]) -> tuple[CurveGroup, ...]:
    found: dict[tuple[tuple[str, ...], tuple[int, ...], int | None], list[JudgedCell]] = {}
    for cell in cells:
        curve = cell["curve"]
        if curve is None:
            continue
        # As texts, so that equal NaNs are equal.
        key = (tuple(significant(value) for value in curve["accuracy"]), tuple(curve["top1"]), curve["label"])
        found.setdefault(key, []).append(cell)
    groups = [
        CurveGroup(tuple(float(value) for value in accuracy), top1, label, _members(equal))
        for (accuracy, top1, label), equal in found.items()
    ]
    return tuple(
        sorted(groups, key=lambda group: (group.flat, -math.inf if math.isnan(group.change) else group.change))
    )


def _members(cells: Sequence[JudgedCell]) -> tuple[Members, ...]:
    by_mode: dict[tuple[str, str], list[JudgedCell]] = {}
    for cell in cells:
        by_mode.setdefault((cell["runtime"], cell["mode"]), []).append(cell)
    alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[Asking]] = {}
    for (runtime, mode), found in by_mode.items():
        releases = tuple((cell["release"], cell["variant"]) for cell in found)
        asking = Asking(mode, found[0]["asks"] == Asks.PREDICTION, anchor(found[0]))
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
