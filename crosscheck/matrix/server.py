"""The host's end of a probe server: starts it in a release's environment, sends trials, collects results."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from crosscheck import probe
from crosscheck.cells import Status, Trial
from crosscheck.environments.environment import Environment
from crosscheck.matrix.journal import Record
from crosscheck.matrix.selection import Target
from crosscheck.matrix.shortage import earlier_oom_kills, lack_of, lack_of_server, oom_kills
from crosscheck.matrix.trial_folder import collect, plain, tail
from crosscheck.probe.processes import SESSION, processes_with

__all__ = ["Limits", "Lost", "ProbeServer", "ServerDied", "Worked", "crashed", "variables"]

#: The parent folder of the package `crosscheck`.
SOURCES = Path(probe.__file__).parents[2]
#: The user's variables passed to a runtime; others could change measurements.
PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER")
#: One thread a process: trials run side by side, and an order of summation that depends on nothing.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
#: How a trial's process ends: by itself, by a signal, at a limit, or because the machine lacks something.
ENDINGS = frozenset({"exit", "signal", "time", "memory", "files", "lacking"})
COUNTS = ("code", "peak_bytes", "file_bytes", "least_room", "wall_seconds")
#: In a `serving` variable of `releases.toml`: the folder that a probe server's trials share.
FOLDER = "{folder}"


#: Seconds beyond a trial's limit after which a server that says nothing is lost: it ends trials itself.
PATIENCE = 60.0


@dataclass(frozen=True)
class Limits:
    """Limits of one trial: seconds of wall time, bytes of resident memory and of files; of an import, seconds."""

    seconds: float = 60.0
    memory: float = 4e9
    importing: float = 600.0


@dataclass(frozen=True)
class Lost:
    """A trial that left no observation, and why: the machine lacked something, or its folder was deleted."""

    reason: str
    by_machine: bool


class Worked(Protocol):
    """What tells the probe what to do in a trial: a planned cell, or what is left of it on another machine."""

    def work(self, trial: Trial) -> Mapping[str, Any]:
        """The probe's input for a trial: steps, modes by role, and the program."""


class _UnderWay(NamedTuple):
    """A trial that was sent: its folder, the bytes that it may write, and `oom_kills()` before that."""

    trial: Trial
    folder: Path
    file_limit: float
    oom_kills: int


