"""Runs one matrix job: plan, measure, judge, report. The Python entry point, also used by the command line."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import platform
import shlex
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import crosscheck
from crosscheck import report
from crosscheck.cells import Asks, Status
from crosscheck.conversion import is_file, load
from crosscheck.environments.environment import Environment, describe
from crosscheck.errors import CrosscheckError, EnvironmentFailure, NetworkError, UsageError, remedy_of
from crosscheck.exported_files import ExportedFiles
from crosscheck.judge import FileTruth, Truth, fields_of, line
from crosscheck.judgements import Judged, Judgements, Question, versions
from crosscheck.locate import Located, locate
from crosscheck.matrix.budget import Budget
from crosscheck.matrix.engine import Measured, Progress, Settings, cores, measure
from crosscheck.matrix.exchange import exchange
from crosscheck.matrix.journal import DamagedJournal, Journal, NoJournal
from crosscheck.matrix.mending import mend, move_aside
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import Target, matching, present, targets
from crosscheck.matrix.server import Limits
from crosscheck.networks import FileOptions, Network, names
from crosscheck.networks.file_summary import summary_of
from crosscheck.publication import ARRAYS, CELLS, RUN, belongs_together, complete, publish, read_facts, staging
from crosscheck.recorded_arrays import RecordedArrays
from crosscheck.records import Judgement
from crosscheck.records.conversion import plain
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.scenarios.facts import SCENARIOS
from crosscheck.script.writer import example, pieces

__all__ = ["ISOLATIONS", "Job", "Result", "environment_facts", "run"]

ISOLATIONS = ("fork", "new-interpreter")

#: Largest limits of a trial: seconds, and bytes. The system's own limits are whole numbers of 64 bits.
LONGEST = 10**6
LARGEST = 10**15

JOURNAL = "journal.sqlite"
#: The mark in the journal under which the last run noted what it was asked, if it left nothing to measure.
DONE = "the last run"
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
class Job:
    """The options of `crosscheck run`."""

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

    def command(self, what: Sequence[str]) -> list[str]:
        """The command line of this job, with `WHAT` replaced."""
        words = ["crosscheck", "run", *what, *(["--all"] if self.everything else [])]
        for option, values in (("--network", self.networks), ("--mode", self.modes), ("--scenario", self.scenarios)):
            words += [word for value in values for word in (option, value)]
        return [*words, *self.options.words]


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


def run(job: Job, progress: Progress, runtimes: Mapping[str, Runtime] | None = None) -> Result:
    """Measure missing cells, judge all cells, and write `run.json`, `cells.jsonl`, `arrays/`, `report.html`.

    `runtimes` replaces the catalog.
    A network file that is refused does not stop the others. Raises UsageError for invalid arguments, and if no network
    is left; CrosscheckError for a failure of crosscheck; the journal keeps finished trials.
    """
    if job.trials < 1 or job.jobs < 1:
        raise UsageError("--trials and --jobs take whole numbers from 1 on.")
    # Written so that NaN is refused, too.
    if not (0 < job.limits.seconds <= LONGEST and 0 < job.limits.memory <= LARGEST):
        raise UsageError("--time-limit takes seconds and --memory-limit takes GB, more than 0 and at most a million.")
    start = time.monotonic()
    available = catalog() if runtimes is None else runtimes
    selected = targets(job.what, available, job.everything)
    if not job.what and not job.everything:
        selected, lacking = present(selected)
        for target, lack in lacking.items():
            progress.left_out(target, lack)
    networks, refused = _networks(job.networks, job.options)
    for network in networks:
        for sentence in network.own.said if network.own else ():
            progress.note(sentence)
    own = any(network.own for network in networks)
    seconds = job.budget if job.budget is not None else OWN_BUDGET if own else math.inf
    settings = Settings(job.jobs, job.isolation, job.limits, Budget(seconds))
    path = job.out / JOURNAL
    code = _code({target.runtime.folder for target in selected})
    asked = _asked(job, selected, networks, code)
    if not job.fresh and _is_done(path, asked) and belongs_together(job.out):
        return dataclasses.replace(_unchanged(job.out, start), refused=refused)
    plan = expand(selected, networks, _wanted(job))
    with _at_work(job.out):
        complete(job.out)
        for _ in range(MENDINGS):
            try:
                with Journal(path) as journal:
                    if job.fresh:
                        journal.forget()
                    journal.derive({DONE: b""})
                    result = _run(job, plan, selected, code, settings, journal, progress, start)
                    if not result.incomplete:
                        journal.derive({DONE: asked.encode()})
                    return dataclasses.replace(result, refused=refused)
            except NoJournal as problem:
                progress.note(f"{problem} It is now {move_aside(path)}, and a new journal is begun.")
            except DamagedJournal as problem:
                progress.note(f"{problem} Of its records {mend(path) or 'some'} are measured again.")
    raise CrosscheckError(f"{path} is damaged again and again. Look at the disk, or use another --out.")


def _unchanged(out: Path, start: float) -> Result:
    """The results that the folder has already."""
    counts = read_facts(out)["counts"]
    return Result(out, counts["statuses"], counts["findings"], time.monotonic() - start, unchanged=True)


def _asked(job: Job, selected: Sequence[Target], networks: Sequence[Network], code: str) -> str:
    """A digest of all that the results of a job depend on, beside chance: code, environments, networks and options."""
    environments = []
    for target in selected:
        try:
            environments.append([target.id, describe(target.runtime, target.release, target.variant, fetch=False).key])
        except EnvironmentFailure as failure:
            environments.append([target.id, str(failure)])
    parts = [
        code,
        versions(),
        environments,
        [[network.name, network.words, network.digest] for network in networks],
        dataclasses.asdict(_wanted(job)),
        job.isolation,
        dataclasses.asdict(job.limits),
    ]
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()


def _is_done(path: Path, asked: str) -> bool:
    """Whether the last run with this journal was asked the same, and left nothing to measure."""
    if not os.path.exists(path):  # False for a name that no file can have, too
        return False
    try:
        with Journal(path, writable=False) as journal:
            return journal.derived(DONE) == asked.encode()
    except (CrosscheckError, sqlite3.Error, zlib.error):
        return False


@contextlib.contextmanager
def _at_work(out: Path) -> Iterator[None]:
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


def _run(
    job: Job,
    plan: Sequence[Planned],
    selected: Sequence[Target],
    code: str,
    settings: Settings,
    journal: Journal,
    progress: Progress,
    start: float,
) -> Result:
    plan, truths = _answerable(plan)
    measured = measure(plan, journal, settings, progress)
    exchanged = exchange(plan, measured, selected, _wanted(job), journal, settings, progress)
    plan = [*plan, *exchanged.plan]
    measured_at = time.monotonic()
    mark = _fingerprint(plan, measured, journal, code)
    if read_facts(job.out).get("fingerprint") == mark and belongs_together(job.out):
        return _unchanged(job.out, start)
    results = staging(job.out)
    files = ExportedFiles(job.out, plan, exchanged, truths)
    judgements = Judgements(journal, settings.jobs, files.truths, files, RecordedArrays(job.out / ARRAYS))
    judged = _judge(plan, measured, judgements, files, progress)
    located = locate(judged.verdicts, Judgements(journal, settings.jobs), settings, progress)
    statuses, findings = judged.write(results, located)
    causes = {
        "cells_asked": located.asked,
        "cells_left_out": located.left_out,
        "cells_unmeasured": located.unmeasured,
    }
    facts = _facts(job, plan, selected, measured)
    facts["fingerprint"] = mark
    facts["causes"] = causes
    facts["counts"] |= {"statuses": statuses, "findings": findings}
    facts["seconds"] |= {
        "cells": round(measured_at - start, 3),
        "judging": round(time.monotonic() - measured_at, 3),
        "total": round(time.monotonic() - start, 3),
    }
    (results / RUN).write_text(json.dumps(facts), encoding="utf-8")
    report.write(results, scripts=pieces, examples=example, arrays=job.out)
    publish(job.out, facts, judged.paths)
    return Result(job.out, statuses, findings, time.monotonic() - start, unchanged=False)


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


def _wanted(job: Job) -> Wanted:
    return Wanted(job.modes, job.scenarios, job.networks, job.everything, job.trials)


@dataclass(frozen=True)
class _JudgedRun:
    """All cells of a run with their judgements, their lines, which lack causes, and the files of their arrays."""

    verdicts: list[tuple[Planned, Judgement]]
    lines: list[dict[str, Any]]
    arrays: RecordedArrays
    files: ExportedFiles
    references: list[str]

    def write(self, folder: Path, located: Located) -> tuple[dict[str, int], dict[str, int]]:
        """Write `cells.jsonl` with the causes; count statuses and findings."""
        for fields in self.lines:
            cause = located.causes.get(fields["id"])
            fields["cause"] = None if cause is None else plain(cause)
        (folder / CELLS).write_text("".join(json.dumps(fields) + "\n" for fields in self.lines), encoding="utf-8")
        statuses = Counter(str(judgement.status) for _, judgement in self.verdicts)
        findings = Counter(str(finding) for _, judgement in self.verdicts for finding in judgement.findings)
        return dict(statuses), dict(findings)

    @property
    def paths(self) -> set[Path]:
        """The arrays and files that the lines name."""
        names = [*filter(None, (fields["arrays"] for fields in self.lines)), *self.references]
        return self.arrays.paths(names) | self.files.paths


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


def _judge(
    plan: Sequence[Planned],
    measured: Measured,
    judgements: Judgements,
    files: ExportedFiles,
    progress: Progress,
) -> _JudgedRun:
    """Judge every cell from the journal; write `arrays/` and `files/`."""
    questions = {
        cell.id: Question(
            cell,
            planned.mode,
            planned.network,
            tuple(measured.keys.get(cell.id, ())),
            tuple(measured.keys.get(_inference(planned), ())),
        )
        for planned, cell in ((planned, planned.cell) for planned in plan)
        if cell.id not in measured.statuses
    }
    judged = dict(zip(questions, judgements.of(list(questions.values()), progress.judging), strict=True))
    verdicts, lines = [], []
    for planned in plan:
        cell = planned.cell
        if cell.id in judged:
            here = judged[cell.id]
            judgement = here.judgement
        else:
            status, reason, stderr = measured.statuses[cell.id]
            judgement = Judgement(status=status, reason=reason, stderr=stderr)
            file = files.exported(cell, planned.mode, planned.network, [], judgement)
            here = Judged(fields_of(judgement), None, None if file is None else plain(file))
        verdicts.append((planned, judgement))
        lines.append(
            line(
                cell,
                planned.mode,
                here.fields,
                released=planned.target.release.released,
                default_call=planned.mode.name == planned.target.runtime.default_call,
                environment=environment_facts(planned, measured.environments.get(planned.target.id)),
                reproduce=shlex.join(["crosscheck", "run", *(files.words(cell, planned.network) or _words(planned))]),
                call=planned.call,
                arrays=here.arrays,
                exported=here.exported,
            )
        )
    assert judgements.arrays is not None
    own = _own(planned for planned in plan if planned.cell.id in judged)
    references = [judgements.arrays.keep_reference(files.truths[network]) for network in own]
    files.keep()
    return _JudgedRun(verdicts, lines, judgements.arrays, files, references)


def _own(plan: Iterable[Planned]) -> list[Network]:
    """The users' networks of which a gradient is asked: one of each name, as the lowered one and the file are alike."""
    asked = [planned.network for planned in plan if Asks(planned.mode.asks) is Asks.GRADIENT]
    return list({network.name: network for network in asked if network.own is not None}.values())


