"""PaddlePaddle: layers and static programs, with and without `use_global_stats`."""

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
    "set-global-stats.grad",
    "to-static.train",
    "to-static-full-graph.train",
    "to-static-full-graph.eval",
]
PREDICTIONS = ["eval.no-grad", "static.eval.run"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed` and `seed-batch` in most modes, every network in both prediction modes, one network exported."""
    folder = tmp_path_factory.mktemp("paddle")
    asked = Job([RELEASE], networks=["seed", "seed-batch"], modes=MODES, scenarios=["gradient"], trials=1, out=folder)
    run(asked, SilentProgress())
    result = read_cells(folder)
    everywhere = Job([RELEASE], networks=["*"], modes=PREDICTIONS, scenarios=["predict-only"], trials=1, out=folder)
    run(everywhere, SilentProgress())
    return result | read_cells(folder)


def cell(cells: Cells, mode: str, network: str = "seed-batch") -> dict[str, Any]:
    scenario = "predict-only" if mode in PREDICTIONS else "gradient"
    return cells[f"{RELEASE}/{mode}/{network}/{scenario}"]


@pytest.mark.parametrize("network", names())
@pytest.mark.parametrize("mode", PREDICTIONS)
def test_every_network_predicts_like_the_oracle(cells: Cells, mode: str, network: str) -> None:
    result = cell(cells, mode, network)
    assert ("ok", ["clean"]) == (result["status"], result["findings"])


@pytest.mark.parametrize(
    ("mode", "when", "count", "left"),
    [
        ("train.grad", "forward", 1, []),
        ("train.recompute", "both", 2, ["gradients-left"]),
        ("static.train.gradients", "forward", 1, []),
        ("to-static.train", "forward", 1, ["gradients-left"]),
        ("to-static-full-graph.train", "forward", 1, ["gradients-left"]),
    ],
)
def test_training_updates_once_per_forward_pass(
    cells: Cells, mode: str, when: str, count: int, left: list[str]
) -> None:
    """`backward` leaves the gradients of parameters."""
    result = cell(cells, mode)
    assert ["leak", *left] == result["findings"]
    assert (when, count, "keep", "biased") == tuple(
        result["update"][key] for key in ("when", "count", "convention", "variance")
    )


@pytest.mark.parametrize(
    "mode",
    [
        "eval.grad",
        "frozen.grad",
        "set-global-stats.grad",
        "global-stats.train",
        "static.eval.gradients",
        "static.global-stats.gradients",
    ],
)
@pytest.mark.parametrize("network", ["seed", "seed-batch"])
def test_global_statistics_stay_constant(cells: Cells, mode: str, network: str) -> None:
    assert ["clean"] == cell(cells, mode, network)["findings"]


@pytest.mark.parametrize("mode", ["train.grad", "static.train.gradients"])
def test_one_row_passes_unchanged_in_training(cells: Cells, mode: str) -> None:
    result = cell(cells, mode, "seed")
    assert ["wrong-gradient"] == result["findings"]
    assert result["update"]["count"] == 0


def test_batch_statistics_in_evaluation_move_and_are_constants(cells: Cells) -> None:
    """The prediction is by the batch, as the setting says."""
    assert {"state-moved", "wrong-gradient"} == set(cell(cells, "batch-stats.eval")["findings"])


def test_a_compiled_graph_in_evaluation_has_no_gradient(cells: Cells) -> None:
    result = cell(cells, "to-static-full-graph.eval")
    assert ("refused", True) == (result["status"], "backward left no gradient on x" in result["reason"])


FLUID = "paddlepaddle@1.8.5"
FLUID_PREDICTIONS = ["fluid.eval.no-grad", "fluid.program.is-test.run", "fluid.program.clone-for-test.run"]


@pytest.fixture(scope="module")
def fluid_cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """The release before 2.0 on `seed` and `seed-batch`, every network in its prediction modes."""
    folder = tmp_path_factory.mktemp("fluid")
    modes = ["fluid.*.grad", "fluid.*.then-eval", "fluid.is-test.train", "fluid.program.*"]
    asked = Job([FLUID], networks=["seed", "seed-batch"], modes=modes, scenarios=["gradient"], trials=1, out=folder)
    run(asked, SilentProgress())
    result = read_cells(folder)
    if any(cell["status"] == "unavailable" for cell in result.values()):
        pytest.skip("no CPython 3.7 or 3.6 here")
    everywhere = Job([FLUID], networks=["*"], modes=FLUID_PREDICTIONS, scenarios=["predict-only"], trials=1, out=folder)
    run(everywhere, SilentProgress())
    return result | read_cells(folder)


@pytest.mark.parametrize("mode", FLUID_PREDICTIONS)
def test_before_2_networks_without_a_large_epsilon_match_the_oracle(fluid_cells: Cells, mode: str) -> None:
    result = {network: fluid_cells[f"{FLUID}/{mode}/{network}/predict-only"] for network in names()}
    refused = result.pop("conv")
    assert "Expected epsilon <= 0.001f" in refused["reason"]
    assert {("ok", "clean")} == {(cell["status"], *cell["findings"]) for cell in result.values()}


@pytest.mark.parametrize(
    ("mode", "status", "findings"),
    [
        ("fluid.train.grad", "ok", {"leak", "mode-left-changed"}),
        ("fluid.is-test.train", "ok", {"leak", "mode-left-changed"}),
        ("fluid.eval.grad", "refused", set()),
        ("fluid.frozen.grad", "refused", set()),
        ("fluid.set-global-stats.grad", "ok", {"mode-left-changed"}),
        ("fluid.set-global-stats.then-eval", "ok", {"clean"}),
        ("fluid.program.train.gradients", "ok", {"leak"}),
        ("fluid.program.is-test.gradients", "refused", set()),
        ("fluid.program.clone-for-test.gradients", "refused", set()),
        ("fluid.program.global-stats.gradients", "ok", {"clean"}),
    ],
)
def test_before_2_only_global_statistics_have_inference_gradients(
    fluid_cells: Cells, mode: str, status: str, findings: set[str]
) -> None:
    result = fluid_cells[f"{FLUID}/{mode}/seed-batch/gradient"]
    assert (status, findings) == (result["status"], set(result["findings"]))


@pytest.mark.parametrize("mode", ["fluid.program.is-test.gradients", "fluid.program.clone-for-test.gradients"])
def test_before_2_refusals_have_a_reason(fluid_cells: Cells, mode: str) -> None:
    reason = fluid_cells[f"{FLUID}/{mode}/seed-batch/gradient"]["reason"]
    assert "CANNOT be used in train program" in reason
    assert "Call Stacks" not in reason
