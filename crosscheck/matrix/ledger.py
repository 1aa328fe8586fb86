"""Tracks which trials of a plan still have to run, and completes each cell as its trials are recorded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from crosscheck.cells import MEASURED, Scenario, Status, Trial
from crosscheck.environments import machine
from crosscheck.environments.environment import Environment, describe
from crosscheck.errors import EnvironmentFailure, InstallFailed, Unavailable
from crosscheck.matrix import cache
from crosscheck.matrix.agreement import SERVERS, wanting
from crosscheck.matrix.cache import code_digest
from crosscheck.matrix.journal import Journal, Record
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.selection import Target
from crosscheck.repeatability import waiting_disagree

__all__ = ["Earlier", "Failure", "Ledger", "Measured", "isolation_of", "status_of"]

#: Folders and modules of crosscheck that decide whether trials are repeated.
CODE = ("cells.py", "errors.py", "matrix/agreement.py", "probe/recorded.py", "repeatability.py", "scenarios")
#: Statuses that forking may cause: the trial is repeated in a new interpreter, whose result counts.
SUSPICIOUS = (Status.CRASHED, Status.TIMED_OUT)


#: Why a cell could not be measured: status, reason, standard error.
Failure = tuple[Status, str, str]


@dataclass(frozen=True)
class Earlier:
    """What is known of measurements on other machines, whose trials the journal has.

    environments: of their targets. import_seconds: of their targets' runtimes. failures: id of a cell that could not be
    measured -> why.
    """

    environments: Mapping[str, Environment]
    import_seconds: Mapping[str, float]
    failures: Mapping[str, Failure]


@dataclass
class Measured:
    """The result of a run: per cell the journal keys of its trials, or the status of the failure."""

    keys: dict[str, list[str]] = field(default_factory=dict)
    statuses: dict[str, Failure] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    import_seconds: dict[str, float] = field(default_factory=dict)
    #: Until the last environment is complete; cells are measured meanwhile.
    environment_seconds: float = 0.0
    ran: int = 0
    reused: int = 0

    def add(self, other: Measured) -> None:
        """Merge the results of another stage of the same run."""
        self.keys |= other.keys
        self.statuses |= other.statuses
        self.environments |= other.environments
        self.import_seconds = other.import_seconds | self.import_seconds
        self.environment_seconds += other.environment_seconds
        self.ran += other.ran
        self.reused += other.reused


@dataclass
class _UnderWay:
    """An unfinished cell: the number of missing trials, and the journal keys of all trials."""

    planned: Planned
    missing: int = 0
    keys: dict[Trial, str] = field(default_factory=dict)
    #: Further servers that ran a trial, and whether another can still change the outcome.
    servers: int = 0
    open: bool = False
    #: Whether trials that wait disagree.
    doubtful: bool = False


class Ledger:
    """All trials missing from the journal, and repetitions of disagreeing ones, by target.

    `finished` is called with the id of each cell completed after the start. Trials that ran out of memory under a limit
    below `memory_limit` (bytes) are missing. With `earlier`, what other machines measured counts as it is: no trial is
    missing that ran out of time or memory there, and no cell that failed there.
    """

    def __init__(
        self,
        plan: Sequence[Planned],
        journal: Journal,
        isolation: str,
        finished: Callable[[str], None],
        memory_limit: float = 0,
        earlier: Earlier | None = None,
    ) -> None:
        self.journal, self.isolation, self.finished, self.earlier = journal, isolation, finished, earlier
        self.done = Measured() if earlier is None else Measured(import_seconds=dict(earlier.import_seconds))
        self.queues: dict[Target, deque[Trial]] = {}
        self._have = journal.reusable(memory_limit) if earlier is None else journal.reusable(timed_out=True)
        self._cells: dict[str, _UnderWay] = {}
        self._unconfirmed: dict[Trial, Record] = {}
        self._confirmed: set[tuple[str, Status]] = set()
        self._of_target: dict[Target, list[_UnderWay]] = {}
        for planned in plan:
            self._enter(planned)
        for target, queue in self.queues.items():
            self.queues[target] = deque(sorted(queue, key=lambda trial: _rank(self._cells[trial.cell.id].planned)))
        for target in self._of_target:
            if not self.queues.get(target):
                self.ask_again(target)

    @property
    def cells(self) -> int:
        """The number of measurable cells."""
        return len(self._cells)

    @property
    def reused(self) -> int:
        """The number of cells without missing trials."""
        return sum(not cell.missing or name in self.done.keys for name, cell in self._cells.items())

    def take(self, target: Target) -> tuple[Planned, Trial, str]:
        """The target's next trial, its cell's plan, and its isolation."""
        trial = self.queues[target].popleft()
        isolation = "new-interpreter" if trial in self._unconfirmed else self.isolation_of(target)
        return self._cells[trial.cell.id].planned, trial, isolation

    def isolation_of(self, target: Target) -> str:
        """The isolation of the target's trials."""
        return isolation_of(target, self.isolation)

    def put_back(self, trial: Trial) -> None:
        """Queue an unfinished trial again."""
        self.queues[self._cells[trial.cell.id].planned.target].appendleft(trial)

    def record(self, trial: Trial, record: Record) -> None:
        """Record a finished trial. A crash or timeout of a fork counts only after a new interpreter's trial."""
        cell = self._cells[trial.cell.id]
        if trial in self._unconfirmed:
            forked = self._unconfirmed.pop(trial)
            if record.status == forked.status:
                self._confirmed.add((trial.cell.id, record.status))
            record = _confirmed_record(record, forked)
        elif (
            record.status in SUSPICIOUS
            and (trial.cell.id, record.status) not in self._confirmed
            and self.isolation_of(cell.planned.target) == "fork"
        ):
            self._unconfirmed[trial] = record
            self.put_back(trial)
            return
        self.journal.append(cell.keys[trial], trial.cell.id, trial.repeat, record)
        self.done.ran += 1
        cell.missing -= 1
        if record.status not in MEASURED:
            self._drop(cell, cell.planned.trials[0])  # put back, it may come after others, and tells the cell's status
        if trial.cell.id in self.done.statuses:  # given up meanwhile
            return
        first = trial.cell.id not in self.done.keys
        self._settle(cell)
        if first and not cell.missing:
            self.finished(trial.cell.id)

    def lose(self, trial: Trial, reason: str) -> None:
        """Leave the cell of a trial that the machine spoilt to the next run; nothing of the trial is kept.

        A cell that lacks only repetitions keeps its trials.
        """
        cell, name = self._cells[trial.cell.id], trial.cell.id
        self._unconfirmed.pop(trial, None)
        del cell.keys[trial]
        cell.missing -= 1
        self._drop(cell)
        if name not in self.done.keys and name not in self.done.statuses:
            self.done.statuses[name] = (Status.UNAVAILABLE, reason, "")
            self.finished(name)

    def ask_again(self, target: Target) -> bool:
        """Queue trials for a new server of the target after its other trials; False if none are needed.

        Forks of one server share its memory, which can make all trials of a cell agree. If trials of a mode disagree in
        one cell, others of its cells are therefore measured again, one trial per server; see `_to_ask_again`.
        """
        while not self.queues.get(target):
            wanted = _to_ask_again(self._of_target.get(target, ()))
            if not wanted:
                return False
            for cell in wanted:
                cell.servers += 1
                reading = cell.planned.trials[0].reading
                repeat = sum(trial.reading == reading for trial in cell.keys)
                trial = Trial(cell.planned.cell, reading, repeat)
                self._queue(cell, trial, self._key(cell.planned, trial))
                self._settle(cell)
        return True

    def give_up(self, target: Target, status: Status, reason: str, stderr: str = "") -> int:
        """Set the status of every cell of the target with queued trials; the number of these."""
        queued = {trial.cell.id for trial in self.queues[target]}
        self.queues[target].clear()
        count = 0
        for cell in self._of_target[target]:
            name = cell.planned.cell.id
            # A cell with only repetitions missing keeps its trials.
            if name in queued and name not in self.done.keys:
                self.done.statuses[name] = (status, reason, stderr)
                self.finished(name)
                count += 1
        return count

    def _enter(self, planned: Planned) -> None:
        name, target = planned.cell.id, planned.target
        if planned.lacking is not None:
            self.done.statuses[name] = (Status.NOT_IN_RELEASE, planned.lacking, "")
            return
        if planned.refused is not None:
            self.done.statuses[name] = (Status.REFUSED, planned.refused, "")
            return
        environment = self._environment(target)
        if self.earlier is not None and name in self.earlier.failures:
            self.done.statuses[name] = self.earlier.failures[name]
            return
        failure = environment if isinstance(environment, EnvironmentFailure) else _lack(planned)
        if failure is not None:
            self.done.statuses[name] = (status_of(failure), str(failure), "")
            return
        cell = self._cells[name] = _UnderWay(planned)
        self._of_target.setdefault(target, []).append(cell)
        failed = False
        for trial in planned.trials:
            key = self._key(planned, trial)
            # No trial starts after a failed one; trials that were already running are recorded and count.
            if not failed or key in self._have:
                self._queue(cell, trial, key)
            failed = failed or self._have.get(key, Status.OK) not in MEASURED
        self._settle(cell)

    def _environment(self, target: Target) -> Environment | EnvironmentFailure:
        if target.id not in self.done.environments:
            try:
                self.done.environments[target.id] = self._described(target)
            except EnvironmentFailure as failure:
                return failure
        return self.done.environments[target.id]

    def _described(self, target: Target) -> Environment:
        if self.earlier is None:
            return describe(target.runtime, target.release, target.variant)
        if target.id not in self.earlier.environments:
            raise Unavailable("no machine had its environment")
        return self.earlier.environments[target.id]

    def _key(self, planned: Planned, trial: Trial) -> str:
        """The trial's key in the journal."""
        target = planned.target
        return cache.key(planned, trial, self.done.environments[target.id], self.isolation_of(target))

    def _queue(self, cell: _UnderWay, trial: Trial, key: str) -> None:
        """Queue a trial unless the journal has it under that key."""
        target = cell.planned.target
        cell.keys[trial] = key
        if key in self._have:
            self.done.reused += 1
            return
        cell.missing += 1
        self.queues.setdefault(target, deque()).append(trial)

    def _settle(self, cell: _UnderWay) -> None:
        """After the last trial, queue repetitions of disagreeing ones, or finish the cell."""
        while not cell.missing:
            mark = self._mark(cell)
            if (known := self.journal.derived(mark)) is not None:
                self._close(cell, **json.loads(known))
                return
            rows = self.journal.observations(cell.keys.values())
            more = wanting(rows)
            trials = [
                trial
                for reading, count in more.items()
                for trial in (Trial(cell.planned.cell, reading, repeat) for repeat in range(count))
                if trial not in cell.keys
            ]
            if not trials:
                measured = all(row.status in MEASURED for row in rows)
                doubtful = measured and waiting_disagree(rows)
                settled = {"doubtful": doubtful, "again": measured and not doubtful}
                self.journal.derive({mark: json.dumps(settled).encode()})
                self._close(cell, **settled)
                return
            for trial in trials:
                self._queue(cell, trial, self._key(cell.planned, trial))

    def _close(self, cell: _UnderWay, doubtful: bool, again: bool) -> None:
        """Finish a cell, until further servers are asked. again: whether they may change the outcome."""
        cell.doubtful, cell.open = doubtful, again
        self.done.keys[cell.planned.cell.id] = list(cell.keys.values())

    def _mark(self, cell: _UnderWay) -> str:
        """A digest of all that decides whether trials are repeated: code, and what the trials observed."""
        trials = [[trial.reading, trial.repeat] for trial in cell.keys]
        parts = [code_digest(CODE), np.__version__, trials, self.journal.stamp(list(cell.keys.values()))]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _drop(self, cell: _UnderWay, kept: Trial | None = None) -> None:
        """Remove the queued trials of a cell with a failed trial, except one."""
        queue = self.queues[cell.planned.target]
        for trial in [trial for trial in cell.keys if trial in queue and trial != kept]:
            queue.remove(trial)
            del cell.keys[trial]
            cell.missing -= 1


