"""Runs one matrix job: plan, measure, exchange, judge, locate, write. What a Python user calls."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from crosscheck import report
from crosscheck.cells import Asks, Status
from crosscheck.conversion import is_file, load
from crosscheck.errors import CrosscheckError, NetworkError, UsageError, remedy_of
from crosscheck.exchange import ExportedFiles, exchange
from crosscheck.expectations import Expectations, parts_of
from crosscheck.judge import FileTruth, Truth, fields_of, line
from crosscheck.judgements import Judged, Judgements, Question
from crosscheck.locate import Located, Verdict, locate
from crosscheck.marks import DONE, asked, code_of, fingerprint, is_done
from crosscheck.matrix.budget import Budget
from crosscheck.matrix.engine import Engine, Measured, Progress, Settings, cores
from crosscheck.matrix.journal import DamagedJournal, Journal, NoJournal
from crosscheck.matrix.mending import mend, move_aside
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import Target, matching, present, targets
from crosscheck.matrix.server import Limits
from crosscheck.matrix.unlisted import resolve, with_unlisted
from crosscheck.networks import FileOptions, Network, names
from crosscheck.progress import NoProgress
from crosscheck.publication import ARRAYS, CELLS, RUN, belongs_together, complete, publish, read_facts, refresh, staging
from crosscheck.recorded_arrays import RecordedArrays
from crosscheck.records import Cause, Judgement
from crosscheck.records.conversion import plain
from crosscheck.records.versions import written_run
from crosscheck.run_facts import environment_facts, facts_of
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.runtimes.known import nearest
from crosscheck.script.writer import example, pieces
from crosscheck.whole_files import whole

__all__ = ["ISOLATIONS", "JOURNAL", "LOCKS", "Job", "Result", "Selection", "at_work", "run"]

ISOLATIONS = ("fork", "new-interpreter")

#: Largest limits of a trial: seconds, and bytes. The system's own limits are whole numbers of 64 bits.
LONGEST = 10**6
LARGEST = 10**15

NONE = FileOptions()
JOURNAL = "journal.sqlite"
#: The folder of the locks of releases that no runtime's folder lists.
LOCKS = "locks"
#: Most times that a run begins again since its journal is damaged.
MENDINGS = 3
#: Seconds of measuring in a run with a network of the user's.
OWN_BUDGET = 600.0

#: Statuses of failures to measure; the others are the runtime's own answer.
SHOULD_HAVE_BEEN = frozenset(
    {
        Status.UNAVAILABLE,
        Status.INSTALL_FAILED,
        Status.IMPORT_FAILED,
        Status.TIMED_OUT,
        Status.OUT_OF_MEMORY,
        Status.NOT_ASKED,
    }
)


@dataclass(frozen=True)
class Selection:
    """A further part of a job's matrix: releases as in `Job.what`, and globs of networks, modes and scenarios."""

    what: Sequence[str]
    networks: Sequence[str] = ()
    modes: Sequence[str] = ()
    scenarios: Sequence[str] = ()


@dataclass(frozen=True)
class Job:
    """The options of `crosscheck run`.

    what: releases, as in "mxnet@1.9.1" or "mxnet@0.9.5..1.3"; none select the default matrix. everything: `--all`.
    networks, modes, scenarios: globs; networks also paths of files. trials: of each cell's first reading. jobs: trials
    in parallel. out: the folder of the results and of the journal, which later runs continue. fresh: whether earlier
    measurements are ignored. isolation: one of `ISOLATIONS`. limits: of one trial, seconds and bytes. options: of
    network files. include: further parts of the matrix. exclude: patterns of cells that are left out, a glob for each
    part of a cell's id.
    """

    what: Sequence[str] = ()
    everything: bool = False
    networks: Sequence[str] = ()
    modes: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    trials: int = 2
    jobs: int = field(default_factory=cores)
    out: Path = Path("crosscheck-out")
    fresh: bool = False
    isolation: str = "fork"
    limits: Limits = field(default_factory=Limits)
    #: Seconds of measuring; None: `OWN_BUDGET` if there is a network of the user's, else no limit.
    budget: float | None = None
    options: FileOptions = field(default_factory=FileOptions)
    #: Marks cells in the report; nothing that is measured or judged depends on it.
    expectations: Expectations | None = None
    include: Sequence[Selection] = ()
    exclude: Sequence[str] = ()

    def command(self, what: Sequence[str]) -> list[str]:
        """The command line of this job, with `WHAT` replaced."""
        words = ["crosscheck", "run", *what, *(["--all"] if self.everything else [])]
        for option, values in (("--network", self.networks), ("--mode", self.modes), ("--scenario", self.scenarios)):
            words += [word for value in values for word in (option, value)]
        words += [word for pattern in self.exclude for word in ("--exclude", pattern)]
        return [*words, *self.options.words]

    @property
    def wanted(self) -> Wanted:
        """What is selected of the matrix, beside runtimes."""
        return Wanted(self.modes, self.scenarios, self.networks, self.everything, self.trials)

    def check(self) -> None:
        """Raise UsageError for numbers that no job can have, and for another isolation."""
        if self.isolation not in ISOLATIONS:
            raise UsageError(f"'{self.isolation}' is no isolation. {nearest(self.isolation, ISOLATIONS)}")
        if self.trials < 1 or self.jobs < 1:
            raise UsageError("--trials and --jobs take whole numbers from 1 on.")
        # Written so that NaN is refused, too.
        if not (0 < self.limits.seconds <= LONGEST and 0 < self.limits.memory <= LARGEST):
            raise UsageError("--time-limit takes seconds, --memory-limit takes GB, more than 0 and at most a million.")


