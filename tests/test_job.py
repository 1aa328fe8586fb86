"""A whole job: resumption, reuse, isolation, and persistence of results."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import crosscheck
from crosscheck.errors import UsageError
from crosscheck.forecast import forecast
from crosscheck.job import Job, Result, run
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.server import Limits
from crosscheck.runtimes.catalog import Runtime, catalog, load_runtime
from tests.conftest import SilentProgress, read_cells

RunToy = Callable[..., Result]
ONE = {"modes": ["leak-backward"], "networks": ["seed-batch"]}

#: Runs a job on the toy in a separate process, which can be killed.
SCRIPT = """
import sys
from pathlib import Path
from crosscheck.job import Job, run
from crosscheck.runtimes.catalog import load_runtime
from tests.conftest import SilentProgress
toy = load_runtime(Path(sys.argv[1]))
run(Job(["toy"], modes=["leak-*"], networks=["conv", "seed*"], out=Path(sys.argv[2])), SilentProgress(), {"toy": toy})
"""


def test_a_run_writes_its_four_outputs(run_toy: RunToy, tmp_path: Path) -> None:
    result = run_toy(**ONE)
    assert {"run.json", "cells.jsonl", "arrays", "report.html"} <= {path.name for path in tmp_path.iterdir()}
    facts = json.loads((tmp_path / "run.json").read_text())
    assert sum(result.statuses.values()) == facts["counts"]["cells"] == len(read_cells(tmp_path))
    environment = facts["environments"]["toy@1.8.0"]
    assert {"autograd", "numpy", "onnx"} <= environment["packages"].keys()
    for row in read_cells(tmp_path).values():
        assert environment["packages"] == row["environment"]["packages"]
        assert environment["lock"] == row["environment"]["lock"]


def test_the_arrays_of_a_cell_exist(run_toy: RunToy, tmp_path: Path) -> None:
    run_toy(**ONE)
    rows = read_cells(tmp_path).values()
    assert {"gradient", "sibling"} == {row["scenario"] for row in rows}
    for row in rows:
        with np.load(tmp_path / row["arrays"]) as arrays:
            assert row["prediction_before"] == arrays["prediction/before"].tolist()


def test_a_trial_runs_once_in_a_fork_and_tells_what_it_used(run_toy: RunToy, tmp_path: Path) -> None:
    run_toy(**ONE)
    with Journal(tmp_path / "journal.sqlite") as journal:
        rows = journal.observations(journal.reusable())
    assert rows
    for row in rows:
        assert row.reason is None  # one that a new interpreter repeats has a reason
        assert row.seconds > 0
        assert row.peak_bytes > 1_000_000  # an interpreter with numpy has more
    assert any(row.cpu_seconds > 0 for row in rows)  # the processor's clock may not tick in a short trial
    assert max(row.peak_bytes for row in rows) == max(cell["peak_bytes"] for cell in read_cells(tmp_path).values())


def test_repeating_the_command_runs_nothing(run_toy: RunToy, tmp_path: Path) -> None:
    first = run_toy(**ONE)
    files = sorted(tmp_path.iterdir())
    written = (tmp_path / "cells.jsonl").stat().st_mtime_ns
    second = run_toy(**ONE)
    assert files == sorted(tmp_path.iterdir())
    assert not first.unchanged
    assert second.unchanged
    assert first.findings == second.findings
    assert written == (tmp_path / "cells.jsonl").stat().st_mtime_ns


def test_a_run_that_was_killed_as_it_began_leaves_nothing_after_the_next_one(run_toy: RunToy, tmp_path: Path) -> None:
    run_toy(**ONE)
    files = sorted(tmp_path.iterdir())
    opens = "import os, sys; from crosscheck.matrix.journal import Journal; from pathlib import Path; "
    opens += "journal = Journal(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", opens, str(tmp_path / "journal.sqlite")], check=False)
    assert files != sorted(tmp_path.iterdir())
    assert run_toy(**ONE).unchanged
    assert files == sorted(tmp_path.iterdir())


def test_what_is_done_is_not_even_planned_again(
    run_toy: RunToy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_toy(**ONE)
    run_toy(modes=["predict"], networks=["seed"], scenarios=["predict-only"])
    again = run_toy(**ONE)
    assert not again.unchanged  # the folder has the other selection's results
    monkeypatch.setattr("crosscheck.options.expand", lambda *_: pytest.fail("planned"))
    third = run_toy(**ONE)
    assert third.unchanged
    assert (first.statuses, first.findings) == (third.statuses, third.findings)
    (tmp_path / "report.html").write_text("another")
    with pytest.raises(pytest.fail.Exception, match="planned"):
        run_toy(**ONE)
    with pytest.raises(pytest.fail.Exception, match="planned"):
        run_toy(**ONE, trials=3)


def test_what_could_not_be_measured_is_asked_again(run_toy: RunToy, progress: SilentProgress) -> None:
    options: dict[str, Any] = {"modes": ["hang"], "networks": ["seed"], "trials": 1, "limits": Limits(seconds=0.5)}
    assert run_toy(**options).incomplete
    asked = list(progress.cells)
    progress.cells.clear()
    assert run_toy(**options).incomplete
    assert asked == progress.cells


@pytest.mark.parametrize(
    "changed",
    [
        "report/known_cases.toml",
        "report/templates/page.html",
        "runtimes/mxnet/releases.toml",
        "script/writer.py",
        "cells.py",
        "job.py",
    ],
)
def test_the_report_is_rebuilt_if_an_input_changed(
    run_toy: RunToy, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    copy = tmp_path_factory.mktemp("sources") / "crosscheck"
    shutil.copytree(Path(crosscheck.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(crosscheck, "__file__", str(copy / "__init__.py"))
    options: dict[str, Any] = {"modes": ["predict"], "networks": ["seed"], "scenarios": ["predict-only"], "trials": 1}
    run_toy(**options)
    assert run_toy(**options).unchanged
    with (copy / changed).open("a") as file:
        file.write("\n")
    assert not run_toy(**options).unchanged


def test_changes_of_a_release_table_reach_the_lines(tmp_path: Path, toy: Runtime, progress: SilentProgress) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(toy.folder, folder)
    job = Job(["toy@1.8.0"], modes=["predict"], networks=["seed"], out=tmp_path / "out")
    run(job, progress, {"toy": load_runtime(folder)})
    (released,) = {row["released"] for row in read_cells(tmp_path / "out").values()}
    table = folder / "releases.toml"
    table.write_text(table.read_text().replace(released, "2001-02-03"))
    run(job, progress, {"toy": load_runtime(folder)})
    assert {"2001-02-03"} == {row["released"] for row in read_cells(tmp_path / "out").values()}


def test_trials_parallel_to_a_failed_one_are_reused(run_toy: RunToy) -> None:
    # With two processes several trials run when the first one is refused.
    options: dict[str, Any] = {
        "modes": ["refused", "crash"],
        "networks": ["seed", "seed-batch", "conv"],
        "trials": 4,
        "jobs": 2,
    }
    run_toy(**options)
    assert run_toy(**options).unchanged


def test_cells_repeated_from_other_servers_are_not_repeated_again(run_toy: RunToy, progress: SilentProgress) -> None:
    options: dict[str, Any] = {"modes": ["unrepeatable"], "networks": ["seed-batch", "conv"]}
    first = run_toy(**options)
    cells = [cell for cell in progress.cells if ":" not in cell]  # without parts of networks
    assert first.statuses["ok"] == first.findings["unrepeatable"] == len(cells) == len(set(cells))
    assert run_toy(**options).unchanged


def test_another_selection_reuses_results(run_toy: RunToy, progress: SilentProgress) -> None:
    run_toy(**ONE)
    run_toy(modes=["leak-*"], networks=["seed-batch"])
    assert progress.reused > 0


def test_fresh_ignores_earlier_results(run_toy: RunToy, progress: SilentProgress) -> None:
    run_toy(**ONE)
    run_toy(**ONE, fresh=True)
    assert 0 == progress.reused


def test_both_isolations_have_the_same_results(run_toy: RunToy, tmp_path: Path, toy: Runtime) -> None:
    options = {
        "modes": ["leak-backward", "inference", "order-dependent", "crash"],
        "networks": ["seed-batch"],
        "trials": 1,
    }
    run_toy(**options)
    forked = {name: (row["status"], row["findings"]) for name, row in read_cells(tmp_path).items()}
    run_toy(**options, isolation="new-interpreter")
    assert forked == {name: (row["status"], row["findings"]) for name, row in read_cells(tmp_path).items()}


def test_a_killed_run_resumes(tmp_path: Path, toy: Runtime) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", SCRIPT, str(toy.folder), str(tmp_path)]
    process = subprocess.Popen(command, cwd=root, start_new_session=True)
    journal = tmp_path / "journal.sqlite-wal"
    while not journal.exists() or journal.stat().st_size < 100_000:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cells.jsonl").exists()
    job = Job(["toy"], modes=["leak-*"], networks=["conv", "seed*"], out=tmp_path)
    result = run(job, SilentProgress(), {"toy": toy})
    assert json.loads((tmp_path / "run.json").read_text())["counts"]["reused"] > 0
    assert {"ok"} == set(result.statuses)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path, toy: Runtime, progress: SilentProgress) -> None:
    with FileLock(tmp_path / "lock"), pytest.raises(UsageError, match="another crosscheck"):
        run(Job(["toy"], out=tmp_path), progress, {"toy": toy})


def test_a_failed_environment_does_not_affect_others(tmp_path: Path, toy: Runtime, progress: SilentProgress) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(toy.folder, folder)
    lock = folder / "locks" / "1.7.0.txt"
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0"))
    broken = load_runtime(folder)
    job = Job(["toy@1.7.0..1.8.0"], modes=["inference"], networks=["seed"], out=tmp_path / "out")
    result = run(job, progress, {"toy": broken})
    rows = read_cells(tmp_path / "out").values()
    assert {"ok", "install-failed"} == set(result.statuses)
    assert {"1.7.0"} == {row["release"] for row in rows if row["status"] == "install-failed"}
    assert all("1.7.0" in row["reason"] for row in rows if row["status"] == "install-failed")


def test_a_missing_interpreter_makes_cells_unavailable(tmp_path: Path, toy: Runtime, progress: SilentProgress) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(toy.folder, folder)
    table = folder / "releases.toml"
    table.write_text(table.read_text().replace('["3.11", "3.12", "3.13"]', '["3.99"]'))
    job = Job(["toy@1.8.0"], modes=["inference"], networks=["seed"], out=tmp_path / "out")
    result = run(job, progress, {"toy": load_runtime(folder)})
    assert {"unavailable"} == set(result.statuses)
    assert all("uv python install 3.99" in row["reason"] for row in read_cells(tmp_path / "out").values())


def test_an_empty_selection_is_a_usage_error(tmp_path: Path, toy: Runtime, progress: SilentProgress) -> None:
    job = Job(["toy"], modes=["predict"], scenarios=["order"], out=tmp_path)
    with pytest.raises(UsageError, match="nothing is left"):
        run(job, progress, {"toy": toy})


def test_a_named_runtime_of_which_nothing_is_asked_is_told(
    tmp_path: Path, toy: Runtime, progress: SilentProgress
) -> None:
    runtimes = {"toy": toy, "shap": catalog()["shap"]}
    modes, sentence = ["leak-forward"], "no cell of shap: the selected modes, networks and scenarios do not suit it."
    job = Job(["toy", "shap"], networks=["seed"], modes=modes, scenarios=["gradient"], trials=1, out=tmp_path)
    forecast(job, progress=progress, runtimes=runtimes)
    assert [sentence] == progress.notes
    run(job, progress, runtimes)
    assert [sentence] * 2 == progress.notes
    forecast(dataclasses.replace(job, what=["toy", "toolkits"]), progress=progress, runtimes=runtimes)
    assert [sentence] * 2 == progress.notes
