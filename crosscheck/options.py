"""The options of a job, and what they select."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from crosscheck.conversion import is_file, load
from crosscheck.errors import NetworkError, UsageError
from crosscheck.expectations import Expectations, parts_of
from crosscheck.marks import code_of
from crosscheck.matrix.places import LOCAL, check_engine
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import Target, matching, present, targets
from crosscheck.matrix.server import Limits
from crosscheck.matrix.settings import Progress, cores
from crosscheck.matrix.unlisted import resolve, with_unlisted
from crosscheck.networks import FileOptions, Network, names
from crosscheck.publication import read_facts
from crosscheck.records.conversion import structured
from crosscheck.records.run import ShardFacts
from crosscheck.records.versions import run_of
from crosscheck.report.results import Results
from crosscheck.runtimes.catalog import Runtime
from crosscheck.runtimes.known import TOOLKITS, nearest
from crosscheck.shards import Division, Shard, Times, divided, figures, past

__all__ = ["ISOLATIONS", "LOCKS", "Job", "Matrix", "Selection", "matrix_of", "whole_job"]

ISOLATIONS = ("fork", "new-interpreter")

#: Largest limits of a trial: seconds, and bytes. The system's own limits are whole numbers of 64 bits.
LONGEST = 10**6
LARGEST = 10**15

NONE = FileOptions()

#: The folder of the locks of releases that no runtime's folder lists.
LOCKS = "locks"
#: The options of a job that its parts have in common.
SHARED = (
    "what", "everything", "networks", "modes", "scenarios", "trials", "isolation", "limits", "options", "include",
    "exclude",
)  # fmt: skip


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
    in parallel. engine: where they run: "local" (this machine), "dask" (a Dask cluster of `jobs` processes of this
    machine), or "dask://HOST:PORT" (the workers of that Dask scheduler). out: the folder of the results and of the
    journal, which later runs continue. fresh: whether earlier measurements are ignored. isolation: one of `ISOLATIONS`.
    limits: of one trial, seconds and bytes. options: of network files. include: further parts of the matrix. exclude:
    patterns of cells that are left out, a glob for each part of a cell's id.
    """

    what: Sequence[str] = ()
    everything: bool = False
    networks: Sequence[str] = ()
    modes: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    trials: int = 2
    jobs: int = field(default_factory=cores)
    engine: str = LOCAL
    out: Path = Path("crosscheck-out")
    fresh: bool = False
    isolation: str = "fork"
    limits: Limits = field(default_factory=Limits)
    #: Seconds of measuring; None: `OWN_BUDGET` if there is a network of the user's, else no limit.
    budget: float | None = None
    options: FileOptions = field(default_factory=FileOptions)
    #: Marks cells in the report; nothing that is measured or judged depends on it.
    expectations: Expectations | None = None
    #: An earlier run, since which the report lists the changes; nothing depends on it, either.
    against: Results | None = None
    include: Sequence[Selection] = ()
    exclude: Sequence[str] = ()
    #: The part of the job that is measured; None for all.
    shard: Shard | None = None
    #: The folder of a past run whose times divide the job; None: see `Matrix.times`.
    times: Path | None = None

    def command(self, what: Sequence[str]) -> list[str]:
        """The command line of this job, with `WHAT` replaced."""
        words = ["crosscheck", "run", *what, *(["--all"] if self.everything else [])]
        for option, values in (("--network", self.networks), ("--mode", self.modes), ("--scenario", self.scenarios)):
            words += [word for value in values for word in (option, value)]
        words += [word for pattern in self.exclude for word in ("--exclude", pattern)]
        return [*words, *self.options.words, *([] if self.shard is None else ["--shard", str(self.shard)])]

    @property
    def marks(self) -> bool:
        """Whether the report marks cells by what comes from elsewhere."""
        return self.expectations is not None or self.against is not None

    @property
    def wanted(self) -> Wanted:
        """What is selected of the matrix, beside runtimes."""
        return Wanted(self.modes, self.scenarios, self.networks, self.everything, self.trials)

    def check(self) -> None:
        """Raise UsageError for numbers that no job can have, and for another isolation or engine."""
        check_engine(self.engine)
        if self.isolation not in ISOLATIONS:
            raise UsageError(f"'{self.isolation}' is no isolation. {nearest(self.isolation, ISOLATIONS)}")
        if self.trials < 1 or self.jobs < 1:
            raise UsageError("--trials and --jobs take whole numbers from 1 on.")
        # Written so that NaN is refused, too.
        if not (0 < self.limits.seconds <= LONGEST and 0 < self.limits.memory <= LARGEST):
            raise UsageError("--time-limit takes seconds, --memory-limit takes GB, more than 0 and at most a million.")


@dataclass(frozen=True)
class _Part:
    """A part of a job's matrix."""

    targets: Sequence[Target]
    networks: Sequence[Network]
    wanted: Wanted


