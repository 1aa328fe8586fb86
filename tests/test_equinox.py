"""Equinox: explicit state, three kinds of average, and a layer with implicit statistics."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import names
from tests.conftest import Cells, SilentProgress, read_cells

pytestmark = pytest.mark.large

OLD, BEFORE, NEW = "equinox@0.9.2", "equinox@0.12.2", "equinox@0.13.8"
MODES = [
    "*.inference-mode.grad",
    "*.inference.grad",
    "*.train.grad*",
    "*.train.checkpoint*",
    "batch.train.donated.dropped",
    "*.serialise",
]
PREDICTIONS = [(NEW, "batch.predict"), (NEW, "ema.predict"), (BEFORE, "ema.predict"), (OLD, "experimental.predict")]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed-batch` in most modes of three releases, every network in the prediction modes."""
    folder = tmp_path_factory.mktemp("equinox")
    asked = ["gradient", "export"]
    run(
        Job([OLD, BEFORE, NEW], networks=["seed-batch"], modes=MODES, scenarios=asked, trials=1, out=folder),
        SilentProgress(),
    )
    result = read_cells(folder)
    job = Job([OLD, BEFORE, NEW], networks=["*"], modes=["*.predict"], scenarios=["predict-only"], trials=1, out=folder)
    run(job, SilentProgress())
    return result | read_cells(folder)


@pytest.mark.parametrize("network", names())
@pytest.mark.parametrize(("release", "mode"), PREDICTIONS)
def test_every_network_predicts_like_the_oracle(cells: Cells, release: str, mode: str, network: str) -> None:
    result = cells[f"{release}/{mode}/{network}/predict-only"]
    assert ("ok", ["clean"]) == (result["status"], result["findings"])


@pytest.mark.parametrize("mode", ["batch.inference-mode.grad", "ema.inference-mode.grad", "batch.train.grad.dropped"])
def test_modes_that_leave_the_network_unchanged(cells: Cells, mode: str) -> None:
    assert ["clean"] == cells[f"{NEW}/{mode}/seed-batch/gradient"]["findings"]


@pytest.mark.parametrize(
    ("release", "mode", "average", "count"),
    [
        (NEW, "batch.train.grad.adopted", "exponential", 1),
        (NEW, "batch.train.checkpoint.adopted", "exponential", 1),
        (NEW, "batch.fresh.train.grad.adopted", "overcorrected", 1),
        (NEW, "ema.train.grad.adopted", "exponential", 1),
        (NEW, "ema.fresh.train.grad.adopted", "replaced", 1),
        (BEFORE, "ema.train.grad.adopted", "exponential", 1),
        (BEFORE, "ema.fresh.train.grad.adopted", "replaced", 1),
        (OLD, "experimental.train.grad", "exponential", 1),
        (OLD, "experimental.fresh.train.grad", "replaced", 1),
    ],
)
def test_the_average_of_the_moving_statistics(cells: Cells, release: str, mode: str, average: str, count: int) -> None:
    """State that the user's own lines take from the call moves without a leak."""
    result = cells[f"{release}/{mode}/seed-batch/gradient"]
    adopted = result["update"]["when"] == "adopted"
    assert adopted is mode.endswith(".adopted")
    assert adopted is not ("leak" in result["findings"])
    assert "corrupted" not in result["findings"]
    assert (average, count) == (result["update"]["average"], result["update"]["count"])


def test_recomputation_repeats_the_update(cells: Cells) -> None:
    update = cells[f"{OLD}/experimental.train.checkpoint/seed-batch/gradient"]["update"]
    assert ("both", 2) == (update["when"], update["count"])


def test_training_with_running_statistics_has_a_separate_gradient(cells: Cells) -> None:
    for release in (BEFORE, NEW):
        for mode in ("ema.train.grad.adopted", "ema.train.grad.dropped"):
            assert "wrong-gradient" in cells[f"{release}/{mode}/seed-batch/gradient"]["findings"]


def test_a_donated_state_is_deleted(cells: Cells) -> None:
    assert ["poisoned"] == cells[f"{NEW}/batch.train.donated.dropped/seed-batch/gradient"]["findings"]


@pytest.mark.parametrize("norm", ["batch", "ema"])
def test_a_saved_network_is_restored_unchanged(cells: Cells, norm: str) -> None:
    assert ["clean"] == cells[f"{NEW}/{norm}.serialise/seed-batch/export"]["findings"]


def test_only_inference_mode_is_exported_to_onnx(tmp_path: Path) -> None:
    modes = ["batch.export.*"]
    job = Job([f"{NEW}+onnx"], networks=["seed-batch"], modes=modes, scenarios=["export"], trials=1, out=tmp_path)
    run(job, SilentProgress())
    result = read_cells(tmp_path)
    assert ["clean"] == result[f"{NEW}+onnx/batch.export.onnx.inference-mode/seed-batch/export"]["findings"]
    trained = result[f"{NEW}+onnx/batch.export.onnx.train/seed-batch/export"]
    assert "refused" == trained["status"]
    assert "psum" in trained["reason"]
