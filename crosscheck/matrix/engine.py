"""Runs a plan on this machine: environments made beside the measuring, a server a target, so many trials at once."""

from __future__ import annotations

import dataclasses
import os
import selectors
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from crosscheck.cells import Status, Trial
from crosscheck.environments.environment import Environment, describe, make
from crosscheck.errors import EnvironmentFailure, InstallFailed, Unavailable
from crosscheck.matrix import cache
from crosscheck.matrix.agreement import disagreeing
from crosscheck.matrix.journal import Journal, Record
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.selection import Target
from crosscheck.matrix.server import Limits, ProbeServer, ServerDied
from crosscheck.networks import FORMS, Network, prepared

__all__ = ["Measured", "Progress", "Settings", "cores", "measure"]

#: Disagreeing trials are repeated until there are so many of a reading.
REPEATS = 30
#: How a trial must have ended for the cell's other trials to be run.
WORTH_MORE = (Status.OK, Status.CRASHED)
#: What a fork itself may have caused: such a trial is run again in an interpreter of its own, and that run counts.
SUSPICIOUS = (Status.CRASHED, Status.TIMED_OUT)
#: Bytes that the trials under way may need at once, exported files included.
SCRATCH_ROOM = 500 * 10**6
#: A target whose server dies again and again (not one of its trials: the server itself) is given up.
SERVER_DEATHS = 3


class Progress(Protocol):
    """What a run tells while it goes on."""

    def begin(self, environments: int, cells: int, reused: int) -> None:
        """How much there is to do; `reused` cells are done already."""

    def environment(self, target: str, state: str) -> None:
        """An environment is `making`, `ready` or failed (then `state` is the reason)."""

    def cell(self, cell: str) -> None:
        """A cell is done."""

    def running(self, targets: Sequence[str]) -> None:
        """The targets that have trials under way."""


@dataclass(frozen=True)
class Settings:
    """How to run: trials at once, isolation (`fork` or `new-interpreter`), limits a trial."""

    jobs: int
    isolation: str = "fork"
    limits: Limits = field(default_factory=Limits)


@dataclass
class Measured:
    """What a run leaves: per cell the journal keys of its trials, or the status that kept it from being measured."""

    keys: dict[str, list[str]] = field(default_factory=dict)
    statuses: dict[str, tuple[Status, str, str]] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    import_seconds: dict[str, float] = field(default_factory=dict)
    #: Until the last environment was made, beside which cells were measured already.
    environment_seconds: float = 0.0
    ran: int = 0
    reused: int = 0


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def measure(plan: Sequence[Planned], journal: Journal, settings: Settings, progress: Progress) -> Measured:
    """Run every trial that the journal does not have, and those that disagreeing ones call for.

    Whatever kills this, the journal keeps all but the trials under way.
    """
    with tempfile.TemporaryDirectory(prefix="crosscheck-", dir=_scratch()) as scratch:
        return _Run(plan, journal, settings, progress, Path(scratch)).run()


