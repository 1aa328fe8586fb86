"""TensorFlow.js on Node: the effect of `training` on gradients, and of the channel axis on the layer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from crosscheck.job import Job, run
from crosscheck.networks import names
from crosscheck.runtimes.catalog import catalog
from tests.conftest import Cells, SilentProgress, read_cells

RELEASE = "tfjs@4.22.0"
MODES = ["apply.train.grad", "apply.eval.grad", "predict.grad", "frozen.apply.train.grad", "channels-first.eval.grad"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed`, `seed-batch` and `conv` in some modes, every network in prediction."""
    folder = tmp_path_factory.mktemp("tfjs")
    networks = ["seed", "seed-batch", "conv"]
    run(Job([RELEASE], networks=networks, modes=MODES, scenarios=["gradient"], trials=1, out=folder), SilentProgress())
    result = read_cells(folder)
    run(
        Job([RELEASE], networks=["*"], modes=["predict"], scenarios=["predict-only"], trials=1, out=folder),
        SilentProgress(),
    )
    run(
        Job([RELEASE], networks=["conv"], modes=["save"], scenarios=["export"], trials=1, out=folder / "saved"),
        SilentProgress(),
    )
    return result | read_cells(folder) | read_cells(folder / "saved")


def cell(cells: Cells, mode: str, network: str = "seed-batch", scenario: str = "gradient") -> dict[str, Any]:
    return cells[f"{RELEASE}/{mode}/{network}/{scenario}"]


@pytest.mark.large
def test_the_example_of_2017_has_its_six_digits(cells: Cells) -> None:
    result = cell(cells, "apply.train.grad", "seed")
    assert ["0.29985", "0.3998"] == [f"{number:.6g}" for number in result["prediction_before"][0]]
    assert ["0.284447", "0.379263"] == [f"{number:.6g}" for number in result["prediction_after"][0]]


@pytest.mark.large
@pytest.mark.parametrize("network", names())
def test_every_network_predicts_like_the_oracle(cells: Cells, network: str) -> None:
    result = cell(cells, "predict", network, "predict-only")
    assert ("ok", ["clean"]) == (result["status"], result["findings"])


@pytest.mark.large
@pytest.mark.parametrize(
    ("mode", "findings"),
    [
        ("apply.train.grad", ["leak"]),
        ("apply.eval.grad", ["clean"]),
        ("predict.grad", ["clean"]),
        ("frozen.apply.train.grad", ["leak"]),
    ],
)
@pytest.mark.parametrize("network", ["seed", "seed-batch", "conv"])
def test_training_moves_statistics_and_trainable_has_no_effect(
    cells: Cells, mode: str, findings: list[str], network: str
) -> None:
    assert findings == cell(cells, mode, network)["findings"]


@pytest.mark.large
def test_the_law_of_training(cells: Cells) -> None:
    update = cell(cells, "apply.train.grad", "conv")["update"]
    assert (1, "keep", "biased") == (update["count"], update["convention"], update["variance"])


@pytest.mark.large
def test_channels_first_layers_mix_up_statistics(cells: Cells) -> None:
    assert "wrong-prediction" in cell(cells, "channels-first.eval.grad", "conv")["findings"]
    assert ["clean"] == cell(cells, "channels-first.eval.grad", "seed-batch")["findings"]


@pytest.mark.large
def test_a_saved_network_predicts_the_same(cells: Cells) -> None:
    assert ["clean"] == cell(cells, "save", "conv", "export")["findings"]


@pytest.mark.large
@pytest.mark.parametrize("release", ["tfjs@1.0.0", RELEASE])
@pytest.mark.parametrize(
    ("line", "findings"),
    [
        ('layer["trainable"] = false;', ["mode-left-changed"]),
        ('for (const weight of layer.weights) weight["trainable"] = false;', ["mode-left-changed"]),
        ("layer.trainable = false;", ["clean"]),
        ("layer.resetStates;", ["clean"]),
    ],
)
def test_a_trainable_flag_that_no_text_sets_is_found(
    tmp_path: Path, release: str, line: str, findings: list[str]
) -> None:
    """Lines that set the flag by its name in brackets stand for a call of the runtime that does so."""
    tfjs = catalog()["tfjs"]
    (mode,) = (mode for mode in tfjs.modes if mode.name == "apply.eval.grad")
    text = f"{mode.text}for (const layer of net.layers) {{\n  {line}\n}}\n"
    runtime = dataclasses.replace(tfjs, modes=(dataclasses.replace(mode, text=text, training=None),))
    job = Job([release], networks=["seed-batch"], scenarios=["gradient"], trials=1, out=tmp_path)
    run(job, SilentProgress(), {"tfjs": runtime})
    (row,) = read_cells(tmp_path).values()
    assert findings == row["findings"]
