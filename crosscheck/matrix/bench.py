"""Runs trials on this machine.

Builds environments in the background, starts one probe server per target, and runs up to `jobs` trials in parallel.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import selectors
import shutil
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from crosscheck.cells import Status, Trial
from crosscheck.environments.environment import make
from crosscheck.environments.installer import stop_installers
from crosscheck.errors import EnvironmentFailure
from crosscheck.matrix.journal import Record
from crosscheck.matrix.ledger import Ledger, Measured, status_of
from crosscheck.matrix.network_files import NetworkFiles
from crosscheck.matrix.scratch import scratch_folder
from crosscheck.matrix.selection import Target
from crosscheck.matrix.server import Lost, ProbeServer, ServerDied, Worked, crashed
from crosscheck.matrix.settings import Progress, Settings
from crosscheck.matrix.shortage import is_of_machine

__all__ = ["Bench", "Interrupted", "Reserve", "Standby", "ThisMachine", "Work", "leave_out"]

#: Maximum deaths of a target's server without a trial that may have caused them, before the target is given up.
SERVER_DEATHS = 3
#: Deaths of a server with one trial under way, and no other, after which the trial is the cause.
ALONE_DEATHS = 2
#: Times that a trial is asked which the machine spoils, before its cell is left to the next run.
SPOILT = 2
#: Most seconds between two looks at the deadlines of servers.
WATCH = 5.0


class Standby:
    """Probe servers that stay up from one plan to the next, so that the next one costs no import.

    A context manager; at its end all servers are closed.
    """

    def __init__(self) -> None:
        self._ends = contextlib.ExitStack()
        self._servers: dict[Target, ProbeServer] = {}

    def __enter__(self) -> Standby:
        self._folder = self._ends.enter_context(scratch_folder())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.close()
        self._ends.close()

    def scratch(self) -> Path:
        """A new folder that exists as long as the servers."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    def take(self, target: Target) -> ProbeServer | None:
        """The waiting server of a target, if there is one."""
        return self._servers.pop(target, None)

    def keep(self, server: ProbeServer) -> None:
        """Let an idle server wait."""
        self._servers[server.target] = server


@dataclass(frozen=True)
class ThisMachine:
    """Runs trials here. Servers of `standby` are used first and wait there afterwards; without it they are closed."""

    standby: Standby | None = None

    def execute(self, ledger: Ledger, settings: Settings, progress: Progress) -> None:
        """As in `crosscheck.matrix.engine.Executor`."""
        with contextlib.ExitStack() as ends:
            scratch = ends.enter_context(scratch_folder()) if self.standby is None else self.standby.scratch()
            files = NetworkFiles(scratch / "networks")
            Bench(ledger, files.of, settings, progress, scratch, self.standby).run()


class Interrupted(Exception):
    """Another thread ended the work of a bench."""


P = TypeVar("P", bound=Worked, covariant=True)


class Work(Protocol[P]):
    """Trials to run, as a ledger has them, each with what tells the probe what to do (`P`)."""

    queues: dict[Target, deque[Trial]]
    done: Measured

    @property
    def cells(self) -> int:
        """The number of measurable cells."""

    @property
    def reused(self) -> int:
        """The number of cells without missing trials."""

    def isolation_of(self, target: Target) -> str:
        """The isolation of the target's trials."""

    def take(self, target: Target) -> tuple[P, Trial, str]:
        """The target's next trial, with its isolation."""

    def put_back(self, trial: Trial) -> None:
        """Queue an unfinished trial again."""

    def record(self, trial: Trial, record: Record) -> None:
        """A trial is finished."""

    def lose(self, trial: Trial, reason: str) -> None:
        """The machine spoilt a trial."""

    def give_up(self, target: Target, status: Status, reason: str, stderr: str = "") -> int:
        """The queued trials of a target cannot be run; the number of their cells."""

    def ask_again(self, target: Target) -> bool:
        """Queue trials for a new server of the target, if any are needed."""


def leave_out(work: Work[Any], target: Target, progress: Progress) -> None:
    """Give up what the target's share of the budget was not enough for; trials under way end."""
    count = work.give_up(target, Status.NOT_ASKED, "--budget was used up; the same command goes on")
    if count:
        progress.note(
            f"{target.id}: {count} cells are not asked, as its part of --budget is used up; the same command goes on, "
            "--budget allows more."
        )


class Reserve(Protocol):
    """Probe servers that wait for further work, as in `Standby`."""

    def take(self, target: Target) -> ProbeServer | None:
        """The waiting server of a target, if there is one."""

    def keep(self, server: ProbeServer) -> None:
        """Let an idle server wait."""


