"""The probe server: imports the runtime once, runs no operation, and forks a fresh process for every trial.

Requests and replies are JSON lines on two pipes of their own, because several runtimes print on standard output.
Anything that speaks this protocol can be a probe, whatever it is written in:

    request   {"trial": n, "out": folder, "network": folder, "isolation": "fork" | "new-interpreter", "at_once": n,
               "seconds": limit, "bytes": limit, "file_bytes": limit, and what the trial does: "steps", "modes",
               "program", "fills_memory"}
    reply     {"ready": version, "import_seconds": s}  or  {"failed": message}, once
    reply     {"trial": n, "ended": "exit" | "signal" | "time" | "memory" | "files" | "lacking", "code": n,
               "peak_bytes": n, "file_bytes": n, "least_room": n, "wall_seconds": s}

Several trials may run at once: a request waits until fewer than its `at_once` are running. "lacking" is a trial that
the machine did not let begin (`code` is the errno) or record (`code` is `EXIT_LACKING`); `least_room` is the smallest
number of free bytes that was seen where its folder lies.
"""

import collections
import contextlib
import ctypes
import errno
import gc
import importlib
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, Callable, Deque, Dict, List, Optional, Sequence, Set

from crosscheck.probe import texts, trial
from crosscheck.probe.adapter import Adapter
from crosscheck.probe.processes import PARENT, processes_with
from crosscheck.probe.recorder import EXIT_LACKING, LACKING, MachineLacks, message

POLL_SECONDS = 0.05  # how often running trials' memory and time are looked at; a finished one wakes the server at once
#: Options of prctl(2), from linux/prctl.h: the signal that a process gets when its parent dies, and whether a process
#: becomes the parent of descendants whose own one has died.
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
#: The C library, looked up once: a lookup in every trial takes a third of a millisecond.
C_LIBRARY = ctypes.CDLL(None)
CPU_GRACE = 10  # a trial whose server was killed ends by this multiple of its time limit, in CPU seconds


