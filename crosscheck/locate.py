"""Finds the operator at fault: measures parts of a network, in the same release and mode, until one is wrong.

A part is the network up to one of its nodes. A cell whose answer is wrong is asked about every part in one trial of its
scenario's primary reading (several for chance; every reading of `order` for an answer that depends on an earlier call);
the first node, in order of execution, whose part shows the finding is at fault. Of a network with many nodes, a part a
stretch is asked first, then every part of the stretch that turns wrong. If a part just before it could not be measured,
the cell has no cause. Cells of other releases with the same findings share the cause of the nearest release
that was asked.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crosscheck.cells import MEASURED, Asks, Finding, Scenario, Status
from crosscheck.judge.case import PRIMARY
from crosscheck.judgements import Judgements, Question
from crosscheck.matrix.engine import Engine
from crosscheck.matrix.ledger import Measured
from crosscheck.matrix.plan import Planned, planned_cell, readings_of
from crosscheck.networks import Network, load
from crosscheck.networks.graph import Node
from crosscheck.records import Again, Cause, Judgement
from crosscheck.repeatability import NOT_WAITING
from crosscheck.scenarios.facts import SCENARIOS as SCENARIO_FACTS
from crosscheck.subnetworks.parts import as_vectors, prefix

__all__ = ["LOCATED", "MOST_CELLS", "Located", "Verdict", "locate"]

#: Finding -> findings of a part that show it there, too. In order of precedence.
LOCATED: Mapping[Finding, frozenset[Finding]] = {
    Finding.WRONG_PREDICTION: frozenset({Finding.WRONG_PREDICTION}),
    Finding.NO_GRADIENT: frozenset({Finding.NO_GRADIENT, Finding.WRONG_GRADIENT}),
    Finding.WRONG_GRADIENT: frozenset({Finding.WRONG_GRADIENT, Finding.NO_GRADIENT}),
    Finding.UNREPEATABLE: frozenset({Finding.UNREPEATABLE, Finding.CORRUPTED}),
    Finding.MODE_IGNORED: frozenset({Finding.MODE_IGNORED}),
    Finding.ORDER_DEPENDENT: frozenset({Finding.ORDER_DEPENDENT}),
}
#: Cells whose parts are asked in one run; the others share their causes, or have none. A part takes about as long as
#: a trial, and a cell of the default matrix has nine parts and five trials.
MOST_CELLS = 60
#: Trials of a part, to see chance.
TRIALS_OF_CHANCE = 6
#: Scenarios whose cells are asked; cells of others share their causes. A cell is asked only if its mode does not show
#: the finding on the same network in a scenario that stands earlier here, whose cause it shares: most runs measure
#: `gradient` where they measure `order` and `sibling`.
SCENARIOS = (Scenario.GRADIENT, Scenario.PREDICT_ONLY, Scenario.ORDER, Scenario.SIBLING)
#: Nodes of a network up to which all its parts are asked at once.
MOST_PARTS = 24
BATCH_NORMALIZATION = "BatchNormalization"
#: Networks that show batch normalization with as few other operators as possible.
STAND_INS = ("seed-batch", "conv-norm")
#: How a cause was found.
PARTS = "parts of the network"
LAYERS = "its layers"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is read of a judged cell of the run, which may have many.

    waiting: the findings that a reading shows that waits. layer: the first node that differs. differing: the reading
    whose trials differ, if any.
    """

    planned: Planned
    findings: tuple[Finding, ...]
    waiting: frozenset[Finding]
    layer: str | None
    differing: str | None

    @classmethod
    def of(cls, planned: Planned, judgement: Judgement) -> Verdict:
        """Read it from a judgement."""
        layer = judgement.first_layer
        readings = (
            trials.reading
            for trials in judgement.trials
            if len(trials.outcomes) > 1 and trials.reading not in NOT_WAITING and set(trials.statuses) <= MEASURED
        )
        return cls(
            planned=planned,
            findings=judgement.findings,
            waiting=frozenset(item.finding for item in judgement.evidence if not item.what.startswith(NOT_WAITING)),
            layer=None if layer is None else layer.node,
            differing=next(readings, None),
        )

    @property
    def finding(self) -> Finding | None:
        """The finding whose node is to be found; None if there is none, or the network has no parts.

        Findings that only readings show that do not wait are the race's; parts are asked with a wait.
        """
        planned = self.planned
        if planned.cell.scenario not in SCENARIOS or planned.network.file is not None:
            return None
        if planned.mode.fed or Asks(planned.mode.asks) is Asks.EXPORT:
            return None
        return next((finding for finding in LOCATED if finding in self.waiting), None)

    def readings(self, finding: Finding) -> tuple[tuple[str, ...], int]:
        """The readings of a part that can show a finding, and the number of trials of the first.

        The judge needs the primary one. Chance is looked for in the reading whose trials differ. What depends on the
        order shows in trials of other calls: in `order`, and after a toolkit's call.
        """
        scenario, mode = self.planned.cell.scenario, self.planned.mode
        if finding is Finding.ORDER_DEPENDENT and (scenario is Scenario.ORDER or mode.starts):
            return readings_of(scenario, mode, self.planned.network), 1
        if finding is not Finding.UNREPEATABLE:
            return (PRIMARY[scenario],), 1
        differing = () if self.differing is None else (self.differing,)
        return tuple(dict.fromkeys([*differing, PRIMARY[scenario]])), TRIALS_OF_CHANCE


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


