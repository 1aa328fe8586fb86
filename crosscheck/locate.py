"""Finds the operator at fault: measures parts of a network, in the same release and mode, until one is wrong.

A part is the network up to one of its nodes. A cell whose answer is wrong is asked about every part in one undisturbed
trial (several for chance); the first node, in order of execution, whose part shows the finding is at fault. If a part
just before it could not be measured, the cell has no cause. Cells of other releases with the same findings share the
cause of the nearest release that was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.version import Version

from crosscheck.cells import Asks, Finding, Observation, Scenario, Status
from crosscheck.judge import Again, Cause, Judgement, Truth, judge
from crosscheck.matrix.engine import Progress, Settings, measure
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.ledger import Measured
from crosscheck.matrix.plan import Planned, planned_cell
from crosscheck.networks import Network, load
from crosscheck.networks.graph import Node
from crosscheck.networks.parts import prefix
from crosscheck.scenarios.facts import SCENARIOS as SCENARIO_FACTS

__all__ = ["LOCATED", "MOST_CELLS", "Located", "locate"]

#: Finding -> findings of a part that show it there, too. In order of precedence.
LOCATED: Mapping[Finding, frozenset[Finding]] = {
    Finding.WRONG_PREDICTION: frozenset({Finding.WRONG_PREDICTION}),
    Finding.NO_GRADIENT: frozenset({Finding.NO_GRADIENT, Finding.WRONG_GRADIENT}),
    Finding.WRONG_GRADIENT: frozenset({Finding.WRONG_GRADIENT, Finding.NO_GRADIENT}),
    Finding.UNREPEATABLE: frozenset({Finding.UNREPEATABLE, Finding.CORRUPTED}),
    Finding.MODE_IGNORED: frozenset({Finding.MODE_IGNORED}),
}
#: Cells whose parts are asked in one run; the others share their causes, or have none. A part takes about as long as
#: a trial, and a cell of the default matrix has nine parts and five trials.
MOST_CELLS = 60
#: Trials of a part, to see chance.
TRIALS_OF_CHANCE = 6
#: Scenarios whose cells are asked; cells of others share their causes.
SCENARIOS = (Scenario.GRADIENT, Scenario.PREDICT_ONLY)
READING = "undisturbed"
BATCH_NORMALIZATION = "BatchNormalization"
#: Networks that show batch normalization with as few other operators as possible.
STAND_INS = ("seed-batch", "conv-norm")
#: How a cause was found. If the first node is at fault, whichever it is, the operator may not matter.
PARTS = "parts of the network"
FIRST_NODE = "parts of the network, of which the first node alone is wrong already"
#: Statuses of a part that was measured.
MEASURED = (Status.OK, Status.CRASHED)


@dataclass(frozen=True)
class Located:
    """The causes of a run's wrong cells.

    causes: id of a cell -> its cause. asked: the number of cells whose parts were asked. left_out, unmeasured: the
    numbers of cells without a cause because their parts were not asked, or could not be measured.
    """

    causes: Mapping[str, Cause]
    asked: int
    left_out: int
    unmeasured: int


def locate(
    judged: Sequence[tuple[Planned, Judgement]], journal: Journal, settings: Settings, progress: Progress
) -> Located:
    """The causes of wrong cells, by measuring parts of their networks where the first layer is not known already."""
    causes = {planned.cell.id: cause for planned, judgement in judged if (cause := _of_layer(planned, judgement))}
    wrong = [
        (planned, finding)
        for planned, judgement in judged
        if planned.cell.id not in causes and (finding := _finding(planned, judgement)) is not None
    ]
    chosen = _chosen(wrong)
    parts = {planned.cell.id: _parts(planned, finding) for planned, finding in chosen}
    todo = {part.cell.id: part for cell in parts.values() for part in cell}
    measured = measure(list(todo.values()), journal, settings, progress) if todo else Measured()
    for planned, finding in chosen:
        cause = _first(planned, finding, parts[planned.cell.id], measured, journal)
        if cause is not None:
            causes[planned.cell.id] = cause
    _share(judged, causes, [planned for planned, _ in chosen])
    _ask_again(judged, causes, journal, settings, progress)
    without = [planned.cell.id for planned, _ in wrong if planned.cell.id not in causes]
    unmeasured = sum(cell in parts for cell in without)
    return Located(causes, len(chosen), len(without) - unmeasured, unmeasured)


def _of_layer(planned: Planned, judgement: Judgement) -> Cause | None:
    """The cause of a wrong prediction whose layers the runtime shows."""
    layer = judgement.first_layer
    if layer is None or Finding.WRONG_PREDICTION not in judgement.findings:
        return None
    return _cause(_node(planned.network, layer.node), Finding.WRONG_PREDICTION, "its layers")


def _finding(planned: Planned, judgement: Judgement) -> Finding | None:
    """The finding whose node is to be found; None if there is none, or the network has no parts."""
    if planned.cell.scenario not in SCENARIOS or planned.network.file is not None:
        return None
    if planned.mode.fed or Asks(planned.mode.asks) is Asks.EXPORT:
        return None
    return next((finding for finding in LOCATED if finding in judgement.findings), None)


def _chosen(wrong: Iterable[tuple[Planned, Finding]]) -> list[tuple[Planned, Finding]]:
    """At most `MOST_CELLS`: first one of each runtime, finding and network; newest releases and short modes first."""
    rows = sorted(wrong, key=lambda item: (_newness(item[0]), len(item[0].mode.text)))
    seen: dict[tuple[str, ...], int] = {}
    ranked = []
    for planned, finding in rows:
        cell = planned.cell
        kind = (cell.runtime, finding.value, cell.network, planned.mode.intent)
        seen[kind] = seen.get(kind, -1) + 1
        ranked.append((seen[kind], planned, finding))
    return [(planned, finding) for _, planned, finding in sorted(ranked, key=lambda row: row[0])[:MOST_CELLS]]


def _newness(planned: Planned) -> int:
    """0 for the newest release of its runtime."""
    releases = sorted(planned.target.runtime.releases, key=lambda release: Version(release.version), reverse=True)
    return [release.version for release in releases].index(planned.cell.release)


def _parts(planned: Planned, finding: Finding) -> list[Planned]:
    """The cells of the network's parts but the whole, in order of execution."""
    trials = TRIALS_OF_CHANCE if finding is Finding.UNREPEATABLE else 1
    return [
        planned_cell(
            planned.target,
            planned.mode,
            prefix(planned.network, node["name"]),
            planned.cell.scenario,
            (READING,),
            trials,
        )
        for node in planned.network.graph["nodes"][:-1]
    ]


