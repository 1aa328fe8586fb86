"""Runs on a Dask cluster of worker processes, each with a cache of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from distributed import Client

import crosscheck
from crosscheck.cli import main
from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.job import Job, Result, run
from crosscheck.matrix.cluster import client as cluster_client
from crosscheck.matrix.cluster.files import SENT
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.server import Limits
from crosscheck.networks import load
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import Cells, SilentProgress, read_cells
from tests.test_ending import children, start, wait_for
from tests.test_shards import OF_THE_MACHINE

ROOT = Path(__file__).parents[1]
ONE: dict[str, Any] = {"modes": ["leak-backward"], "networks": ["seed"], "scenarios": ["gradient"]}


#: The commands of docs/many-machines.md.
SCHEDULER = "dask scheduler --host 10.0.0.5"
WORKERS = "dask worker 10.0.0.5:8786 --nthreads 1 --nworkers 2"
RUN = "crosscheck run onnx@newest --network seed-batch --scenario gradient --engine dask://10.0.0.5:8786"


class Machines:
    """A scheduler and workers, each a process, which end with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""
        file = folder / "scheduler.json"
        words = [*self.here(SCHEDULER), "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self.scheduler = self._start("scheduler", words, {})
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"].removeprefix("tcp://")

    @property
    def engine(self) -> str:
        return f"dask://{self.address}"

    def here(self, command: str) -> list[str]:
        """The words of a command of the page, with this scheduler's address."""
        return shlex.split(command.replace("10.0.0.5:8786", self.address).replace("10.0.0.5", "127.0.0.1"))

    def cache(self, name: str) -> Path:
        return self.folder / name / "cache"

    def add(self, *names: str, **variables: str) -> None:
        """Start workers, and wait until they are there."""
        for name in names:
            (self.folder / name).mkdir()
            words = [*self.here(WORKERS), "--nworkers", "1", "--no-nanny", "--no-dashboard", "--name", name]
            words += ["--local-directory", str(self.folder / name)]
            self.workers[name] = self._start(name, words, {"CROSSCHECK_CACHE": str(self.cache(name)), **variables})
        with Client(f"tcp://{self.address}", set_as_default=False) as client:
            client.wait_for_workers(sum(worker.poll() is None for worker in self.workers.values()))

    def kill(self, name: str) -> None:
        self.workers[name].kill()
        self.workers[name].wait()

    def close(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()

    def _start(self, name: str, words: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            # Dask is compiled once, and not by each process.
            return subprocess.Popen(
                [Path(sys.executable).with_name(words[0]), *words[1:]],
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **variables}, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two workers, for tests that leave them as they are."""
    with contextlib.closing(Machines(tmp_path_factory.mktemp("machines"))) as machines:
        machines.add("one", "two")
        yield machines


@pytest.fixture
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A scheduler alone."""
    with contextlib.closing(Machines(tmp_path_factory.mktemp("others"))) as machines:
        yield machines


class Acting(SilentProgress):
    """Does something, once, when a cell is done and a condition holds."""

    def __init__(self, act: Callable[[], object], when: Callable[[Acting], bool] = lambda progress: True) -> None:
        super().__init__()
        self.act, self.when, self.acted = act, when, False

    def cell(self, cell: str) -> None:
        super().cell(cell)
        if not self.acted and self.when(self):
            self.acted = True
            self.act()


def measured(toy: Runtime, out: Path, engine: str, progress: SilentProgress | None = None, **options: Any) -> Result:
    """Run a job on the toy."""
    what = options.pop("what", ["toy@1.8.0"])
    return run(Job(what, out=out, engine=engine, **options), progress or SilentProgress(), {"toy": toy})


def comparable(folder: Path) -> Cells:
    """The cells of a run, without what differs from run to run."""
    cells = read_cells(folder)
    return {
        name: {key: value for key, value in cell.items() if key not in OF_THE_MACHINE} for name, cell in cells.items()
    }


def test_a_cluster_that_loses_a_worker_gives_the_cells_of_one_machine(
    toy: Runtime, others: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {
        "what": ["toy@1.7.0", "toy@1.8.0"],
        "modes": ["inference", "leak-backward", "crash", "refused"],
        "networks": ["seed-batch", "conv"],
        "scenarios": ["gradient"],
        "trials": 8,
    }
    measured(toy, tmp_path / "here", "local", **options)
    others.add("one", "two")
    # Each release is measured by a worker at first.
    both = Acting(lambda: others.kill("one"), lambda it: {"toy@1.7.0", "toy@1.8.0"} <= {c[:9] for c in it.cells})
    monkeypatch.setenv("CROSSCHECK_CACHE", str(tmp_path / "cache"))
    measured(toy, tmp_path / "there", others.engine, both, **options)
    assert both.acted
    assert any("is gone" in note for note in both.notes)
    here, there = comparable(tmp_path / "here"), comparable(tmp_path / "there")
    assert here == there
    assert {"ok", "crashed", "refused"} <= {cell["status"] for cell in here.values()}
    # The host has no environment, and each worker made its own, in its own cache.
    assert not (tmp_path / "cache" / "environments").exists()
    assert all(list(others.cache(name).glob("environments/toy-*/complete.json")) for name in ("one", "two"))


def test_what_a_cluster_measured_is_not_measured_again_here(
    toy: Runtime, machines: Machines, tmp_path: Path, progress: SilentProgress
) -> None:
    measured(toy, tmp_path, machines.engine, **ONE)
    cells = read_cells(tmp_path)
    assert {"ok"} == {cell["status"] for cell in cells.values()}
    (tmp_path / "cells.jsonl").unlink()
    measured(toy, tmp_path, "local", progress, **ONE)
    assert len(cells) == progress.reused
    assert cells == read_cells(tmp_path)


def test_the_commands_of_the_page(machines: Machines, tmp_path: Path) -> None:
    assert 0 == main([*machines.here(RUN)[1:], "--out", str(tmp_path), "--quiet"])
    assert {"ok"} == {cell["status"] for cell in read_cells(tmp_path).values()}


def test_a_network_of_the_users_travels_once(toy: Runtime, machines: Machines, tmp_path: Path) -> None:
    onnx.save(load("conv").model, tmp_path / "mine.onnx")
    options: dict[str, Any] = {**ONE, "networks": [str(tmp_path / "mine.onnx")], "trials": 8}

    def sent() -> dict[Path, int]:
        """The files of the workers' caches; one that is written again is another."""
        folders = [machines.cache(name) / SENT for name in machines.workers]
        return {file: file.stat().st_ino for folder in folders if folder.is_dir() for file in folder.iterdir()}

    measured(toy, tmp_path / "first", machines.engine, **options)
    (name,) = {cell["network"] for cell in read_cells(tmp_path / "first").values()}
    assert name.startswith("mine-")
    first = sent()
    for again in range(3):  # by either worker
        measured(toy, tmp_path / str(again), machines.engine, **options)
    assert first.items() <= sent().items()
    assert len({file.name for file in sent()}) == len({file.name for file in first})


def test_a_damaged_file_of_a_worker_is_sent_again(toy: Runtime, machines: Machines, tmp_path: Path) -> None:
    measured(toy, tmp_path / "first", machines.engine, **ONE)
    for file in (file for name in machines.workers for file in (machines.cache(name) / SENT).glob("*")):
        file.write_bytes(b"")
    measured(toy, tmp_path / "second", machines.engine, **ONE)
    assert comparable(tmp_path / "first") == comparable(tmp_path / "second")


def test_a_release_is_measured_where_it_can_be(
    toy: Runtime, others: Machines, tmp_path: Path, progress: SilentProgress
) -> None:
    (others.folder / "file").touch()
    others.add("useless", CROSSCHECK_CACHE=str(others.folder / "file"))
    result = measured(toy, tmp_path, others.engine, **ONE)
    assert {"unavailable": 1} == result.statuses
    (cell,) = read_cells(tmp_path).values()
    assert os.strerror(20) in cell["reason"]  # not a directory
    others.add("useful")
    for number in range(3):  # either worker may be asked first
        out = tmp_path / str(number)
        assert {"ok": 1} == measured(toy, out, others.engine, progress, **ONE).statuses


def test_a_worker_of_another_version_is_refused_and_nothing_is_lost(
    toy: Runtime, others: Machines, tmp_path: Path, progress: SilentProgress
) -> None:
    copy = others.folder / "sources" / "crosscheck"
    shutil.copytree(Path(crosscheck.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    text = (copy / "__init__.py").read_text()
    (copy / "__init__.py").write_text(text.replace(f'"{crosscheck.__version__}"', '"0.0.9"'))
    others.add("good")
    options: dict[str, Any] = {"modes": ["leak-*"], "networks": ["seed*"]}

    def replace() -> None:
        others.add("other", PYTHONPATH=str(copy.parent))
        others.kill("good")

    message = f"has crosscheck 0.0.9, and this machine {crosscheck.__version__}. Install the same on all machines"
    with pytest.raises(UsageError, match=message):
        measured(toy, tmp_path, others.engine, Acting(replace), **options)
    with Journal(tmp_path / "journal.sqlite") as journal:
        kept = journal.reusable()
    assert kept
    with pytest.raises(UsageError, match=message):
        measured(toy, tmp_path, others.engine, **options)
    result = measured(toy, tmp_path, "local", progress, **options)
    assert progress.reused
    assert not result.incomplete
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert kept.keys() < journal.reusable().keys()


def test_a_worker_without_crosscheck_is_refused(others: Machines, toy: Runtime, tmp_path: Path) -> None:
    (others.folder / "crosscheck.py").touch()
    others.add("other", PYTHONPATH=str(others.folder))
    with pytest.raises(UsageError, match=r"the worker tcp://\S+ has no crosscheck like this machine's \("):
        measured(toy, tmp_path, others.engine, **ONE)


def test_a_scheduler_that_goes_loses_nothing_that_was_measured(
    toy: Runtime, others: Machines, tmp_path: Path, progress: SilentProgress
) -> None:
    others.add("one")
    options: dict[str, Any] = {"modes": ["leak-*"], "networks": ["seed*"]}
    with pytest.raises(CrosscheckError, match=r"the Dask scheduler at .* is gone; the same command goes on"):
        measured(toy, tmp_path, others.engine, Acting(others.scheduler.kill), **options)
    measured(toy, tmp_path, "local", progress, **options)
    assert progress.reused


def test_trials_that_disagree_are_asked_of_further_servers(toy: Runtime, machines: Machines, tmp_path: Path) -> None:
    networks = ["seed-batch", "conv"]  # on the first alone, forks of one server agree
    options: dict[str, Any] = {"modes": ["unrepeatable"], "networks": networks, "scenarios": ["gradient"]}
    result = measured(toy, tmp_path, machines.engine, **options)
    assert 2 == result.findings["unrepeatable"]


def test_a_trial_that_takes_too_long_is_one_there_too(toy: Runtime, machines: Machines, tmp_path: Path) -> None:
    limits = Limits(seconds=0.5)
    options: dict[str, Any] = {"modes": ["hang"], "networks": ["seed"], "scenarios": ["gradient"], "limits": limits}
    assert {"timed-out": 1} == measured(toy, tmp_path, machines.engine, **options).statuses


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_runs_on_the_workers(toy: Runtime, machines: Machines, tmp_path: Path, number: int) -> None:
    before = {name: children(worker.pid) for name, worker in machines.workers.items()}
    with start(toy, tmp_path, more=["--engine", machines.engine]) as process:
        # A probe server, and the trial that hangs.
        wait_for(lambda: any(len(children(worker.pid)) > 1 for worker in machines.workers.values()))
        process.send_signal(number)
        _, errors = process.communicate()
    assert {signal.SIGINT: 130, signal.SIGTERM: 143}[signal.Signals(number)] == process.returncode
    assert errors.decode().splitlines()[-1].endswith("run the same command to resume.")
    assert before == {name: children(worker.pid) for name, worker in machines.workers.items()}


def test_without_an_address_a_cluster_of_this_machine_is_started_and_ended(toy: Runtime, tmp_path: Path) -> None:
    with start(toy, tmp_path, more=["--engine", "dask", "--jobs", "1"], session=True) as process:
        wait_for(lambda: any(b"adapter.py" in command(child) for child in children(process.pid)))
        started = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate()
    assert 130 == process.returncode
    assert ["crosscheck: interrupted; run the same command to resume."] == errors.decode().splitlines()[-1:]
    assert "Traceback" not in errors.decode()
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in started))


def command(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that exits with 2."""
    assert 2 == main(words)
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("crosscheck: ")


@pytest.mark.parametrize("engine", ["dusk", "dask://", "dask://host", "tcp://host:1", ""])
def test_words_that_name_no_engine(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "onnx@newest", "--out", str(tmp_path / "out"), f"--engine={engine}"]
    assert f"--engine takes local, dask or dask://HOST:PORT; not '{engine}'." == refused(words, capsys)


def test_a_scheduler_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_client, "CONNECTING", 0.1)
    words = ["run", "onnx@newest", "--network", "seed", "--out", str(tmp_path / "out"), "--engine=dask://127.0.0.1:1"]
    assert refused(words, capsys).startswith("--engine dask://127.0.0.1:1: no Dask scheduler answers there (")


def test_a_scheduler_without_workers(
    others: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_client, "JOINING", 0.1)
    words = ["run", "onnx@newest", "--network", "seed", "--out", str(tmp_path / "out"), "--engine", others.engine]
    assert "has no workers. Start some with `dask worker 127.0.0.1:" in refused(words, capsys)


def test_the_file_of_a_job_names_the_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crosscheck.toml").write_text('runtimes = ["onnx@newest"]\nengine = "dusk://host:1"\n')
    monkeypatch.chdir(tmp_path)
    line = refused(["run"], capsys)
    assert "crosscheck.toml" in line
    assert "line 2" in line
    assert "dask://HOST:PORT" in line


def test_without_dask_the_message_says_how_to_install_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("crosscheck.matrix.cluster")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("crosscheck.matrix.cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = ["run", "onnx@newest", "--network", "seed", "--out", str(tmp_path / "out"), "--engine", "dask"]
    assert "--engine dask needs Dask: `uv pip install 'crosscheck[dask]'`." == refused(words, capsys)


def test_dask_is_imported_only_for_a_cluster(toy: Runtime, tmp_path: Path) -> None:
    """In a process of its own: it runs a job on this machine."""
    text = (
        "import sys; from pathlib import Path; from crosscheck.job import Job, run; "
        "from crosscheck.runtimes.catalog import load_runtime; "
        "job = Job(['toy@1.8.0'], modes=['predict'], networks=['seed'], out=Path(sys.argv[2])); "
        "run(job, None, {'toy': load_runtime(Path(sys.argv[1]))}); "
        "print([name for name in sys.modules if name in ('dask', 'distributed')])"
    )
    words = [sys.executable, "-c", text, str(toy.folder), str(tmp_path)]
    assert "[]\n" == subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
