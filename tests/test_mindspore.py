"""MindSpore: eager and compiled execution, and the moving variance after a batch of one row."""

from __future__ import annotations

from typing import Any

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import names
from tests.conftest import Cells, SilentProgress, read_cells

pytestmark = pytest.mark.large

RELEASE = "mindspore@2.10.0"
MODES = [
    "pynative.train.grad",
    "pynative.train.recompute",
    "pynative.train.recompute-function",
    "pynative.eval.grad",
    "pynative.frozen.grad",
    "pynative.frozen.grad-after-export",
    "pynative.batch-statistics.eval",
    "pynative.moving-statistics.train",
]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed` and `seed-batch` in most modes, every network in prediction."""
    folder = tmp_path_factory.mktemp("mindspore")
    asked = Job([RELEASE], networks=["seed", "seed-batch"], modes=MODES, scenarios=["gradient"], trials=1, out=folder)
    run(asked, SilentProgress())
    result = read_cells(folder)
    everywhere = Job(
        [RELEASE],
        networks=["*"],
        modes=["pynative.eval.call"],
        scenarios=["predict-only"],
        trials=1,
        out=folder,
    )
    run(everywhere, SilentProgress())
    return result | read_cells(folder)


def cell(cells: Cells, mode: str, network: str = "seed-batch", scenario: str = "gradient") -> dict[str, Any]:
    return cells[f"{RELEASE}/{mode}/{network}/{scenario}"]


@pytest.mark.parametrize("network", names())
def test_every_network_predicts_like_the_oracle(cells: Cells, network: str) -> None:
    result = cell(cells, "pynative.eval.call", network, "predict-only")
    assert ("ok", ["clean"]) == (result["status"], result["findings"])


@pytest.mark.parametrize(
    ("mode", "count"),
    [
        ("pynative.train.grad", 1),
        ("pynative.train.recompute", 2),
        ("pynative.train.recompute-function", 2),
        ("pynative.frozen.grad-after-export", 1),
    ],
)
def test_training_averages_unbiased_variances_once_per_forward_pass(cells: Cells, mode: str, count: int) -> None:
    result = cell(cells, mode)
    assert "leak" in result["findings"]
    assert (count, "keep", "unbiased") == tuple(result["update"][key] for key in ("count", "convention", "variance"))


@pytest.mark.parametrize("mode", ["pynative.eval.grad", "pynative.frozen.grad", "pynative.moving-statistics.train"])
@pytest.mark.parametrize("network", ["seed", "seed-batch"])
def test_inference_normalization_keeps_the_moving_statistics(cells: Cells, mode: str, network: str) -> None:
    assert ["clean"] == cell(cells, mode, network)["findings"]


def test_one_row_makes_the_moving_variance_nan(cells: Cells) -> None:
    assert {"leak", "corrupted"} == set(cell(cells, "pynative.train.grad", "seed")["findings"])


def test_batch_statistics_in_evaluation_update_the_moving_ones(cells: Cells) -> None:
    assert "state-moved" in cell(cells, "pynative.batch-statistics.eval")["findings"]


def test_an_export_sets_frozen_layers_to_the_networks_mode(cells: Cells) -> None:
    findings = set(cell(cells, "pynative.frozen.grad-after-export")["findings"])
    assert {"leak", "mode-ignored"} <= findings
    assert ["clean"] == cell(cells, "pynative.frozen.grad")["findings"]
