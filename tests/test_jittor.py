"""Jittor, with just-in-time compilation and lazy execution: when its statistics move, and when they stay."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from crosscheck.environments import machine
from crosscheck.errors import EnvironmentFailure
from crosscheck.job import Job, run
from crosscheck.matrix.server import Limits
from crosscheck.networks import names
from crosscheck.runtimes.catalog import catalog
from tests.conftest import Cells, SilentProgress, read_cells


def compiles() -> bool:
    """Whether the machine has the compiler that Jittor needs."""
    try:
        for needed in catalog()["jittor"].releases[-1].system:
            machine.find(needed)
    except EnvironmentFailure:
        return False
    return True


pytestmark = [pytest.mark.large, pytest.mark.skipif(not compiles(), reason="crosscheck doctor says what is lacking")]

RELEASE = "jittor@1.3.11.0"
MODES = [
    "train.grad",
    "train.eager",
    "eval.grad",
    "frozen-eval.grad",
    "frozen-stop-grad.grad",
    "momentum-zero.train",
    "is-train-false.train",
    "requires-grad-false.eval",
    "restored.train",
    "deepcopy.train",
]
#: The first use of an operator compiles it, for up to half a minute on a busy machine.
LIMITS = Limits(seconds=600)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """`seed` and `seed-batch` in most modes, every network in prediction."""
    folder = tmp_path_factory.mktemp("jittor")
    asked = Job([RELEASE], networks=["seed", "seed-batch"], modes=MODES, scenarios=["gradient"], trials=1, out=folder)
    asked = dataclasses.replace(asked, limits=LIMITS)
    run(asked, SilentProgress())
    result = read_cells(folder)
    everywhere = Job([RELEASE], networks=["*"], modes=["eval.call"], scenarios=["predict-only"], trials=1, out=folder)
    everywhere = dataclasses.replace(everywhere, limits=LIMITS)
    run(everywhere, SilentProgress())
    return result | read_cells(folder)


def cell(cells: Cells, mode: str, network: str = "seed-batch", scenario: str = "gradient") -> dict[str, Any]:
    return cells[f"{RELEASE}/{mode}/{network}/{scenario}"]


@pytest.mark.parametrize("network", names())
def test_every_network_predicts_like_the_oracle(cells: Cells, network: str) -> None:
    result = cell(cells, "eval.call", network, "predict-only")
    assert ("ok", ["clean"]) == (result["status"], result["findings"])


def test_training_reproduces_the_example_of_2017(cells: Cells) -> None:
    result = cell(cells, "train.grad", "seed")
    assert [pytest.approx([0.284447, 0.379263], abs=1e-6)] == result["prediction_after"]


@pytest.mark.parametrize("mode", ["train.grad", "train.eager", "is-train-false.train", "frozen-stop-grad.grad"])
def test_training_averages_biased_variances_once_in_forward(cells: Cells, mode: str) -> None:
    result = cell(cells, mode)
    assert ["leak"] == result["findings"]
    law = tuple(result["update"][key] for key in ("when", "count", "convention", "variance"))
    assert ("forward", 1, "keep", "biased") == law


@pytest.mark.parametrize("mode", ["eval.grad", "frozen-eval.grad", "momentum-zero.train", "restored.train"])
def test_frozen_statistics_stay_constant(cells: Cells, mode: str) -> None:
    assert ["clean"] == cell(cells, mode)["findings"]


def test_a_module_without_requires_grad_gives_a_gradient_of_zeros(cells: Cells) -> None:
    assert ["wrong-gradient"] == cell(cells, "requires-grad-false.eval")["findings"]
