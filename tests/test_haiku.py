"""Haiku: explicit state with debiased averages, hidden averages and counters."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import names
from tests.conftest import Cells, SilentProgress, read_cells

pytestmark = pytest.mark.large

RELEASE = "haiku@0.0.17"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed-batch` in every mode, every network in the prediction mode."""
    folder = tmp_path_factory.mktemp("haiku")
    asked = ["gradient", "predict-only"]
    job = Job([RELEASE], everything=True, networks=["seed-batch"], scenarios=asked, trials=1, out=folder)
    run(job, SilentProgress())
    result = read_cells(folder)
    job = Job([RELEASE], networks=["*"], modes=["predict"], scenarios=["predict-only"], trials=1, out=folder)
    run(job, SilentProgress())
    return result | read_cells(folder)


@pytest.mark.parametrize("network", names())
def test_every_network_predicts_like_the_oracle(cells: Cells, network: str) -> None:
    result = cells[f"{RELEASE}/predict/{network}/predict-only"]
    assert ("ok", ["clean"]) == (result["status"], result["findings"])


@pytest.mark.parametrize(
    "mode", ["eval.grad", "eval.grad.adopted", "train.grad.dropped", "fresh.eval.grad", "fresh.train.grad.dropped"]
)
def test_modes_that_leave_the_network_unchanged(cells: Cells, mode: str) -> None:
    assert ["clean"] == cells[f"{RELEASE}/{mode}/seed-batch/gradient"]["findings"]


@pytest.mark.parametrize(
    ("mode", "average"),
    [
        ("train.grad.adopted", "exponential"),
        ("train.inside.hk-grad.adopted", "exponential"),
        ("train.remat.adopted", "exponential"),
        ("fresh.train.grad.adopted", "replaced"),
    ],
)
def test_the_average_of_the_moving_statistics(cells: Cells, mode: str, average: str) -> None:
    """The user's own lines take the returned state, so that its change is no leak."""
    result = cells[f"{RELEASE}/{mode}/seed-batch/gradient"]
    assert ["clean"] == result["findings"]
    assert ("adopted", average, 1) == tuple(result["update"][name] for name in ("when", "average", "count"))


def test_counters_and_hidden_averages_move_too(cells: Cells) -> None:
    changes = cells[f"{RELEASE}/fresh.train.grad.adopted/seed-batch/gradient"]["state_changes"]
    assert {1.0} == {changes["bn.counter"], changes["bn.var_ema.counter"]}
    assert min(changes["bn.mean_ema.hidden"], changes["bn.var_ema.hidden"]) > 0


def test_local_statistics_are_used_but_not_stored(cells: Cells) -> None:
    result = cells[f"{RELEASE}/local-stats.grad.adopted/seed-batch/gradient"]
    assert ["clean"] == result["findings"]
    assert result["gradient_error"]["training"] < 1e-5


def test_jax_grad_inside_a_transformed_function_is_refused(cells: Cells) -> None:
    result = cells[f"{RELEASE}/train.inside.jax-grad.adopted/seed-batch/gradient"]
    assert "refused" == result["status"]
    assert "UnexpectedTracerError" in result["reason"]


def test_a_state_from_init_predicts_by_batch_statistics(cells: Cells) -> None:
    assert ["mode-ignored"] == cells[f"{RELEASE}/init.state/seed-batch/predict-only"]["findings"]


def test_the_requested_form_is_exported_to_onnx(tmp_path: Path) -> None:
    job = Job(
        [f"{RELEASE}+onnx"], networks=["seed-batch"], modes=["export.*"], scenarios=["export"], trials=1, out=tmp_path
    )
    run(job, SilentProgress())
    result = read_cells(tmp_path)
    assert 2 == len(result)
    assert [["clean"]] * 2 == [cell["findings"] for cell in result.values()]
