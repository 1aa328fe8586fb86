"""What the machine lacks is never the runtime's fault: no observation, exit code 4, and the next run measures it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosscheck.cells import Status
from crosscheck.job import Job, Result, run
from crosscheck.matrix import bench, network_files
from crosscheck.matrix.journal import Journal, Record
from crosscheck.matrix.server import Limits, ProbeServer
from crosscheck.matrix.shortage import available_memory, lack_of, lack_of_server, oom_kills
from crosscheck.networks import prepared
from crosscheck.probe.recorder import EXIT_LACKING
from crosscheck.runtimes.catalog import Runtime, load_runtime
from tests.conftest import Cells, SilentProgress, read_cells
from tests.kills import ROOT, SCRIPT

#: Mode -> what a gradient does in the trial's process while the machine lacks something.
LACKS = {
    "record-is-full": "no_room('arrays.bin', 'keys.jsonl')",
    "steps-are-full": "no_room('steps.jsonl')",
    "end-is-full": "fill(net)",
    "says-disk-full": "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))",
    "says-files-of-the-system": "raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))",
    "says-threads": 'raise RuntimeError("can\'t start new thread")',
}
CODE = """
import errno

LACKING = os.path.join(os.path.dirname(__file__), "lacking")


def own():
    return os.path.dirname(os.readlink("/proc/self/fd/1"))


def no_room(*names):
    for number in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink("/proc/self/fd/" + number)
        except OSError:
            continue
        if os.path.basename(path) in names:
            os.dup2(os.open("/dev/full", os.O_WRONLY), int(number))


def fill(net):
    # There is no room for the last file of a trial.
    import builtins
    usual = builtins.open

    def full(path, *arguments):
        return usual("/dev/full" if str(path).endswith("end.json") else path, *arguments)

    builtins.open = full


def prints(net, x):
    while True:
        os.write(1, b"x" * 10**6)


def writes_files(net, x):
    for number in range(10**6):
        with open(os.path.join(own(), str(number)), "wb") as file:
            file.write(b"x" * 10**6)


MISCHIEF.update({"prints-for-ever": prints, "writes-for-ever": writes_files})
"""


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The toy on a machine that lacks something while the file `lacking` is in its folder."""
    folder = tmp_path_factory.mktemp("runtimes") / "toy"
    shutil.copytree(Path(__file__).parent / "toy", folder, ignore=shutil.ignore_patterns("__pycache__"))
    code, names = CODE, [*LACKS, "prints-for-ever", "writes-for-ever"]
    for name, statement in LACKS.items():
        function = name.replace("-", "_")
        code += f"\n\ndef {function}(net, x):\n    if os.path.exists(LACKING):\n        {statement}\n"
        code += f"\n\nMISCHIEF[{name!r}] = {function}\n"
    (folder / "toylib.py").write_text((folder / "toylib.py").read_text() + code)
    modes = "".join(f"gradient({name!r})\n" for name in names)
    (folder / "modes.py").write_text((folder / "modes.py").read_text() + modes)
    adapter = (folder / "adapter.py").read_text()
    few_files = """
        if os.path.exists(os.path.join(os.path.dirname(__file__), "few-files")):
            import resource
            resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))
        return "toy"
"""
    (folder / "adapter.py").write_text(adapter.replace('\n        return "toy"\n', few_files))
    return load_runtime(folder)


def measured(runtime: Runtime, out: Path, *modes: str, **options: Any) -> tuple[Result, Cells]:
    job = Job(["toy@1.8.0"], modes=[*modes, "inference"], networks=["seed"], scenarios=["gradient"], out=out, **options)
    result = run(job, SilentProgress(), {"toy": runtime})
    return result, {cell["mode"]: cell for cell in read_cells(out).values()}


def statuses(cells: Cells) -> dict[str, str]:
    return {mode: cell["status"] for mode, cell in cells.items()}


def recorded(out: Path) -> set[str]:
    """The modes in the journal."""
    with Journal(out / "journal.sqlite") as journal:
        return {cell.split("/")[1] for (cell,) in journal.connection.execute("select cell from observation")}