@dataclass
class _Question:
    """Which node of a wrong cell's network is at fault.

    answers: the place of a node -> what its part shows, None if it could not be measured.
    """

    verdict: Verdict
    finding: Finding
    answers: dict[int, Judgement | None] = field(default_factory=dict)

    @property
    def planned(self) -> Planned:
        """The cell."""
        return self.verdict.planned

    @property
    def nodes(self) -> Sequence[Node]:
        """In order of execution."""
        return self.planned.network.graph["nodes"]

    def first_places(self) -> Sequence[int]:
        """All nodes but the last, whose part is the whole; of many, the last one of each stretch."""
        count = len(self.nodes) - 1
        if count <= MOST_PARTS:
            return range(count)
        stretch = math.ceil(math.sqrt(count))
        return range(stretch - 1, count, stretch)

    def further_places(self) -> Sequence[int]:
        """The nodes of the stretch whose end is the first that shows the finding, and that were not asked."""
        asked = sorted(self.answers)
        wrong = next((place for place in asked if self.shows(place)), len(self.nodes) - 1)
        right = max((place for place in asked if place < wrong), default=-1)
        return range(right + 1, wrong)

    def parts(self, places: Sequence[int]) -> dict[int, Planned]:
        """The cells of the parts up to the nodes at `places`."""
        planned, (readings, trials) = self.planned, self.verdict.readings(self.finding)
        return {
            place: planned_cell(
                planned.target,
                planned.mode,
                _part(planned.network, self.nodes[place]["name"], planned.mode.starts != ""),
                planned.cell.scenario,
                readings,
                trials,
            )
            for place in places
        }

    def cause(self) -> Cause | None:
        """The first node whose part shows the finding; the last node if only the whole network does.

        None if the part before that node could not be measured: that part's node may be at fault.
        """
        known = True
        for place in sorted(self.answers):
            if self.shows(place):
                return _cause(self.nodes[place], self.finding, PARTS, first=place == 0) if known else None
            known = self.answers[place] is not None
        return _cause(self.nodes[-1], self.finding, PARTS, first=len(self.nodes) == 1) if known else None

    def shows(self, place: int) -> bool:
        """Whether the part up to that node shows the finding."""
        answer = self.answers[place]
        return answer is not None and not LOCATED[self.finding].isdisjoint(answer.findings)


def locate(verdicts: Sequence[Verdict], judgements: Judgements, engine: Engine) -> Located:
    """The causes of wrong cells, by measuring parts of their networks where the first layer is not known already.

    judgements: those of parts, which keep no arrays.
    """
    causes = {verdict.planned.cell.id: cause for verdict in verdicts if (cause := _of_layer(verdict))}
    wrong = _asked_once(
        (verdict, finding)
        for verdict in verdicts
        if verdict.planned.cell.id not in causes and (finding := verdict.finding) is not None
    )
    chosen = _chosen(wrong)
    questions = [_Question(verdict, finding) for verdict, finding in chosen]
    for choice in (_Question.first_places, _Question.further_places):
        parts = {question.planned.cell.id: question.parts(choice(question)) for question in questions}
        todo = {
            cell.cell.id: cell
            for question in questions
            for cell in _with_alone(list(parts[question.planned.cell.id].values()), question.finding)
        }
        _answer(questions, parts, engine.measure(list(todo.values())), judgements)
    for question in questions:
        if (cause := question.cause()) is not None:
            causes[question.planned.cell.id] = cause
    _share(verdicts, causes, [verdict.planned for verdict, _ in chosen])
    _ask_again(verdicts, causes, judgements, engine)
    without = [verdict.planned.cell.id for verdict, _ in wrong if verdict.planned.cell.id not in causes]
    asked = {verdict.planned.cell.id for verdict, _ in chosen}
    unmeasured = sum(cell in asked for cell in without)
    return Located(causes, len(chosen), len(without) - unmeasured, unmeasured)


@functools.lru_cache(MOST_PARTS)
def _part(network: Network, node: str, asks_classes: bool) -> Network:
    """The network up to a node, the same for all questions. Toolkits ask about classes, entries of a vector a row."""
    part = prefix(network, node)
    return as_vectors(part) if asks_classes else part


