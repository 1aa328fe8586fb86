"""`crosscheck reduce`: the smallest network that still shows a cell's finding, and its files."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from crosscheck.cells import Finding
from crosscheck.conversion import load, load_as
from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import finding_named, targets
from crosscheck.matrix.settings import Settings
from crosscheck.networks import FileOptions, Network, names
from crosscheck.progress import progress_for
from crosscheck.reduce.experiment import Answer, Experiment, Trials
from crosscheck.reduce.reporting import Narrator, size
from crosscheck.reduce.search import Search
from crosscheck.reduce.symptom import Symptom, fewest_trials
from crosscheck.reduce.writing import write
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.runtimes.known import nearest
from crosscheck.scenarios.facts import SCENARIOS
from crosscheck.subnetworks.parts import renamed

__all__ = ["Reduced", "Request", "reduce"]


@dataclass(frozen=True)
class Request:
    """The options of `crosscheck reduce`.

    cell: a cell's id. folder: where the result goes. finding: which of the cell's findings, by default the first.
    minutes: the time limit, or None. run: the run whose journal may have the cell. network: the user's file that the
    cell is about, or None for a network that ships. options: of the file.
    """

    cell: str
    folder: Path = Path("crosscheck-reduced")
    finding: str | None = None
    minutes: float | None = None
    run: Path = Path("crosscheck-out")
    network: str | None = None
    options: FileOptions = field(default_factory=FileOptions)

    @property
    def command(self) -> str:
        """The command line that repeats this."""
        words = ["crosscheck", "reduce", self.cell]
        words += ["--finding", self.finding] if self.finding else []
        words += ["--network", self.network, *self.options.words] if self.network else []
        return shlex.join(words)


@dataclass(eq=False)
class Reduced:
    """The smallest case so far. `ended`: None at the fixed point, else why the search ended before."""

    symptom: Symptom
    whole: Network = field(repr=False)
    answer: Answer = field(repr=False)
    candidates: int = 0
    seconds: float = 0.0
    ended: str | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the user interrupted it."""
        return self.ended == INTERRUPTED

    @property
    def told(self) -> list[str]:
        """What was done, for a reader."""
        ended = f"{self.ended}, so it may not be the smallest" if self.ended else "nothing more can be removed"
        return [
            f"{self.symptom.finding}: {size(self.whole)} became {size(self.answer.planned.network)}",
            f"{self.candidates} candidates in {self.seconds:.0f} s; {ended}",
        ]


INTERRUPTED = "interrupted"
TIME_LIMIT = "the time limit was reached"


class _TimeUp(Exception):
    """The time limit was reached."""


def reduce(console: Console, request: Request, runtimes: Mapping[str, Runtime] | None = None) -> Reduced:
    """Measure a cell, reduce its network for as long as the finding persists, and write the smallest case.

    `runtimes` replaces the catalog. Writes what was reached when the user interrupts it or the time is up.
    Raises UsageError if the cell does not exist or does not have the finding.
    """
    start = time.monotonic()
    if request.minutes is not None and not request.minutes > 0:
        raise UsageError(f"--time-limit {request.minutes:g} leaves no time. Give minutes, for example 10.")
    planned = _planned(request, catalog() if runtimes is None else runtimes)
    _make(request.folder)
    # One trial after the other: the next candidate depends on it, and an idle core keeps times even.
    with Experiment(planned, Settings(jobs=1)) as experiment:
        original = _original(console, request, planned, experiment)
        symptom = Symptom.of(original, _finding(request, original))
        reduced = Reduced(symptom, planned.network, original)
        _reduce(console, request, experiment, reduced, start)
        if reduced.ended is None:
            reduced.answer = _confirmed(experiment, reduced)
        reduced.seconds = time.monotonic() - start
        write(request.folder, reduced.answer, symptom, request.command, reduced.told, runtimes)
    return reduced


def _reduce(console: Console, request: Request, experiment: Experiment, reduced: Reduced, start: float) -> None:
    """Search; update `reduced` with every smaller case."""
    planned, symptom = experiment.planned, reduced.symptom
    deadline = float("inf") if request.minutes is None else start + 60 * request.minutes
    trials = fewest_trials(reduced.answer, symptom)
    whole = renamed(planned.network, f"{planned.network.name}:reduced", f"{planned.network.title}, reduced")
    with Narrator(console) as narrator:

        def test(candidate: Network, what: str) -> bool:
            if time.monotonic() > deadline:
                raise _TimeUp
            narrator.tries(what, size(candidate), reduced.candidates)
            if _lacks_images(planned, candidate) or not symptom.sound_in(candidate):
                return False
            reduced.candidates += 1
            answer = experiment.ask(candidate, trials, narrator)
            if not answer.observations or not symptom.shown_by(answer):
                return False
            reduced.answer = answer
            narrator.accepts(what, size(candidate))
            return True

        try:
            Search(whole, test).run()
        except _TimeUp:
            reduced.ended = TIME_LIMIT
        except KeyboardInterrupt:
            reduced.ended = INTERRUPTED