@pytest.mark.parametrize("mode", LACKS)
def test_a_trial_that_lacked_something_is_measured_by_the_next_run(lacking: Runtime, tmp_path: Path, mode: str) -> None:
    sign = lacking.folder / "lacking"
    sign.touch()
    try:
        result, cells = measured(lacking, tmp_path, mode)
    finally:
        sign.unlink()
    assert {mode: "unavailable", "inference": "ok"} == statuses(cells)
    assert 1 == result.incomplete
    assert "Run the same command again" in cells[mode]["reason"]
    assert not cells[mode]["findings"]
    result, cells = measured(lacking, tmp_path, mode)
    assert {mode: "ok", "inference": "ok"} == statuses(cells)
    assert ["clean"] == cells[mode]["findings"]
    assert 0 == result.incomplete


def test_nothing_of_a_trial_that_lacked_something_is_kept(lacking: Runtime, tmp_path: Path) -> None:
    (lacking.folder / "lacking").touch()
    try:
        measured(lacking, tmp_path, "record-is-full")
    finally:
        (lacking.folder / "lacking").unlink()
    assert {"inference"} == recorded(tmp_path)


@pytest.mark.parametrize("mode", ["prints-for-ever", "writes-for-ever"])
def test_what_a_trial_may_write_is_limited(lacking: Runtime, tmp_path: Path, mode: str) -> None:
    _, cells = measured(lacking, tmp_path, mode, limits=Limits(memory=3e8))
    assert {mode: "out-of-memory", "inference": "ok"} == statuses(cells)
    assert "GB of files; --memory-limit allows more" in cells[mode]["reason"]


def test_a_trial_leaves_room_for_others(lacking: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less room than its own limit: the cell says nothing about the runtime."""
    usage = shutil.disk_usage(tmp_path)._replace(free=3 * 10**7)
    monkeypatch.setattr("crosscheck.matrix.bench.shutil.disk_usage", lambda path: usage)
    result, cells = measured(lacking, tmp_path, "writes-for-ever", jobs=2)
    assert {"writes-for-ever": "unavailable", "inference": "ok"} == statuses(cells)
    assert cells["writes-for-ever"]["reason"].startswith("there was no room for the files that a trial wrote; ")
    assert {"inference"} == recorded(tmp_path)
    assert 1 == result.incomplete


def test_too_few_files_are_not_a_crash(lacking: Runtime, tmp_path: Path) -> None:
    (lacking.folder / "few-files").touch()
    try:
        _, cells = measured(lacking, tmp_path)
    finally:
        (lacking.folder / "few-files").unlink()
    assert {"inference": "unavailable"} == statuses(cells)
    assert os.strerror(errno.EMFILE) in cells["inference"]["reason"]
    assert {"inference": "ok"} == statuses(measured(lacking, tmp_path)[1])


@pytest.mark.parametrize(("times", "status"), [(1, "ok"), (10, "unavailable")])
def test_a_full_disk_under_the_networks_files(
    lacking: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, status: str
) -> None:
    monkeypatch.setattr(network_files, "prepared", failing(prepared, errno.ENOSPC, times))
    assert {"inference": status} == statuses(measured(lacking, tmp_path)[1])


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.EMFILE, "unavailable"), (errno.EAGAIN, "unavailable"), (errno.ENOENT, "install-failed")],
)
def test_a_server_that_cannot_be_started(
    lacking: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: str
) -> None:
    monkeypatch.setattr(bench, "ProbeServer", failing(ProbeServer, number, 10))
    result, cells = measured(lacking, tmp_path)
    assert {"inference": status} == statuses(cells)
    assert os.strerror(number) in cells["inference"]["reason"]
    assert 1 == result.incomplete


def failing(function: Callable[..., Any], number: int, times: int) -> Callable[..., Any]:
    """The function, whose first calls fail with that errno."""
    left = iter(range(times))

    def call(*arguments: Any) -> Any:
        if next(left, None) is not None:
            raise OSError(number, os.strerror(number))
        return function(*arguments)

    return call


# What tells the machine from the runtime


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Returns a function that sets what the files of Linux say, by name; the others are missing. No limits hold."""

    def say(hard: float = resource.RLIM_INFINITY, **texts: str) -> None:
        places = {
            "meminfo": "/proc/meminfo",
            "vmstat": "/proc/vmstat",
            "most": "/sys/fs/cgroup/memory.max",
            "used": "/sys/fs/cgroup/memory.current",
            "stat": "/sys/fs/cgroup/memory.stat",
        }
        files = {places[name]: text for name, text in texts.items()}

        def read(path: Path) -> str:
            if str(path) not in files:
                raise FileNotFoundError(path)
            return files[str(path)]

        monkeypatch.setattr(Path, "read_text", read)
        monkeypatch.setattr(resource, "getrlimit", lambda what: (hard, hard))

    say()
    return say


MACHINE = "MemTotal:    9000 kB\nMemFree:     1000 kB\nMemAvailable:    3000 kB\nBuffers: 7 kB\n"
GROUP = {"most": "2000000\n", "used": "500000\n"}
STAT = "anon 9\ninactive_anon 5\ninactive_file 100000\nactive_file 7\n"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, float("inf")),
        ({"meminfo": MACHINE}, 3072000),
        ({"meminfo": MACHINE, **GROUP}, 1500000),
        ({"meminfo": MACHINE, **GROUP, "stat": STAT}, 1600000),
        ({"meminfo": MACHINE, **GROUP, "most": "max\n"}, 3072000),
        ({"meminfo": MACHINE, "most": "1\n"}, 3072000),
        ({"meminfo": MACHINE, **GROUP, "most": "9000000\n"}, 3072000),
        ({"meminfo": MACHINE, **GROUP, "hard": 1000000}, 1000000),
        ({"meminfo": MACHINE, "hard": 5000000}, 3072000),
    ],
)
def test_memory_that_can_be_had_is_the_least_that_anything_allows(
    linux: Callable[..., None], texts: dict[str, Any], expected: float
) -> None:
    linux(**texts)
    assert expected == available_memory()


