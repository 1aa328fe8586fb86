"""OneFlow and MegEngine: modules in either mode, static graphs and traces, and one value per channel."""

from __future__ import annotations

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import names
from crosscheck.runtimes.catalog import catalog
from tests.conftest import Cells, SilentProgress, read_cells

ONEFLOW, MEGENGINE = "oneflow@0.9.0", "megengine@1.13.0"
PREDICTIONS = {ONEFLOW: "eval.no-grad", MEGENGINE: "eval.call"}
MODES = {
    ONEFLOW: [
        *("train.backward", "train.autograd-grad", "train.accumulated", "eval.autograd-grad", "frozen.autograd-grad"),
        *(
            "untracked.train",
            "checkpoint.train",
            "graph.train.optimizer",
            "graph.eval.optimizer",
            "momentum-none.train",
        ),
    ],
    MEGENGINE: [
        *("train.backward", "train.accumulated", "eval.backward", "frozen.backward", "untracked.train", "freeze.train"),
        *("functional.train", "functional-returned.dropped", "functional-returned.adopted", "traced-module.train"),
        *("trace-symbolic.train", "trace-symbolic.eval", "record-only.train", "record-only.eval"),
    ],
}
#: Forward passes in training mode: of the call, of a part of the cotangent each, or of a tracer's beside it (two).
UPDATES = [
    (ONEFLOW, "train.autograd-grad", 1),
    (ONEFLOW, "train.accumulated", 2),
    (ONEFLOW, "untracked.train", 1),
    (ONEFLOW, "checkpoint.train", 2),
    (ONEFLOW, "graph.train.optimizer", 1),
    (MEGENGINE, "train.backward", 1),
    (MEGENGINE, "train.accumulated", 2),
    (MEGENGINE, "functional.train", 1),
    (MEGENGINE, "trace-symbolic.train", 1),
    (MEGENGINE, "traced-module.train", 3),
]
CLEAN = [
    (ONEFLOW, "eval.autograd-grad"),
    (ONEFLOW, "frozen.autograd-grad"),
    (ONEFLOW, "graph.eval.optimizer"),
    (MEGENGINE, "eval.backward"),
    (MEGENGINE, "frozen.backward"),
    (MEGENGINE, "untracked.train"),
    (MEGENGINE, "functional-returned.dropped"),
    (MEGENGINE, "trace-symbolic.eval"),
]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed` and `seed-batch` in most modes, `conv-norm` with frozen layers, every network in a prediction mode."""
    found: Cells = {}
    for target, modes in MODES.items():
        for networks, asked, scenarios in (
            (["seed", "seed-batch"], modes, ["gradient", "export"]),
            (["conv-norm"], ["freeze.train"] if target == MEGENGINE else [], ["gradient"]),
            (["*"], [PREDICTIONS[target]], ["predict-only"]),
        ):
            if asked:
                folder = tmp_path_factory.mktemp("cells")
                job = Job([target], networks=networks, modes=asked, scenarios=scenarios, trials=1, out=folder)
                run(job, SilentProgress())
                found.update(read_cells(folder))
    return found


@pytest.mark.large
@pytest.mark.parametrize("network", names())
@pytest.mark.parametrize("target", MODES)
def test_every_network_predicts_like_the_oracle(cells: Cells, target: str, network: str) -> None:
    cell = cells[f"{target}/{PREDICTIONS[target]}/{network}/predict-only"]
    assert ("ok", ["clean"]) == (cell["status"], cell["findings"])


@pytest.mark.large
@pytest.mark.parametrize(("target", "mode", "count"), UPDATES)
def test_training_updates_once_per_forward_pass_by_the_unbiased_variance(
    cells: Cells, target: str, mode: str, count: int
) -> None:
    cell = cells[f"{target}/{mode}/seed-batch/gradient"]
    assert "leak" in cell["findings"]
    assert (count, "unbiased") == (cell["update"]["count"], cell["update"]["variance"])
    assert pytest.approx(0.9, abs=1e-5) == cell["update"]["momentum"]


@pytest.mark.large
@pytest.mark.parametrize(("target", "mode"), CLEAN)
def test_the_running_statistics_stay_where_they_are_not_trained(cells: Cells, target: str, mode: str) -> None:
    assert "leak" not in cells[f"{target}/{mode}/seed-batch/gradient"]["findings"]
    assert 0 == cells[f"{target}/{mode}/seed-batch/gradient"]["update"]["count"]


@pytest.mark.large
@pytest.mark.parametrize("target", MODES)
def test_one_row_makes_the_running_variance_and_predictions_nan(cells: Cells, target: str) -> None:
    cell = cells[f"{target}/train.backward/seed/gradient"]
    assert {"leak", "corrupted"} <= set(cell["findings"])
    assert [["NaN", "NaN"]] == cell["prediction_after"]


@pytest.mark.large
def test_oneflow_refuses_the_documented_cumulative_average(cells: Cells) -> None:
    cell = cells[f"{ONEFLOW}/momentum-none.train/seed-batch/gradient"]
    assert "refused" == cell["status"]
    assert "momentum" in cell["reason"]


@pytest.mark.large
def test_megengines_returned_statistics_move_by_their_users_own_assignment(cells: Cells) -> None:
    cell = cells[f"{MEGENGINE}/functional-returned.adopted/seed-batch/gradient"]
    assert (["clean"], "adopted", 1) == (cell["findings"], cell["update"]["when"], cell["update"]["count"])


@pytest.mark.large
def test_megengines_frozen_layers_are_right_for_images_alone(cells: Cells) -> None:
    assert ["clean"] == cells[f"{MEGENGINE}/freeze.train/conv-norm/gradient"]["findings"]
    assert "refused" == cells[f"{MEGENGINE}/freeze.train/seed-batch/gradient"]["status"]


@pytest.mark.large
@pytest.mark.parametrize(("half", "lost"), [("train", True), ("eval", False)])
def test_recording_megengines_network_in_training_mode_loses_it(cells: Cells, half: str, lost: bool) -> None:
    assert lost == ("poisoned" in cells[f"{MEGENGINE}/record-only.{half}/seed-batch/export"]["findings"])


def test_default_calls_exist_and_no_release_is_in_the_default_matrix() -> None:
    for name in ("megengine", "oneflow"):
        runtime = catalog()[name]
        assert runtime.default_call in {mode.name for mode in runtime.modes}
        assert [False] * len(runtime.releases) == [release.default for release in runtime.releases]
        assert 1 == sum(release.if_named for release in runtime.releases)