def _to_ask_again(cells: Sequence[_UnderWay]) -> list[_UnderWay]:
    """The cells of one target for which a further server is wanted.

    One operator is suspected, if there is one that all networks have on which trials of the mode disagree. On these
    networks every cell is asked again; on others with that operator the first one, which reads the same memory.
    """
    wanted = []
    for mode in dict.fromkeys(cell.planned.mode.name for cell in cells if cell.doubtful):
        here = [cell for cell in cells if cell.planned.mode.name == mode]
        disagree = {cell.planned.network.name: _operators(cell.planned) for cell in here if cell.doubtful}
        suspects = frozenset[str]().union(*disagree.values())
        suspects = suspects.intersection(*disagree.values()) or suspects
        asked: set[str] = set()
        for cell in here:
            network = cell.planned.network.name
            if cell.open and suspects & _operators(cell.planned) and (network in disagree or network not in asked):
                asked.add(network)
                wanted.append(cell)
    return [cell for cell in wanted if cell.servers < SERVERS and not cell.missing]


def _rank(planned: Planned) -> tuple[int, bool]:
    """The order of the cells of users' networks: what tells most comes first, as the time may not be enough for all."""
    if planned.network.own is None:
        return 0, False
    usual = bool(planned.mode.native) or planned.mode.name == planned.target.runtime.default_call
    return list(Scenario).index(planned.cell.scenario), not usual


def _operators(planned: Planned) -> frozenset[str]:
    return frozenset(node["op"] for node in planned.network.graph["nodes"])


def _lack(planned: Planned) -> Unavailable | None:
    """The missing system dependency of the cell's mode, or None."""
    for needed in planned.target.release.system:
        if needed.needed_for(planned.mode):
            try:
                machine.find(needed)
            except Unavailable as lack:
                return lack
    return None


def _confirmed_record(record: Record, forked: Record) -> Record:
    """The new interpreter's record; its reason names the forked trial's status if different."""
    if record.status == forked.status:
        return record
    note = f"a forked trial {forked.status} ({forked.reason}), one in a new interpreter did not"
    return dataclasses.replace(record, reason="; ".join(filter(None, (record.reason, note))))


def isolation_of(target: Target, wanted: str) -> str:
    """The isolation of a target's trials: the wanted one, but for runtimes that cannot be forked."""
    return wanted if target.runtime.forks else "new-interpreter"


def status_of(failure: EnvironmentFailure) -> Status:
    """The status of cells whose environment failed."""
    match failure:
        case Unavailable():
            return Status.UNAVAILABLE
        case InstallFailed():
            return Status.INSTALL_FAILED
    raise TypeError(f"no status for {failure!r}")