@pytest.mark.parametrize(("text", "expected"), [("nr_free 9\noom_kill 3\nswap_ra 5\n", 3), ("nr_free 9\n", 0)])
def test_how_many_processes_were_ended_for_want_of_memory(linux: Callable[..., None], text: str, expected: int) -> None:
    linux(vmstat=text)
    assert expected == oom_kills()


#: Bytes of memory that a trial was allowed, and that it used.
ALLOWED, USED = 4 * 10**9, 10**9
ROOM = "no room left for files"


def lacked(
    status: Status = Status.CRASHED,
    reason: str | None = None,
    steps: str = "",
    stderr: str = "",
    ended: str = "exit",
    code: int = 1,
    least_room: int = 10**12,
    file_limit: float = ALLOWED,
    kills: int = 0,
) -> str:
    """What the machine lacked for a trial that ended so; "" for nothing."""
    record = Record("undisturbed", status, reason, steps, "", b"", 0.0, 0.0, USED, ALLOWED, stderr)
    return lack_of(record, {"ended": ended, "code": code, "least_room": least_room}, file_limit, kills) or ""


@pytest.mark.parametrize(
    ("trial", "expected"),
    [
        ({}, ""),
        ({"ended": "lacking", "code": errno.ENOSPC}, f"begin or record ({os.strerror(errno.ENOSPC)})"),
        ({"ended": "lacking", "code": EXIT_LACKING, "stderr": "why\n"}, "begin or record (why)"),
        ({"ended": "files", "file_limit": ALLOWED - 1}, "no room for the files that a trial wrote"),
        ({"ended": "files", "file_limit": ALLOWED}, ""),
        ({"ended": "exit", "file_limit": ALLOWED - 1}, ""),
        ({"least_room": 16 * 10**6 - 1}, ROOM),
        ({"least_room": 16 * 10**6}, ""),
        ({"least_room": 0, "status": Status.OK}, ""),
        ({"least_room": 0, "status": Status.OK, "steps": '{"label": "predict", "error": "OSError"}'}, ROOM),
        ({"reason": "OSError: [Errno 28] No space left on device"}, ROOM),
        ({"steps": "Disk quota exceeded"}, ROOM),
        ({"stderr": "Too many open files in system"}, ROOM),
        ({"stderr": "can't start new thread"}, "no further process or thread"),
        ({"reason": "fork: Resource temporarily unavailable"}, "no further process or thread"),
    ],
)
def test_what_the_machine_lacked_for_a_trial(linux: Callable[..., None], trial: dict[str, Any], expected: str) -> None:
    told = lacked(**trial)
    assert (expected == told) if not expected else (expected in told)