@dataclass(frozen=True)
class Result:
    """The result of a job: its folder, counts of statuses and findings, its duration (s), and refused network files."""

    folder: Path
    statuses: dict[str, int]
    findings: dict[str, int]
    seconds: float
    unchanged: bool
    refused: tuple[str, ...] = ()

    @property
    def incomplete(self) -> int:
        """The number of cells with a failure to measure."""
        return sum(count for status, count in self.statuses.items() if Status(status) in SHOULD_HAVE_BEEN)


def run(job: Job, progress: Progress | None = None, runtimes: Mapping[str, Runtime] | None = None) -> Result:
    """Measure missing cells, judge all cells, and write `run.json`, `cells.jsonl`, `arrays/`, `report.html`.

    `progress` is told what happens meanwhile; by default nobody is. `runtimes` replaces the catalog.
    A network file that is refused does not stop the others. Raises UsageError for invalid arguments, and if no network
    is left; CrosscheckError for a failure of crosscheck; the journal keeps finished trials.
    """
    job.check()
    progress = NoProgress() if progress is None else progress
    start = time.monotonic()
    words = [*job.what, *(word for selection in job.include for word in selection.what)]
    available = with_unlisted(words, catalog() if runtimes is None else runtimes, job.out / LOCKS)
    selected = _selected(job, available, progress)
    networks, refused = _networks(job.networks, job.options)
    parts = [_Part(selected, networks, job.wanted)]
    for selection in job.include:
        parts.append(_included(job, selection, available, progress))
        selected = list(dict.fromkeys([*selected, *parts[-1].targets]))
        networks = list({network.name: network for network in [*parts[-1].networks, *networks]}.values())
    for network in networks:
        for sentence in network.own.said if network.own else ():
            progress.note(sentence)
    code = code_of({target.runtime.folder for target in selected})
    selections = [dataclasses.asdict(selection) for selection in job.include]
    options = [dataclasses.asdict(job.wanted), job.isolation, dataclasses.asdict(job.limits), selections, job.exclude]
    mark = asked(selected, networks, code, options)
    path = job.out / JOURNAL
    if not job.fresh and is_done(path, mark) and belongs_together(job.out):
        with contextlib.nullcontext() if job.expectations is None else at_work(job.out):
            return dataclasses.replace(_unchanged(job, start), refused=refused)
    own = any(network.own for network in networks)
    budget = Budget(job.budget if job.budget is not None else OWN_BUDGET if own else math.inf)
    settings = Settings(job.jobs, job.isolation, job.limits, budget)
    progress.step("planning")
    plan = _planned(parts, job.exclude)
    with at_work(job.out):
        complete(job.out)
        for _ in range(MENDINGS):
            try:
                with Journal(path) as journal:
                    if job.fresh:
                        journal.forget()
                    journal.derive({DONE: b""})
                    engine = Engine(journal, settings, progress)
                    result = _Run(job, selected, code, engine, start).carry_out(plan)
                    if not result.incomplete:
                        journal.derive({DONE: mark.encode()})
                    return dataclasses.replace(result, refused=refused)
            except NoJournal as problem:
                progress.note(f"{problem} It is now {move_aside(path)}, and a new journal is begun.")
            except DamagedJournal as problem:
                progress.note(f"{problem} Of its records {mend(path) or 'some'} are measured again.")
    raise CrosscheckError(f"{path} is damaged again and again. Look at the disk, or use another --out.")


