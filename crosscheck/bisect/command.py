"""`crosscheck bisect`: the releases in which a finding begins and ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.version import Version

from crosscheck.bisect.search import Border, Search
from crosscheck.cells import MEASURED, PLAIN, Finding
from crosscheck.errors import UsageError
from crosscheck.job import JOURNAL, at_work
from crosscheck.judgements import Judgements, Question
from crosscheck.matrix.engine import Engine
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.plan import Planned, Wanted, expand, inference_cell
from crosscheck.matrix.selection import finding_named, matching, targets
from crosscheck.matrix.server import Limits
from crosscheck.matrix.settings import Progress, Settings, cores
from crosscheck.matrix.unlisted import resolve, with_unlisted
from crosscheck.networks import load, names
from crosscheck.options import LOCKS
from crosscheck.publication import CELLS
from crosscheck.report import load as load_run
from crosscheck.runtimes.catalog import Runtime, catalog

__all__ = ["Answer", "Request", "bisect"]

#: Trials of a cell's first reading, and those that confirm its findings.
TRIALS, CONFIRMING = 2, 5


@dataclass(frozen=True)
class Request:
    """The options of `crosscheck bisect`.

    what: a runtime, or releases of one, with or without a variant; they need not be listed. modes, networks: globs; no
    modes select those of the default matrix. out: the folder whose journal is used and filled, and whose cells show
    ranges to confirm.
    """

    what: Sequence[str]
    finding: str = Finding.LEAK
    modes: Sequence[str] = ()
    networks: Sequence[str] = ("conv",)
    scenario: str = "gradient"
    out: Path = Path("crosscheck-out")
    jobs: int = field(default_factory=cores)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Answer:
    """What was found for one mode and network, along the releases that have the mode.

    cells: of these releases, oldest first. reasons: place of a release that could not be measured -> why.
    """

    cells: Sequence[Planned]
    search: Search
    reasons: Mapping[int, str]

    @property
    def borders(self) -> list[Border]:
        """Where the finding begins or ends."""
        return self.search.borders()

    @property
    def name(self) -> str:
        """Mode, network and scenario, as in a cell's id."""
        cell = self.cells[0].cell
        return f"{cell.mode}/{cell.network}/{cell.scenario}"

    def ranges(self) -> Iterator[tuple[Planned, Planned, bool]]:
        """The first and the last measured release of each range with one outcome, and whether it has the finding."""
        starts = [self.search.measured[0], *(border.after for border in self.borders)]
        ends = [*(border.before for border in self.borders), self.search.measured[-1]]
        for start, end in zip(starts, ends, strict=True):
            yield self.cells[start], self.cells[end], bool(self.search.outcomes[start])


def bisect(request: Request, progress: Progress, runtimes: Mapping[str, Runtime] | None = None) -> list[Answer]:
    """Measure releases until every border between those asked is known, and confirm both sides of each.

    Asked anyway: the oldest and the newest release that have the mode, those of the default matrix, and both ends of
    each range that the run in `out` shows. `runtimes` replaces the catalog.
    Raises UsageError for names that match nothing.
    """
    finding_named(request.finding)
    cells = _cells(request, catalog() if runtimes is None else runtimes)
    shown = _shown(request)
    lines = [_Line(here, _anchors(here, shown)) for here in cells]
    progress.step("measuring")
    with at_work(request.out), Journal(request.out / JOURNAL) as journal:
        bench = _Bench(request, Engine(journal, Settings(request.jobs, limits=request.limits), progress))
        while True:
            asked = [(line, place) for line in lines for place in sorted(line.search.wanted())]
            if asked:
                bench.ask(asked, TRIALS)
                continue
            asked = [(line, place) for line in lines for place in sorted(line.search.unconfirmed())]
            if not asked:
                break
            bench.ask(asked, CONFIRMING)
    return [Answer(line.cells, line.search, line.reasons) for line in lines]


@dataclass
class _Line:
    """The cells of one mode and network along the releases, and what is known of them."""

    cells: Sequence[Planned]
    anchors: frozenset[int]
    reasons: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.search = Search(len(self.cells), self.anchors)


