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
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from crosscheck import report
from crosscheck.cells import Asks, Status
from crosscheck.errors import CrosscheckError, UsageError, remedy_of
from crosscheck.exchange import ExportedFiles, exchange
from crosscheck.judge import FileTruth, Truth, fields_of, line
from crosscheck.judgements import Judged, Judgements, Question, Shared
from crosscheck.locate import Located, Verdict, locate
from crosscheck.marks import DONE, asked, fingerprint, is_done
from crosscheck.matrix.budget import Budget
from crosscheck.matrix.engine import Engine
from crosscheck.matrix.journal import DamagedJournal, Journal, NoJournal
from crosscheck.matrix.ledger import Measured
from crosscheck.matrix.mending import mend, move_aside
from crosscheck.matrix.places import executor
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.settings import Progress, Settings
from crosscheck.networks import Network
from crosscheck.options import Job, Matrix, Selection, matrix_of
from crosscheck.publication import ARRAYS, CELLS, RUN, belongs_together, complete, publish, read_facts, refresh, staging
from crosscheck.recorded_arrays import RecordedArrays
from crosscheck.records import Cause, Judgement
from crosscheck.records.conversion import plain
from crosscheck.records.versions import written_run
from crosscheck.run_facts import environment_facts, facts_of
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.script.writer import example, pieces
from crosscheck.shards import Division
from crosscheck.whole_files import whole

__all__ = ["JOURNAL", "SHOULD_HAVE_BEEN", "Job", "Result", "Selection", "at_work", "carry_out", "run"]

JOURNAL = "journal.sqlite"
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
    progress = Progress() if progress is None else progress
    start = time.monotonic()
    matrix = matrix_of(job, catalog() if runtimes is None else runtimes, progress)
    networks = matrix.networks
    for network in networks:
        for sentence in network.own.said if network.own else ():
            progress.note(sentence)
    shard = None if job.shard is None else matrix.shard(job.shard)
    selections = [dataclasses.asdict(selection) for selection in job.include]
    options: list[Any] = [
        dataclasses.asdict(job.wanted),
        job.isolation,
        dataclasses.asdict(job.limits),
        selections,
        job.exclude,
    ]
    options += [] if shard is None else [shard.number, shard.parts]
    mark = asked(matrix.targets, networks, matrix.code, options)
    path = job.out / JOURNAL
    if not job.fresh and is_done(path, mark) and belongs_together(job.out):
        with at_work(job.out) if job.marks else contextlib.nullcontext():
            return dataclasses.replace(_unchanged(job, start), refused=matrix.refused)
    own = any(network.own for network in networks)
    budget = Budget(job.budget if job.budget is not None else OWN_BUDGET if own else math.inf)
    settings = Settings(job.jobs, job.isolation, job.limits, budget)
    progress.step("planning")
    plan = matrix.plan()
    for sentence in matrix.remarks(plan):
        progress.note(sentence)
    if shard is not None:
        plan = Division(shard.parts).of(shard.number, plan)
    with executor(job.engine, job.jobs) as place, at_work(job.out):
        complete(job.out)
        for _ in range(MENDINGS):
            try:
                with Journal(path) as journal:
                    if job.fresh:
                        journal.forget()
                    journal.derive({DONE: b""})
                    engine = Engine(journal, settings, progress, place)
                    result = carry_out(matrix, plan, engine, start, {"shard": shard})
                    if not result.incomplete:
                        journal.derive({DONE: mark.encode()})
                    return dataclasses.replace(result, refused=matrix.refused)
            except NoJournal as problem:
                progress.note(f"{problem} It is now {move_aside(path)}, and a new journal is begun.")
            except DamagedJournal as problem:
                progress.note(f"{problem} Of its records {mend(path) or 'some'} are measured again.")
    raise CrosscheckError(f"{path} is damaged again and again. Look at the disk, or use another --out.")


def carry_out(
    matrix: Matrix, plan: Sequence[Planned], engine: Engine, start: float, known: Mapping[str, Any]
) -> Result:
    """Measure, judge and publish the cells of a plan in a folder that is `at_work`.

    start: the monotonic time (s) at which the job began. known: fields of `Run`, beside those that a run finds out.
    """
    return _Run(matrix.job, matrix, engine, start, known).carry_out(plan)


def _unchanged(job: Job, start: float) -> Result:
    """The results that the folder has already; the report is written again if it is to mark cells."""
    out = job.out
    if job.marks:
        report.write(out, scripts=pieces, examples=example, against=job.against, expectations=job.expectations)
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

    start: the monotonic time (s) at which it began. known: as in `carry_out`. measured_at: at which all was measured.
    """

    job: Job
    matrix: Matrix
    engine: Engine
    start: float
    known: Mapping[str, Any]
    measured_at: float = 0.0

    def carry_out(self, plan: Sequence[Planned]) -> Result:
        """All steps; the results are published at the end."""
        out = self.job.out
        progress = self.engine.progress
        plan, truths = _answerable(plan)
        progress.step("measuring")
        measured = self.engine.measure(plan)
        progress.step("asking about exported files")
        exchanged = exchange(plan, measured, self.matrix.targets, self.job.wanted, self.engine)
        plan = [*plan, *exchanged.plan]
        self.measured_at = time.monotonic()
        mark = fingerprint(plan, measured, self.engine.journal, self.matrix.code)
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
        report.write(results, self.job.against, pieces, example, arrays=out, expectations=self.job.expectations)
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
        targets = self.matrix.targets
        if job.shard is not None:
            asked = {planned.target for planned in plan}
            targets = [target for target in targets if target in asked]
        facts = facts_of(plan, targets, measured, command=job.command(job.what), jobs=job.jobs, isolation=job.isolation)
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
        found = {
            "causes": causes,
            "counts": {**facts.counts, **counts},
            "seconds": {**facts.seconds, **{name: round(value, 3) for name, value in seconds.items()}},
        }
        return written_run(dataclasses.replace(facts, **{**found, **self.known}))


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
    return Judged(Shared(fields_of(judgement), None if file is None else plain(file)))


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