def _scratch() -> str | None:
    """Where trials leave their files for a moment: in memory where there is room, a disk is slower than a trial."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > SCRATCH_ROOM
    return str(memory) if roomy else None


@dataclass
class _Progressing:
    """A cell under way: how many of its trials are out, and the records that are in."""

    planned: Planned
    missing: int = 0
    keys: dict[Trial, str] = field(default_factory=dict)
    repeated: bool = False


class _Run:
    def __init__(
        self, plan: Sequence[Planned], journal: Journal, settings: Settings, progress: Progress, scratch: Path
    ) -> None:
        self.plan, self.journal, self.settings, self.progress, self.scratch = plan, journal, settings, progress, scratch
        self.done = Measured()
        self.start = time.monotonic()
        self.have = journal.reusable()
        self.cells: dict[str, _Progressing] = {}
        self.queues: dict[Target, deque[Trial]] = {}
        self.servers: dict[Target, ProbeServer] = {}
        self.deaths: dict[Target, int] = {}
        self.suspects: dict[Trial, Record] = {}
        self.waiting: deque[Target] = deque()
        self.selector = selectors.DefaultSelector()
        self.folders: dict[tuple[str, str], Path] = {}

    def run(self) -> Measured:
        self._sort_out()
        making = [target for target in self.queues if not self.done.environments[target.id].exists]
        self.waiting.extend(sorted(self.queues.keys() - set(making), key=lambda target: -len(self.queues[target])))
        self.progress.begin(len(making), len(self.cells), sum(not row.missing for row in self.cells.values()))
        woken, wake = os.pipe()
        self.selector.register(woken, selectors.EVENT_READ, None)
        # Two at once: one unpacks while the other one's download waits for the network.
        pool = ThreadPoolExecutor(2)
        futures = {pool.submit(self._make, target): target for target in making}
        for future in futures:
            # Not at the end of the work itself: the future is not done before that has returned.
            future.add_done_callback(lambda done: os.write(wake, b"."))
        try:
            while futures or self.waiting or self.servers:
                self._fill()
                for ready, _ in self.selector.select():
                    if ready.data is None:
                        os.read(woken, 4096)
                        self._environments(futures)
                    else:
                        self._hear(ready.data)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            for server in self.servers.values():
                server.close()
            self.selector.close()
            os.close(woken)
            os.close(wake)
        return self.done

    def _sort_out(self) -> None:
        """Which trials the journal has, and which must be run, by target."""
        for planned in self.plan:
            cell, target = planned.cell.id, planned.target
            if planned.lacking is not None:
                self.done.statuses[cell] = (Status.NOT_IN_RELEASE, planned.lacking, "")
                continue
            environment = self._environment(target)
            if isinstance(environment, EnvironmentFailure):
                self.done.statuses[cell] = (_status(environment), str(environment), "")
                continue
            state = self.cells[cell] = _Progressing(planned)
            for trial in planned.trials:
                self._queue(state, trial)
                if self.have.get(state.keys[trial], Status.OK) not in WORTH_MORE:
                    break
            if not state.missing:
                self._repeat(state)
            self._finish_if_done(state)

    def _environment(self, target: Target) -> Environment | EnvironmentFailure:
        if target.id not in self.done.environments:
            try:
                self.done.environments[target.id] = describe(target.runtime, target.release, target.variant)
            except EnvironmentFailure as failure:
                return failure
        return self.done.environments[target.id]

    def _queue(self, state: _Progressing, trial: Trial) -> None:
        """Have a trial run unless the journal has it."""
        target = state.planned.target
        key = cache.key(state.planned, trial, self.done.environments[target.id], self.settings.isolation)
        state.keys[trial] = key
        if key in self.have:
            self.done.reused += 1
            return
        state.missing += 1
        self.queues.setdefault(target, deque()).append(trial)

    def _repeat(self, state: _Progressing) -> None:
        """All trials are in: where they disagree, more of them are wanted, once."""
        if state.repeated:
            return
        state.repeated = True
        records = self.journal.records(state.keys.values())
        for reading in sorted(disagreeing(records)):
            for repeat in range(REPEATS):
                trial = Trial(state.planned.cell, reading, repeat)
                if trial not in state.keys:
                    self._queue(state, trial)

    def _finish_if_done(self, state: _Progressing) -> None:
        if not state.missing:
            self.done.keys[state.planned.cell.id] = list(state.keys.values())

    def _make(self, target: Target) -> None:
        self.progress.environment(target.id, "making")
        make(target.runtime, target.release, self.done.environments[target.id])

    def _environments(self, futures: dict[Future[None], Target]) -> None:
        """Environments that are made, or could not be."""
        for future in [future for future in futures if future.done()]:
            target = futures.pop(future)
            try:
                future.result()
            except EnvironmentFailure as failure:
                self.progress.environment(target.id, str(failure))
                self._give_up(target, _status(failure), str(failure), "")
            else:
                self.done.environment_seconds = time.monotonic() - self.start
                self.progress.environment(target.id, "ready")
                self.waiting.append(target)

    def _fill(self) -> None:
        """Put free places to use: first by starting servers, so that no core waits for an import at the end."""
        while self._busy() < self.settings.jobs:
            fed = min(
                (server for target, server in self.servers.items() if server.ready and self.queues[target]),
                key=lambda server: len(server.under_way),
                default=None,
            )
            if self.waiting and len(self.servers) < self.settings.jobs:
                self._start(self.waiting.popleft())
            elif fed is not None:
                self._send(fed)
            else:
                break
        self.progress.running([target.id for target in self.servers])

    def _busy(self) -> int:
        """Trials under way, and imports."""
        return sum(len(server.under_way) if server.ready else 1 for server in self.servers.values())

    def _start(self, target: Target) -> None:
        folder = self.scratch / f"{target.id}-{self.deaths.get(target, 0)}"
        environment = self.done.environments[target.id]
        forks = self.settings.isolation == "fork"
        server = ProbeServer(target, environment, forks, folder, self.settings.limits)
        self.servers[target] = server
        self.selector.register(server.replies, selectors.EVENT_READ, server)

    def _send(self, server: ProbeServer) -> None:
        trial = self.queues[server.target].popleft()
        planned = self.cells[trial.cell.id].planned
        isolation = "new-interpreter" if trial in self.suspects else self.settings.isolation
        server.send(planned, trial.reading, self._network(planned.network, planned.target), isolation, trial)

    def _network(self, network: Network, target: Target) -> Path:
        """The folder in which the probe finds the network, with the ONNX forms that modes are named after."""
        place = (target.runtime.name, network.name)
        if place not in self.folders:
            self.folders[place] = self.scratch / "networks" / target.runtime.name / network.name
            forms = [mode.name for mode in target.runtime.modes if mode.name in FORMS]
            prepared(network, self.folders[place], forms)
        return self.folders[place]

    def _hear(self, server: ProbeServer) -> None:
        target = server.target
        try:
            finished = server.receive()
        except ServerDied as death:
            self._bury(server, death)
            return
        if server.ready and target.id not in self.done.import_seconds:
            self.done.import_seconds[target.id] = server.import_seconds
        for trial, record in finished:
            self._record(trial, record)
        if server.ready and not server.under_way and not self.queues[target]:
            self._stop(server)

    def _record(self, trial: Trial, record: Record) -> None:
        state = self.cells[trial.cell.id]
        if trial in self.suspects:
            record = _acquitted(record, self.suspects.pop(trial))
        elif record.status in SUSPICIOUS and self.settings.isolation == "fork":
            self.suspects[trial] = record
            self.queues[state.planned.target].appendleft(trial)
            return
        self.journal.append(state.keys[trial], trial.cell.id, trial.repeat, record)
        self.done.ran += 1
        state.missing -= 1
        if record.status not in WORTH_MORE:
            self._drop(state)
        if not state.missing:
            self._repeat(state)
        self._finish_if_done(state)
        if not state.missing:
            self.progress.cell(trial.cell.id)

    def _drop(self, state: _Progressing) -> None:
        """What one trial could not do, the others need not try."""
        queue = self.queues[state.planned.target]
        for trial in [trial for trial in state.keys if trial in queue]:
            queue.remove(trial)
            del state.keys[trial]
            state.missing -= 1

    def _stop(self, server: ProbeServer) -> None:
        self.selector.unregister(server.replies)
        del self.servers[server.target]
        server.close()

    def _bury(self, server: ProbeServer, death: ServerDied) -> None:
        """A server that died takes its trials with it; they are run again by another one, a few times."""
        target = server.target
        for trial, _ in server.under_way.values():
            self.queues[target].appendleft(trial)
        self._stop(server)
        self.deaths[target] = self.deaths.get(target, 0) + 1
        if death.status is Status.IMPORT_FAILED or self.deaths[target] >= SERVER_DEATHS:
            self._give_up(target, death.status, death.reason, death.stderr)
        else:
            self.waiting.append(target)

    def _give_up(self, target: Target, status: Status, reason: str, stderr: str) -> None:
        """None of the target's remaining cells can be measured."""
        self.queues[target].clear()
        for cell, state in self.cells.items():
            if state.planned.target == target and state.missing:
                self.done.statuses[cell] = (status, reason, stderr)
                self.progress.cell(cell)


def _acquitted(record: Record, forked: Record) -> Record:
    """The run in an interpreter of its own, with a word on what became of the forked one where they differ."""
    if record.status == forked.status:
        return record
    note = f"a forked trial {forked.status} ({forked.reason}), one in an interpreter of its own did not"
    return dataclasses.replace(record, reason="; ".join(filter(None, (record.reason, note))))


def _status(failure: EnvironmentFailure) -> Status:
    match failure:
        case Unavailable():
            return Status.UNAVAILABLE
        case InstallFailed():
            return Status.INSTALL_FAILED
    raise TypeError(f"no status for {failure!r}")
