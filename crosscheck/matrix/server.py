"""The host's end of a probe server: starts it in a release's environment, sends trials, collects results."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosscheck import probe
from crosscheck.cells import Status, Trial
from crosscheck.environments.environment import Environment
from crosscheck.errors import ProbeError
from crosscheck.matrix.journal import Record
from crosscheck.matrix.plan import Planned
from crosscheck.matrix.selection import Target

__all__ = ["Limits", "ProbeServer"]

STDERR_TAIL = 2000  # characters of standard error to keep

#: The parent folder of the package `crosscheck`.
SOURCES = Path(probe.__file__).parents[2]
#: The user's variables passed to a runtime; others could change measurements.
PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER")
#: One thread a process: trials run side by side, and an order of summation that depends on nothing.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
#: In a `serving` variable of `releases.toml`: the folder that a probe server's trials share.
FOLDER = "{folder}"


@dataclass(frozen=True)
class Limits:
    """Limits of one trial: seconds of wall time, bytes of resident memory."""

    seconds: float = 60.0
    memory: float = 4e9


class ProbeServer:
    """A running probe server. `replies` is readable when a message is waiting; `ready` is set after the import."""

    def __init__(self, target: Target, environment: Environment, forks: bool, folder: Path, limits: Limits) -> None:
        self.target = target
        self.limits = limits
        self.folder = folder
        self.under_way: dict[int, tuple[Trial, Path]] = {}
        self.ready = False
        self.import_seconds = 0.0
        self._rest = b""
        self._count = 0
        folder.mkdir(parents=True)
        bootstrap = Path(probe.__file__).with_name("bootstrap.py")
        their_requests, self.requests = os.pipe()
        self.replies, their_replies = os.pipe()
        with (folder / "server.stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [
                    environment.python,
                    bootstrap,
                    target.runtime.adapter,
                    "serve",
                    str(their_requests),
                    str(their_replies),
                    *(["--import"] if forks else []),
                ],
                env=variables(target, environment, folder),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(their_requests, their_replies),
                start_new_session=True,  # the host handles interrupts
            )
        os.close(their_requests)
        os.close(their_replies)

    def send(self, planned: Planned, trial: Trial, network: Path, isolation: str, at_once: int) -> None:
        """Run a trial once fewer than `at_once` are running; it returns with its record.

        Every second trial of a reading runs with an allocator that fills the memory it hands out: forks share their
        heap, and all trials would read the same memory that nobody wrote.
        """
        self._count += 1
        out = self.folder / str(self._count)
        out.mkdir()
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
        }
        self.under_way[self._count] = (trial, out)
        line = (json.dumps(request) + "\n").encode()
        with contextlib.suppress(BrokenPipeError):  # `receive` reports a dead server
            while line:  # a pipe may take less than a long program at once
                line = line[os.write(self.requests, line) :]

    def receive(self) -> list[tuple[Trial, Record]]:
        """Finished trials with their records. Raises ServerDied if the server has exited."""
        data = os.read(self.replies, 1 << 20)
        if not data:
            raise ServerDied(*self._death())
        *lines, self._rest = (self._rest + data).split(b"\n")
        finished = []
        for line in lines:
            reply = json.loads(line)
            if "failed" in reply:
                raise ServerDied(Status.IMPORT_FAILED, reply["failed"], self._stderr())
            if "ready" in reply:
                self.ready, self.import_seconds = True, reply["import_seconds"]
                continue
            trial, out = self.under_way.pop(reply["trial"])
            finished.append((trial, _collect(out, reply, trial.reading, self.limits.memory)))
            shutil.rmtree(out, ignore_errors=True)
        return finished

    def close(self) -> None:
        """Stop the server and its running trials."""
        for pipe in (self.requests, self.replies):
            os.close(pipe)
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _death(self) -> tuple[Status, str, str]:
        code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        when = "while trials were under way" if self.ready else "while importing the runtime"
        status = Status.CRASHED if self.ready else Status.IMPORT_FAILED
        return status, f"the probe server was {how} {when}", self._stderr()

    def _stderr(self) -> str:
        return _tail(self.folder / "server.stderr")


class ServerDied(Exception):
    """The server exited; has the reason and the end of its output."""

    def __init__(self, status: Status, reason: str, stderr: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.stderr = stderr


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


def _collect(out: Path, reply: Mapping[str, Any], reading: str, memory_limit: float) -> Record:
    """The files of a trial's folder and its status, as a record."""
    end_path = out / "end.json"
    end = json.loads(end_path.read_text()) if end_path.exists() else {}
    status, reason = _ending(end, reply)
    # A process that dies while it writes leaves arrays beyond the last key, or a key less: only whole pairs count.
    return Record(
        reading=reading,
        status=status,
        reason=reason,
        steps=_text(out / "steps.jsonl"),
        keys=_text(out / "keys.jsonl"),
        arrays=(out / "arrays.bin").read_bytes() if (out / "arrays.bin").exists() else b"",
        seconds=end.get("seconds", reply["wall_seconds"]),
        cpu_seconds=end.get("cpu_seconds", 0.0),
        peak_bytes=reply["peak_bytes"],
        memory_limit=memory_limit,
        stderr=_tail(out / "stderr"),
    )


def _ending(end: Mapping[str, Any], reply: Mapping[str, Any]) -> tuple[Status, str | None]:
    match reply["ended"]:
        case "time":
            return Status.TIMED_OUT, f"no end after {reply['wall_seconds']:.0f} s; --time-limit allows more"
        case "memory":
            return Status.OUT_OF_MEMORY, (
                f"over the limit with {reply['peak_bytes'] / 1e9:.1f} GB resident; --memory-limit allows more"
            )
        case "signal":
            return Status.CRASHED, f"killed by {signal.Signals(reply['code']).name}"
        case "exit" if end:
            return Status(end["status"]), end["reason"]
        case "exit":
            return Status.CRASHED, f"ended with exit code {reply['code']} and no result"
    raise ProbeError(f"the probe server replied {reply!r}")


def _text(path: Path) -> str:
    """Complete lines only: a killed process may leave a partial one."""
    text = path.read_text() if path.exists() else ""
    return text[: text.rfind("\n") + 1]


def _tail(path: Path) -> str:
    return path.read_bytes()[-STDERR_TAIL:].decode("utf-8", "replace") if path.exists() else ""