def _first(
    planned: Planned, finding: Finding, parts: Sequence[Planned], measured: Measured, journal: Journal
) -> Cause | None:
    """The first node whose part shows the finding; the last node if only the whole network does.

    None if the part before that node could not be measured: that part's node may be at fault.
    """
    nodes = planned.network.graph["nodes"]
    known = True
    for node, part in zip(nodes, parts, strict=False):
        observations = [record.observation() for record in journal.records(measured.keys.get(part.cell.id, ()))]
        shows = _shows(part, finding, observations)
        if shows:
            return _cause(node, finding, FIRST_NODE if node is nodes[0] else PARTS) if known else None
        known = shows is not None
    return _cause(nodes[-1], finding, FIRST_NODE if len(nodes) == 1 else PARTS) if known else None


def _shows(part: Planned, finding: Finding, observations: Sequence[Observation]) -> bool | None:
    """Whether a part shows the finding; None if it could not be measured."""
    if not observations:
        return None
    network = part.network
    judgement = judge(part.cell, part.mode, network, Truth.of(network), observations)
    return not LOCATED[finding].isdisjoint(judgement.findings) if judgement.status in MEASURED else None


def _share(judged: Sequence[tuple[Planned, Judgement]], causes: dict[str, Cause], asked: Sequence[Planned]) -> None:
    """Give wrong cells without a cause that of the nearest cell with the same runtime, intent and finding.

    Nearest: of the same network and mode, then of the same network; of the nearest release. A mode that was asked about
    parts of the network has no cause of another mode.
    """
    known = [(planned, causes[planned.cell.id]) for planned, _ in judged if planned.cell.id in causes]
    own = {(planned.cell.runtime, planned.mode.name, planned.cell.network) for planned in asked}
    for planned, judgement in judged:
        cell = planned.cell
        if cell.id in causes or planned.network.file is not None:
            continue
        same = [
            (other, cause)
            for other, cause in known
            if other.cell.runtime == cell.runtime
            and other.cell.network == cell.network
            and other.mode.intent == planned.mode.intent
            and (other.mode.name == cell.mode or (cell.runtime, cell.mode, cell.network) not in own)
            and cause.finding in judgement.findings
        ]
        if same:
            other, cause = min(same, key=lambda item: _distance(planned, item[0]))
            causes[cell.id] = replace(cause, by=f"{cause.by} in {other.cell.id}")


def _ask_again(
    judged: Sequence[tuple[Planned, Judgement]],
    causes: dict[str, Cause],
    journal: Journal,
    settings: Settings,
    progress: Progress,
) -> None:
    """Ask about batch normalization on a network without the operator at fault, where that is another one."""
    shown = {planned.cell.id: judgement.findings for planned, judgement in judged}
    others = {
        planned.cell.id: other
        for planned, _ in judged
        if (cause := causes.get(planned.cell.id)) and planned.network.batch_norms
        for other in [_without(planned, cause.op)]
        if other is not None
    }
    todo = {other.cell.id: other for other in others.values() if other.cell.id not in shown}
    if todo:
        chosen = list(todo.values())[:MOST_CELLS]
        measured = measure(chosen, journal, settings, progress)
        for planned in chosen:
            observations = [record.observation() for record in journal.records(measured.keys.get(planned.cell.id, ()))]
            if observations:
                truth = Truth.of(planned.network)
                judgement = judge(planned.cell, planned.mode, planned.network, truth, observations)
                shown[planned.cell.id] = judgement.findings
    for cell, other in others.items():
        if shown.get(other.cell.id):
            again = Again(other.network.name, tuple(shown[other.cell.id]))
            causes[cell] = replace(causes[cell], again=again)


def _without(planned: Planned, op: str) -> Planned | None:
    """The same question on the first shipped network with batch normalization of that rank and without the operator."""
    if op == BATCH_NORMALIZATION:
        return None
    for name in STAND_INS:
        network = load(name)
        if network.x.ndim == planned.network.x.ndim and all(node["op"] != op for node in network.graph["nodes"]):
            facts = SCENARIO_FACTS[planned.cell.scenario]
            if not facts.needs_labels:
                return planned_cell(
                    planned.target, planned.mode, network, planned.cell.scenario, facts.readings, trials=2
                )
    return None


def _distance(one: Planned, other: Planned) -> tuple[bool, int, bool]:
    return (
        one.mode.name != other.mode.name,
        abs(_newness(one) - _newness(other)),
        one.target.variant != other.target.variant,
    )


def _node(network: Network, name: str) -> Node:
    return next(node for node in network.graph["nodes"] if node["name"] == name)


def _cause(node: Node, finding: Finding, by: str) -> Cause:
    return Cause(finding, node["name"], node["op"], dict(node["attributes"]), by)
