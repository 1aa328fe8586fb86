"""The arrays of a run on disk: an .npz per cell, large arrays once for all cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crosscheck import oracle
from crosscheck.cells import Array, Observation, Status
from crosscheck.judge import Truth
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import targets
from crosscheck.networks import Network, load
from crosscheck.recorded_arrays import LARGE, RecordedArrays
from crosscheck.report.arrays import Arrays
from crosscheck.runtimes.catalog import Runtime


@pytest.fixture
def cells(toy: Runtime) -> list[Planned]:
    selected = targets(["toy@newest"], {"toy": toy}, everything=False)
    return expand(selected, [load("seed")], Wanted(["inference", "leak-both"], ["gradient"], ["seed"]))


def observation(**arrays: Array) -> Observation:
    return Observation("undisturbed", Status.OK, None, (), arrays, 0.0, 0.0, 0)


def stored(folder: Path, path: Path) -> dict[str, Array]:
    """All arrays of a cell, as a user reads them."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files if key != "shared"}
        if "shared" in file.files:
            arrays |= {str(key): np.load(folder / str(name)) for key, name in file["shared"]}
    return arrays


def test_large_arrays_of_all_cells_are_stored_once(cells: list[Planned], tmp_path: Path) -> None:
    weight, small = np.arange(LARGE, dtype="<f4").reshape(2, -1), np.array([1.0, 2.0])
    moved = weight + np.float32(1)
    arrays = RecordedArrays(tmp_path / "arrays")
    expected = [{"small": small, "before": weight, "after": weight}, {"before": weight, "after": moved}]
    paths = [arrays.keep(cell.cell, observation(**here), "0") for cell, here in zip(cells, expected, strict=True)]
    for here, (path, *_) in zip(expected, paths, strict=True):
        read = stored(tmp_path / "arrays", tmp_path / path)
        assert here.keys() == read.keys()
        for key, value in here.items():
            np.testing.assert_array_equal(value, read[key], strict=True)
    assert 2 == len(list((tmp_path / "arrays" / "shared").iterdir()))


def test_the_same_bytes_with_another_shape_or_type_are_another_array(cells: list[Planned], tmp_path: Path) -> None:
    weight = np.arange(LARGE, dtype="<f4")
    here = {"flat": weight, "rows": weight.reshape(2, -1), "integers": weight.view("<i4")}
    path, *_ = RecordedArrays(tmp_path / "arrays").keep(cells[0].cell, observation(**here), "0")
    read = stored(tmp_path / "arrays", tmp_path / path)
    for key, value in here.items():
        np.testing.assert_array_equal(value, read[key], strict=True)


def test_small_arrays_have_no_files_of_their_own(cells: list[Planned], tmp_path: Path) -> None:
    (path,) = RecordedArrays(tmp_path / "arrays").keep(
        cells[0].cell, observation(small=np.zeros(LARGE - 1, np.uint8)), "0"
    )
    assert [tmp_path / path] == [file for file in tmp_path.rglob("*") if file.is_file()]


def test_the_files_of_one_cell_are_its_npz_and_its_large_arrays(cells: list[Planned], tmp_path: Path) -> None:
    arrays = RecordedArrays(tmp_path / "arrays")
    kept, old = np.zeros(LARGE, "<f4"), np.ones(LARGE, "<f4")
    for cell in cells:
        arrays.keep(cell.cell, observation(kept=kept, old=old), "0")
    path, shared = arrays.keep(cells[0].cell, observation(kept=kept), "1")
    assert path.endswith(".npz")
    np.testing.assert_array_equal(kept, np.load(tmp_path / shared))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_files_that_are_missing_or_cut_are_written_again(
    cells: list[Planned], tmp_path: Path, which: int, damage: Callable[[Path], object]
) -> None:
    arrays = RecordedArrays(tmp_path / "arrays")
    here = observation(large=np.arange(LARGE, dtype="<f4"), small=np.zeros(2))
    files = arrays.keep(cells[0].cell, here, "0")
    assert arrays.has(files)
    damage(tmp_path / list(files)[which])
    assert not arrays.has(files)
    assert files == arrays.keep(cells[0].cell, here, "0")
    assert arrays.has(files)


def gradient(network: Network, training: bool) -> Array:
    return oracle.gradient(network.graph, network.weights, network.x, network.cotangent, training)


def line(arrays: str | None) -> Any:
    """The line of a cell with this field."""
    return SimpleNamespace(arrays=arrays)


def test_the_report_reads_them(cells: list[Planned], tmp_path: Path) -> None:
    arrays = RecordedArrays(tmp_path / "arrays")
    large, small = np.arange(LARGE, dtype="<f4").reshape(2, -1), np.array([1.0, 2.0])
    path, *_ = arrays.keep(cells[0].cell, observation(large=large, small=small), "0")
    truth = Truth.of(load("seed-batch"))
    arrays.keep_reference(truth)
    read = Arrays(tmp_path)
    of_cell = read.of(line(path), ["small", "large", "absent"])
    of_network = read.reference("seed-batch", ["input", "prediction", "gradient/inference", "gradient/training"])
    answers = {
        "input": truth.network.x,
        "prediction": oracle.predict(truth.network.graph, truth.network.weights, truth.network.x),
        **{f"gradient/{intent}": gradient(truth.network, intent == "training") for intent in ("inference", "training")},
    }
    for expected, found in (({"small": small, "large": large}, of_cell), (answers, of_network)):
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(value, found[key], strict=True)
    assert {} == Arrays(None).of(line(path), ["small"])


def test_files_that_are_missing_damaged_or_outside_the_run_have_no_arrays(tmp_path: Path) -> None:
    outside, run = tmp_path / "outside.npz", tmp_path / "run"
    (run / "arrays").mkdir(parents=True)
    np.savez(outside, x=np.zeros(2))
    (run / "damaged.npz").write_bytes(outside.read_bytes()[:40])
    np.savez(run / "listed.npz", shared=np.array([("x", "../../outside.npz")]))
    read = Arrays(run)
    for name in (None, "missing.npz", "damaged.npz", "../outside.npz", str(outside), "listed.npz"):
        assert {} == read.of(line(name), ["x"]), name
    assert {} == read.reference("../../outside", ["x"])
