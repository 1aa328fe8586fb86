"""Flax, linen and nnx: how users adopt the updated statistics, and the effect on later predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import names
from tests.conftest import Cells, SilentProgress, read_cells

pytestmark = pytest.mark.large

RELEASE = "flax@0.12.8"
MODES = [
    "linen.eval.grad",
    "linen.train.*.adopted",
    "linen.train.grad.dropped",
    "linen.train.immutable",
    "linen.train.donated.dropped",
    "linen.frozen.adopted",
    "linen.predict",
    "nnx.eval.*",
    "nnx.call.eval",
    "nnx.train.*",
    "nnx.predict",
]
SILENT = SilentProgress()


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed` and `seed-batch` in most modes, every network in both prediction modes."""
    folder = tmp_path_factory.mktemp("flax")
    asked = ["gradient", "predict-only"]
    run(Job([RELEASE], networks=["seed", "seed-batch"], modes=MODES, scenarios=asked, trials=1, out=folder), SILENT)
    result = read_cells(folder)
    predictions = ["linen.predict", "nnx.predict"]
    job = Job([RELEASE], networks=["*"], modes=predictions, scenarios=["predict-only"], trials=1, out=folder)
    run(job, SILENT)
    return result | read_cells(folder)


def cell(cells: Cells, mode: str, network: str = "seed-batch") -> dict[str, Any]:
    scenario = "predict-only" if "predict" in mode or "forward" in mode else "gradient"
    return cells[f"{RELEASE}/{mode}/{network}/{scenario}"]


@pytest.mark.parametrize("mode", ["linen.train.grad.adopted", "nnx.train.grad"])
def test_the_example_of_2017_has_its_six_digits(cells: Cells, mode: str) -> None:
    result = cells[f"{RELEASE}/{mode}/seed/gradient"]
    assert ["0.29985", "0.3998"] == [f"{number:.6g}" for number in result["prediction_before"][0]]
    assert ["0.284447", "0.379263"] == [f"{number:.6g}" for number in result["prediction_after"][0]]


@pytest.mark.parametrize("network", names())
@pytest.mark.parametrize("mode", ["linen.predict", "nnx.predict"])
def test_every_network_predicts_like_the_oracle(cells: Cells, mode: str, network: str) -> None:
    result = cell(cells, mode, network)
    assert ("ok", ["clean"]) == (result["status"], result["findings"])


@pytest.mark.parametrize("way", ["grad", "vjp", "remat", "lifted"])
def test_adopted_statistics_move_once(cells: Cells, way: str) -> None:
    result = cells[f"{RELEASE}/linen.train.{way}.adopted/seed-batch/gradient"]
    assert (["clean"], "adopted") == (result["findings"], result["update"]["when"])
    assert (1, "biased") == (result["update"]["count"], result["update"]["variance"])
    assert result["update"]["momentum"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    "mode",
    [
        "linen.eval.grad",
        "linen.train.grad.dropped",
        "linen.frozen.adopted",
        "nnx.eval.grad",
        "nnx.eval.view",
        "nnx.eval.closure",
        "nnx.call.eval",
        "nnx.train.frozen",
        "nnx.train.clone",
        "nnx.train.jax-vjp",
        "nnx.train.split.dropped",
    ],
)
def test_modes_that_leave_the_network_unchanged(cells: Cells, mode: str) -> None:
    assert ["clean"] == cell(cells, mode)["findings"]


@pytest.mark.parametrize("mode", ["nnx.train.grad", "nnx.train.view", "nnx.train.remat"])
def test_a_module_passed_as_an_argument_is_modified(cells: Cells, mode: str) -> None:
    assert ["leak"] == cell(cells, mode)["findings"]


def test_a_state_that_is_merged_again_moves_by_the_users_own_lines(cells: Cells) -> None:
    result = cell(cells, "nnx.train.split.adopted")
    assert (["clean"], "adopted") == (result["findings"], result["update"]["when"])


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("linen.train.immutable", "ModifyScopeVariableError"),
        ("nnx.train.closure", "TraceContextError"),
        ("nnx.train.jax-grad", "TraceContextError"),
    ],
)
def test_calls_with_unwritable_statistics_are_refused(cells: Cells, mode: str, error: str) -> None:
    result = cell(cells, mode)
    assert "refused" == result["status"]
    assert error in result["reason"]


def test_donated_statistics_are_deleted(cells: Cells) -> None:
    assert ["poisoned"] == cell(cells, "linen.train.donated.dropped")["findings"]


def test_the_first_nnx_left_a_tracer_in_a_closed_over_module(tmp_path: Path) -> None:
    modes = ["nnx.train.closure", "nnx.train.split.adopted", "nnx.train.view"]
    job = Job(["flax@0.8.5"], networks=["seed-batch"], modes=modes, scenarios=["gradient"], trials=1, out=tmp_path)
    run(job, SILENT)
    result = {name.split("/")[1]: cell for name, cell in read_cells(tmp_path).items()}
    assert ["poisoned"] == result["nnx.train.closure"]["findings"]
    assert ["clean"] == result["nnx.train.split.adopted"]["findings"]
    assert "not-in-release" == result["nnx.train.view"]["status"]


def test_a_training_mode_module_is_exported_in_inference_mode(tmp_path: Path) -> None:
    job = Job(
        [f"{RELEASE}+onnx"],
        networks=["seed-batch"],
        modes=["nnx.export.*"],
        scenarios=["export"],
        trials=1,
        out=tmp_path,
    )
    run(job, SILENT)
    result = read_cells(tmp_path)
    assert ["clean"] == result[f"{RELEASE}+onnx/nnx.export.onnx.eval/seed-batch/export"]["findings"]
    trained = result[f"{RELEASE}+onnx/nnx.export.onnx.train/seed-batch/export"]
    assert ["export-changed"] == trained["findings"]
    assert {"training_mode of bn in network.onnx"} < {item["what"] for item in trained["evidence"]}
    assert {0.0} == set(trained["state_changes"].values())


def test_a_new_interpreter_has_the_results_of_a_fork(cells: Cells, tmp_path: Path) -> None:
    modes = ["linen.train.grad.adopted", "nnx.train.grad"]
    job = Job(
        [RELEASE],
        networks=["seed-batch"],
        modes=modes,
        scenarios=["gradient"],
        trials=1,
        out=tmp_path,
        isolation="new-interpreter",
    )
    run(job, SILENT)
    for name, alone in read_cells(tmp_path).items():
        assert (cells[name]["status"], cells[name]["findings"]) == (alone["status"], alone["findings"]), name