def _answer(
    questions: Sequence[_Question],
    parts: Mapping[str, Mapping[int, Planned]],
    measured: Measured,
    judgements: Judgements,
) -> None:
    """Judge parts: those of large networks one by one up to the first that is wrong, the others all at once."""
    small = [
        (question, place, part)
        for question in questions
        if not question.planned.network.large
        for place, part in parts[question.planned.cell.id].items()
    ]
    answers = _judged([(part, question.finding) for question, _, part in small], measured, judgements)
    for (question, place, _), answer in zip(small, answers, strict=True):
        question.answers[place] = answer
    for question in questions:
        if question.planned.network.large:
            for place, part in parts[question.planned.cell.id].items():
                (question.answers[place],) = _judged([(part, question.finding)], measured, judgements)
                if question.shows(place):
                    break  # the node at fault is not after it


def _of_layer(verdict: Verdict) -> Cause | None:
    """The cause of a wrong prediction whose layers the runtime shows."""
    if verdict.layer is None or Finding.WRONG_PREDICTION not in verdict.findings:
        return None
    return _cause(_node(verdict.planned.network, verdict.layer), Finding.WRONG_PREDICTION, LAYERS)


def _asked_once(wrong: Iterable[tuple[Verdict, Finding]]) -> list[tuple[Verdict, Finding]]:
    """Of each runtime, mode, network and finding, the cells of the first of `SCENARIOS` that has any."""
    rows = list(wrong)

    def kind(planned: Planned, finding: Finding) -> tuple[str, ...]:
        return planned.cell.runtime, planned.mode.name, planned.cell.network, finding.value

    first: dict[tuple[str, ...], int] = {}
    for verdict, finding in rows:
        one = kind(verdict.planned, finding)
        first[one] = min(_rank(verdict.planned), first.get(one, len(SCENARIOS)))
    return [row for row in rows if _rank(row[0].planned) == first[kind(row[0].planned, row[1])]]


def _rank(planned: Planned) -> int:
    return SCENARIOS.index(planned.cell.scenario)


def _chosen(wrong: Iterable[tuple[Verdict, Finding]]) -> list[tuple[Verdict, Finding]]:
    """At most `MOST_CELLS`: first one of each runtime, finding, network and intent; of large networks these alone.

    Newest releases first, then early `SCENARIOS`, then short modes.
    """

    def order(row: tuple[Verdict, Finding]) -> tuple[int, int, int]:
        planned = row[0].planned
        return -_newness(planned), _rank(planned), len(planned.mode.text)

    seen: dict[tuple[str, ...], int] = {}
    ranked = []
    for verdict, finding in sorted(wrong, key=order):
        cell, planned = verdict.planned.cell, verdict.planned
        kind = (cell.runtime, finding.value, cell.network, planned.mode.intent)
        seen[kind] = seen.get(kind, -1) + 1
        if not seen[kind] or not planned.network.large:
            ranked.append((seen[kind], verdict, finding))
    return [(verdict, finding) for _, verdict, finding in sorted(ranked, key=lambda row: row[0])[:MOST_CELLS]]


def _newness(planned: Planned) -> int:
    """The place of the release among those of its runtime: -1 for the newest, less for older ones."""
    releases = planned.target.runtime.releases  # oldest first
    return releases.index(planned.target.release) - len(releases)


def _with_alone(questions: Sequence[Planned], finding: Finding) -> list[Planned]:
    """Cells of a follow-up, and those of their modes for inference by themselves where the finding needs them."""
    others = [_alone(planned) for planned in questions] if finding is Finding.ORDER_DEPENDENT else []
    return [*questions, *(planned for planned in others if planned is not None)]


def _alone(planned: Planned) -> Planned | None:
    """The cell of the mode for inference that runs after the mode of a `gradient` cell, by itself.

    The judge calls that mode's gradient order-dependent only if it is right by itself.
    """
    scenario, mode = planned.cell.scenario, planned.mode
    if scenario is not Scenario.GRADIENT or mode.inference in (None, mode.name):
        return None
    return planned_cell(planned.target, planned.roles["inference"], planned.network, scenario, (PRIMARY[scenario],), 1)


def _judged(
    parts: Sequence[tuple[Planned, Finding]], measured: Measured, judgements: Judgements
) -> list[Judgement | None]:
    """The judgements of cells of the follow-up on a finding; None for those that could not be measured.

    A part that crashes without having shown the finding is not right: nobody knows what it would have answered.
    """
    alone = [_alone(part) if finding is Finding.ORDER_DEPENDENT else None for part, finding in parts]
    questions = {
        place: Question(part.cell, part.mode, part.network, tuple(measured.keys[part.cell.id]), _keys(measured, other))
        for place, ((part, _), other) in enumerate(zip(parts, alone, strict=True))
        if part.cell.id in measured.keys
    }
    judged = dict(zip(questions, judgements.of(list(questions.values())), strict=True))
    answers: list[Judgement | None] = []
    for place, ((_, finding), other) in enumerate(zip(parts, alone, strict=True)):
        judgement = judged[place].judgement if place in judged else None
        if judgement is not None:
            alone_unknown = other is not None and not questions[place].inference
            silent = judgement.status is Status.CRASHED or alone_unknown
            known = judgement.status in MEASURED and not (silent and LOCATED[finding].isdisjoint(judgement.findings))
            judgement = judgement if known else None
        answers.append(judgement)
    return answers