class Bench:
    """Runs the trials of a work in `scratch`.

    network: the folder with the files of a trial's network. Servers of `standby` are used first and wait there
    afterwards.
    """

    def __init__(
        self,
        work: Work[P],
        network: Callable[[P, Trial], Path],
        settings: Settings,
        progress: Progress,
        scratch: Path,
        standby: Reserve | None = None,
    ) -> None:
        self.settings, self.progress, self.standby = settings, progress, standby
        self.scratch = scratch
        self.network: Callable[[Any, Trial], Path] = network
        self.start = time.monotonic()
        self.ledger: Work[Any] = work
        self.queues, self.done = work.queues, work.done
        self.servers: dict[Target, ProbeServer] = {}
        self.started = itertools.count()
        self.deaths: dict[Target, int] = {}
        #: Trials that were lost with a server or their folder -> how often each was so alone. They are asked again one
        #: by one.
        self.suspects: dict[Trial, int] = {}
        #: Trial -> how often the machine spoilt it.
        self.spoilt: Counter[Trial] = Counter()
        self.waiting: deque[Target] = deque()
        self.selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        self._interrupted = self._over = False
        #: Held where the pipe is written to from another thread, or closed.
        self._pipe = threading.Lock()

    def interrupt(self) -> None:
        """Let `run`, in another thread, raise Interrupted soon."""
        with self._pipe:
            self._interrupted = True
            if not self._over:
                os.write(self._wake, b".")

    def run(self) -> None:
        """Run all trials."""
        making = [target for target in self.queues if not self.done.environments[target.id].exists]
        self.waiting.extend(sorted(self.queues.keys() - set(making), key=lambda target: -len(self.queues[target])))
        self.settings.budget.stage(len(self.queues), self.settings.jobs)
        self.progress.begin(len(making), self.ledger.cells, self.ledger.reused)
        self.selector.register(self._woken, selectors.EVENT_READ, None)
        # Two in parallel: one unpacks while the other downloads.
        pool = ThreadPoolExecutor(2)
        futures = {pool.submit(self._make, target): target for target in making}
        for future in futures:
            # A callback, because the future is not done before the work returns.
            future.add_done_callback(lambda done: os.write(self._wake, b"."))
        try:
            while futures or self.waiting or self.servers:
                self._fill()
                if not (futures or self.servers):
                    break
                if self._interrupted:
                    raise Interrupted
                next_deadline = min((server.deadline for server in self.servers.values()), default=math.inf)
                for ready, _ in self.selector.select(max(0.0, min(WATCH, next_deadline - time.monotonic()))):
                    if ready.data is None:
                        os.read(self._woken, 4096)
                        self._environments(futures)
                    else:
                        self._receive(ready.data)
                for server in [server for server in self.servers.values() if server.deadline <= time.monotonic()]:
                    self._replace_dead(server, server.lost())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while any(future.running() for future in futures):
                stop_installers()  # none is waited for
                time.sleep(0.01)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            for server in self.servers.values():
                server.close()
            self.selector.close()
            with self._pipe:
                self._over = True
                os.close(self._woken)
                os.close(self._wake)

    def _make(self, target: Target) -> None:
        self.progress.environment(target.id, "making")
        make(target.runtime, target.release, self.done.environments[target.id])

    def _environments(self, futures: dict[Future[None], Target]) -> None:
        """Queue the targets whose environments are ready; give up those whose environments failed."""
        for future in [future for future in futures if future.done()]:
            target = futures.pop(future)
            try:
                future.result()
            except EnvironmentFailure as failure:
                self.progress.environment(target.id, str(failure))
                self.ledger.give_up(target, status_of(failure), str(failure))
            else:
                self.done.environment_seconds = time.monotonic() - self.start
                self.progress.environment(target.id, "ready")
                self.waiting.append(target)

    def _fill(self) -> None:
        """Start servers, then send trials, until `jobs` places are taken: no core waits for an import at the end.

        Every server has one queued trial, so that it never idles between two trials.
        """
        for server in [server for server in self.servers.values() if server.ready and self.queues[server.target]]:
            if self.settings.budget.over(server.target):
                leave_out(self.ledger, server.target, self.progress)
                self._rest(server)
        while self.waiting and len(self.servers) < self.settings.jobs:
            self._start(self.waiting.popleft())
        ready = [server for server in self.servers.values() if server.ready]
        places = self.settings.jobs - (len(self.servers) - len(ready))
        for number, server in enumerate(ready):
            at_once = places // len(ready) + (number < places % len(ready))
            while (queue := self.queues[server.target]) and len(server.trials) <= at_once:
                if server.trials and not self.suspects.keys().isdisjoint([queue[0], *server.trials]):
                    break  # alone
                self._send(server, at_once)
            self._rest(server)
        self.progress.running([target.id for target in self.servers])

    def _start(self, target: Target) -> None:
        server = None if self.standby is None else self.standby.take(target)
        if server is None:
            folder = self.scratch / f"{target.id}-{next(self.started)}"
            environment = self.done.environments[target.id]
            forks = self.ledger.isolation_of(target) == "fork"
            try:
                server = ProbeServer(target, environment, forks, folder, self.settings.limits)
            except OSError as problem:
                status = Status.UNAVAILABLE if is_of_machine(problem) else Status.INSTALL_FAILED
                self.ledger.give_up(target, status, f"its probe server cannot be started ({problem}); run again")
                return
        self.servers[target] = server
        self.settings.budget.begin(target)
        self.selector.register(server.replies, selectors.EVENT_READ, server)

    def _send(self, server: ProbeServer, at_once: int) -> None:
        planned, trial, isolation = self.ledger.take(server.target)
        try:
            network = self.network(planned, trial)
            # None may write so much that the others find no room.
            room = shutil.disk_usage(self.scratch).free // (self.settings.jobs + 1)
            server.send(planned, trial, network, isolation, at_once, room)
        except OSError as problem:
            if not is_of_machine(problem):
                raise
            self._ask_later(trial, str(problem))

    def _receive(self, server: ProbeServer) -> None:
        target = server.target
        try:
            finished = server.receive()
        except ServerDied as death:
            self._replace_dead(server, death)
            return
        if server.ready and target.id not in self.done.import_seconds:
            self.done.import_seconds[target.id] = server.import_seconds
        for trial, outcome in finished:
            match outcome:
                case Record():
                    self.ledger.record(trial, outcome)
                case Lost(by_machine=True):
                    self._ask_later(trial, outcome.reason)
                case Lost():
                    self._suspect(trial, ServerDied(Status.CRASHED, outcome.reason, ""), alone=not server.trials)
        self._rest(server)

    def _rest(self, server: ProbeServer) -> None:
        """Stop a server without work, or let it wait; start another one where trials have to be repeated."""
        target = server.target
        if not server.ready or server.trials or self.queues[target]:
            return
        again = self.settings.further_servers and not self.settings.budget.over(target)
        if again and self.ledger.ask_again(target):
            self._stop(server)
            self.waiting.append(target)
        elif self.standby is not None:
            self._release(server)
            self.standby.keep(server)
        else:
            self._stop(server)

    def _stop(self, server: ProbeServer) -> None:
        self._release(server)
        server.close()

    def _release(self, server: ProbeServer) -> None:
        self.settings.budget.end(server.target)
        self.selector.unregister(server.replies)
        del self.servers[server.target]

    def _replace_dead(self, server: ProbeServer, death: ServerDied) -> None:
        """Ask the trials of a dead server again, of another one: one by one, as one of them may be the cause.

        A trial with which a server died alone, twice, is recorded as crashed. If servers die without a trial, up to
        `SERVER_DEATHS` times, or cannot be imported, the target is given up.
        """
        target, trials, imported = server.target, server.trials, server.ready
        self._stop(server)
        for trial in trials:
            if death.lack is None:
                self._suspect(trial, death, alone=len(trials) == 1)
            else:
                self._ask_later(trial, death.lack)
        if not trials:
            self.deaths[target] = self.deaths.get(target, 0) + 1
        if not imported or self.deaths.get(target, 0) >= SERVER_DEATHS:
            lack = death.lack and f"{death.lack}: {death.reason}"
            self.ledger.give_up(
                target, Status.UNAVAILABLE if lack else death.status, lack or death.reason, death.stderr
            )
        elif self.queues[target] or self.ledger.ask_again(target):
            self.waiting.append(target)

    def _ask_later(self, trial: Trial, lack: str) -> None:
        """Ask a trial again, alone, that the machine spoilt; leave its cell to the next run if that happens twice."""
        self.suspects.setdefault(trial, 0)
        self.spoilt[trial] += 1
        if self.spoilt[trial] < SPOILT:
            self.ledger.put_back(trial)
        else:
            self.ledger.lose(trial, f"{lack}. Run the same command again when that is mended.")

    def _suspect(self, trial: Trial, death: ServerDied, alone: bool) -> None:
        """Ask a trial again that was lost, by itself or by one beside it; record it if it was so alone, twice."""
        self.suspects[trial] = self.suspects.get(trial, 0) + alone
        if self.suspects[trial] >= ALONE_DEATHS:
            self.ledger.record(trial, crashed(trial, death, self.settings.limits))
        else:
            self.ledger.put_back(trial)