@dataclass(frozen=True)
class _Part:
    """A part of a job's matrix."""

    targets: Sequence[Target]
    networks: Sequence[Network]
    wanted: Wanted


def _included(job: Job, selection: Selection, available: Mapping[str, Runtime], progress: Progress) -> _Part:
    chosen = _selected(dataclasses.replace(job, what=selection.what, everything=False), available, progress)
    networks, refused = _networks(selection.networks, job.options if any(map(is_file, selection.networks)) else NONE)
    if refused:
        raise NetworkError("\n".join(refused))
    wanted = Wanted(selection.modes, selection.scenarios, selection.networks, trials=job.trials)
    return _Part(chosen, networks, wanted)


def _planned(parts: Sequence[_Part], exclude: Sequence[str]) -> list[Planned]:
    """The cells of all parts, each once, without those that are left out.

    Raises UsageError for a pattern that is none or leaves out nothing, and if nothing is left.
    """
    cells = {one.cell.id: one for part in parts for one in expand(part.targets, part.networks, part.wanted)}
    plan = list(cells.values())
    for pattern in exclude:
        try:
            globs = parts_of(pattern)
        except ValueError as problem:
            raise UsageError(f"{problem}; a glob for each part.") from None
        left = [one for one in plan if not _matches(one, globs)]
        if len(left) == len(plan):
            raise UsageError(f"no cell matches '{pattern}', which is to be left out.")
        plan = left
    if not plan:
        raise UsageError("nothing is left to run: all cells are left out.")
    return plan


def _matches(planned: Planned, globs: Sequence[str]) -> bool:
    cell = planned.cell
    names = planned.target.id, cell.mode, cell.network, cell.scenario.value
    return all(map(fnmatchcase, names, globs))


def _selected(job: Job, available: Mapping[str, Runtime], progress: Progress) -> list[Target]:
    """The releases of a job, resolved; of the default matrix, those for which this machine has what they need."""
    selected = targets(job.what, available, job.everything)
    if any(target.release.locks for target in selected):
        progress.step("resolving releases that are not listed")
    for target in selected:
        if path := resolve(target):
            progress.note(f"{target.id}: {target.release.note}; its lock is {path}")
    if job.what or job.everything:
        return selected
    selected, lacking = present(selected)
    for name, lack in lacking.items():
        progress.left_out(name, lack)
    return selected


def _unchanged(job: Job, start: float) -> Result:
    """The results that the folder has already; the report is written again if it is to mark cells."""
    out = job.out
    if job.expectations is not None:
        report.write(out, scripts=pieces, examples=example, expectations=job.expectations)
        refresh(out)
    counts = read_facts(out)["counts"]
    return Result(out, counts["statuses"], counts["findings"], time.monotonic() - start, unchanged=True)