@dataclass(frozen=True)
class _Bench:
    """Measures and judges cells of several lines at a time."""

    request: Request
    engine: Engine

    def ask(self, asked: Sequence[tuple[_Line, int]], trials: int) -> None:
        """Note the outcome of each, by so many trials of its first reading."""
        plan = [_with_trials(line.cells[place], trials) for line, place in asked]
        inference = [inference_cell(planned) for planned in plan]
        cells = {cell.cell.id: cell for cell in (*inference, *plan) if cell is not None}
        measured = self.engine.measure(list(cells.values()))
        questions = []
        for (line, place), planned, other in zip(asked, plan, inference, strict=True):
            failed = measured.statuses.get(planned.cell.id)
            if failed is None:
                questions.append((line, place, _question(planned, other, measured.keys)))
            else:
                line.search.outcomes[place] = None
                line.reasons[place] = f"{failed[0]}: {failed[1]}"
        judged = Judgements(self.engine.journal, self.request.jobs).of([question for _, _, question in questions])
        for (line, place, _), answer in zip(questions, judged, strict=True):
            judgement = answer.judgement
            known = judgement.status in MEASURED
            line.search.outcomes[place] = self.request.finding in judgement.findings if known else None
            if not known:
                line.reasons[place] = f"{judgement.status}: {judgement.reason}"
            if trials == CONFIRMING:
                line.search.confirmed.add(place)


def _with_trials(planned: Planned, count: int) -> Planned:
    """The cell with so many trials of its first reading."""
    first = planned.trials[0].reading if planned.trials else ""
    others = [trial for trial in planned.trials if trial.reading != first]
    repeated = [replace(planned.trials[0], repeat=repeat) for repeat in range(count)] if planned.trials else []
    return replace(planned, trials=(*repeated, *others))


def _question(planned: Planned, other: Planned | None, keys: Mapping[str, Sequence[str]]) -> Question:
    inference = () if other is None else tuple(keys.get(other.cell.id, ()))
    return Question(planned.cell, planned.mode, planned.network, tuple(keys[planned.cell.id]), inference)


def _cells(request: Request, runtimes: Mapping[str, Runtime]) -> list[list[Planned]]:
    """The cells of each mode and network, along the releases that have the mode; those with at least two."""
    runtimes = with_unlisted(request.what, runtimes, request.out / LOCKS)
    words = [word if "@" in word else _all_of(word, runtimes) for word in request.what]
    selected = sorted(targets(words, runtimes, everything=False), key=lambda target: Version(target.release.version))
    if len({target.runtime.name for target in selected}) > 1:
        raise UsageError("bisect takes releases of one runtime at a time.")
    if any(target.variant.name == PLAIN for target in selected):
        selected = [target for target in selected if target.variant.name == PLAIN]
    networks = [load(network) for network in matching(request.networks, names(), "network")]
    wanted = Wanted(request.modes, [request.scenario], request.networks, trials=TRIALS)
    lines: dict[tuple[str, str], list[Planned]] = {}
    for planned in expand(selected, networks, wanted):
        if planned.lacking is None:
            lines.setdefault((planned.mode.name, planned.network.name), []).append(planned)
    for target in selected:
        resolve(target)
    found = [cells for cells in lines.values() if len(cells) > 1]
    if not found:
        raise UsageError(
            f"{' '.join(request.what)}: no mode is in two of these releases, so there is nothing between them."
        )
    return found


def _all_of(name: str, runtimes: Mapping[str, Runtime]) -> str:
    """The word for all releases of a runtime."""
    return f"{name}@{runtimes[name].releases[0].version}.." if name in runtimes else name


def _shown(request: Request) -> dict[str, bool]:
    """The cells of the finished run in `out` -> whether they have the finding."""
    if not (request.out / CELLS).exists():
        return {}
    cells = load_run(request.out).cells
    return {cell.id: request.finding in cell.findings for cell in cells if cell.status in MEASURED}


def _anchors(cells: Sequence[Planned], shown: Mapping[str, bool]) -> frozenset[int]:
    """Places that are asked anyway: releases of the default matrix, and both ends of each range that a run shows."""
    known = [(place, shown[planned.cell.id]) for place, planned in enumerate(cells) if planned.cell.id in shown]
    return frozenset(_default(cells)) | frozenset(_ends(known))


def _default(cells: Sequence[Planned]) -> Iterable[int]:
    return (place for place, planned in enumerate(cells) if planned.target.variant.default)


def _ends(known: list[tuple[int, bool]]) -> Iterable[int]:
    """The first and last place of each range of equal outcomes."""
    for number, (place, outcome) in enumerate(known):
        neighbours = known[max(0, number - 1) : number] + known[number + 1 : number + 2]
        if len(neighbours) < 2 or any(other != outcome for _, other in neighbours):
            yield place
