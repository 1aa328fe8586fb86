"""The small autograd runtimes, installed by crosscheck: Chainer, tinygrad, MLX, NNabla, Theano and CNTK."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosscheck.job import Job, run
from crosscheck.matrix.server import Limits
from crosscheck.runtimes.catalog import catalog
from tests.conftest import Cells, SilentProgress, read_cells

CHAINER, MLX, NNABLA = "chainer@7.8.1", "mlx@0.32.4", "nnabla@1.39.0"
MODELS = Path(__file__).parent.parent / "models"
NETWORKS = sorted(path.parent.name for path in MODELS.glob("*/network.onnx"))


def measured(folder: Path, what: str, modes: list[str], networks: list[str], scenario: str = "gradient") -> Cells:
    """Every cell of these modes; modes missing in a release have a status."""
    patient = Limits(seconds=600.0)  # MLX compiles in every trial, for seconds of an idle machine
    job = Job(
        [what],
        networks=networks,
        modes=modes,
        scenarios=[scenario],
        everything=True,
        trials=1,
        out=folder,
        limits=patient,
    )
    run(job, SilentProgress())
    return read_cells(folder)


@pytest.fixture(scope="module")
def chainer(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    modes = ["default.backward", "default.forget", "eval.grad", "eval-thread.backward", "finetune-counted.default"]
    return measured(tmp_path_factory.mktemp("chainer"), CHAINER, modes, ["seed", "seed-batch"])


@pytest.fixture(scope="module")
def mlx(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    folder = tmp_path_factory.mktemp("mlx")
    modes = ["train.grad", "eval.grad", "train.core-checkpoint", "compiled-state.train"]
    found = measured(folder, MLX, modes, ["seed-batch"])
    return found | measured(folder, MLX, ["train.grad"], ["seed"])


@pytest.fixture(scope="module")
def nnabla(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    modes = ["default.backward", "train.forward-grad", "train.no-grad-forward", "eval.grad", "fix-parameters.train"]
    return measured(tmp_path_factory.mktemp("nnabla"), NNABLA, modes, ["seed", "seed-batch"])


def test_chainer_trains_by_default_and_reproduces_the_example_of_2017(chainer: Cells) -> None:
    cell = chainer[f"{CHAINER}/default.backward/seed/gradient"]
    assert [pytest.approx([0.284447, 0.379263], abs=1e-6)] == cell["prediction_after"]
    assert ["leak", "gradients-left"] == cell["findings"]
    assert ("forward", 1, "keep") == tuple(cell["update"][key] for key in ("when", "count", "convention"))


def test_chainer_in_evaluation_leaves_the_network_unchanged(chainer: Cells) -> None:
    assert ["clean"] == chainer[f"{CHAINER}/eval.grad/seed-batch/gradient"]["findings"]


def test_chainers_configuration_is_thread_local(chainer: Cells) -> None:
    cell = chainer[f"{CHAINER}/eval-thread.backward/seed-batch/gradient"]
    assert ("training", ["leak", "gradients-left"]) == (cell["intent"], cell["findings"])


def test_chainers_fine_tuning_is_a_cumulative_average(chainer: Cells) -> None:
    update = chainer[f"{CHAINER}/finetune-counted.default/seed-batch/gradient"]["update"]
    assert ("cumulative", "unbiased") == (update["average"], update["variance"])


def test_chainers_forget_updates_once(chainer: Cells) -> None:
    assert 1 == chainer[f"{CHAINER}/default.forget/seed-batch/gradient"]["update"]["count"]


def test_mlx_moves_statistics_once_and_twice_under_a_checkpoint(mlx: Cells) -> None:
    counts = [
        mlx[f"{MLX}/{mode}/seed-batch/gradient"]["update"]["count"]
        for mode in ("train.grad", "train.core-checkpoint", "compiled-state.train")
    ]
    assert [1, 2, 1] == counts


def test_mlx_in_evaluation_leaves_the_network_unchanged(mlx: Cells) -> None:
    assert ["clean"] == mlx[f"{MLX}/eval.grad/seed-batch/gradient"]["findings"]


def test_mlx_does_not_train_on_one_row(mlx: Cells) -> None:
    cell = mlx[f"{MLX}/train.grad/seed/gradient"]
    assert "refused" == cell["status"]
    assert "more than one value per channel" in cell["reason"]


def test_nnabla_trains_by_default_in_the_forward_pass(nnabla: Cells) -> None:
    cell = nnabla[f"{NNABLA}/default.backward/seed-batch/gradient"]
    assert ["leak", "gradients-left"] == cell["findings"]
    update = cell["update"]
    assert ("forward", 1, "unbiased") == (update["when"], update["count"], update["variance"])
    assert update["momentum"] == pytest.approx(0.9, abs=1e-5)


def test_nnabla_in_evaluation_leaves_the_network_unchanged(nnabla: Cells) -> None:
    assert ["clean"] == nnabla[f"{NNABLA}/eval.grad/seed-batch/gradient"]["findings"]


def test_nnablas_gradient_graph_runs_the_forward_pass_again(nnabla: Cells) -> None:
    cell = nnabla[f"{NNABLA}/train.forward-grad/seed-batch/gradient"]
    assert (["leak"], 2) == (cell["findings"], cell["update"]["count"])


def test_nnablas_fixed_parameters_have_moving_statistics(nnabla: Cells) -> None:
    assert ["leak"] == nnabla[f"{NNABLA}/fix-parameters.train/seed-batch/gradient"]["findings"]


def test_one_row_makes_nnablas_running_variance_and_its_predictions_nan(nnabla: Cells) -> None:
    cell = nnabla[f"{NNABLA}/default.backward/seed/gradient"]
    assert {"leak", "corrupted"} <= set(cell["findings"])
    assert [["NaN", "NaN"]] == cell["prediction_after"]


def test_default_calls_and_comparison_modes_exist() -> None:
    for name in ("chainer", "cntk", "jaxonnxruntime", "mlx", "nnabla", "onnx2pytorch", "theano", "tinygrad"):
        runtime = catalog()[name]
        modes = {mode.name: mode for mode in runtime.modes}
        assert runtime.default_call in modes
        for mode in modes.values():
            assert {mode.inference, mode.training} - {None} <= modes.keys(), mode.name
            assert mode.contract.link.startswith("https://"), mode.name


@pytest.mark.large
@pytest.mark.parametrize("target", [CHAINER, MLX, NNABLA, "theano@1.0.5"])
def test_all_shipped_networks_predict_like_the_oracle(target: str, tmp_path: Path) -> None:
    result = measured(tmp_path, target, ["predict"], NETWORKS, "predict-only")
    assert set(NETWORKS) == {cell["network"] for cell in result.values()}
    assert {"ok"} == {cell["status"] for cell in result.values()}
    assert {("clean",)} == {tuple(cell["findings"]) for cell in result.values()}


@pytest.mark.large
def test_chainers_forget_updated_twice_before_release_5_4(tmp_path: Path) -> None:
    update = measured(tmp_path, "chainer@4.5.0", ["default.forget"], ["seed-batch"])
    (cell,) = update.values()
    assert (2, "both") == (cell["update"]["count"], cell["update"]["when"])


@pytest.mark.large
def test_theanos_default_update_moves_statistics_in_evaluation(tmp_path: Path) -> None:
    result = measured(tmp_path, "theano@1.0.5", ["eval.grad", "default-update.eval"], ["seed-batch"])
    assert ["clean"] == result["theano@1.0.5/eval.grad/seed-batch/gradient"]["findings"]
    assert "leak" in result["theano@1.0.5/default-update.eval/seed-batch/gradient"]["findings"]


@pytest.mark.large
@pytest.mark.parametrize(("release", "findings"), [("0.13.0", {"leak"}), ("0.10.3", {"leak", "wrong-gradient"})])
def test_tinygrad_0_10_loses_the_gradient_after_an_early_read(release: str, findings: set[str], tmp_path: Path) -> None:
    result = measured(tmp_path, f"tinygrad@{release}", ["train.gradient"], ["seed-batch"])
    (cell,) = result.values()
    assert findings == set(cell["findings"])


@pytest.mark.large
@pytest.mark.parametrize(("release", "wrong"), [("1.14.0", True), ("1.28.0", True), ("1.32.1", False)])
def test_nnablas_backward_adds_to_unwritten_memory_before_release_1_31(
    release: str, wrong: bool, tmp_path: Path
) -> None:
    (cell,) = measured(tmp_path, f"nnabla@{release}", ["eval.backward-unzeroed"], ["seed-batch"]).values()
    assert wrong == bool({"wrong-gradient", "order-dependent", "unrepeatable"} & set(cell["findings"]))