@contextlib.contextmanager
def at_work(out: Path) -> Iterator[None]:
    """Make and lock the folder. Raises UsageError where that is not possible, CrosscheckError for what fails in it."""
    lock = FileLock(out / "lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UsageError(f"another crosscheck is at work in {out}. Wait for it, or use another --out.") from None
    except (OSError, ValueError) as problem:
        why = "is a file" if os.path.isfile(out) else getattr(problem, "strerror", None) or problem
        raise UsageError(f"--out {out}: {why}. Name a folder in which you may write.") from problem
    try:
        yield
    except OSError as problem:
        where = out if problem.filename is None else problem.filename
        raise CrosscheckError(
            f"{where}: {problem.strerror or problem}. {remedy_of(problem)} and run the same command again; what was "
            "measured is kept."
        ) from problem
    finally:
        lock.release()


@dataclass
class _Run:
    """The steps of a job from its plan to its results.

    start: the monotonic time (s) at which it began. measured_at: at which all was measured.
    """

    job: Job
    selected: Sequence[Target]
    code: str
    engine: Engine
    start: float
    measured_at: float = 0.0

    def carry_out(self, plan: Sequence[Planned]) -> Result:
        """All steps; the results are published at the end."""
        out = self.job.out
        progress = self.engine.progress
        plan, truths = _answerable(plan)
        progress.step("measuring")
        measured = self.engine.measure(plan)
        progress.step("asking about exported files")
        exchanged = exchange(plan, measured, self.selected, self.job.wanted, self.engine)
        plan = [*plan, *exchanged.plan]
        self.measured_at = time.monotonic()
        mark = fingerprint(plan, measured, self.engine.journal, self.code)
        if read_facts(out).get("fingerprint") == mark and belongs_together(out):
            return _unchanged(self.job, self.start)
        results = staging(out)
        progress.step("judging")
        files, arrays = ExportedFiles(out, plan, exchanged, truths), RecordedArrays(out / ARRAYS)
        lines = self._judge(plan, measured, files, arrays, results / CELLS)
        progress.step("locating causes")
        located = locate(lines.verdicts, Judgements(self.engine.journal, self.job.jobs), self.engine)
        lines.add_causes(located.causes)
        progress.step("writing the report")
        facts = self._facts(plan, measured, located, lines) | {"fingerprint": mark}
        (results / RUN).write_text(json.dumps(facts), encoding="utf-8")
        report.write(results, scripts=pieces, examples=example, arrays=out, expectations=self.job.expectations)
        publish(out, facts, {out / name for name in lines.arrays} | files.paths)
        return Result(out, dict(lines.statuses), dict(lines.findings), time.monotonic() - self.start, unchanged=False)

    def _judge(
        self,
        plan: Sequence[Planned],
        measured: Measured,
        files: ExportedFiles,
        arrays: RecordedArrays,
        path: Path,
    ) -> _Lines:
        """Judge every cell from the journal, and write its line to `path`; write `arrays/` and `files/`."""
        questions = [_question(planned, measured) for planned in plan if planned.cell.id not in measured.statuses]
        judgements = Judgements(self.engine.journal, self.job.jobs, files.truths, files, arrays)
        judged = judgements.of(questions, self.engine.progress.judging)
        with path.open("w", encoding="utf-8") as file:
            lines = _Lines(path)
            for planned in plan:
                failed = measured.statuses.get(planned.cell.id)
                here = next(judged) if failed is None else _unmeasured(planned, failed, files)
                lines.add(file, planned, here, _line(planned, here, measured, files))
        lines.arrays += [
            name
            for network in _own(planned for planned in plan if planned.cell.id not in measured.statuses)
            for name in arrays.keep_reference(files.truths[network])
        ]
        files.keep()
        return lines

    def _facts(self, plan: Sequence[Planned], measured: Measured, located: Located, lines: _Lines) -> dict[str, Any]:
        """The contents of `run.json`."""
        now = time.monotonic()
        job = self.job
        facts = facts_of(
            plan, self.selected, measured, command=job.command(job.what), jobs=job.jobs, isolation=job.isolation
        )
        seconds = {
            "cells": self.measured_at - self.start,
            "judging": now - self.measured_at,
            "total": now - self.start,
        }
        causes = {
            "cells_asked": located.asked,
            "cells_left_out": located.left_out,
            "cells_unmeasured": located.unmeasured,
        }
        counts = {"statuses": dict(lines.statuses), "findings": dict(lines.findings)}
        return written_run(
            dataclasses.replace(
                facts,
                causes=causes,
                counts={**facts.counts, **counts},
                seconds={**facts.seconds, **{name: round(value, 3) for name, value in seconds.items()}},
            )
        )


@dataclass
class _Lines:
    """`cells.jsonl` while it is written, and what later steps need of its cells: of many, they would fill the memory.

    arrays: the files of the cells' arrays, relative to the run's folder.
    """

    path: Path
    verdicts: list[Verdict] = field(default_factory=list)
    arrays: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)

    def add(self, file: TextIO, planned: Planned, judged: Judged, fields: dict[str, Any]) -> None:
        """Write the line of a cell, without its cause."""
        del fields["cause"]
        file.write(json.dumps(fields) + "\n")
        judgement = judged.judgement
        self.verdicts.append(Verdict.of(planned, judgement))
        self.arrays += judged.files
        self.statuses[judgement.status.value] += 1
        self.findings.update(finding.value for finding in judgement.findings)

    def add_causes(self, causes: Mapping[str, Cause]) -> None:
        """Complete the lines."""
        with (
            whole(self.path) as unfinished,
            self.path.open(encoding="utf-8") as lines,
            unfinished.open("w", encoding="utf-8") as file,
        ):
            for verdict, text in zip(self.verdicts, lines, strict=True):
                cause = causes.get(verdict.planned.cell.id)
                said = json.dumps(None if cause is None else plain(cause))
                file.write(f'{text.rstrip().removesuffix("}")}, "cause": {said}}}\n')