def load_adapter(path: str) -> Adapter:
    """The one Adapter subclass that the file at `path` defines, ready but with nothing imported."""
    spec = importlib.util.spec_from_file_location("crosscheck_adapter", path)
    if spec is None or spec.loader is None:
        raise ImportError("no Python file at {}".format(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Adapter) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ImportError("{} defines {} Adapter classes; it must define one".format(path, len(found)))
    return found[0]()


def lower(kind: int, limit: int) -> None:
    """Lower a limit of this process, unless whoever started crosscheck set it lower still: it cannot be raised."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


Work = Callable[[Dict[str, Any]], None]


class Child:
    """A trial under way in a process of its own, in which the server's pipes are closed."""

    def __init__(self, request: Dict[str, Any], work: Work, pipes: Sequence[int]) -> None:
        self.request = request
        self.pipes = pipes
        self.start = time.monotonic()
        self.ended = "exit"
        self.peak_bytes = 0
        self.file_bytes = 0
        self.least_room = sys.maxsize
        self.next_look = self.start + POLL_SECONDS
        self.pid = os.fork()
        if self.pid == 0:
            self._run(work)

    def _run(self, work: Work) -> None:
        # os._exit whatever happens: exit handlers of a runtime were registered in the server, for the server.
        code = 70
        try:
            os.setpgid(0, 0)
            control_process(PR_SET_PDEATHSIG, signal.SIGKILL)
            for pipe in self.pipes:
                os.close(pipe)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            lower(resource.RLIMIT_CPU, int(self.request["seconds"] * CPU_GRACE) + 1)
            lower(resource.RLIMIT_CORE, 0)
            lower(resource.RLIMIT_FSIZE, int(self.request["file_bytes"]))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it; errors of writing may be, too
            redirect(self.request["out"])
            hold_temporary_files(self.request["out"])
            work(self.request)
            code = 0
        except BaseException as problem:
            if isinstance(problem, MachineLacks) or (isinstance(problem, OSError) and problem.errno in LACKING):
                code = EXIT_LACKING
            with contextlib.suppress(OSError):
                os.write(2, (message(problem) + "\n").encode("utf-8", "replace"))
        finally:
            os._exit(code)

    def watch(self) -> None:
        """Kill the trial if it is over one of its limits; at most once in `POLL_SECONDS`."""
        now = time.monotonic()
        if now < self.next_look:
            return
        self.next_look = now + POLL_SECONDS
        self.peak_bytes = max(self.peak_bytes, resident_bytes(self.pid))
        self.look_at_files()
        if now - self.start > self.request["seconds"]:
            self.kill("time")
        elif self.peak_bytes > self.request["bytes"]:
            self.kill("memory")
        elif self.writes_too_much:
            self.kill("files")

    def look_at_files(self) -> None:
        """See how much the trial has written, and how much room is left."""
        self.file_bytes = max(self.file_bytes, written_bytes(self.request["out"], self.request["file_bytes"]))
        with contextlib.suppress(OSError):  # it may have deleted its folder
            system = os.statvfs(self.request["out"])
            self.least_room = min(self.least_room, system.f_bavail * system.f_frsize)

    @property
    def writes_too_much(self) -> bool:
        """Whether its files have reached the limit, which one file alone cannot exceed."""
        return self.file_bytes >= int(self.request["file_bytes"])

    def kill(self, why: str) -> None:
        """End the trial and everything that it started."""
        if self.ended == "exit":
            self.ended = why
        self.kill_group()
        # The group may not be set up yet.
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)

    def kill_group(self) -> None:
        """End what the trial started, but for what has left its group."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def reply(self, status: int, usage: Any) -> Dict[str, Any]:
        """What the host is told once the process is gone. ru_maxrss is in kilobytes on Linux."""
        self.look_at_files()
        ended = self.ended
        code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if ended == "exit":
            if self.writes_too_much or (os.WIFSIGNALED(status) and code == signal.SIGXFSZ):
                ended = "files"
            elif os.WIFSIGNALED(status):
                ended = "signal"
            elif code == EXIT_LACKING:
                ended = "lacking"
        return {
            "trial": self.request["trial"],
            "ended": ended,
            "code": code,
            "peak_bytes": max(self.peak_bytes, usage.ru_maxrss * 1024),
            "file_bytes": self.file_bytes,
            "least_room": self.least_room,
            "wall_seconds": time.monotonic() - self.start,
        }


def not_begun(request: Dict[str, Any], problem: Exception) -> Dict[str, Any]:
    """The reply for a trial that the machine did not let begin."""
    code = (isinstance(problem, OSError) and problem.errno) or errno.ENOMEM
    counts = dict.fromkeys(("peak_bytes", "file_bytes", "least_room"), 0)
    return dict(counts, trial=request["trial"], ended="lacking", code=code, wall_seconds=0.0)


def control_process(option: int, value: int) -> bool:
    """Linux's prctl(2); whether it did what was asked: not where the C library has none, or the system forbids it."""
    return hasattr(C_LIBRARY, "prctl") and C_LIBRARY.prctl(option, value, 0, 0, 0) == 0


def has_children() -> bool:
    """Whether this process has any child, running or ended: one system call, where reading /proc takes milliseconds."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def redirect(folder: str) -> None:
    """Send standard output and standard error, also those of native code, to files in `folder`."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
        os.close(file)


def hold_temporary_files(folder: str) -> None:
    """Have the trial's temporary files in its own folder: they count, and go with it."""
    os.environ["TMPDIR"] = folder
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].tempdir = None  # type: ignore[attr-defined]


def written_bytes(folder: str, limit: float) -> int:
    """What the files in a folder take, a kilobyte for each itself included, or a number from `limit` on."""
    total = 0
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512 + 1024
        if total >= limit:
            break
    return total


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        with open("/proc/{}/statm".format(pid)) as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


