"""Readers of ONNX that the ordinary tests do not install: OpenCV's two engines, and emx-onnx-cgen, which writes C."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import FileOptions
from tests.conftest import Cells, SilentProgress, read_cells

MODELS = Path(__file__).parent.parent / "models"
NETWORKS = sorted(path.parent.name for path in MODELS.glob("*/network.onnx"))
NEWEST_OPENCV, CLASSIC = "opencv@5.0.0.93", "opencv@5.0.0.93+classic-engine"
EMX = "emx-onnx-cgen@1.4.0"


def measured(folder: Path, what: str, modes: list[str], networks: list[str], scenario: str) -> Cells:
    """Every cell of these modes and networks, in one trial."""
    job = Job([what], networks=networks, modes=modes, scenarios=[scenario], everything=True, trials=1, out=folder)
    run(job, SilentProgress())
    return read_cells(folder)


@pytest.mark.large
@pytest.mark.parametrize(("target", "mode"), [(NEWEST_OPENCV, "opset-9"), (EMX, "opset-15")])
def test_all_shipped_networks_predict_like_the_oracle(target: str, mode: str, tmp_path: Path) -> None:
    cells = measured(tmp_path, target, [mode], NETWORKS, "predict-only")
    assert {network: ["clean"] for network in NETWORKS} == {
        cell["network"]: cell["findings"] for cell in cells.values() if cell["id"].startswith(f"{target}/")
    }


@pytest.mark.large
def test_opencvs_classic_engine_does_not_count_the_pads_of_an_average_pool(tmp_path: Path) -> None:
    cells = measured(tmp_path, CLASSIC, ["opset-9"], ["conv", "inception"], "predict-only")
    assert ["clean"] == cells[f"{CLASSIC}/opset-9/conv/predict-only"]["findings"]
    assert ["wrong-prediction"] == cells[f"{CLASSIC}/opset-9/inception/predict-only"]["findings"]


@pytest.mark.large
def test_opencv_reduces_rows_and_pixels_of_two_rows_rightly_and_of_three_wrongly(tmp_path: Path) -> None:
    def findings(rows: int) -> set[tuple[str, ...]]:
        job = Job(
            [NEWEST_OPENCV],
            networks=[str(MODELS / "conv-norm" / "network.onnx")],
            options=FileOptions(batch=rows),
            modes=["file-batch-gradient"],
            scenarios=["gradient"],
            trials=1,
            out=tmp_path / str(rows),
        )
        run(job, SilentProgress())
        cells = read_cells(tmp_path / str(rows))
        assert {NEWEST_OPENCV, CLASSIC} == {name.partition("/")[0] for name in cells}
        return {tuple(cell["findings"]) for cell in cells.values()}

    right, wrong = {("clean",)}, {("wrong-gradient",)}
    assert [right, right, wrong, wrong] == [findings(rows) for rows in (1, 2, 3, 8)]


@pytest.mark.large
def test_emx_trains_on_the_batch_and_its_statistics_stay(tmp_path: Path) -> None:
    modes = ["opset-15-training", "opset-15-batch-gradient"]
    cells = measured(tmp_path, EMX, modes, ["seed-batch", "conv-norm"], "gradient")
    cells |= measured(tmp_path, EMX, modes, ["seed-batch", "conv-norm"], "predict-only")
    assert 4 == len(cells)
    assert {("clean",)} == {tuple(cell["findings"]) for cell in cells.values()}
