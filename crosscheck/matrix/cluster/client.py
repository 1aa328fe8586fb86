"""The host's end of a Dask cluster: hands batches of trials out, and records what comes back.

Dask decides where a batch runs, and runs the batch of a lost worker elsewhere. The host keeps at most as many batches
under way as the cluster has threads, and one more behind each.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import signal
import threading
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, TypeVar

from distributed import Client, Future, KilledWorker, LocalCluster

from crosscheck.cells import Status, Trial
from crosscheck.environments import npm
from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.matrix.bench import leave_out
from crosscheck.matrix.cluster import worker
from crosscheck.matrix.cluster.batch import Batch, Errand, Files, Kit, Outcome, installation
from crosscheck.matrix.cluster.files import Outgoing, keep
from crosscheck.matrix.ledger import Failure, Ledger
from crosscheck.matrix.network_files import NetworkFiles
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.scratch import scratch_folder
from crosscheck.matrix.selection import Target
from crosscheck.matrix.settings import Progress, Settings
from crosscheck.runtimes.source import Request, Source

__all__ = ["Cluster", "connected", "local"]

#: Seconds for a scheduler to answer, and for its first worker to join.
CONNECTING, JOINING = 10.0, 30.0
#: Seconds without any worker after which a run ends.
PATIENCE = 300.0
#: Fewest trials of a batch that has more to take: about a second of quick ones. What a batch costs beside its trials is
#: then a small part of it, and little is lost with a worker.
BATCH = 32
#: Batches that wait in a target's queue for a further server of it to be worth its import.
DIVIDED = 3
#: Most seconds between two looks at the cluster.
WATCH = 5.0
#: What a message about the cluster ends with.
KEPT = "the same command goes on, what was measured is kept"
#: Folders of a runtime's that are not code.
LOCKS, CACHE = "locks", "__pycache__"
#: Where a worker has the adapter, with what lies beside it, and the lock of a release that no folder lists.
CODE, UNLISTED = "code", "unlisted"
#: The mark in the journal of what is installed in an environment, before its key.
PACKAGES = "packages "

T = TypeVar("T")


@contextlib.contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster of the scheduler at HOST:PORT. Raises UsageError without one, or without fit workers."""
    with _quiet(), contextlib.ExitStack() as ends:
        try:
            client = ends.enter_context(Client(f"tcp://{address}", timeout=CONNECTING, set_as_default=False))
        except Exception as problem:  # whatever answers there may be no scheduler
            why = " ".join(str(problem).split()) or type(problem).__name__
            raise UsageError(
                f"--engine dask://{address}: no Dask scheduler answers there ({why}). Start one with `dask scheduler`."
            ) from problem
        try:
            client.wait_for_workers(1, timeout=JOINING)
        except TimeoutError:
            raise UsageError(
                f"--engine dask://{address}: the scheduler has no workers. Start some with `dask worker {address}`."
            ) from None
        cluster = Cluster(client, address)
        cluster.check()
        yield cluster


@contextlib.contextmanager
def local(workers: int) -> Iterator[Cluster]:
    """A cluster of so many processes of this machine, which ends with it."""
    with _quiet(), contextlib.ExitStack() as ends:
        try:
            with _uninterrupted():
                cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
                )
        except RuntimeError as problem:
            raise CrosscheckError(
                f"--engine dask: its workers did not start ({problem}). A script that starts them has to do so under "
                '`if __name__ == "__main__":`.'
            ) from problem
        ends.enter_context(cluster)
        yield Cluster(ends.enter_context(Client(cluster, set_as_default=False)), cluster.scheduler_address)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that are started ignore a terminal's Ctrl-C: this one ends them. Only the main thread can say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs what a run says in its own words, and warns of versions that `Cluster.check` refuses."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="distributed")
            warnings.filterwarnings("ignore", message="Sending large graph")  # a batch with long programs
            yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class Cluster:
    """Runs trials on the workers of a Dask cluster."""

    client: Client
    address: str

    def execute(self, ledger: Ledger, settings: Settings, progress: Progress) -> None:
        """As in `crosscheck.matrix.engine.Executor`. Raises UsageError for a worker of another installation."""
        progress.begin(0, ledger.cells, ledger.reused)
        if ledger.queues:
            with scratch_folder() as scratch:
                _Run(self, ledger, settings, progress, scratch).run()

    def check(self) -> None:
        """Raise UsageError for a worker whose crosscheck or Python is not this one's."""
        mine = installation()
        for address, facts in self.asked(lambda: self.client.run(installation, on_error="return")).items():
            if isinstance(facts, BaseException):
                unlike = f"no crosscheck like this machine's ({type(facts).__name__}: {facts})"
            else:
                unlike = facts.unlike(mine)
            if unlike:
                self.refuse(address, unlike)

    def refuse(self, address: str, unlike: str) -> NoReturn:
        """Raise UsageError: a worker's installation is not this one's."""
        raise UsageError(
            f"the worker {address} has {' '.join(unlike.split())}. Install the same on all machines; {KEPT}."
        )

    def threads(self) -> dict[str, int]:
        """The workers that are there, and the threads of each."""
        threads: dict[str, int] = self.asked(self.client.nthreads)
        return threads

    def asked(self, question: Callable[[], T]) -> T:
        """What the scheduler answers. Raises CrosscheckError if it is gone."""
        try:
            return question()
        except (OSError, CancelledError) as problem:
            raise self.gone() from problem

    def gone(self) -> CrosscheckError:
        """The scheduler is."""
        return CrosscheckError(f"the Dask scheduler at {self.address} is gone; {KEPT}.")