class Server:
    """Reads requests, forks, watches, replies. When the host closes its end of the pipe, it ends its trials and itself.

    `prepare` runs here before the fork and must execute no operation of the runtime; `work` runs in the trial.
    """

    def __init__(self, requests: int, replies: int, work: Work, prepare: Work) -> None:
        self.requests = requests
        self.replies = replies
        self.work = work
        self.prepare = prepare
        self.children: Dict[int, Child] = {}
        self.waiting: Deque[Dict[str, Any]] = collections.deque()
        self.rest = b""
        #: Processes that the import has started.
        self.started: Set[int] = set()

    def serve(self) -> None:
        """Serve until the host closes the request pipe."""
        # A finished trial wakes select() through this pipe, so that no time is lost to polling.
        woken, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        control_process(PR_SET_CHILD_SUBREAPER, 1)
        self.started = processes_with(PARENT, os.getpid())
        while True:
            looks = [child.next_look for child in self.children.values()]
            timeout = max(0.0, min(looks) - time.monotonic()) if looks else None
            ready = select.select([self.requests, woken], [], [], timeout)[0]
            if woken in ready:
                os.read(woken, 4096)
            self.reap()
            for child in self.children.values():
                child.watch()
            if self.requests in ready:
                for request in self.read():
                    if request is None:
                        self.end()
                        return
                    self.waiting.append(request)
            self.start()

    def start(self) -> None:
        """Fork the trials for which there is a place."""
        while self.waiting and len(self.children) < self.waiting[0]["at_once"]:
            request = self.waiting.popleft()
            try:
                self.prepare(request)
                child = Child(request, self.work, (self.requests, self.replies))
            except (OSError, MemoryError) as problem:
                if isinstance(problem, OSError) and problem.errno not in LACKING:
                    raise
                self.send(not_begun(request, problem))
            else:
                self.children[child.pid] = child

    def read(self) -> List[Optional[Dict[str, Any]]]:
        """Requests that arrived; None for the end."""
        data = os.read(self.requests, 65536)
        if not data:
            return [None]
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line.decode("utf-8")) for line in lines]

    def reap(self) -> None:
        """Reply for every trial whose process is gone."""
        for pid in list(self.children):
            gone, status, usage = os.wait4(pid, os.WNOHANG)
            if gone:
                child = self.children.pop(pid)
                child.kill_group()
                self.end_orphans()
                self.send(child.reply(status, usage))

    def end_orphans(self) -> None:
        """Kill what ended trials left running: processes that left their group, which this one inherits.

        Not while another trial runs: they may be its own.
        """
        left = processes_with(PARENT, os.getpid()) - self.started if not self.children and has_children() else set()
        while left:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(OSError):
                    os.waitpid(pid, 0)
            left = processes_with(PARENT, os.getpid()) - self.started - left  # those that they had started in turn

    def end(self) -> None:
        """The host is gone: nobody wants the trials under way."""
        for child in self.children.values():
            child.kill("time")
            with contextlib.suppress(OSError):
                os.waitpid(child.pid, 0)
        self.children.clear()
        self.end_orphans()

    def send(self, reply: Dict[str, Any]) -> None:
        """Write one reply."""
        os.write(self.replies, encode(reply))


def main(arguments: List[str], start: float) -> None:
    """`bootstrap.py ADAPTER serve REQUESTS REPLIES [--import [MODULE...]]` serves; `... trial REQUEST` is one trial.

    ADAPTER is the adapter's file, REQUESTS and REPLIES the numbers of the two pipes, REQUEST a JSON file. Only a
    server that has imported the runtime can fork trials; a toolkit's modules are imported beside it. `start` is when
    the interpreter began, by time.perf_counter(): the time that the import took has all in it that the runtime needs,
    numpy too.
    """
    path, purpose = arguments[:2]
    if purpose == "trial":
        with open(arguments[2]) as file:
            request = json.load(file)
        trial.run_alone(lambda: load_adapter(path), request)
        return
    requests, replies = int(arguments[2]), int(arguments[3])
    for pipe in (requests, replies):
        os.set_inheritable(pipe, False)
    try:
        adapter = load_adapter(path)
        version = adapter.load() if "--import" in arguments else None
        for module in arguments[5:]:
            importlib.import_module(module)
    except Exception as problem:
        os.write(replies, encode({"failed": message(problem)}))
        return
    if hasattr(gc, "freeze"):
        # From CPython 3.7 on: a collection in a trial would write to, and so copy, every page that has an object.
        gc.collect()
        gc.freeze()
    materials: Dict[str, trial.Material] = {}

    def prepare(request: Dict[str, Any]) -> None:
        folder = request["network"]
        if request["isolation"] == "fork":
            texts.compile_ahead(request["program"])
            if folder not in materials:
                materials[folder] = trial.load_material(folder)

    def work(request: Dict[str, Any]) -> None:
        if request["isolation"] == "fork":
            trial.run(adapter, materials[request["network"]], request)
        else:
            file = os.path.join(request["out"], "request.json")
            with open(file, "w") as written:
                json.dump(request, written)
            command = adapter.trial_command(path, file)
            os.execv(command[0], command)

    server = Server(requests, replies, work, prepare)
    server.send({"ready": version, "import_seconds": time.perf_counter() - start})
    server.serve()
    os._exit(0)  # a runtime's own clearing up takes longer than a trial, and nobody needs it


def encode(reply: Dict[str, Any]) -> bytes:
    """One JSON line."""
    return (json.dumps(reply) + "\n").encode("utf-8")
