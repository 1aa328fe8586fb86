"""PaddlePaddle: layers and static programs, and what `use_global_stats` makes of both."""

from __future__ import annotations

from typing import Any

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import names
from tests.conftest import Cells, SilentProgress, read_cells

pytestmark = pytest.mark.large

RELEASE = "paddlepaddle@3.3.1"
MODES = [
    "train.grad",
    "train.recompute",
    "eval.grad",
    "frozen.grad",
    "global-stats.train",
    "batch-stats.eval",
    "static.train.gradients",
    "static.eval.gradients",
    "static.global-stats.gradients",
]
PREDICTIONS = ["eval.no-grad", "static.eval.run"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """The seed and its batch in most modes, every network in the two predictions, one network exported."""
    folder = tmp_path_factory.mktemp("paddle")
    asked = Job([RELEASE], networks=["seed", "seed-batch"], modes=MODES, scenarios=["gradient"], trials=1, out=folder)
    run(asked, SilentProgress())
    found = read_cells(folder)
    everywhere = Job([RELEASE], networks=["*"], modes=PREDICTIONS, scenarios=["predict-only"], trials=1, out=folder)
    run(everywhere, SilentProgress())
    return found | read_cells(folder)


def cell(cells: Cells, mode: str, network: str = "seed-batch") -> dict[str, Any]:
    scenario = "predict-only" if mode in PREDICTIONS else "gradient"
    return cells[f"{RELEASE}/{mode}/{network}/{scenario}"]


@pytest.mark.parametrize("network", names())
@pytest.mark.parametrize("mode", PREDICTIONS)
def test_every_network_predicts_as_the_oracle_does(cells: Cells, mode: str, network: str) -> None:
    found = cell(cells, mode, network)
    assert ("ok", ["clean"]) == (found["status"], found["findings"])


@pytest.mark.parametrize(
    ("mode", "when", "count"),
    [("train.grad", "forward", 1), ("train.recompute", "both", 2), ("static.train.gradients", "forward", 1)],
)
def test_training_keeps_what_the_momentum_says_once_for_each_forward_pass(
    cells: Cells, mode: str, when: str, count: int
) -> None:
    found = cell(cells, mode)
    assert ["leak"] == found["findings"]
    assert (when, count, "keep", "biased") == tuple(
        found["update"][key] for key in ("when", "count", "convention", "variance")
    )


@pytest.mark.parametrize(
    "mode",
    ["eval.grad", "frozen.grad", "global-stats.train", "static.eval.gradients", "static.global-stats.gradients"],
)
@pytest.mark.parametrize("network", ["seed", "seed-batch"])
def test_what_normalizes_by_the_global_statistics_leaves_them_alone(cells: Cells, mode: str, network: str) -> None:
    assert ["clean"] == cell(cells, mode, network)["findings"]


@pytest.mark.parametrize("mode", ["train.grad", "static.train.gradients"])
def test_a_single_row_is_passed_through_in_training(cells: Cells, mode: str) -> None:
    found = cell(cells, mode, "seed")
    assert ["wrong-gradient"] == found["findings"]
    assert found["update"]["count"] == 0


def test_batch_statistics_in_evaluation_move_and_have_the_gradient_of_constants(cells: Cells) -> None:
    assert {"state-moved", "wrong-gradient", "wrong-prediction"} == set(cell(cells, "batch-stats.eval")["findings"])