@dataclass(eq=False)
class _Lane:
    """Batches of a target, one after the other.

    worker: which ran the last one, and has a server of the target; Dask sends the next one there if it can. flights: of
    batches under way, by key.
    """

    target: Target
    worker: str | None = None
    flights: dict[str, _Flight] = field(default_factory=dict)


@dataclass(frozen=True)
class _Flight:
    """A batch under way."""

    lane: _Lane
    batch: Batch
    key: str
    future: Future[Outcome]


class _Run:
    """A run of a ledger's trials on a cluster."""

    def __init__(self, cluster: Cluster, ledger: Ledger, settings: Settings, progress: Progress, scratch: Path) -> None:
        self.cluster, self.ledger, self.settings, self.progress = cluster, ledger, settings, progress
        self.id = uuid.uuid4().hex
        self.start = time.monotonic()
        self.networks = NetworkFiles(scratch / "networks")
        self.outgoing = Outgoing()
        self.kits: dict[Target, Kit] = {}
        self.folders: dict[str, Files] = {}
        self.lanes: list[_Lane] = []
        self.rounds: Counter[Target] = Counter()
        self.threads: dict[str, int] = {}
        self.seen = time.monotonic()
        #: Target -> worker that cannot measure it -> why.
        self.unable: dict[Target, dict[str, Failure]] = {}
        #: Trials of batches that were lost with several workers, and are asked again one by one.
        self.suspects: set[Trial] = set()
        self.arrived: SimpleQueue[str] = SimpleQueue()
        self.flights: dict[str, _Flight] = {}

    def run(self) -> None:
        """Run all trials; raises CrosscheckError if the cluster is gone."""
        self._list_packages()
        self._look()
        self.settings.budget.stage(len(self.ledger.queues), sum(self.threads.values()))
        try:
            while self._fill():
                self._arrive(self._next())
        finally:
            self._end()

    def _end(self) -> None:
        """Stop what is under way on the workers, and let them go of what they keep for this run."""
        with contextlib.suppress(OSError, CancelledError, RuntimeError):  # of a scheduler that is gone
            self.cluster.client.cancel([flight.future for flight in self.flights.values()], force=True)
            self.cluster.client.run(worker.end, self.id, on_error="ignore")

    def _look(self) -> None:
        """See which workers are there. Raises CrosscheckError if there was none for long."""
        threads = self.cluster.threads()
        for address in self.threads.keys() - threads.keys():
            self.progress.note(f"the worker {address} is gone; what it was measuring runs elsewhere.")
        if threads:
            self.seen = time.monotonic()
        elif self.threads:
            self.progress.note("no worker is left; waiting for one.")
        elif time.monotonic() - self.seen > PATIENCE:
            raise CrosscheckError(f"no worker came for {PATIENCE:.0f} s; {KEPT}.")
        self.threads = threads

    # Handing out

    def _fill(self) -> bool:
        """Keep every thread at work; whether any batch is under way."""
        for lane in list(self.lanes):
            self._feed(lane)
        queues, places = self.ledger.queues, max(1, sum(self.threads.values()))
        while len(self.lanes) < places:
            served = {lane.target for lane in self.lanes}
            new = [target for target in queues if target not in served]
            longest = max((target for target in new if queues[target]), key=self._length, default=None)
            if longest is None:
                longest = max(served, key=self._length, default=None)
                if longest is None or self._length(longest) < DIVIDED * BATCH:
                    break
            if longest not in served:
                self.settings.budget.begin(longest)
            self.lanes.append(_Lane(longest))
            self._feed(self.lanes[-1])
        self.progress.running([lane.target.id for lane in self.lanes])
        return bool(self.flights)

    def _length(self, target: Target) -> int:
        return len(self.ledger.queues[target])

    def _feed(self, lane: _Lane) -> None:
        """Send the next batches of a lane; close it if there are none."""
        target = lane.target
        if self.ledger.queues[target] and self.settings.budget.over(target):
            leave_out(self.ledger, target, self.progress)
        while self.ledger.queues[target] and len(lane.flights) < (1 if lane.worker is None else 2):
            self._send(lane)
        if lane.flights:
            return
        self.lanes.remove(lane)
        if any(other.target is target for other in self.lanes):
            return
        again = self.settings.further_servers and not self.settings.budget.over(target)
        if again and self.ledger.ask_again(target):
            self.rounds[target] += 1
        self.settings.budget.end(target)

    def _send(self, lane: _Lane) -> None:
        batch = self._batch(lane.target)
        # Where its server is; else where Dask likes, but for workers that cannot measure it, unless these are all.
        unable = self.unable.get(lane.target, {})
        wanted = [lane.worker] if lane.worker else [address for address in self.threads if address not in unable]
        preferred: dict[str, Any] = {"workers": wanted, "allow_other_workers": True} if lane.worker or unable else {}
        key = f"crosscheck-{self.id}-{uuid.uuid4().hex}"
        future = self.cluster.asked(
            lambda: self.cluster.client.submit(worker.measure, batch, key=key, pure=False, **preferred)
        )
        lane.flights[key] = self.flights[key] = _Flight(lane, batch, key, future)
        future.add_done_callback(lambda done: self.arrived.put(key))

    def _batch(self, target: Target) -> Batch:
        """The next trials of a target; those of a cell stay together, as the outcome of one may spare the others."""
        queue = self.ledger.queues[target]
        errands: list[Errand] = []
        networks: dict[str, Files] = {}
        while queue and (len(errands) < BATCH or queue[0].cell == errands[-1].trial.cell):
            if errands and not self.suspects.isdisjoint({queue[0], errands[-1].trial}):
                break
            planned, trial, isolation = self.ledger.take(target)
            folder = self.networks.of(planned, trial)
            name = folder.relative_to(self.networks.folder).as_posix()
            networks[name] = self._files(planned, folder)
            errands.append(Errand(trial, isolation, planned.work(trial), name))
        isolation = self.ledger.isolation_of(target)
        kit = self._kit(target)
        return Batch(self.id, self.rounds[target], kit, isolation, self.settings.limits, tuple(errands), networks)

    def _files(self, planned: Planned, folder: Path) -> Files:
        """The files of a network; of a large one, those that trials read are written one after the other."""
        if str(folder) not in self.folders or planned.network.large:
            self.folders[str(folder)] = self.outgoing.add_folder(folder)
        return self.folders[str(folder)]

    def _kit(self, target: Target) -> Kit:
        if target not in self.kits:
            environment = self.ledger.done.environments[target.id]
            runtime, release, base = target.runtime, target.release, target.runtime.adapter.parent
            names = [path.relative_to(base) for path in base.rglob("*") if path.is_file()]
            names = [name for name in names if not {LOCKS, CACHE} & set(name.parts)]
            locks = [runtime.lock(release, target.variant), *map(runtime.native_lock, release.native)]
            npm_lock = runtime.npm_lock(release)
            locks += [] if npm_lock is None else [npm_lock / name for name in npm.FILES]
            paths = {f"{CODE}/{name.as_posix()}": base / name for name in names}
            paths |= {_inside(path, runtime.folder): path for path in locks}
            bare = replace(runtime, write=_written_by_host, modes=(), releases=(), formats=())
            sent = Target(
                replace(bare, folder=Path(), executor=Path(CODE)),
                release if release.locks is None else replace(release, locks=Path(UNLISTED)),
                target.variant,
            )
            self.kits[target] = Kit(sent, self.outgoing.add(paths), environment.key, environment.interpreter.version)
        return self.kits[target]

    # Coming back

    def _next(self) -> _Flight:
        """The next batch that is done."""
        while True:
            try:
                return self.flights[self.arrived.get(timeout=WATCH)]
            except Empty:
                if self.cluster.client.status not in ("running", "connecting"):
                    raise self.cluster.gone() from None
                self._look()

    def _arrive(self, flight: _Flight) -> None:
        del self.flights[flight.key], flight.lane.flights[flight.key]
        self._look()
        try:
            outcome = self.cluster.asked(flight.future.result)
        except KilledWorker:
            self._suspect(flight)
            return
        except CrosscheckError:
            raise
        except Exception as problem:  # of a worker, whatever it is
            self.cluster.check()
            raise CrosscheckError(
                f"a worker failed ({type(problem).__name__}: {' '.join(str(problem).split())}); {KEPT}."
            ) from problem
        self._put_back([errand.trial for errand in flight.batch.errands] if outcome.lacking else outcome.unasked)
        if outcome.unlike:
            self.cluster.refuse(outcome.worker, outcome.unlike)
        flight.lane.worker = outcome.worker
        self._note(flight.lane.target, outcome)
        for trial, record in outcome.records:
            self.ledger.record(trial, record)
        for trial, reason in outcome.lost:
            self.ledger.lose(trial, f"{reason} (on {outcome.worker}). Run the same command again when that is mended.")
        if outcome.lacking:
            self._provide(flight.lane, outcome)
        if outcome.failure is not None:
            self._fail(flight.lane, outcome.worker, outcome.failure, outcome.of_machine)

    def _put_back(self, trials: list[Trial] | tuple[Trial, ...]) -> None:
        for trial in reversed(trials):
            self.ledger.put_back(trial)

    def _note(self, target: Target, outcome: Outcome) -> None:
        """What a worker found out about a release."""
        done = self.ledger.done
        if outcome.import_seconds is not None:
            done.import_seconds.setdefault(target.id, outcome.import_seconds)
        environment = done.environments[target.id]
        if outcome.packages and not environment.packages:
            done.environments[target.id] = replace(environment, listed=outcome.packages)
            self.ledger.journal.derive({PACKAGES + environment.key: json.dumps(dict(outcome.packages)).encode()})
        if outcome.made:
            done.environment_seconds = time.monotonic() - self.start
            self.progress.note(f"{target.id}: its environment was made on {outcome.worker}.")

    def _list_packages(self) -> None:
        """What environments have that are not on this machine, as it was told by earlier runs."""
        for name, environment in self.ledger.done.environments.items():
            if not environment.packages:
                known = self.ledger.journal.derived(PACKAGES + environment.key)
                listed = {} if known is None else json.loads(known)
                self.ledger.done.environments[name] = replace(environment, listed=listed)

    def _provide(self, lane: _Lane, outcome: Outcome) -> None:
        """Send a worker the files that it lacks."""
        address, client = outcome.worker, self.cluster.client
        for contents in self.outgoing.contents(outcome.lacking):
            send = functools.partial(client.run, keep, contents, workers=[address], on_error="return")
            problem = self.cluster.asked(send).get(address)
            if isinstance(problem, OSError) and address in self.cluster.threads():
                reason = f"its files cannot be written on the worker ({problem})"
                self._fail(lane, address, (Status.UNAVAILABLE, reason, ""), of_machine=True)
                return

    def _fail(self, lane: _Lane, address: str, failure: Failure, of_machine: bool) -> None:
        """Ask other workers, if the release may be measured there; give it up without any."""
        target = lane.target
        unable = self.unable.setdefault(target, {})
        first = address not in unable
        unable[address] = failure
        if of_machine and not unable.keys() >= self.threads.keys():
            if first:
                self.progress.note(f"{target.id} cannot be measured on {address}: {failure[1]}")
            lane.worker = None
        else:
            self.ledger.give_up(target, *failure)

    def _suspect(self, flight: _Flight) -> None:
        """Ask the trials of a batch that was lost with several workers again, one by one; leave one that is alone."""
        trials = [errand.trial for errand in flight.batch.errands]
        if len(trials) == 1:
            self.ledger.lose(
                trials[0], "the workers that ran it were lost, one after the other. Run it on this machine."
            )
            return
        self.suspects.update(trials)
        self._put_back(trials)


def _inside(path: Path, folder: Path) -> str:
    """Where a lock is in a worker's folder of the runtime."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else f"{UNLISTED}/{path.name}"


def _written_by_host(request: Request) -> Source:
    raise AssertionError("workers get texts")
