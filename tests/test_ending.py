"""How commands end: exit codes, one message, and signals that leave no servers, folders or hidden cursor."""

from __future__ import annotations

import errno
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from crosscheck.cli import main
from crosscheck.commands import list as list_command
from crosscheck.matrix import scratch
from crosscheck.runtimes.catalog import Runtime

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT]
#: `crosscheck run` on the toy, whose gradient hangs.
SCRIPT = """
import sys
from pathlib import Path
from crosscheck import cli, job
from crosscheck.runtimes import known
from crosscheck.runtimes.catalog import load_runtime
toy = {"toy": load_runtime(Path(sys.argv[1]))}
job.catalog, known.check_names = lambda: toy, lambda words: None
sys.exit(cli.main(sys.argv[2:]))
"""


def start(
    toy: Runtime, tmp_path: Path, stdout: int = subprocess.PIPE, more: Sequence[str] = (), session: bool = False
) -> subprocess.Popen[bytes]:
    words = ["run", "toy@1.8.0", "--mode", "hang", "--network", "seed", "--out", str(tmp_path / "out"), *more]
    command = [sys.executable, "-c", SCRIPT, str(toy.folder), *words]
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "TERM": "xterm"}
    (tmp_path / "tmp").mkdir()
    return subprocess.Popen(
        command,
        env=environment,
        cwd=Path(__file__).parents[1],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stdout if stdout != subprocess.PIPE else subprocess.PIPE,
        start_new_session=session,
    )


def children(process: int) -> set[int]:
    """The descendants of a process."""
    lists = Path(f"/proc/{process}/task").glob("*/children")  # each thread has a list of its own
    direct = {int(number) for listed in lists for number in listed.read_text().split()}
    return direct.union(*map(children, direct))


def wait_for(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.02)


def owned(process: int) -> set[Path]:
    """The scratch folders in which the descendants of a process work."""
    places = set()
    for child in children(process):
        try:
            place = Path(os.readlink(f"/proc/{child}/cwd"))
        except OSError:
            continue
        places |= {parent for parent in place.parents if parent.name.startswith(scratch.PREFIX)}
    return places


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_leaves_nothing_behind(toy: Runtime, tmp_path: Path, number: signal.Signals) -> None:
    process = start(toy, tmp_path)
    wait_for(lambda: process.poll() is not None or len(children(process.pid)) >= 2)  # a server and its trial
    (folder,) = owned(process.pid)
    started = children(process.pid)
    process.send_signal(number)
    _, stderr = process.communicate()
    assert 128 + number == process.returncode
    assert b"run the same command to resume" in stderr
    assert b"Traceback" not in stderr
    assert not folder.exists()
    assert [] == [child for child in started if Path(f"/proc/{child}").exists()]


def test_the_cursor_is_shown_again(toy: Runtime, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(toy, tmp_path, theirs)
    wait_for(lambda: process.poll() is not None or len(children(process.pid)) >= 2)
    process.send_signal(signal.SIGQUIT)
    process.wait()
    os.close(theirs)
    shown = b""
    try:
        while more := os.read(ours, 1 << 16):
            shown += more
    except OSError:  # the end, as Linux tells it
        pass
    assert b"\x1b[?25l" in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")


def test_a_killed_run_is_swept_by_the_next(toy: Runtime, tmp_path: Path) -> None:
    process = start(toy, tmp_path)
    wait_for(lambda: process.poll() is not None or len(children(process.pid)) >= 2)
    (folder,) = owned(process.pid)
    with scratch.scratch_folder() as other:
        assert folder.exists()  # its owner works
        process.kill()
        process.communicate()
        with scratch.scratch_folder():
            assert not folder.exists()
            assert other.exists()
    assert not other.exists()


def test_a_folder_of_a_stranger_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "MEMORY", tmp_path)
    (tmp_path / "crosscheck-new").mkdir()  # one that is being made has no lock yet
    (tmp_path / "crosscheck-link").symlink_to(tmp_path)
    (tmp_path / "crosscheck-old").mkdir()
    os.utime(tmp_path / "crosscheck-old", (0, 0))
    with scratch.scratch_folder():
        assert {"crosscheck-new", "crosscheck-link"} < {path.name for path in tmp_path.iterdir()}
        assert not (tmp_path / "crosscheck-old").exists()


@pytest.mark.parametrize(
    ("problem", "code", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 3, "/x: No space left on device. Free space and run"),
        (OSError(errno.EIO, "Input/output error", "/x"), 3, "/x: Input/output error. Mend that and run"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 2, "/x: Read-only file system. Name another place"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "/x: Permission denied. Name another place"),
        (
            ZeroDivisionError("division by zero"),
            3,
            "unexpected failure of `crosscheck list runtimes`: ZeroDivisionError",
        ),
        (MemoryError(), 3, "unexpected failure of `crosscheck list runtimes`: MemoryError"),
    ],
)
def test_every_failure_has_one_message_and_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], problem: Exception, code: int, message: str
) -> None:
    def fail(*arguments: object) -> int:
        raise problem

    monkeypatch.setattr(list_command, "main", fail)
    assert code == main(["list", "runtimes"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"crosscheck: {message}")


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/crosscheck-out", "x" * 300, "with\0null"])
def test_an_out_that_cannot_be_used_is_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert 2 == main(["run", "onnxruntime@newest", "--network", "seed", "--out", place])
    message = " ".join(capsys.readouterr().err.split())
    assert "Name a folder in which you may write." in message
    assert "space" not in message
    assert {"file"} == {path.name for path in tmp_path.iterdir()}