def _question(planned: Planned, measured: Measured) -> Question:
    keys = (tuple(measured.keys.get(cell, ())) for cell in (planned.cell.id, _inference(planned)))
    return Question(planned.cell, planned.mode, planned.network, *keys)


def _unmeasured(planned: Planned, failed: tuple[Status, str, str], files: ExportedFiles) -> Judged:
    """A cell that could not be measured, for that reason."""
    status, reason, stderr = failed
    judgement = Judgement(status=status, reason=reason, stderr=stderr)
    file = files.exported(planned.cell, planned.mode, planned.network, [], judgement)
    return Judged(fields_of(judgement), exported=None if file is None else plain(file))


def _line(planned: Planned, judged: Judged, measured: Measured, files: ExportedFiles) -> dict[str, Any]:
    """The line of a cell, as JSON types."""
    cell, mode = planned.cell, planned.mode
    return line(
        cell,
        mode,
        judged.fields,
        released=planned.target.release.released,
        default_call=mode.name == planned.target.runtime.default_call,
        environment=environment_facts(planned, measured.environments.get(planned.target.id)),
        reproduce=shlex.join(["crosscheck", "run", *(files.words(cell, planned.network) or _words(planned))]),
        call=planned.call,
        arrays=judged.arrays,
        exported=judged.exported,
    )


def _networks(patterns: Sequence[str], options: FileOptions) -> tuple[list[Network], tuple[str, ...]]:
    """The shipped networks that match a glob, by default all; users' files; and why files are refused.

    Raises NetworkError if nothing is left, UsageError for a shape of an input that no file has.
    """
    files = [pattern for pattern in patterns if is_file(pattern)]
    globs = [pattern for pattern in patterns if not is_file(pattern)]
    shipped = matching(globs, names(), "network") if globs or not files else []
    networks = {name: load(name) for name in (shipped or (() if files else names()))}
    refused = []
    for file in files:
        try:
            network = load(file, options)
        except NetworkError as problem:
            refused.append(str(problem))
        else:
            networks.setdefault(network.name, network)  # the same file named twice, or a copy
    if not networks:
        raise NetworkError("\n".join(refused))
    if options.words and not files:
        raise UsageError(f"{options.words[0]} is about network files, and none is named: --network FILE does so.")
    inputs = {name for network in networks.values() if network.own for name in network.own.inputs}
    if unknown := [] if refused else sorted(options.shapes.keys() - inputs):
        known = ", ".join(sorted(inputs))
        raise UsageError(f"--shape {unknown[0]}=...: no network file has an input '{unknown[0]}'. They have {known}.")
    return list(networks.values()), tuple(refused)


def _answerable(plan: Sequence[Planned]) -> tuple[list[Planned], dict[Network, Truth]]:
    """The plan without cells of users' files whose answer crosscheck cannot compute, which are refused; the references.

    Without it, a runtime's answer could not be told from a wrong one.
    """
    truths: dict[Network, Truth] = {}
    lowered = {planned.network.as_it_is: planned.network for planned in plan if planned.network.file is None}
    answerable = []
    for planned in plan:
        network, asks = planned.network, Asks(planned.mode.asks)
        if network.file is not None and planned.refused is None:
            if network not in truths:
                # One reference for both: each evaluation of a large network takes seconds.
                other = lowered.get(network)
                source = None if other is None else truths.setdefault(other, Truth.of(other))
                truths[network] = FileTruth(network, source)
            truth = truths[network]
            assert isinstance(truth, FileTruth)
            if not truth.known(asks):
                reason = f"crosscheck cannot compute this answer in float64: {truth.failures[asks]}"
                planned = dataclasses.replace(planned, refused=reason, trials=())
        answerable.append(planned)
    return answerable, truths


def _own(plan: Iterable[Planned]) -> list[Network]:
    """The users' networks of which a gradient is asked: one of each name, as the lowered one and the file are alike."""
    asked = [planned.network for planned in plan if Asks(planned.mode.asks) is Asks.GRADIENT]
    return list({network.name: network for network in asked if network.own is not None}.values())


def _inference(planned: Planned) -> str:
    """The cell of the mode's inference-mode counterpart, if the mode names one."""
    other = planned.mode.inference
    return dataclasses.replace(planned.cell, mode=other).id if other else ""


def _words(planned: Planned) -> list[str]:
    """The arguments of `crosscheck run` that select a cell."""
    cell = planned.cell
    return [planned.target.id, "--mode", cell.mode, *planned.network.words, "--scenario", cell.scenario.value]
