"""Scripts: short, complete programs that show what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck.environments.environment import describe
from crosscheck.job import Job
from crosscheck.records import JudgedCell
from crosscheck.records.versions import CELL_SCHEMA, cell_of
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.script.writer import NoScript, composed, pieces
from tests.conftest import Cells, Measure, read_cells
from tests.shown_programs import run_programs

RUNTIMES = list(catalog().values())
#: A block of base64 lines at the end, and what begins it.
BLOCK = re.compile(r"\n(#|//) data:\n.*", re.DOTALL)
#: Runtimes whose users convert a file by another program, compile it, or build artifacts of it, before they can ask
#: anything; and torch, whose newest wheel needs a dozen packages of CUDA, and MegEngine, with a client of a cloud.
LONGER = {"ncnn": 112, "onnxruntime-training": 87, "emx-onnx-cgen": 77, "megengine": 66, "torch": 65}
#: Lines for the pins of a toolkit, beside those of its base.
OF_TOOLKIT = 15
TARGETS = ["mxnet@1.9.1", "mxnet@0.9.5.post2", "onnxruntime@1.32.0", "onnx@1.23.2"]


def judged(runtime: Runtime, network: str, **facts: Any) -> JudgedCell:
    """A cell of the default call as it might have been judged; its numbers do not matter."""
    mode = next(mode for mode in runtime.modes if mode.name == runtime.default_call)
    release = runtime.releases[-1]
    target = f"{runtime.name}@{release.version}"
    cell = {
        "schema": CELL_SCHEMA,
        "id": f"{target}/{mode.name}/{network}/gradient",
        "runtime": runtime.name,
        "release": release.version,
        "variant": "plain",
        "mode": mode.name,
        "intent": mode.intent,
        "asks": mode.asks,
        "network": network,
        "scenario": "gradient",
        "status": "ok",
        "reason": None,
        "findings": ["leak"],
        "contract": mode.contract._asdict(),
        "environment": {"sources": ""},
        "reproduce": f"crosscheck run {target} --mode {mode.name} --network {network} --scenario gradient",
        "trials": [],
        "prediction_before": [[0.29985, 0.3998]],
        "prediction_after": [[0.284447, 0.379263]],
        "gradient": [[0.0, 0.0]],
        "tensors": {},
        "curve": None,
    }
    return cell_of({**cell, **facts})


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
@pytest.mark.parametrize(("network", "most"), [("seed", 60), ("conv", 120)])
def test_a_script_of_the_default_call_is_short(runtime: Runtime, network: str, most: int) -> None:
    text = BLOCK.sub("", "".join(composed(judged(runtime, network))))
    most += OF_TOOLKIT if runtime.base else 0
    assert len(text.splitlines()) <= max(most, LONGER.get(runtime.name, 0)), text


@pytest.mark.parametrize("status", ["unavailable", "install-failed", "not-in-release"])
def test_what_was_not_measured_has_no_script(status: str) -> None:
    cell = judged(catalog()["mxnet"], "seed", status=status)
    assert pieces(cell) is None
    with pytest.raises(NoScript, match=f"is {status}: nothing was measured"):
        composed(cell)


def test_a_network_of_the_users_own_is_asked_for() -> None:
    with pytest.raises(NoScript, match=r"--network FILE"):
        composed(judged(catalog()["mxnet"], "mine"))


def test_a_script_says_that_its_texts_have_changed_since_the_cell_was_measured() -> None:
    cell = judged(catalog()["mxnet"], "seed", environment={"sources": "of another day"})
    assert "These texts have changed since" in "".join(composed(cell))


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-node"])
def test_both_networks_of_an_ascent_have_their_own_files(name: str) -> None:
    curve = {"accuracy": [], "top1": [], "label": 0}
    text = "".join(composed(judged(catalog()[name], "digits", scenario="ascent", curve=curve)))
    opened = re.findall(r'create\("(.*?)"|Session\("(.*?)"', text)
    assert ["opset-9.onnx", "readout-opset-9.onnx", "readout-opset-15-gradient.onnx"] == list(map("".join, opened))


@pytest.mark.parametrize("scenario", ["sibling", "ascent", "order"])
@pytest.mark.parametrize("name", [runtime.name for runtime in RUNTIMES if runtime.registry == "npm"])
def test_a_module_declares_no_name_of_two_networks_twice(name: str, scenario: str) -> None:
    network = "digits" if scenario == "ascent" else "seed-batch"
    runtime = catalog()[name]
    text = "".join(
        composed(judged(runtime, network, scenario=scenario, curve={"accuracy": [], "top1": [], "label": 0}))
    )
    declared = [
        word
        for line in re.findall(r"^(?:const|let|class|function) (.+?)(?: [=({]|;$)", BLOCK.sub("", text), re.MULTILINE)
        for word in re.findall(r"\w+", line)
    ]
    assert {"net", "x", "y", "dx"} <= set(declared)
    assert len(set(declared)) == len(declared)


@pytest.fixture(scope="module")
def cells(measure: Measure) -> Cells:
    """The default modes of a few releases on the seed, and gradient ascent through the files of two networks."""
    scenarios = ["gradient", "predict-only", "order", "sibling"]
    ascent = Job(["onnxruntime@1.32.0"], networks=["digits"], scenarios=["ascent"], trials=1)
    folders = [measure(Job(TARGETS, networks=["seed-batch"], scenarios=scenarios, trials=1)), measure(ascent)]
    return {name: cell for folder in folders for name, cell in read_cells(folder).items()}


def numbers(text: str) -> list[tuple[str, list[float], list[float]]]:
    """What a script prints: a name, its own numbers, and those of the report."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"(.*?[a-z]) ((?:[-+\dena][-+.\deinfa]*\s)+)\| report (.*?)(?: \| float64 .*)?", line)
        if match:
            name, own, report = match.groups()
            found.append((name, [float(word) for word in own.split()], [float(word) for word in report.split()]))
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_scripts_show_the_numbers_of_the_report(cells: Cells, target: str, tmp_path: Path) -> None:
    name, _, version = target.partition("@")
    runtime = catalog()[name]
    release = next(release for release in runtime.releases if release.version == version)
    environment = describe(runtime, release, release.variants[0])
    chosen = [cell for cell in cells.values() if cell["id"].startswith(target + "/") and cell["status"] == "ok"]
    chosen = [cell for cell in chosen if not {"unrepeatable", "racy", "corrupted", "poisoned"} & set(cell["findings"])]
    assert chosen
    programs = {cell["id"]: tmp_path / str(number) / "leak.py" for number, cell in enumerate(chosen)}
    for cell in chosen:
        programs[cell["id"]].parent.mkdir()
        programs[cell["id"]].write_text("".join(composed(cell_of(cell))))
    printed = run_programs(environment, programs.values())
    compared = 0
    for name, program in programs.items():
        assert "" == printed[program].error, name
        for what, own, report in numbers(printed[program].text):
            assert np.allclose(own, report, rtol=1e-4, atol=1e-5), (name, what, own, report)
            compared += 1
    expected = [1 if cell["scenario"] == "ascent" else 2 for cell in chosen]  # of an ascent, the accuracies
    assert compared >= sum(expected)