@dataclass(frozen=True)
class Matrix:
    """The matrix of a job.

    code: a digest of crosscheck and of the runtimes' folders. refused: why network files are left out.
    """

    job: Job
    parts: Sequence[_Part]
    code: str
    refused: tuple[str, ...] = ()

    @property
    def targets(self) -> list[Target]:
        """Those of all parts."""
        return list(dict.fromkeys(target for part in self.parts for target in part.targets))

    @property
    def networks(self) -> list[Network]:
        """Those of all parts, one of each name."""
        return list({network.name: network for part in reversed(self.parts) for network in part.networks}.values())

    @property
    def digests(self) -> dict[str, str]:
        """Those of the networks, by name."""
        return {network.name: network.digest for network in self.networks}

    def plan(self) -> list[Planned]:
        """The cells of all parts, each once, without those that are left out and those of exported files.

        Raises UsageError for a pattern that is none or leaves out nothing, and if nothing is left.
        """
        cells = {one.cell.id: one for part in self.parts for one in expand(part.targets, part.networks, part.wanted)}
        plan = list(cells.values())
        for pattern in self.job.exclude:
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

    def remarks(self, plan: Sequence[Planned]) -> list[str]:
        """A sentence for each runtime that the job names and of which its plan has no cell."""
        asked = {planned.cell.runtime for planned in plan}
        named = dict.fromkeys(word.partition("@")[0] for word in self.job.what)
        return [
            f"no cell of {name}: the selected modes, networks and scenarios do not suit it."
            for name in named
            if name not in {*asked, TOOLKITS}
        ]

    def shard(self, shard: Shard) -> ShardFacts:
        """What a part of the job is. A part that `job.out` has is divided as before, so that it can be continued."""
        job = self.job
        facts = ShardFacts(
            number=shard.number,
            count=shard.count,
            parts=(),
            job=json.loads(json.dumps({name: _plain(getattr(job, name)) for name in SHARED})),
            code=self.code,
            targets=tuple(target.id for target in self.targets),
            networks=self.digests,
        )
        earlier = None if job.times is not None else _shard_in(job.out)
        if earlier is not None and facts == dataclasses.replace(earlier, number=shard.number, parts=()):
            return dataclasses.replace(facts, parts=earlier.parts)
        return dataclasses.replace(facts, parts=self.division(shard.count).parts)

    def division(self, count: int) -> Division:
        """The division of the job into at most so many parts."""
        return divided(self.plan(), self.targets, count, self.times())

    def times(self) -> Times:
        """Times of the run in `job.times`, else of a whole run in `job.out`, else those that come with crosscheck."""
        job = self.job
        if job.times is not None:
            return past(job.times)
        return past(job.out) if read_facts(job.out) and _shard_in(job.out) is None else figures()


def whole_job(
    shard: ShardFacts, out: Path, jobs: int, expectations: Expectations | None, against: Results | None
) -> Job:
    """The job that was divided, in another folder. Raises UsageError for options that this crosscheck does not have."""
    options = dict(shard.job)
    try:
        options["limits"] = structured(options["limits"], Limits)
        options["options"] = structured(options["options"], FileOptions)
        options["include"] = [structured(selection, Selection) for selection in options["include"]]
        return Job(**options, out=out, jobs=jobs, expectations=expectations, against=against)
    except (KeyError, TypeError, ValueError):
        raise UsageError("the shards are of another version of crosscheck. Merge them with the same one.") from None


def _plain(option: Any) -> Any:
    """An option of a job as JSON types, but for sequences that are not lists."""
    if isinstance(option, Limits | FileOptions | Selection):
        return dataclasses.asdict(option)
    return option if isinstance(option, str | int) else [_plain(item) for item in option]


def _shard_in(out: Path) -> ShardFacts | None:
    """The part of a job that the run in a folder is, if it is one."""
    facts = read_facts(out)
    return run_of(facts).shard if facts.get("shard") else None


def matrix_of(
    job: Job,
    available: Mapping[str, Runtime],
    progress: Progress,
    resolved: bool = True,
    only: Collection[str] | None = None,
) -> Matrix:
    """The matrix of a job: of the default one, the releases for which this machine has what they need.

    resolved: whether releases that no folder lists are resolved. only: the targets, if they are known already.
    Raises UsageError, NetworkError if no network is left.
    """
    words = [*job.what, *(word for selection in job.include for word in selection.what)]
    available = with_unlisted(words, available, job.out / LOCKS)
    choose = _Choice(available, progress, resolved, only).of
    networks, refused = _networks(job.networks, job.options)
    parts = [_Part(choose(job.what, job.everything), networks, job.wanted)]
    for selection in job.include:
        options = job.options if any(map(is_file, selection.networks)) else NONE
        networks, lacking = _networks(selection.networks, options)
        if lacking:
            raise NetworkError("\n".join(lacking))
        wanted = Wanted(selection.modes, selection.scenarios, selection.networks, trials=job.trials)
        parts.append(_Part(choose(selection.what, False), networks, wanted))
    code = code_of({place for part in parts for target in part.targets for place in target.runtime.places})
    return Matrix(job, parts, code, refused)


@dataclass(frozen=True)
class _Choice:
    """How targets are chosen; the fields are arguments of `matrix_of`."""

    available: Mapping[str, Runtime]
    progress: Progress
    resolved: bool
    only: Collection[str] | None

    def of(self, what: Sequence[str], everything: bool) -> list[Target]:
        """The targets of a part of the matrix."""
        selected = targets(what, self.available, everything)
        if self.only is not None:
            selected = [target for target in selected if target.id in self.only]
        if self.resolved and any(target.release.locks for target in selected):
            self.progress.step("resolving releases that are not listed")
        for target in selected if self.resolved else ():
            if path := resolve(target):
                self.progress.note(f"{target.id}: {target.release.note}; its lock is {path}")
        if self.only is None and not (what or everything):
            selected, lacking = present(selected)
            for name, lack in lacking.items():
                self.progress.left_out(name, lack)
        return selected


def _matches(planned: Planned, globs: Sequence[str]) -> bool:
    cell = planned.cell
    names = planned.target.id, cell.mode, cell.network, cell.scenario.value
    return all(map(fnmatchcase, names, globs))


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
