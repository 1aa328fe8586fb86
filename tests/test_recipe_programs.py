"""Recipes, executed as they stand without crosscheck: the gradient is the measured one, and predictions stay."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from crosscheck.environments.environment import describe
from crosscheck.job import Job, run
from crosscheck.networks import FORMS, load, prepared
from crosscheck.records import JudgedCell
from crosscheck.report.reading import read_cells, read_run
from crosscheck.report.recipes import recipes
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.runtimes.program import Subject, source_of
from crosscheck.script.writer import example
from tests.conftest import SilentProgress

TARGETS = ["mxnet@0.9.5.post2", "mxnet@1.9.1", "onnx@1.23.2", "onnxruntime@1.32.0", "toy"]
#: The ways that are asked in: to each gradient, and a leaking one of each runtime that has any.
WAYS = ["executor.eval.default", "executor.global-stats", "gluon.eval.default", "gluon.train.default"]
WAYS += ["opset-15-gradient", "opset-15-batch-gradient", "inference", "leak-both"]
LEAKING = ["mxnet@1.9.1/gluon.train.default", "toy@1.8.0/leak-both"]
SEED = load("seed")


class Measured(NamedTuple):
    """A run on the seed, and the runtimes that it was of."""

    cells: list[JudgedCell]
    runtimes: dict[str, Runtime]
    folder: Path


class Done(NamedTuple):
    """Whether a program printed the gradient that was measured, and whether the next prediction is that before it."""

    gradient: bool
    prediction: bool


@pytest.fixture(scope="module")
def measured(toy: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """The seed, asked in a few ways."""
    folder = tmp_path_factory.mktemp("recipes")
    runtimes = {**catalog(), "toy": toy}
    job = Job(TARGETS, networks=["seed"], modes=WAYS, scenarios=["gradient"], trials=1, out=folder)
    run(job, SilentProgress(), runtimes)
    return Measured(list(read_cells(folder / "cells.jsonl")), runtimes, folder)


def carried_out(code: str, cell: JudgedCell, runtimes: dict[str, Runtime], folder: Path) -> Done:
    """Execute a program where its files are, in the environment of its cell, and then the documented prediction."""
    runtime = runtimes[cell.runtime]
    release = next(release for release in runtime.releases if release.version == cell.release)
    mode = next(mode for mode in runtime.modes if mode.name == cell.mode)
    subject = Subject(SEED.graph, SEED.weights, len(SEED.x))
    source = source_of(runtime, release, release.variants[0], mode, subject)
    prepared(SEED, folder, [form for form in FORMS if f'"{form}.onnx"' in code + source.predict])
    later = f"x = {source.tensor.format(f'np.float32({SEED.x.tolist()})')}\n{source.predict}"
    shown = f'print("prediction after", *np.ravel({source.array.format("y")}))\n'
    (folder / "recipe.py").write_text(code + later + shown)
    environment = describe(runtime, release, release.variants[0])
    toylib = Path(__file__).parent / "toy"  # which takes its arithmetic from crosscheck's own oracle
    variables = {"PYTHONPATH": f"{toylib}:{toylib.parents[1]}"} if runtime.name == "toy" else {}
    if environment.library_path:
        variables["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, environment.library_path))
    command = [str(environment.python), "-W", "ignore", "recipe.py"]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
    assert 0 == done.returncode, (cell.id, done.stderr)

    def printed(name: str) -> list[float]:
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(name + " "))
        return [float(word) for word in line.removeprefix(name).split()]

    close = functools.partial(np.allclose, rtol=1e-5, atol=1e-6)
    return Done(
        close(printed("gradient first"), np.ravel(np.array(cell.gradient))),
        close(printed("prediction after"), np.ravel(np.array(cell.prediction_before))),
    )


@pytest.mark.parametrize("name", dict.fromkeys(target.partition("@")[0] for target in TARGETS))
def test_a_recipe_gives_the_measured_gradient_and_later_predictions_stay(
    measured: Measured, name: str, tmp_path: Path
) -> None:
    report = read_run(measured.folder / "run.json", [])
    cells = [cell for cell in measured.cells if cell.runtime == name]
    (book,) = recipes(report, cells, functools.partial(example, runtimes=measured.runtimes))
    found = [recipe for of in book.recipes for recipe in of.ranges if recipe.safe]
    assert "inference" in {of.intent for of in book.recipes if any(recipe.safe for recipe in of.ranges)}
    for number, recipe in enumerate(found):
        for release in {recipe.releases[0], recipe.releases[-1]}:
            cell = next(cell for cell in cells if (cell.release, cell.mode) == (release, recipe.mode))
            done = carried_out(recipe.code, cell, measured.runtimes, tmp_path / f"{number}-{release}")
            assert Done(True, True) == done, (cell.id, recipe.code)


@pytest.mark.parametrize("call", LEAKING)
def test_a_leaking_call_in_the_place_of_a_recipe_would_be_seen(measured: Measured, call: str, tmp_path: Path) -> None:
    cell = next(cell for cell in measured.cells if cell.id.startswith(f"{call}/"))
    code = example(cell, measured.runtimes)
    assert code is not None
    assert Done(True, False) == carried_out(code, cell, measured.runtimes, tmp_path)
