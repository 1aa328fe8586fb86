"""What a Python user calls: run, load, and the results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crosscheck
from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import read_cells


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, toy: Runtime) -> crosscheck.Results:
    """Three cells: clean, leaking, and one of a mode that 1.7.0 lacks."""
    out = tmp_path_factory.mktemp("python")
    modes = ["inference", "leak-both", "from-1.8"]
    job = crosscheck.Job(["toy@1.7.0"], networks=["seed-batch"], modes=modes, scenarios=["gradient"], out=out)
    done = crosscheck.run(job, runtimes={"toy": toy})
    assert {"ok": 2, "not-in-release": 1} == done.statuses
    return crosscheck.load(done.folder)


def test_the_names_of_the_package_are_there() -> None:
    for name in crosscheck.__all__:
        assert callable(getattr(crosscheck, name))
    with pytest.raises(AttributeError, match="nothing"):
        crosscheck.nothing  # noqa: B018 the access is what is tested


def test_importing_the_package_imports_nothing_large() -> None:
    code = "import crosscheck, sys; assert not {'numpy', 'onnx', 'rich', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cells_are_records_with_the_run_that_they_belong_to(results: crosscheck.Results) -> None:
    clean, leaking, lacking = results.cells
    assert ("clean",) == clean.findings
    assert "leak" in leaking.findings
    assert "not-in-release" == lacking.status
    assert leaking == results.cell("toy@1.7.0/leak-both/seed-batch/gradient") is leaking
    assert ["toy"] == list(results.run.runtimes)
    assert [cell.id for cell in results.cells] == list(read_cells(results.folder))


def test_a_cell_that_there_is_not_is_an_error_with_the_nearest(results: crosscheck.Results) -> None:
    with pytest.raises(UsageError, match=r"Nearest: toy@1\.7\.0/leak-both/seed-batch/gradient"):
        results.cell("toy@1.7.0/leak-bath/seed-batch/gradient")


def test_the_arrays_of_a_cell(results: crosscheck.Results) -> None:
    leaking = results.cells[1]
    arrays = results.arrays(leaking, ["prediction/before", "prediction/after", "nothing"])
    assert {"prediction/before", "prediction/after"} == arrays.keys()
    assert leaking.prediction_before is not None
    np.testing.assert_array_equal(leaking.prediction_before, arrays["prediction/before"])


def test_a_table_has_a_row_for_each_cell(results: crosscheck.Results) -> None:
    table = results.to_pandas()
    assert [cell.id for cell in results.cells] == list(table.index)
    leaking = table.loc["toy@1.7.0/leak-both/seed-batch/gradient"]
    assert ("toy", "1.7.0", "plain", "ok") == tuple(leaking[["runtime", "release", "variant", "status"]])
    assert "leak" in leaking["findings"].split()
    assert 2 == leaking["updates"]
    assert pytest.approx(0.9) == leaking["momentum"]
    assert leaking["training_error"] < 1e-5 < leaking["inference_error"]
    assert table.loc["toy@1.7.0/from-1.8/seed-batch/gradient"][["momentum", "training_error"]].isna().all()


def test_without_pandas_the_error_says_how_to_install_it(
    results: crosscheck.Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(CrosscheckError, match=r"pip install crosscheck\[pandas\]"):
        results.to_pandas()


def test_a_file_of_cells_alone_is_loaded(results: crosscheck.Results, tmp_path: Path) -> None:
    alone = tmp_path / "cells.jsonl"
    alone.write_bytes((results.folder / "cells.jsonl").read_bytes())
    loaded = crosscheck.load(alone)
    assert [cell.id for cell in results.cells] == [cell.id for cell in loaded.cells]
    assert tmp_path == loaded.folder
    assert ["toy"] == list(loaded.run.runtimes)


@pytest.mark.parametrize("path", ["absent", "absent/cells.jsonl"])
def test_no_results(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        crosscheck.load(tmp_path / path)


def test_numbers_that_no_job_can_have(tmp_path: Path) -> None:
    options: dict[str, Any] = {"out": tmp_path}
    with pytest.raises(UsageError, match="--trials"):
        crosscheck.run(crosscheck.Job(["tract@newest"], trials=0, **options))
