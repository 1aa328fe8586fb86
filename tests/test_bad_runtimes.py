"""Runtimes that misbehave in the process of a trial: their cell says so, and the others are measured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from crosscheck.job import Job, Result, run
from crosscheck.matrix.server import Limits
from crosscheck.runtimes.catalog import Runtime, load_runtime
from tests.conftest import Cells, SilentProgress, read_cells

#: Mode -> what a gradient does in the trial's process, and what the cell's reason says.
BAD: dict[str, tuple[str, str]] = {
    "end-is-no-json": ('leave("end.json", "{")', "it left an end.json that is not JSON"),
    "end-is-a-list": ('leave("end.json", "[1]")', "it left an end.json without a known status"),
    "end-is-unknown": ('leave("end.json", \'{"status": "fine"}\')', "end.json without a known status"),
    "end-is-not-text": (
        'leave("end.json", \'{"status": "ok", "reason": [1]}\')',
        "it left an end.json whose reason is no text",
    ),
    "keys-beyond": ('leave("keys.jsonl", \'["state/x/y", "<f4", [99999999], 0]\\n\')', "shorter than described"),
    "keys-no-json": ('leave("keys.jsonl", "[\\n")', "it left a description of an array that is none"),
    "keys-negative": ('leave("keys.jsonl", \'["a", "<f4", [-1], 0]\\n\')', "an array of an impossible shape or place"),
    "keys-of-an-expression": (
        'leave("keys.jsonl", \'["a", ",f8", [1], 0]\\n\')',
        "it left a description of an array that is none",
    ),
    "keys-of-nothing-times-too-much": (
        'leave("keys.jsonl", \'["a", "<f4", [0, 4611686018427387904], 0]\\n\')',
        "an array of an impossible shape or place",
    ),
    "keys-of-too-many-axes": (
        'leave("keys.jsonl", \'["a", "<f4", [{}], 0]\\n\'.format(", ".join(100 * ["0"])))',
        "an array of an impossible shape or place",
    ),
    "keys-of-text": ('leave("keys.jsonl", \'["a", "<U3", [1], 0]\\n\')', "it left an array that is not of numbers"),
    "keys-complex": ('leave("keys.jsonl", \'["a", "<c8", [1], 0]\\n\')', "it left an array that is not of numbers"),
    "steps-no-json": ('leave("steps.jsonl", "?\\n")', "it left a step that is not JSON"),
    "steps-no-label": ('leave("steps.jsonl", "{}\\n")', "it left a step without label or seconds"),
    "end-without-end": (
        "os.symlink('/dev/zero', own('end.json')); os._exit(0)",
        "it left end.json that cannot be read",
    ),
    "end-is-a-pipe": ("os.mkfifo(own('end.json')); os._exit(0)", "it left end.json that is no file"),
    "deletes-folders": ("shutil.rmtree(os.path.dirname(os.path.dirname(own('x'))))", "folder was gone when it ended"),
    "kills-its-server": ("os.kill(os.getppid(), signal.SIGKILL); time.sleep(3600)", "killed by SIGKILL"),
}
CODE = """
import shutil
import tempfile

tempfile.gettempdir()  # which Python keeps from then on


def own(name):
    return os.path.join(os.path.dirname(os.readlink("/proc/self/fd/1")), name)


def leave(name, text):
    with open(own(name), "a") as file:
        file.write(text)
    os._exit(0)


def pipes(net, x):
    for number in range(3, 64):
        try:
            os.write(number, b"garbage\\n")
        except OSError:
            pass


def sleepers(net, x):
    for session in (False, True):
        if os.fork() == 0:
            if session:
                os.setsid()
            if os.fork() == 0:
                with open(os.path.join(os.path.dirname(__file__), "left"), "a") as file:
                    file.write("{}\\n".format(os.getpid()))
                time.sleep(3600)
            os._exit(0)
        os.wait()


def stop(net, x):
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(3600)


def surrogate(net, x):
    raise RuntimeError("broken \\udcff text")


def temporary(net, x):
    raise RuntimeError("temporary files lie in " + ("its own" if tempfile.gettempdir() == own("")[:-1] else "another"))