@pytest.mark.parametrize(("hard", "lacks"), [(1023, True), (1024, False), (10**6, False)])
def test_too_many_open_files_are_the_runtimes_doing_where_a_process_may_open_a_thousand(
    linux: Callable[..., None], hard: int, lacks: bool
) -> None:
    linux(hard=hard)
    assert lacks == ("too few files" in lacked(reason="OSError: [Errno 24] Too many open files"))


@pytest.mark.parametrize(
    ("ended", "code", "kills", "lacks"),
    [
        ("signal", signal.SIGKILL, 2, True),
        ("signal", signal.SIGKILL, 3, False),
        ("signal", signal.SIGSEGV, 2, False),
        ("exit", signal.SIGKILL, 2, False),
    ],
)
def test_a_killed_trial_is_the_machines_if_linux_has_ended_processes_meanwhile(
    linux: Callable[..., None], ended: str, code: int, kills: int, lacks: bool
) -> None:
    linux(vmstat="oom_kill 3")
    assert lacks == ("no memory left" in lacked(ended=ended, code=code, kills=kills))
    if ended == "signal":
        assert lacks == ("no memory left" in (lack_of_server(code, "", kills) or ""))


@pytest.mark.parametrize(
    ("free", "trial", "lacks"),
    [
        (ALLOWED - USED - 1024, {"stderr": "Cannot allocate memory"}, True),
        (ALLOWED - USED - 1024, {"ended": "signal", "code": signal.SIGABRT, "stderr": "std::bad_alloc"}, True),
        (ALLOWED - USED - 1024, {"reason": "MemoryError"}, True),
        (ALLOWED - USED - 1024, {"reason": "ValueError"}, False),
        (ALLOWED - USED - 1024, {"ended": "memory", "reason": "MemoryError"}, False),
        (ALLOWED - USED + 1024, {"reason": "MemoryError"}, False),
    ],
)
def test_too_little_memory_is_the_runtimes_doing_where_a_trial_could_have_had_its_limit(
    linux: Callable[..., None], free: int, trial: dict[str, Any], lacks: bool
) -> None:
    linux(meminfo=f"MemAvailable: {free // 1024} kB\n")
    assert lacks == ("less free memory" in lacked(**trial))


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("", None),
        ("OSError: No space left on device", "there was no room left for files"),
        ("RuntimeError: can't start new thread", "the machine let no further process or thread begin"),
    ],
)
def test_what_the_machine_lacked_for_a_server(linux: Callable[..., None], stderr: str, expected: str | None) -> None:
    assert expected == lack_of_server(0, stderr, 0)


def test_lower_limits_of_the_machines_owner_are_no_crash(tmp_path: Path) -> None:
    """`ulimit -t` and `ulimit -f` before the command: trials cannot have the higher limits that crosscheck sets."""
    import resource

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**8, 10**8))

    words = ["--mode", "inference", "--scenario", "gradient", "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-c", SCRIPT, *words], cwd=ROOT, preexec_fn=lower, check=True)
    assert {"ok"} == {cell["status"] for cell in read_cells(tmp_path).values()}


#: A runtime that cannot be imported, in a process that may open no further file to write that down.
ALONE = """
import resource, sys
from crosscheck.probe.trial import run_alone

def load():
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    raise ImportError("no such library")

run_alone(load, {"out": sys.argv[1]})
"""


def test_an_interpreter_of_a_trials_own_says_what_the_machine_lacks(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert EXIT_LACKING == ended.returncode
    assert "[Errno 24] Too many open files" in ended.stderr
    assert [] == list(tmp_path.iterdir())