def _keys(measured: Measured, planned: Planned | None) -> tuple[str, ...]:
    return () if planned is None else tuple(measured.keys.get(planned.cell.id, ()))


def _share(verdicts: Sequence[Verdict], causes: dict[str, Cause], asked: Sequence[Planned]) -> None:
    """Give wrong cells without a cause that of the nearest cell with the same runtime, intent and finding.

    Nearest: of the same network and mode, then of the same network; of the nearest release. A mode that was asked about
    parts of the network has no cause of another mode.
    """
    known: dict[tuple[str, ...], list[tuple[Planned, Cause]]] = {}
    for verdict in verdicts:
        planned = verdict.planned
        if (cause := causes.get(planned.cell.id)) is not None:
            known.setdefault(_alike(planned), []).append((planned, cause))
    own = {(planned.cell.runtime, planned.mode.name, planned.cell.network) for planned in asked}
    for verdict in verdicts:
        planned, cell = verdict.planned, verdict.planned.cell
        if cell.id in causes or planned.network.file is not None:
            continue
        same = [
            (other, cause)
            for other, cause in known.get(_alike(planned), ())
            if (other.mode.name == cell.mode or (cell.runtime, cell.mode, cell.network) not in own)
            and cause.finding in verdict.findings
        ]
        if same:
            other, cause = min(same, key=lambda item: _distance(planned, item[0]))
            causes[cell.id] = replace(cause, by=f"{cause.by} in {other.cell.id}")


def _alike(planned: Planned) -> tuple[str, ...]:
    """What cells have in common that can share a cause."""
    return planned.cell.runtime, planned.cell.network, planned.mode.intent


def _ask_again(verdicts: Sequence[Verdict], causes: dict[str, Cause], judgements: Judgements, engine: Engine) -> None:
    """Ask about batch normalization on a network without the operator at fault, where that is another one."""
    shown = {verdict.planned.cell.id: verdict.findings for verdict in verdicts}
    others = {
        verdict.planned.cell.id: other
        for verdict in verdicts
        if (cause := causes.get(verdict.planned.cell.id)) and verdict.planned.network.batch_norms
        for other in [_without(verdict.planned, cause.op)]
        if other is not None
    }
    todo = {
        other.cell.id: (other, causes[cell].finding) for cell, other in others.items() if other.cell.id not in shown
    }
    chosen = list(todo.values())[:MOST_CELLS]
    asked = [cell for planned, finding in chosen for cell in _with_alone([planned], finding)]
    measured = engine.measure(list({cell.cell.id: cell for cell in asked}.values()))
    for (planned, _), judgement in zip(chosen, _judged(chosen, measured, judgements), strict=True):
        if judgement is not None:
            shown[planned.cell.id] = judgement.findings
    for cell, other in others.items():
        if shown.get(other.cell.id):
            again = Again(other.network.name, tuple(shown[other.cell.id]))
            causes[cell] = replace(causes[cell], again=again)


def _without(planned: Planned, op: str) -> Planned | None:
    """The same question on the first shipped network with batch normalization of that rank and without the operator."""
    facts = SCENARIO_FACTS[planned.cell.scenario]
    if op == BATCH_NORMALIZATION or facts.needs_labels:
        return None
    for network in _stand_ins():
        if network.x.ndim == planned.network.x.ndim and all(node["op"] != op for node in network.graph["nodes"]):
            readings = readings_of(planned.cell.scenario, planned.mode, network)
            return planned_cell(planned.target, planned.mode, network, planned.cell.scenario, readings, trials=2)
    return None


@functools.cache
def _stand_ins() -> tuple[Network, ...]:
    return tuple(map(load, STAND_INS))


def _distance(one: Planned, other: Planned) -> tuple[bool, int, bool]:
    return (
        one.mode.name != other.mode.name,
        abs(_newness(one) - _newness(other)),
        one.target.variant != other.target.variant,
    )


def _node(network: Network, name: str) -> Node:
    return next(node for node in network.graph["nodes"] if node["name"] == name)


def _cause(node: Node, finding: Finding, by: str, first: bool = False) -> Cause:
    return Cause(finding, node["name"], node["op"], dict(node["attributes"]), by, first)
