"""Puts the parts of a job together: judges the whole job from what its parts measured.

The journals of the parts become one, and the whole job is carried out with it. It judges, locates causes and attributes
errors of exported files as one run of the whole job would, and finds the trials that it needs in the journal.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosscheck.environments.environment import Environment, cache_folder, describe
from crosscheck.environments.interpreters import Interpreter
from crosscheck.errors import EnvironmentFailure, UsageError
from crosscheck.expectations import Expectations
from crosscheck.job import JOURNAL, SHOULD_HAVE_BEEN, Result, at_work, carry_out
from crosscheck.marks import DONE
from crosscheck.matrix.engine import Engine
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.ledger import Earlier
from crosscheck.matrix.selection import Target
from crosscheck.matrix.settings import Progress, Settings, cores
from crosscheck.options import LOCKS, Job, Matrix, matrix_of, whole_job
from crosscheck.publication import ARRAYS
from crosscheck.records import JudgedCell
from crosscheck.records.run import EnvironmentFacts, Run, ShardFacts
from crosscheck.report import Results, load
from crosscheck.runtimes.catalog import Runtime, catalog

__all__ = ["Request", "merge"]

#: Facts that all parts of a job have in common -> in words.
COMMON = {
    "count": "numbers of shards",
    "job": "options",
    "code": "versions of crosscheck, by a digest of its code,",
    "networks": "networks, by digests,",
    "targets": "releases",
}


@dataclass(frozen=True)
class Request:
    """The options of `crosscheck merge`.

    parts: their folders. out: that of the whole, which must be empty. jobs: processes. expectations, against: as in a
    `Job`.
    """

    parts: Sequence[Path]
    out: Path
    jobs: int = field(default_factory=cores)
    expectations: Expectations | None = None
    against: Results | None = None


@dataclass(frozen=True)
class _Part:
    """The results of a part, and what it is."""

    results: Results
    shard: ShardFacts

    @property
    def folder(self) -> Path:
        return self.results.folder

    @property
    def run(self) -> Run:
        return self.results.run


def merge(request: Request, progress: Progress | None = None, runtimes: Mapping[str, Runtime] | None = None) -> Result:
    """Write the results of the whole job to `request.out`, as `crosscheck.run` would.

    Parts of networks that no shard asked about are measured where their environment is on this machine; none is made.
    `runtimes` replaces the catalog. Raises UsageError, and leaves nothing behind, if the folders are not all parts of
    one job, or if two of them contradict each other.
    """
    start = time.monotonic()
    progress = Progress() if progress is None else progress
    parts = [_read(folder) for folder in request.parts]
    for part in parts[1:]:
        _check_same_job(parts[0], part)
    _check_complete(parts)
    _check_agreement(parts)
    job = whole_job(parts[0].shard, request.out, request.jobs, request.expectations, request.against)
    matrix = _matrix(job, parts[0], catalog() if runtimes is None else runtimes, progress)
    if request.out.is_dir() and any(request.out.iterdir()):
        raise UsageError(f"--out {request.out} is not empty. Name a new folder.")
    try:
        with at_work(request.out):
            return _judged(matrix, parts, progress, start)
    except BaseException:
        shutil.rmtree(request.out, ignore_errors=True)
        raise


def _judged(matrix: Matrix, parts: Sequence[_Part], progress: Progress, start: float) -> Result:
    """Carry the whole job out with what the parts measured."""
    job = matrix.job
    progress.step("reading the shards")
    for part in parts:
        for name in (ARRAYS, LOCKS):
            if (part.folder / name).is_dir():  # names of arrays and locks tell their contents
                shutil.copytree(part.folder / name, job.out / name, dirs_exist_ok=True)
    with Journal(job.out / JOURNAL) as journal:
        for part in parts:
            with Journal(part.folder / JOURNAL, writable=False) as other:
                journal.take(other, leaving={DONE})
        settings, earlier = Settings(job.jobs, job.isolation, job.limits), _earlier(parts, matrix)
        engine = Engine(journal, settings, progress, earlier=earlier)
        result = carry_out(matrix, matrix.plan(), engine, start, _known(parts))
        return dataclasses.replace(result, refused=matrix.refused)


def _read(folder: Path) -> _Part:
    results = load(folder)
    if results.run.shard is None:
        raise UsageError(f"{folder} is no part of a job: its run has no --shard.")
    if not (folder / JOURNAL).exists():
        raise UsageError(f"{folder} has no {JOURNAL}. Copy the whole folder of the shard.")
    return _Part(results, results.run.shard)


def _check_same_job(one: _Part, other: _Part) -> None:
    """Raise UsageError, with both values, for what two parts of a job have in common and these do not."""
    for name, words in COMMON.items():
        here, there = getattr(one.shard, name), getattr(other.shard, name)
        if here != there:
            before, now = _differing(here, there) if isinstance(here, Mapping) else (here, there)
            raise UsageError(
                f"{one.folder} and {other.folder} are not of the same job: their {words} differ, {before} and {now}."
            )
    if one.shard.parts != other.shard.parts:
        raise UsageError(
            f"{one.folder} and {other.folder} divide their job in different ways. Name the same past run with --times "
            "in all shards, or none."
        )


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, str]:
    """The first entry that differs, of both."""
    name = next(name for name in {**one, **other} if one.get(name) != other.get(name))
    return f"{name} {one.get(name)}", f"{name} {other.get(name)}"


def _check_complete(parts: Sequence[_Part]) -> None:
    """Raise UsageError, with their numbers, for missing parts."""
    shard = parts[0].shard
    missing = set(range(1, len(shard.parts) + 1)) - {part.shard.number for part in parts}
    if missing:
        names = [f"{number}/{shard.count}" for number in sorted(missing)]
        raise UsageError(f"the results of shard{'s' if names[1:] else ''} {', '.join(names)} are missing.")


def _check_agreement(parts: Sequence[_Part]) -> None:
    """Raise UsageError, with both values, where parts contradict each other about an environment or a cell.

    Cells and environments of several parts are those that read exported files, and those of a part that ran twice.
    """
    environments: dict[str, tuple[_Part, EnvironmentFacts]] = {}
    cells: dict[str, tuple[_Part, JudgedCell]] = {}
    for part in parts:
        for target, facts in part.run.environments.items():
            other, same = environments.setdefault(target, (part, facts))
            if same.key != facts.key:
                raise UsageError(
                    f"the environments of {target} differ: CPython {same.python}, key {same.key} in {other.folder}, "
                    f"CPython {facts.python}, key {facts.key} in {part.folder}."
                )
        for cell in part.results.cells:
            if cell.status not in SHOULD_HAVE_BEEN:
                other, known = cells.setdefault(cell.id, (part, cell))
                if (known.status, known.findings) != (cell.status, cell.findings):
                    raise UsageError(
                        f"{cell.id} is {_shown(known)} in {other.folder}, and {_shown(cell)} in {part.folder}."
                    )


def _shown(cell: JudgedCell) -> str:
    return ", ".join([cell.status, *cell.findings])


def _matrix(job: Job, part: _Part, available: Mapping[str, Runtime], progress: Progress) -> Matrix:
    """The matrix of the job, as on the machines of its parts. Raises UsageError if that is not what is here."""
    there, shard = dataclasses.replace(job, out=part.folder), part.shard  # which has the locks of unlisted releases
    matrix = dataclasses.replace(matrix_of(there, available, progress, only=shard.targets), job=job)
    if (matrix.code, matrix.digests) != (shard.code, shard.networks):
        other_code = "by another version of crosscheck than the one"
        what = "with other network files than those" if matrix.code == shard.code else other_code
        raise UsageError(f"the shards were measured {what} here. Merge them where these are the same.")
    return matrix


def _earlier(parts: Sequence[_Part], matrix: Matrix) -> Earlier:
    """What the parts know beside their journals."""
    measured = {cell.id for part in parts for cell in part.results.cells if cell.trials}
    facts = {target: facts for part in parts for target, facts in part.run.environments.items()}
    return Earlier(
        environments={
            target.id: _environment(target, facts[target.id]) for target in matrix.targets if target.id in facts
        },
        import_seconds=_together(part.run.import_seconds for part in parts),
        failures={
            cell.id: (cell.status, cell.reason or "", cell.stderr)
            for part in parts
            for cell in part.results.cells
            if cell.id not in measured
        },
    )


def _environment(target: Target, facts: EnvironmentFacts) -> Environment:
    """The environment of a part: this machine's if it has the same, else one that does not exist here."""
    try:
        here = describe(target.runtime, target.release, target.variant, fetch=False)
    except EnvironmentFailure:
        here = None
    if here is not None and here.key == facts.key:
        return dataclasses.replace(here, listed=facts.packages)
    folder = cache_folder() / "environments" / f"{target.runtime.name}-{target.release.version}-{facts.key}"
    minor = ".".join(facts.python.split(".")[:2])
    lock = target.runtime.lock(target.release, target.variant)
    interpreter = Interpreter(folder / "bin" / "python", minor, facts.python)
    return Environment(facts.key, folder, interpreter, lock, (), listed=facts.packages)


def _known(parts: Sequence[_Part]) -> dict[str, Any]:
    """The facts of the whole run that only its parts know: times are sums."""
    seconds: dict[str, float] = {}
    for part in parts:
        for name, value in part.run.seconds.items():
            seconds[name] = round(seconds.get(name, 0.0) + value, 3)
    return {
        "started": min(part.run.started for part in parts),
        "machine": _machines([part.run.machine for part in parts]),
        "seconds": seconds,
    }


def _machines(machines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One machine for all: texts are listed, numbers are the smallest."""
    together = {}
    for name in machines[0]:
        values = list(dict.fromkeys(machine[name] for machine in machines))
        together[name] = " or ".join(values) if isinstance(values[0], str) else min(values)
    return together


def _together(mappings: Iterable[Mapping[str, float]]) -> dict[str, float]:
    return {name: value for mapping in mappings for name, value in mapping.items()}
