"""What the machine lacks is never the runtime's fault: no observation, exit code 4, and the next run measures it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosscheck.job import Job, Result, run
from crosscheck.matrix import engine
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.server import Limits, ProbeServer
from crosscheck.networks import prepared
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
    monkeypatch.setattr("crosscheck.matrix.engine.shutil.disk_usage", lambda path: usage)
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
    monkeypatch.setattr(engine, "prepared", failing(prepared, errno.ENOSPC, times))
    assert {"inference": status} == statuses(measured(lacking, tmp_path)[1])


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.EMFILE, "unavailable"), (errno.EAGAIN, "unavailable"), (errno.ENOENT, "install-failed")],
)
def test_a_server_that_cannot_be_started(
    lacking: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: str
) -> None:
    monkeypatch.setattr(engine, "ProbeServer", failing(ProbeServer, number, 10))
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


def test_lower_limits_of_the_machines_owner_are_no_crash(tmp_path: Path) -> None:
    """`ulimit -t` and `ulimit -f` before the command: trials cannot have the higher limits that crosscheck sets."""
    import resource

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**8, 10**8))

    words = ["--mode", "inference", "--scenario", "gradient", "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-c", SCRIPT, *words], cwd=ROOT, preexec_fn=lower, check=True)
    assert {"ok"} == {cell["status"] for cell in read_cells(tmp_path).values()}