class ProbeServer:
    """A running probe server. `replies` is readable when a message is waiting; `ready` is set after the import.

    Raises OSError if it cannot be started.
    """

    def __init__(self, target: Target, environment: Environment, forks: bool, folder: Path, limits: Limits) -> None:
        self.target = target
        self.limits = limits
        self.folder = folder
        self._under_way: dict[int, _UnderWay] = {}
        self.ready = False
        self.import_seconds = 0.0
        self._rest = b""
        self._count = 0
        self._heard = time.monotonic()
        self._kills = oom_kills()
        folder.mkdir(parents=True)
        bootstrap = Path(probe.__file__).with_name("bootstrap.py")
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            their_requests, self.requests = _pipe(theirs, ours)
            self.replies, their_replies = _pipe(ours, theirs)
            stderr = theirs.enter_context((folder / "server.stderr").open("wb"))
            self.process = subprocess.Popen(
                [
                    environment.python,
                    bootstrap,
                    target.runtime.adapter,
                    "serve",
                    str(their_requests),
                    str(their_replies),
                    *(["--import", *target.runtime.imports] if forks else []),
                ],
                env=variables(target, environment, folder),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(their_requests, their_replies),
                start_new_session=True,  # the host handles interrupts
            )
            ours.pop_all()  # open until `close`
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        largest = int(limits.memory) if hard == resource.RLIM_INFINITY else min(int(limits.memory), hard)
        with contextlib.suppress(ProcessLookupError):  # for what it prints while it imports, too
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (largest, largest))

    @property
    def trials(self) -> list[Trial]:
        """The trials under way."""
        return [under_way.trial for under_way in self._under_way.values()]

    def send(
        self, planned: Worked, trial: Trial, network: Path, isolation: str, at_once: int, room: float = math.inf
    ) -> None:
        """Run a trial once fewer than `at_once` are running; it returns with its record. `room`: bytes it may write.

        Every second trial of a reading runs with an allocator that fills the memory it hands out: forks share their
        heap, and all trials would read the same memory that nobody wrote.
        """
        self._count += 1
        out = self.folder / str(self._count)
        out.mkdir(parents=True)  # a trial may have deleted the server's folder
        if not self._under_way:
            self._heard = time.monotonic()
        file_limit = min(room, self.limits.memory)
        request = {
            "trial": self._count,
            "out": str(out),
            "network": str(network),
            **planned.work(trial),
            "fills_memory": trial.repeat % 2 == 1,
            "isolation": isolation,
            "at_once": at_once,
            "seconds": self.limits.seconds,
            "bytes": self.limits.memory,
            "file_bytes": file_limit,
        }
        self._under_way[self._count] = _UnderWay(trial, out, file_limit, earlier_oom_kills())
        line = (json.dumps(request) + "\n").encode()
        with contextlib.suppress(BrokenPipeError):  # `receive` reports a dead server
            while line:  # a pipe may take less than a long program at once
                line = line[os.write(self.requests, line) :]

    @property
    def deadline(self) -> float:
        """When the server is lost if it says nothing until then, by time.monotonic(); never while it has no work."""
        if not self.ready:
            return self._heard + self.limits.importing
        return self._heard + self.limits.seconds + PATIENCE if self._under_way else math.inf

    def receive(self) -> list[tuple[Trial, Record | Lost]]:
        """Finished trials with their records, or why there is none.

        Raises ServerDied if the server has exited, or says what is no reply.
        """
        data = os.read(self.replies, 1 << 20)
        if not data:
            raise self._death()
        self._heard = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        finished: list[tuple[Trial, Record | Lost]] = []
        for line in lines:
            reply = self._reply(line)
            if "failed" in reply:
                raise ServerDied(Status.IMPORT_FAILED, plain(reply["failed"]), self._stderr())
            if "ready" in reply:
                self.ready, self.import_seconds = True, reply["import_seconds"]
                continue
            ended = self._under_way.pop(reply["trial"])
            finished.append((ended.trial, self._outcome(ended, reply)))
            shutil.rmtree(ended.folder, ignore_errors=True)
        return finished

    def _outcome(self, ended: _UnderWay, reply: Mapping[str, Any]) -> Record | Lost:
        if not ended.folder.exists():
            return Lost("the trial's folder was gone when it ended", by_machine=False)
        try:
            record = collect(ended.folder, reply, ended.trial.reading, self.limits.memory)
        except OSError as problem:
            return Lost(f"a trial's record could not be read ({problem.strerror})", by_machine=True)
        lack = lack_of(record, reply, ended.file_limit, ended.oom_kills)
        return record if lack is None else Lost(f"{lack}; its scratch files are in {self.folder.parent}", True)

    def _reply(self, line: bytes) -> Mapping[str, Any]:
        """A reply. Raises ServerDied for anything else: what a runtime does when it is imported is not known."""
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if isinstance(reply, dict):
            imported = "ready" in reply and _are_numbers(reply, "import_seconds")
            if not self.ready and (isinstance(reply.get("failed"), str) or imported):
                return reply
            ended = reply.get("ended")
            told = isinstance(ended, str) and ended in ENDINGS and _are_numbers(reply, *COUNTS)
            if told and type(reply.get("trial")) is int and reply["trial"] in self._under_way:
                return reply
        raise ServerDied(self._status, f"the probe server said what is no reply: {line[:100]!r}", self._stderr())

    def lost(self) -> ServerDied:
        """Kill a server that is past its deadline; why it is lost."""
        silent = f"said nothing for {time.monotonic() - self._heard:.0f} s"
        self._kill()
        if self.ready:
            return ServerDied(Status.CRASHED, f"the probe server {silent} while trials were under way", self._stderr())
        return ServerDied(Status.IMPORT_FAILED, f"the import of the runtime {silent} and was ended", self._stderr())

    def _kill(self) -> None:
        """Kill the server and all processes of its session, in which its trials are."""
        for process in (self.process.pid, *processes_with(SESSION, self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Stop the server and its running trials."""
        for pipe in (self.requests, self.replies):
            os.close(pipe)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _death(self) -> ServerDied:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it closed its pipe, and goes on
            self._kill()
            code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        when = "while importing the runtime"
        if self.ready:
            when = "while trials were under way" if self._under_way else "before it was asked anything"
        stderr = self._stderr()
        return ServerDied(
            self._status,
            f"the probe server was {how} {when}",
            stderr,
            lack_of_server(-code, stderr, self._kills),
        )

    @property
    def _status(self) -> Status:
        """What the death of the server is: of trials under way, or of a runtime that cannot even wait for one."""
        return Status.CRASHED if self._under_way else Status.IMPORT_FAILED

    def _stderr(self) -> str:
        return tail(self.folder / "server.stderr")


def _are_numbers(reply: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(reply.get(name), int | float) for name in names)


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe whose ends are closed with these."""
    reads, writes = os.pipe()
    reader.callback(os.close, reads)
    writer.callback(os.close, writes)
    return reads, writes


class ServerDied(Exception):
    """The server exited; has the reason, the end of its output, and what the machine lacked, if that is the cause."""

    def __init__(self, status: Status, reason: str, stderr: str, lack: str | None = None) -> None:
        super().__init__(reason)
        self.lack = lack
        self.status = status
        self.reason = reason
        self.stderr = stderr


def crashed(trial: Trial, death: ServerDied, limits: Limits) -> Record:
    """The record of a trial that ended its server, or deleted its folder."""
    return Record(
        reading=trial.reading,
        status=Status.CRASHED,
        reason=f"{death.reason}, this trial alone, twice",
        steps="",
        keys="",
        arrays=b"",
        seconds=0.0,
        cpu_seconds=0.0,
        peak_bytes=0,
        memory_limit=limits.memory,
        stderr=death.stderr,
    )


def variables(target: Target, environment: Environment, folder: Path) -> Mapping[str, str]:
    """The environment variables of a probe server: a few of the user's, one thread, and the variant's switches.

    `folder` belongs to the server and is shared by its trials.
    """
    mine = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    mine |= ONE_THREAD | {"PYTHONNOUSERSITE": "1", "PYTHONHASHSEED": "0"}
    if environment.bytecode is None:
        mine["PYTHONDONTWRITEBYTECODE"] = "1"
    else:
        mine["PYTHONPYCACHEPREFIX"] = str(environment.bytecode)
    if environment.library_path:
        mine["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, environment.library_path))
    if target.runtime.registry == "npm":
        # What `require` finds: the environment's packages, and the probe, as `crosscheck/probe/node/...`.
        mine["NODE_PATH"] = os.pathsep.join(map(str, (environment.folder / "node_modules", SOURCES)))
    serving = {name: value.replace(FOLDER, str(folder)) for name, value in target.variant.serving.items()}
    return mine | serving | dict(target.variant.environment)
