"""Every mode's text, of every runtime: complete programs that name only what is there, each another one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosscheck.cells import Asks, Scenario
from crosscheck.matrix.plan import planned_cell
from crosscheck.matrix.selection import targets
from crosscheck.networks import load
from crosscheck.networks.onnx_files import EXPORTED_FORMS, written_network
from crosscheck.runtimes.catalog import Release, Runtime, Variant, catalog, variant_has
from crosscheck.runtimes.mode import Mode
from crosscheck.script.writer import program

RUNTIMES = list(catalog().values())
PYTHON = [runtime for runtime in RUNTIMES if runtime.registry == "pypi"]


def asked(runtime: Runtime) -> Iterator[tuple[Release, Variant, Mode]]:
    """Every mode in every release that has it, in the first variant that is asked in it."""
    for release in runtime.releases:
        for mode in runtime.modes:
            if release.has(mode):
                variants = [variant for variant in release.variants if variant_has(variant, mode)]
                if variants:
                    yield release, variants[0], mode


def ids(runtime: Runtime) -> str:
    return runtime.name


@pytest.mark.parametrize("runtime", RUNTIMES, ids=ids)
def test_no_text_leaves_anything_out(runtime: Runtime) -> None:
    for mode in runtime.modes:
        for text in (mode.call, mode.predict, *(edition.once + edition.text for edition in mode.editions)):
            spread = re.sub(r"\.\.\.(?=\w)", "", text) if runtime.registry == "npm" else text  # JavaScript's own dots
            assert "..." not in spread.replace("[...]", ""), mode.name


@pytest.mark.parametrize("runtime", PYTHON, ids=ids)
def test_every_program_is_valid_in_the_oldest_python_of_its_release(runtime: Runtime) -> None:
    for release, variant, mode in asked(runtime):
        oldest = min(int(version.partition(".")[2]) for version in variant.python)
        ast.parse(program(runtime, release, variant, mode), feature_version=(3, oldest))


@pytest.mark.parametrize("runtime", PYTHON, ids=ids)
def test_no_program_uses_a_name_that_it_does_not_bind(runtime: Runtime, tmp_path: Path) -> None:
    written = set()
    for release, variant, mode in asked(runtime):
        text = program(runtime, release, variant, mode)
        if text not in written:
            written.add(text)
            (tmp_path / f"{release.version}--{mode.name}.py").write_text(text)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F822,F823", str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == checked.returncode, checked.stdout


@pytest.mark.parametrize("runtime", RUNTIMES, ids=ids)
def test_no_two_modes_show_the_same_program(runtime: Runtime) -> None:
    for release in (runtime.releases[0], runtime.releases[-1]):
        names = defaultdict(list)
        for here, variant, mode in asked(runtime):
            if here is release:
                names[program(runtime, here, variant, mode)].append(mode.name)
        assert [] == [same for same in names.values() if len(same) > 1]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=ids)
def test_a_mode_that_is_called_adopted_replaces_the_statistics_itself(runtime: Runtime) -> None:
    assert [] == [mode.name for mode in runtime.modes if "adopted" in mode.name.split(".") and not mode.adopts]


@pytest.mark.parametrize(
    "runtime", [name for name, one in catalog().items() if any(mode.reads_files for mode in one.modes)]
)
def test_a_mode_that_reads_exported_files_shows_its_own_text(runtime: str) -> None:
    """Such a network has no weights, so a mode with the same text that builds layers is no comparison.

    The text has the names of the file's input and output.
    """
    source = load("conv")
    file = written_network(source.model.SerializeToString(), "conv.from.toy.1b2c3d4e", source)
    target, *_ = targets([f"{runtime}@newest"], catalog(), everything=False)
    for mode in target.runtime.modes:
        asks = Scenario.GRADIENT if Asks(mode.asks) is Asks.GRADIENT else Scenario.PREDICT_ONLY
        if mode.reads_files and mode.form in EXPORTED_FORMS and target.release.has(mode):
            call = planned_cell(target, mode, file, asks, ("undisturbed",), trials=1).call
            names = ([file.graph["inputs"][0]["name"]], file.graph["outputs"][0]["name"])
            assert mode.in_release(target.release.version).call_on(*names).splitlines()[-1].partition("$")[0] in call


@pytest.mark.parametrize("name", ["mxnet@1.9.1/executor.predict", "tfjs@4.22.0/predict"])
def test_what_other_modes_tell_their_layers_is_not_shown_of_one_that_tells_them_nothing(name: str) -> None:
    """Another mode has the same text, and a network whose layers are told something."""
    where, _, wanted = name.partition("/")
    (target,) = targets([where], catalog(), everything=False)
    mode = next(mode for mode in target.runtime.modes if mode.name == wanted)
    alike = [other for other in target.runtime.modes if other.norm and other.call == mode.call]
    assert alike
    cells = [
        planned_cell(target, one, load("conv"), Scenario.PREDICT_ONLY, ("undisturbed",), trials=1)
        for one in (mode, *alike)
    ]
    plain, *told = (cell.call for cell in cells)
    assert plain.strip() == mode.call.strip()
    assert all(call.endswith(plain) and len(call) > len(plain) for call in told)
