"""Runtimes that make torch modules and JAX functions of ONNX files: onnx2pytorch and jaxonnxruntime."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosscheck.job import Job, run
from crosscheck.runtimes.catalog import catalog
from tests.conftest import Cells, SilentProgress, read_cells

pytestmark = pytest.mark.large

JAX, TORCH = "jaxonnxruntime@0.3.0", "onnx2pytorch@0.6.0"


def measured(folder: Path, what: str, modes: list[str], network: str = "seed-batch") -> Cells:
    job = Job([what], networks=[network], modes=modes, everything=True, trials=1, out=folder)
    run(job, SilentProgress())
    return read_cells(folder)


def test_jaxs_gradients_of_an_imported_function_are_right_and_change_nothing(tmp_path: Path) -> None:
    modes = ["grad", "vjp", "jit-grad", "grad-parameters", "backend.grad"]
    cells = measured(tmp_path, JAX, modes, "conv")
    gradients = {cell["mode"]: cell["findings"] for cell in cells.values() if cell["scenario"] == "gradient"}
    assert {mode: ["clean"] for mode in modes} == gradients


def test_jaxonnxruntime_refuses_batch_normalization_in_training_form(tmp_path: Path) -> None:
    cells = measured(tmp_path, JAX, ["opset-15-training"])
    assert {"refused"} == {cell["status"] for cell in cells.values()}
    assert all("training_mode was not implemented" in cell["reason"] for cell in cells.values())


def test_onnx2pytorch_takes_onnxs_momentum_for_torchs(tmp_path: Path) -> None:
    cell = measured(tmp_path, TORCH, ["train.backward"])[f"{TORCH}/train.backward/seed-batch/gradient"]
    assert ["leak", "gradients-left"] == cell["findings"]
    assert cell["update"]["momentum"] == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize(("release", "findings"), [("0.5.1", ["leak", "mode-ignored"]), ("0.6.0", ["clean"])])
def test_onnx2pytorchs_modules_came_in_training_mode_before_release_0_5_3(
    release: str, findings: list[str], tmp_path: Path
) -> None:
    what = f"onnx2pytorch@{release}"
    assert findings == measured(tmp_path, what, ["convert"])[f"{what}/convert/seed-batch/predict-only"]["findings"]


@pytest.mark.parametrize("what", [JAX, TORCH])
def test_every_shipped_network_is_converted_and_predicts_like_the_oracle(what: str, tmp_path: Path) -> None:
    networks = [path.parent.name for path in (Path(__file__).parents[1] / "models").glob("*/network.onnx")]
    mode = "predict" if what == JAX else "opset-15"
    assert mode in {one.name for one in catalog()[what.partition("@")[0]].modes}
    run(
        Job([what], networks=networks, modes=[mode], scenarios=["predict-only"], trials=1, out=tmp_path),
        SilentProgress(),
    )
    cells = read_cells(tmp_path).values()
    assert set(networks) == {cell["network"] for cell in cells}
    assert {("ok", ("clean",))} == {(cell["status"], tuple(cell["findings"])) for cell in cells}