def _confirmed(experiment: Experiment, reduced: Reduced) -> Answer:
    """The smallest case in all readings; as it was judged during the search if they do not agree on the finding."""
    every = Trials.every(experiment.planned)
    answer = experiment.ask(reduced.answer.planned.network, every, Narrator.silent())
    shown = bool(answer.observations) and reduced.symptom.finding in answer.judgement.findings
    return answer if shown else reduced.answer


def _lacks_images(planned: Planned, candidate: Network) -> bool:
    return SCENARIOS[planned.cell.scenario].needs_labels and candidate.labels is None


def _planned(request: Request, runtimes: Mapping[str, Runtime]) -> Planned:
    """The cell of a request. Raises UsageError, with the nearest names, for a cell that cannot be asked."""
    words = request.cell.split("/")
    if len(words) != 4:
        raise UsageError(
            f"'{request.cell}' is no cell's id. Write RUNTIME@RELEASE/MODE/NETWORK/SCENARIO, for example "
            "mxnet@1.9.1/gluon.eval.eval/conv-plain/gradient."
        )
    release, mode, name, scenario = words
    selected = targets([release], runtimes, everything=False)
    if release not in [target.id for target in selected]:
        raise UsageError(f"'{release}' is no single release. {nearest(release, [target.id for target in selected])}")
    network = _network(name, request.network, request.options)
    wanted = Wanted([mode], [scenario], [name])
    plan = expand([target for target in selected if target.id == release], [network], wanted)
    chosen = [planned for planned in plan if planned.cell.id == request.cell]
    if not chosen:
        raise UsageError(f"'{request.cell}' is not one cell. {nearest(request.cell, [one.cell.id for one in plan])}")
    if chosen[0].mode.native:
        raise UsageError(f"'{request.cell}' is about a file as it is. Reduce a cell of another mode of {release}.")
    return chosen[0]


def _network(name: str, file: str | None, options: FileOptions) -> Network:
    if file is None:
        if name not in names():
            raise UsageError(
                f"'{name}' is no network that ships. {nearest(name, names())} "
                "A network of your own is given by --network FILE."
            )
        return load(name)
    return load_as(name, file, options)


def _original(console: Console, request: Request, planned: Planned, experiment: Experiment) -> Answer:
    """The cell itself: what the run's journal has of it is not measured again."""
    trials = Trials.every(planned)
    path = request.run / "journal.sqlite"
    with ExitStack() as stack:
        journal = None
        if path.exists():
            try:
                stack.enter_context(FileLock(request.run / "lock", timeout=0))
            except Timeout:
                raise UsageError(
                    f"another crosscheck is at work in {request.run}. Wait for it, or name another run by --out."
                ) from None
            journal = stack.enter_context(Journal(path))
        with progress_for(console) as progress:
            return experiment.ask(planned.network, trials, progress, journal)


def _finding(request: Request, original: Answer) -> Finding:
    """The finding to keep. Raises UsageError if the cell does not have it."""
    judgement, cell = original.judgement, request.cell
    if not original.observations:
        reason = " ".join((judgement.reason or "").split())
        raise UsageError(f"{cell} could not be measured, so there is nothing to reduce: {judgement.status}, {reason}")
    wanted = None if request.finding is None else finding_named(request.finding)
    wrong = [finding for finding in judgement.findings if finding is not Finding.CLEAN]
    shown = ", ".join(judgement.findings) or judgement.status
    if wanted is None and not wrong:
        raise UsageError(f"{cell} is {shown}, so there is nothing to reduce.")
    if wanted is not None and wanted not in wrong:
        raise UsageError(f"{cell} is {shown}, not {wanted}, so there is nothing to reduce.")
    return wrong[0] if wanted is None else wanted


def _make(folder: Path) -> None:
    """The folder, made now, so that no work is lost later."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise CrosscheckError(f"{folder}: {problem.strerror or problem}. Name another folder by -o.") from problem