MISCHIEF["says-where-temporary-files-lie"] = temporary
MISCHIEF.update({"writes-to-pipes": pipes, "leaves-processes": sleepers, "raises-surrogates": surrogate})
MISCHIEF["stops-its-server"] = stop
"""


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The toy with further modes."""
    folder = tmp_path_factory.mktemp("runtimes") / "toy"
    shutil.copytree(Path(__file__).parent / "toy", folder, ignore=shutil.ignore_patterns("__pycache__"))
    code, names = CODE, ["writes-to-pipes", "leaves-processes", "raises-surrogates", "stops-its-server", *BAD]
    names.append("says-where-temporary-files-lie")
    for name, (statement, _) in BAD.items():
        function = name.replace("-", "_")
        code += f"\n\ndef {function}(net, x):\n    {statement}\n\n\nMISCHIEF[{name!r}] = {function}\n"
    (folder / "toylib.py").write_text((folder / "toylib.py").read_text() + code)
    modes = "".join(f"gradient({name!r})\n" for name in names)
    (folder / "modes.py").write_text((folder / "modes.py").read_text() + modes)
    return load_runtime(folder)


def measured(bad: Runtime, out: Path, *modes: str, **options: Any) -> tuple[Result, Cells]:
    job = Job(["toy@1.8.0"], modes=[*modes, "inference"], networks=["seed"], scenarios=["gradient"], out=out, **options)
    result = run(job, SilentProgress(), {"toy": bad})
    return result, {cell["mode"]: cell for cell in read_cells(out).values()}


def assert_good(cells: Cells) -> None:
    assert ("ok", ["clean"]) == (cells["inference"]["status"], cells["inference"]["findings"])


@pytest.mark.parametrize("mode", BAD)
def test_what_a_trial_leaves_is_its_own_cells_crash(bad: Runtime, tmp_path: Path, mode: str) -> None:
    result, cells = measured(bad, tmp_path, mode)
    assert_good(cells)
    assert "crashed" == cells[mode]["status"]
    assert BAD[mode][1] in cells[mode]["reason"]
    assert not cells[mode]["findings"]
    assert {"crashed": 1, "ok": 1} == result.statuses


def test_a_trial_cannot_write_to_the_servers_pipes(bad: Runtime, tmp_path: Path) -> None:
    """It writes to all files that it has open, its own record among them."""
    _, cells = measured(bad, tmp_path, "writes-to-pipes")
    assert_good(cells)
    assert "crashed" == cells["writes-to-pipes"]["status"]
    assert "it left a" in cells["writes-to-pipes"]["reason"]


def test_a_message_with_lone_surrogates_is_shown_without_them(bad: Runtime, tmp_path: Path) -> None:
    _, cells = measured(bad, tmp_path, "raises-surrogates")
    assert_good(cells)
    assert "refused" == cells["raises-surrogates"]["status"]
    assert "broken ? text" in cells["raises-surrogates"]["reason"]
    assert "broken ? text" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_temporary_files_of_a_trial_lie_in_its_own_folder(bad: Runtime, tmp_path: Path) -> None:
    """Even if the runtime asked where they lie when it was imported."""
    _, cells = measured(bad, tmp_path, "says-where-temporary-files-lie")
    assert cells["says-where-temporary-files-lie"]["reason"].endswith("temporary files lie in its own")


def test_processes_of_a_trial_end_with_it(bad: Runtime, tmp_path: Path) -> None:
    _, cells = measured(bad, tmp_path, "leaves-processes")
    assert_good(cells)
    assert ["clean"] == cells["leaves-processes"]["findings"]
    left = [int(line) for line in (bad.folder / "left").read_text().splitlines()]
    assert len(left) > 2
    assert [] == [process for process in left if alive(process)]


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_server_that_a_trial_stops_is_replaced(bad: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four seconds of silence count as lost here: the server never says anything again."""
    monkeypatch.setattr("crosscheck.matrix.server.PATIENCE", 1.0)
    job = Job(
        ["toy@1.8.0"],
        modes=["stops-its-server"],
        networks=["seed"],
        scenarios=["sibling"],
        trials=1,
        out=tmp_path,
        limits=Limits(seconds=3.0),
    )
    run(job, SilentProgress(), {"toy": bad})
    (cell,) = read_cells(tmp_path).values()
    assert "crashed" == cell["status"]
    assert "said nothing for" in cell["reason"]


def test_an_import_that_does_not_end_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(Path(__file__).parent / "toy", folder, ignore=shutil.ignore_patterns("__pycache__"))
    adapter = (folder / "adapter.py").read_text()
    assert "sys.path.insert" in adapter
    (folder / "adapter.py").write_text(adapter.replace("sys.path.insert", "while True: pass\n        sys.path.insert"))
    job = Job(
        ["toy@1.8.0"],
        modes=["inference"],
        networks=["seed"],
        scenarios=["gradient"],
        out=tmp_path / "out",
        limits=Limits(importing=0.5),
    )
    run(job, SilentProgress(), {"toy": load_runtime(folder)})
    (cell,) = read_cells(tmp_path / "out").values()
    assert "import-failed" == cell["status"]
    assert "the import of the runtime said nothing for" in cell["reason"]