def _inference(planned: Planned) -> str:
    """The cell of the mode's inference-mode counterpart, if the mode names one."""
    other = planned.mode.inference
    return dataclasses.replace(planned.cell, mode=other).id if other else ""


def environment_facts(planned: Planned, environment: Environment | None) -> dict[str, Any]:
    """The environment in a cell's line; without an interpreter if it could not be described."""
    target = planned.target
    lock = target.runtime.lock(target.release, target.variant)
    return {
        "python": "" if environment is None else environment.interpreter.version,
        "lock": lock.name,
        "packages": {} if environment is None else environment.packages,
        "variables": dict(target.variant.environment),
        "sources": planned.fingerprint,
    }


def _words(planned: Planned) -> list[str]:
    """The arguments of `crosscheck run` that select a cell."""
    cell = planned.cell
    return [planned.target.id, "--mode", cell.mode, *planned.network.words, "--scenario", cell.scenario.value]


def _facts(job: Job, plan: Sequence[Planned], selected: Sequence[Target], measured: Measured) -> dict[str, Any]:
    """The contents of `run.json` except counts and seconds."""
    runtimes = {target.runtime.name: target.runtime for target in selected}
    networks = {planned.network.name: planned.network for planned in plan}
    planned_modes = {planned.mode.name for planned in plan}
    return {
        "schema": 1,
        "crosscheck": crosscheck.__version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": job.command(job.what),
        "machine": _machine(),
        "jobs": job.jobs,
        "isolation": job.isolation,
        "seconds": {"environments": round(measured.environment_seconds, 3)},
        "import_seconds": measured.import_seconds,
        "counts": {"cells": len(plan), "trials": measured.ran + measured.reused, "reused": measured.reused},
        "runtimes": {
            name: {
                "title": runtime.title,
                "link": runtime.link,
                "clears": runtime.clears,
                "releases": [
                    release.version
                    for release in runtime.releases  # oldest first
                    if any(target.release is release for target in selected)
                ],
                "modes": [mode.record() for mode in runtime.modes if mode.name in planned_modes],
            }
            for name, runtime in runtimes.items()
        },
        "networks": {name: _network_facts(network) for name, network in networks.items()},
        "scenarios": {
            scenario.value: {"question": facts.question, "steps": facts.steps}
            for scenario, facts in SCENARIOS.items()
            if any(planned.cell.scenario is scenario for planned in plan)
        },
        "environments": {
            name: {
                "lock": environment.lock.name,
                "python": environment.interpreter.version,
                "packages": environment.packages,
                "key": environment.key,
            }
            for name, environment in measured.environments.items()
        },
    }


