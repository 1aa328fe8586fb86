"""What runs in the processes of Dask's workers: batches, measured as trials of this machine are.

Between two batches of a run a worker keeps the probe server, so that a release is imported once, and the files that
came. It lets them go when the run ends, or says nothing for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from distributed import get_worker

from crosscheck.cells import Status, Trial
from crosscheck.environments.environment import Environment, describe
from crosscheck.errors import EnvironmentFailure, Unavailable
from crosscheck.matrix.bench import Bench, Interrupted
from crosscheck.matrix.cluster.batch import Batch, Errand, Kit, Outcome, installation
from crosscheck.matrix.cluster.files import lacking, lay_out
from crosscheck.matrix.journal import Record
from crosscheck.matrix.ledger import Failure, Measured, status_of
from crosscheck.matrix.scratch import scratch_folder
from crosscheck.matrix.selection import Target
from crosscheck.matrix.server import ProbeServer
from crosscheck.matrix.settings import Progress, Settings

__all__ = ["end", "measure"]

#: Seconds of a batch after which it begins no further trial: what is measured comes to the host about as often.
SLICE = 2.0
#: Seconds without a batch after which a worker lets go of what it keeps for a run: its host may be gone.
IDLE = 60.0
#: Seconds that the end of a run waits for batches, whose servers take some to stop.
ENDING = 30.0
#: Statuses of a release that another machine may not have.
OF_MACHINE = (Status.UNAVAILABLE, Status.INSTALL_FAILED)


def measure(batch: Batch) -> Outcome:
    """Measure a batch, as a task of Dask."""
    dask_worker = get_worker()
    address, threads = dask_worker.address, dask_worker.state.nthreads
    if unlike := installation().unlike(batch.installation):
        return Outcome(address, unlike=unlike)
    unasked = tuple(errand.trial for errand in batch.errands)
    try:
        with _Here.of(batch.run) as here:
            return replace(here.measured(batch, threads), worker=address)
    except Interrupted:
        return Outcome(address, unasked=unasked)
    except OSError as problem:
        reason = f"its files cannot be written ({problem})"
        return Outcome(address, unasked=unasked, failure=(Status.UNAVAILABLE, reason, ""), of_machine=True)


async def end(run: str) -> None:
    """Stop what a run does on this worker, and let go of what is kept for it."""
    await asyncio.to_thread(_Here.end, run)


@dataclass
class _Waiting:
    """An idle probe server, and the round whose trials it may run."""

    server: ProbeServer
    round: int


@dataclass(eq=False)
class _Here:
    """What this process keeps of a run. `lock` of the class is held where any of it changes."""

    run: str
    scratch: Path
    ends: contextlib.ExitStack
    batches: int = 0
    benches: set[Bench] = field(default_factory=set)
    servers: list[_Waiting] = field(default_factory=list)
    described: dict[str, tuple[Target, Environment]] = field(default_factory=dict)
    timer: threading.Timer | None = None

    lock: ClassVar = threading.Condition()
    #: Of this process: the runs that it knows, and those that have ended.
    runs: ClassVar[dict[str, _Here]] = {}
    ended: ClassVar[set[str]] = set()

    @classmethod
    @contextlib.contextmanager
    def of(cls, run: str) -> Iterator[_Here]:
        """What is kept of a run, made if there is nothing. Raises Interrupted if the run has ended."""
        with cls.lock:
            if run in cls.ended:
                raise Interrupted
            if run not in cls.runs:
                ends = contextlib.ExitStack()
                cls.runs[run] = _Here(run, ends.enter_context(scratch_folder()), ends)
            here = cls.runs[run]
            here.batches += 1
            if here.timer is not None:
                here.timer.cancel()
        try:
            yield here
        finally:
            with cls.lock:
                here.batches -= 1
                here.timer = threading.Timer(IDLE, here.let_go)
                here.timer.daemon = True
                here.timer.start()
                cls.lock.notify_all()

    @classmethod
    def end(cls, run: str) -> None:
        """The run has ended."""
        with cls.lock:
            cls.ended.add(run)
            here = cls.runs.get(run)
            if here is None:
                return
            for bench in here.benches:
                bench.interrupt()
            cls.lock.wait_for(lambda: not here.batches, ENDING)
        here.let_go()

    def let_go(self) -> None:
        """Close the idle servers, and remove the files, unless a batch has begun."""
        with self.lock:
            if self.batches or self.runs.pop(self.run, None) is not self:
                return
            if self.timer is not None:
                self.timer.cancel()
        for waiting in self.servers:
            waiting.server.close()
        self.ends.close()

    def measured(self, batch: Batch, threads: int) -> Outcome:
        """What comes of a batch. Raises Interrupted, OSError."""
        if missing := lacking(batch.digests):
            return Outcome("", lacking=missing)
        folders = {name: self.scratch / "networks" / name for name in batch.networks}
        missing = tuple(lack for name, files in batch.networks.items() for lack in lay_out(files, folders[name]))
        folder = self.scratch / "kits" / _name(batch.kit)
        if missing := (*missing, *lay_out(batch.kit.files, folder)):
            return Outcome("", lacking=missing)
        trials = tuple(errand.trial for errand in batch.errands)
        try:
            target, environment = self._described(batch.kit, folder)
        except EnvironmentFailure as failure:
            return Outcome("", unasked=trials, failure=(status_of(failure), str(failure), ""), of_machine=True)
        made = not environment.exists
        work = _Work(batch, target, environment)
        scratch = Path(tempfile.mkdtemp(dir=self.scratch))
        settings = Settings(1, batch.isolation, batch.limits, further_servers=False)
        standby = _Round(self, batch.round, threads)
        bench = Bench(work, lambda errand, trial: folders[errand.network], settings, Progress(), scratch, standby)
        with self._interruptible(bench):
            bench.run()
        with contextlib.suppress(OSError):  # a server that waits has its files there
            scratch.rmdir()
        failure_of_machine = work.failure is not None and work.failure[0] in OF_MACHINE
        return Outcome(
            "",
            records=tuple(work.records),
            unasked=tuple(work.unasked),
            lost=tuple(work.lost),
            failure=work.failure,
            of_machine=failure_of_machine,
            packages=environment.packages,
            import_seconds=work.done.import_seconds.get(target.id),
            made=made and environment.exists,
        )

    @contextlib.contextmanager
    def _interruptible(self, bench: Bench) -> Iterator[None]:
        """While it lasts, the end of the run interrupts the bench."""
        with self.lock:
            if self.run in self.ended:
                raise Interrupted
            self.benches.add(bench)
        try:
            yield
        finally:
            with self.lock:
                self.benches.discard(bench)

    def _described(self, kit: Kit, folder: Path) -> tuple[Target, Environment]:
        """The release, with its runtime's folder here, and its environment. Raises EnvironmentFailure."""
        with self.lock:
            if folder.name not in self.described:
                release = kit.target.release
                locks = None if release.locks is None else folder / release.locks
                runtime = kit.target.runtime
                assert runtime.executor is not None
                runtime = replace(runtime, folder=folder, executor=folder / runtime.executor)
                target = Target(runtime, replace(release, locks=locks), kit.target.variant)
                environment = describe(target.runtime, target.release, target.variant)
                if environment.key != kit.environment:
                    raise Unavailable(
                        f"its environment would be another one than on the host (Python "
                        f"{environment.interpreter.version} here, {kit.interpreter} there, or other libraries)."
                    )
                self.described[folder.name] = target, environment
            return self.described[folder.name]


