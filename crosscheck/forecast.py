"""What a job would measure: cells, trials, environments, and how long it takes. Measures and installs nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from crosscheck.cells import MEASURED, Status
from crosscheck.environments.environment import Environment, describe
from crosscheck.errors import EnvironmentFailure
from crosscheck.exchange import readers
from crosscheck.job import JOURNAL
from crosscheck.matrix.cache import key
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.ledger import isolation_of
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.selection import Target
from crosscheck.matrix.settings import Progress
from crosscheck.options import Job, matrix_of
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.shards import OVERHEAD, Division, Shard, Times, environments_of

__all__ = ["Forecast", "Making", "Part", "forecast"]


#: What packages weigh, over what their environment takes: an average of the releases whose folders say both.
PACKED = 0.3


@dataclass(frozen=True)
class Making:
    """An environment that has to be made: a target that needs it, and its sizes in MB, None where nobody said.

    lack: what this machine lacks for it; "" if nothing.
    """

    target: str
    download_mb: int | None
    disk_mb: int | None
    lack: str = ""


@dataclass(frozen=True)
class Part:
    """What a job, one of its runtimes or one of its shards has to do.

    measured: the number of cells whose trials the journal has. trials, seconds: of the others, without repetitions; one
    trial after the other, and imports. environments: the number of all that are needed.
    """

    name: str
    targets: tuple[str, ...]
    cells: int
    measured: int
    trials: int
    seconds: float
    environments: int
    making: tuple[Making, ...]

    @property
    def download_mb(self) -> int:
        """What is known of it."""
        return sum(one.download_mb or 0 for one in self.making)

    @property
    def disk_mb(self) -> int:
        """What is known of it."""
        return sum(one.disk_mb or 0 for one in self.making)


@dataclass(frozen=True)
class Forecast:
    """What a job has to do on this machine, and each of its shards on a machine without environments.

    jobs: trials at once. times: where times are from, in words.
    """

    whole: Part
    runtimes: Sequence[Part]
    shards: Sequence[Part]
    jobs: int
    times: str

    def duration(self, part: Part) -> float:
        """Seconds of measuring, without making environments."""
        return OVERHEAD * part.seconds / self.jobs


def forecast(
    job: Job, shards: int = 0, progress: Progress | None = None, runtimes: Mapping[str, Runtime] | None = None
) -> Forecast:
    """What a job would measure in `job.out`, and how it divides into so many shards.

    `runtimes` replaces the catalog. Raises UsageError for invalid arguments.
    """
    job.check()
    progress = Progress() if progress is None else progress
    matrix = matrix_of(job, catalog() if runtimes is None else runtimes, progress, resolved=False)
    times, plan = matrix.times(), matrix.plan()
    for sentence in matrix.remarks(plan):
        progress.note(sentence)
    reading = readers(matrix.targets)
    division = matrix.division(shards) if shards else Division(())
    if job.shard is not None:
        plan = Division(matrix.shard(job.shard).parts).of(job.shard.number, plan)
    measured = _measured(job, plan)
    by_runtime: dict[str, list[Planned]] = {}
    for planned in plan:
        by_runtime.setdefault(planned.cell.runtime, []).append(planned)
    return Forecast(
        whole=_part("", plan, measured, times, reading),
        runtimes=[_part(name, cells, measured, times, ()) for name, cells in by_runtime.items()],
        shards=[
            _part(str(Shard(number, shards)), division.of(number, plan), None, times, reading)
            for number in range(1, len(division.parts) + 1)
        ],
        jobs=job.jobs,
        times=times.source,
    )


def _part(
    name: str, plan: Sequence[Planned], measured: Collection[str] | None, times: Times, reading: Sequence[Target]
) -> Part:
    """measured: the ids of cells that need not be measured; None for a machine that has no environments either."""
    todo = [planned for planned in plan if planned.cell.id not in (measured or ())]
    imported = {planned.target for planned in todo if planned.trials}
    environments = environments_of(plan, reading)
    making = (_making(target, times, here=measured is not None) for target in environments.values())
    return Part(
        name=name,
        targets=tuple(dict.fromkeys(planned.target.id for planned in plan)),
        cells=len(plan),
        measured=len(plan) - len(todo),
        trials=sum(len(planned.trials) for planned in todo),
        seconds=sum(map(times.of, todo)) + sum(map(times.importing, imported)),
        environments=len(environments),
        making=tuple(one for one in making if one is not None),
    )


def _making(target: Target, times: Times, here: bool) -> Making | None:
    """The environment of a target, if it has to be made; `here` on this machine."""
    release, lack = target.release, ""
    if release.locks is not None and not target.runtime.lock(release, target.variant).exists():
        lack = release.note  # the run resolves it
    elif here:
        try:
            if describe(target.runtime, release, target.variant, fetch=False).exists:
                return None
        except EnvironmentFailure as failure:
            lack = str(failure)
    disk = times.disk(target)
    download = None if disk is None else round(disk * PACKED)
    return Making(target.id, release.download_mb or download, disk, lack)


def _measured(job: Job, plan: Sequence[Planned]) -> set[str]:
    """The cells with all their trials in the journal of `job.out`."""
    if job.fresh or not (job.out / JOURNAL).exists():
        return set()
    with Journal(job.out / JOURNAL, writable=False) as journal:
        have = journal.reusable(job.limits.memory)
    environments: dict[str, Environment | None] = {}
    return {
        planned.cell.id
        for planned in plan
        if (environment := _environment(planned.target, environments)) is not None
        and _is_measured(planned, environment, isolation_of(planned.target, job.isolation), have)
    }


def _is_measured(planned: Planned, environment: Environment, isolation: str, have: Mapping[str, Status]) -> bool:
    """Whether a cell has all its trials: none starts after one that failed."""
    for trial in planned.trials:
        status = have.get(key(planned, trial, environment, isolation))
        if status not in MEASURED:
            return status is not None
    return bool(planned.trials)


def _environment(target: Target, known: dict[str, Environment | None]) -> Environment | None:
    if target.id not in known:
        try:
            known[target.id] = describe(target.runtime, target.release, target.variant, fetch=False)
        except EnvironmentFailure:
            known[target.id] = None
    return known[target.id]