def _network_facts(network: Network) -> dict[str, Any]:
    if network.own is None:
        return {"title": network.title, "short": network.name}
    summary = dataclasses.asdict(summary_of(network))
    return {"title": network.title, "short": network.own.short, "file": summary}


def _machine() -> dict[str, Any]:
    cpu = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": cpu,
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
    }


def _cpuinfo() -> Iterable[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else ()


def _code(runtimes: Set[Path]) -> str:
    """A digest of the package's files, and of those of runtimes, which may lie elsewhere."""
    sums = hashlib.sha256()
    for folder in (Path(crosscheck.__file__).parent, *sorted(runtimes)):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                sums.update(str(file.relative_to(folder)).encode() + b"\0")
                sums.update(hashlib.sha256(file.read_bytes()).digest())
    return sums.hexdigest()


def _fingerprint(plan: Sequence[Planned], measured: Measured, journal: Journal, code: str) -> str:
    """A digest of all inputs of the report: cells, what their trials observed, and code.

    Of all code, since lines and page depend on nearly every module, table and template. An unnecessary report costs
    less than an outdated one.
    """
    sums = hashlib.sha256(code.encode())
    for planned in plan:
        cell = planned.cell.id
        observed = journal.stamp(measured.keys.get(cell, ()))
        sums.update(json.dumps([cell, observed, measured.statuses.get(cell)]).encode())
    return sums.hexdigest()
