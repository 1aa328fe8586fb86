"""The displayed programs, run without crosscheck, reproduce the measured numbers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from crosscheck.environments.environment import Environment, describe
from crosscheck.job import Job
from crosscheck.networks import FORMS, load, prepared
from crosscheck.runtimes.catalog import catalog
from crosscheck.script.writer import program
from tests.conftest import Measure, read_cells
from tests.shown_programs import run_programs

SMALL = ["mxnet@0.9.5.post2", "mxnet@1.9.1", "onnx@1.23.2", "onnxruntime@1.32.0"]
LARGE = [
    "mxnet@1.3.1",
    *("flax@0.12.8", "chainer@7.8.1", "mlx@0.32.4", "nnabla@1.39.0", "torch@2.13.0", "tensorflow@2.21.0"),
    *("keras@3.15.1", "paddlepaddle@3.3.1", "mindspore@2.10.0", "jittor@1.3.11.0", "oneflow@0.9.0", "megengine@1.13.0"),
    "litert@2.3.0",
]
#: Findings of cells whose numbers differ from run to run.
CHANCE = {"unrepeatable", "racy", "corrupted"}


def compiling(environment: Environment) -> dict[str, str]:
    """Variables by which Jittor finds a compiler, Python's headers, and what its adapter had it compile."""
    home = {"PATH": os.environ["PATH"], "HOME": str(environment.folder / "jittor")}
    base = subprocess.check_output([environment.python, "-c", "import sys; print(sys.base_prefix)"], text=True)
    headers = Path(base.strip(), "bin", f"python{environment.interpreter.minor}-config")
    return {**home, "python_config_path": str(headers)} if headers.exists() else home


@pytest.mark.parametrize("target", [*SMALL, *(pytest.param(target, marks=pytest.mark.large) for target in LARGE)])
def test_every_displayed_program_reproduces_the_measured_numbers(target: str, tmp_path: Path, measure: Measure) -> None:
    name, _, version = target.partition("@")
    runtime = catalog()[name]
    release = next(release for release in runtime.releases if release.version == version)
    variant = release.variants[0]
    scenarios = ["gradient", "predict-only"]
    out = measure(Job([target], networks=["seed"], modes=["*"], scenarios=scenarios, trials=1))
    cells = [cell for cell in read_cells(out).values() if cell["status"] == "ok"]
    cells = [cell for cell in cells if not CHANCE & set(cell["findings"])]
    assert cells
    modes = {mode.name: mode for mode in runtime.modes}
    folder = tmp_path / "programs"
    forms = [form for form in FORMS if any(mode.form == form for mode in modes.values())]
    prepared(load("seed"), folder, forms)
    for shipped in load("seed").shipped.values():  # what a runtime of shipped files reads
        shutil.copy(shipped, folder)
    programs = {cell["mode"]: program(runtime, release, variant, modes[cell["mode"]]) for cell in cells}
    for mode, text in programs.items():
        (folder / f"{mode}.py").write_text(text)
    environment = describe(runtime, release, variant)
    variables = compiling(environment) if name == "jittor" else {}
    printed = run_programs(environment, [folder / f"{mode}.py" for mode in programs], variables)
    for cell in cells:
        output = printed[folder / f"{cell['mode']}.py"]
        shown = re.search(r"^(gradient|forward) first (.*)$", output.text, re.MULTILINE)
        assert shown, (cell["id"], output)
        with np.load(out / cell["arrays"]) as arrays:
            measured = np.ravel(arrays[f"{shown[1]}/first"])[:8]
        assert np.allclose(list(map(float, shown[2].split())), measured, rtol=1e-5, atol=1e-7), (
            cell["id"],
            shown[0],
            measured,
        )
