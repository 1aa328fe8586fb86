"""The displayed programs, run without crosscheck, reproduce the measured numbers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from crosscheck.environments.environment import Environment, describe
from crosscheck.job import Job, run
from crosscheck.networks import FORMS, load, prepared
from crosscheck.runtimes.catalog import catalog
from crosscheck.script.writer import program
from tests.conftest import SilentProgress, read_cells

SMALL = ["mxnet@0.9.5.post2", "mxnet@1.3.1", "mxnet@1.9.1", "onnx@1.23.2", "onnxruntime@1.32.0"]
LARGE = [
    *("flax@0.12.8", "chainer@7.8.1", "mlx@0.32.4", "nnabla@1.39.0", "torch@2.13.0", "tensorflow@2.21.0"),
    *("keras@3.15.1", "paddlepaddle@3.3.1", "mindspore@2.10.0", "jittor@1.3.11.0"),
]
#: Findings of cells whose numbers differ from run to run.
CHANCE = {"unrepeatable", "racy", "corrupted"}
#: Runs every program in a process forked after the imports, with its output in files.
DRIVER = """
import json, os, runpy, sys, traceback
with open("programs.json") as file:
    programs = json.load(file)
for text in programs.values():
    for line in text.splitlines():
        if line.startswith(("import ", "from ", "os.environ")):
            try:
                exec(line)
            except Exception:
                pass
for name, text in programs.items():
    if os.fork() == 0:
        for number in (1, 2):
            os.dup2(os.open("%s.%d" % (name, number), os.O_WRONLY | os.O_CREAT), number)
        try:
            with open(name + ".py", "w") as file:  # compilers read the source of a function from its file
                file.write(text)
            runpy.run_path(name + ".py", run_name="__main__")
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.wait()
"""


def compiling(environment: Environment) -> dict[str, str]:
    """Variables by which Jittor finds a compiler, Python's headers, and what its adapter had it compile."""
    home = {"PATH": os.environ["PATH"], "HOME": str(environment.folder / "jittor")}
    base = subprocess.check_output([environment.python, "-c", "import sys; print(sys.base_prefix)"], text=True)
    headers = Path(base.strip(), "bin", f"python{environment.interpreter.minor}-config")
    return {**home, "python_config_path": str(headers)} if headers.exists() else home


@pytest.mark.parametrize("target", [*SMALL, *(pytest.param(target, marks=pytest.mark.large) for target in LARGE)])
def test_every_displayed_program_reproduces_the_measured_numbers(target: str, tmp_path: Path) -> None:
    name, _, version = target.partition("@")
    runtime = catalog()[name]
    release = next(release for release in runtime.releases if release.version == version)
    variant = release.variants[0]
    scenarios = ["gradient", "predict-only"]
    run(Job([target], networks=["seed"], modes=["*"], scenarios=scenarios, trials=1, out=tmp_path), SilentProgress())
    cells = [cell for cell in read_cells(tmp_path).values() if cell["status"] == "ok"]
    cells = [cell for cell in cells if not CHANCE & set(cell["findings"])]
    assert cells
    modes = {mode.name: mode for mode in runtime.modes}
    folder = tmp_path / "programs"
    forms = [form for form in FORMS if any(mode.form == form for mode in modes.values())]
    prepared(load("seed"), folder, forms)
    programs = {cell["mode"]: program(runtime, release, variant, modes[cell["mode"]]) for cell in cells}
    (folder / "programs.json").write_text(json.dumps(programs))
    (folder / "driver.py").write_text(DRIVER)
    environment = describe(runtime, release, variant)
    variables = {"LD_LIBRARY_PATH": ":".join(map(str, environment.library_path))} if environment.library_path else {}
    if name == "jittor":
        variables |= compiling(environment)
    command = [str(environment.python), "-W", "ignore", "driver.py"]
    subprocess.run(command, cwd=folder, env=variables, check=True, timeout=600)
    for cell in cells:
        printed = (folder / f"{cell['mode']}.1").read_text()
        shown = re.search(r"^(gradient|forward) first (.*)$", printed, re.MULTILINE)
        assert shown, (cell["id"], printed, (folder / f"{cell['mode']}.2").read_text())
        with np.load(tmp_path / cell["arrays"]) as arrays:
            measured = np.ravel(arrays[f"{shown[1]}/first"])[:8]
        assert np.allclose(list(map(float, shown[2].split())), measured, rtol=1e-5, atol=1e-7), (
            cell["id"],
            shown[0],
            measured,
        )