@dataclass(frozen=True)
class _Round:
    """The idle servers of a run that may run trials of a round; `threads`: of the worker."""

    here: _Here
    number: int
    threads: int

    def take(self, target: Target) -> ProbeServer | None:
        """That of a target, if there is one; without it, others make room for a new one."""
        with self.here.lock:
            servers = self.here.servers
            for waiting in servers:
                if waiting.server.target is target and waiting.round == self.number:
                    servers.remove(waiting)
                    return waiting.server
            old = [waiting for waiting in servers if waiting.server.target is target]
            others = [waiting for waiting in servers if waiting not in old]
            old += others[: max(0, len(others) + len(self.here.benches) - self.threads)]
            servers[:] = [waiting for waiting in servers if waiting not in old]
        for waiting in old:
            waiting.server.close()
        return None

    def keep(self, server: ProbeServer) -> None:
        """Let an idle server wait for the next batch."""
        with self.here.lock:
            self.here.servers.append(_Waiting(server, self.number))


class _Work:
    """The trials of a batch, as a bench asks for them (`crosscheck.matrix.bench.Work`), and what became of them."""

    def __init__(self, batch: Batch, target: Target, environment: Environment) -> None:
        self.isolation = batch.isolation
        self.errands = {errand.trial: errand for errand in batch.errands}
        self.queue = deque(self.errands)
        self.queues = {target: self.queue}
        self.done = Measured(environments={target.id: environment})
        self.records: list[tuple[Trial, Record]] = []
        self.unasked: list[Trial] = []
        self.lost: list[tuple[Trial, str]] = []
        self.failure: Failure | None = None
        #: Trials that are asked again here, as what is known of them is known here.
        self._again: set[Trial] = set()
        self._until = math.inf

    cells = reused = 0

    def isolation_of(self, target: Target) -> str:
        """The release's."""
        return self.isolation

    def take(self, target: Target) -> tuple[Errand, Trial, str]:
        """The next trial."""
        if math.isinf(self._until):
            self._until = time.monotonic() + SLICE
        errand = self.errands[self.queue.popleft()]
        return errand, errand.trial, errand.isolation

    def put_back(self, trial: Trial) -> None:
        """Ask it again."""
        self._again.add(trial)
        self.queue.appendleft(trial)

    def record(self, trial: Trial, record: Record) -> None:
        """Keep it. The host decides what follows from a failure for the cell's other trials."""
        self.records.append((trial, record))
        if record.status is not Status.OK:
            self._hand_back(lambda other: other.cell == trial.cell)
        if time.monotonic() >= self._until:
            self._hand_back(lambda other: True)

    def lose(self, trial: Trial, reason: str) -> None:
        """Leave it."""
        self.lost.append((trial, reason))

    def give_up(self, target: Target, status: Status, reason: str, stderr: str = "") -> int:
        """Leave all."""
        self.failure = (status, reason, stderr)
        self.unasked += self.queue
        self.queue.clear()
        return 0

    def ask_again(self, target: Target) -> bool:
        """The host decides that."""
        return False

    def _hand_back(self, which: Callable[[Trial], bool]) -> None:
        back = [trial for trial in self.queue if which(trial) and trial not in self._again]
        self.unasked += back
        for trial in back:
            self.queue.remove(trial)


def _name(kit: Kit) -> str:
    """A name for the folder of a kit's files, and of the release in them."""
    parts = [kit.target.id, kit.environment, sorted(kit.files.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
