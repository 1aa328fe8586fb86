"""Standalone scripts: a cell as one file, run where there is no crosscheck, and compared with what the run saw."""

from __future__ import annotations

import ast
import dataclasses
import re
import shutil
import subprocess
import sys
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from crosscheck.environments.environment import describe
from crosscheck.job import Job, run
from crosscheck.networks import load
from crosscheck.report import read_cells
from crosscheck.report.records import JudgedCell
from crosscheck.runtimes.catalog import Native, Release, Runtime, System, Variant, catalog, load_runtime
from crosscheck.script.metadata import builds
from crosscheck.standalone import NoScript, composed, pieces
from tests.conftest import SilentProgress
from tests.test_cli import crosscheck
from tests.test_report import make_cell

#: As PEP 723 has it.
BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
MINORS = [f"3.{minor}" for minor in range(6, 16)]

#: A runtime with all that a linker can stumble over: names that the steps have, too, and that locals hide; a table that
#: decorators and loops fill; tables by operator and by API, one of them read in full; statements that act.
ADAPTER = '''
"""A runtime that computes next to nothing."""

import os
import signal
from typing import Any, Callable, Dict, NamedTuple

import numpy as np

from crosscheck.probe import adapter as probe
from crosscheck.probe.adapter import Adapter, Contract, Mode

STAYS = Contract("stay", "says", "https://example.org")
TABLE: Dict[str, Any] = {}
RATES: Dict[str, float] = {}
RATES.update(slow=0.1)
INTENT = {"gradient": "training", "predict": "inference", "export": "inference", "order": "inference"}
ORDER = [INTENT[api] for api in ("gradient", "predict", "export", "order")]


def mode(name: str, asks: str = "gradient", **more: Any) -> Callable[[Any], Any]:
    def enter(function: Any) -> Any:
        described = Mode(name, INTENT[name.split(".")[0]], asks, f"toy.{name}()", STAYS, **more)
        TABLE[name] = (described, function)
        return function

    return enter


class Speed(NamedTuple):
    run: float  # a field of the name that a function has, and the steps, too


class Net:
    def __init__(self, network: Any, tensors: Dict[str, Any]) -> None:
        self.tensors = tensors
        self.width = int(np.prod(network.graph["outputs"][0]["shape"][1:]))
        self.counter = np.zeros(1)

    def run(self, x: Any) -> Any:
        means = [value.sum() for name, value in sorted(self.tensors.items()) if name.endswith("mean")]
        return x.reshape(len(x), -1)[:, : self.width] * scaled(1.0) + np.float32(sum(means))

    def never_called(self) -> None:
        raise AssertionError("not carried")


def scaled(value: float) -> float:
    run = value  # a local of the name that the steps have for themselves
    return run


def run(net: Net, x: Any, rate: str) -> Any:
    """Shadowed by name in the steps."""
    from crosscheck.probe.recorder import MESSAGE_LIMIT

    assert MESSAGE_LIMIT
    before = f"moved by {Speed(run=RATES[rate]).run} of {run.__name__}"
    for name, value in net.tensors.items():
        if name.endswith("mean"):
            value += np.float32(RATES[rate]) * x.mean()
    net.counter += 1
    return before


@mode("gradient.leak")
def leak(net: Net, x: Any, cotangent: Any) -> Any:
    run(net, x, "slow")
    return np.zeros_like(x) + cotangent.sum()


@mode("gradient.crash")
def crash(net: Net, x: Any, cotangent: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


@mode("gradient.refused")
def refused(net: Net, x: Any, cotangent: Any) -> Any:
    raise ArithmeticError("this runtime cannot")


for name in ("order.clean",):
    mode(name, training="gradient.leak")(lambda net, x, cotangent: np.ones_like(x))
mode("predict", "prediction")(lambda net, x: net.run(x))
mode("export", "export")(lambda net, folder: net)


class Toy(Adapter):
    name = "toy"
    modes = tuple(described for described, _ in TABLE.values())

    def load(self) -> str:
        return "1.8.0"

    def build(self, network: Any, mode: str, shares: Any = None) -> Net:
        own = {name: np.array(value) for name, value in network.weights.items()}
        return Net(network, dict(own, **(shares.tensors if shares else {})))

    def predict(self, model: Net, x: Any) -> Any:
        return model.run(x)

    def forward(self, model: Net, x: Any, mode: str) -> Any:
        return TABLE[mode][1](model, x)

    def gradient(self, model: Net, x: Any, cotangent: Any, mode: str, between: Any) -> Any:
        between()
        return TABLE[mode][1](model, x, cotangent)

    def export(self, model: Net, mode: str, folder: str) -> Any:
        return TABLE[mode][1](model, folder)

    def state(self, model: Net) -> Dict[str, probe.Tensor]:
        return dict(model.tensors, counter=model.counter)
'''


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The runtime above, in the environment of the toy that other tests use."""
    folder = tmp_path_factory.mktemp("runtimes") / "small"
    toy = Path(__file__).parent / "toy"
    shutil.copytree(toy / "locks", folder / "locks")
    folder.joinpath("releases.toml").write_text(toy.joinpath("releases.toml").read_text())
    folder.joinpath("adapter.py").write_text(ADAPTER)
    return load_runtime(folder)


@pytest.fixture(scope="module")
def cells(small: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, JudgedCell]:
    """What a run of it saw, by mode, network and scenario."""
    folder = tmp_path_factory.mktemp("small")
    run(Job(["toy@1.8.0"], networks=["seed", "digits"], trials=1, out=folder), SilentProgress(), {"toy": small})
    return {cell["id"].partition("/")[2]: cell for cell in read_cells(folder)}


def executed(text: str, folder: Path, python: Path | str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run a script where nothing of crosscheck can be imported."""
    assert "crosscheck" not in re.findall(r"(?m)^\s*(?:from|import) (\w+)", text)
    file = folder / "script.py"
    file.write_text(text)
    return subprocess.run([python, "-I", file], capture_output=True, text=True, cwd=folder)


def block(text: str) -> dict[str, Any]:
    """The PEP 723 metadata of a script."""
    (match,) = [match for match in BLOCK.finditer(text) if match["type"] == "script"]
    content = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in match["content"].splitlines(keepends=True)
    )
    return tomllib.loads(content)


@pytest.mark.parametrize(
    "cell",
    [
        "gradient.leak/seed/gradient",
        "gradient.leak/digits/gradient",
        "gradient.leak/seed/sibling",
        "gradient.leak/digits/twenty",
        "gradient.leak/digits/ascent",
        "order.clean/seed/order",
        "predict/seed/predict-only",
        "predict/digits/twenty",
        "export/seed/export",
        "gradient.refused/seed/gradient",
    ],
)
def test_a_script_shows_the_numbers_of_its_cell(
    cells: Mapping[str, JudgedCell], small: Runtime, cell: str, tmp_path: Path
) -> None:
    done = executed("".join(composed(cells[cell], runtimes={"toy": small})), tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
    assert re.search(r"^all [1-9]\d* agree with the report$", done.stdout, re.MULTILINE)
    assert "differs" not in done.stdout


def test_what_moves_is_shown_before_and_after_tensors_of_the_runtimes_own_too(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    done = executed("".join(composed(cells["gradient.leak/seed/gradient"], runtimes={"toy": small})), tmp_path)
    rows = {line[:39].rstrip(): line[39:].split() for line in done.stdout.splitlines()}
    assert ["0", "0", "->", "0.035", "0.035"] == rows["bn.mean"]
    assert ["0", "->", "1"] == rows["counter"]
    assert ["0.3", "0.4", "0.3", "0.4"] == rows["prediction before"]
    assert ["0.37", "0.47", "0.37", "0.47"] == rows["prediction after"]
    assert "unchanged: bn.beta, bn.gamma, bn.variance" in done.stdout.splitlines()


def test_a_script_about_the_order_compares_the_three_gradients_that_it_takes(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    done = executed("".join(composed(cells["order.clean/seed/order"], runtimes={"toy": small})), tmp_path)
    told = "largest difference of the gradient {} from the one alone: 0"
    assert [told.format(reading) for reading in ("after-other", "after-same")] == done.stdout.splitlines()[-2:]


def test_a_crash_is_a_crash(cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path) -> None:
    cell = cells["gradient.crash/seed/gradient"]
    assert "crashed" == cell["status"]
    assert -9 == executed("".join(composed(cell, runtimes={"toy": small})), tmp_path).returncode


def test_another_number_than_the_reports_is_told(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    cell = cast(JudgedCell, {**cells["gradient.leak/seed/gradient"], "prediction_after": [[0.3, 0.4]]})
    done = executed("".join(composed(cell, runtimes={"toy": small})), tmp_path)
    assert 1 == done.returncode
    assert ["prediction after"] == [line[:39].rstrip() for line in done.stdout.splitlines() if "<-- differs" in line]


def test_a_number_that_changed_sources_explain_is_told_as_such(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    measured = cells["gradient.leak/seed/gradient"]
    assert "sources have changed" not in "".join(composed(measured, runtimes={"toy": small}))
    folder = tmp_path / "changed"
    shutil.copytree(small.folder, folder)
    adapter = folder / "adapter.py"
    adapter.write_text(adapter.read_text().replace("slow=0.1", "slow=0.5"))
    text = "".join(composed(measured, runtimes={"toy": load_runtime(folder)}))
    assert "# Those sources have changed since; that command measures it anew.\n" in text
    done = executed(text, tmp_path)
    assert 1 == done.returncode
    assert ", which was measured by other sources than this script's: prediction after, " in done.stdout


def test_only_what_the_mode_needs_is_carried(cells: Mapping[str, JudgedCell], small: Runtime) -> None:
    text = "".join(composed(cells["gradient.leak/seed/gradient"], runtimes={"toy": small}))
    defined = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert {"leak", "Net", "Toy", "gradient", "mode"} <= defined
    assert {"crash", "refused", "never_called", "twenty", "trial_command", "layers"}.isdisjoint(defined)
    assert "RATES.update(slow=0.1)" in text
    shorter = "".join(composed(cells["predict/seed/predict-only"], runtimes={"toy": small}))
    assert "def crash" not in shorter


def test_the_head_says_what_was_found_and_how(cells: Mapping[str, JudgedCell], small: Runtime) -> None:
    text = "".join(composed(cells["gradient.leak/seed/gradient"], runtimes={"toy": small}))
    head = text.split("# ///\n")[1].split("\nimport ")[0]
    assert "# Toy runtime 1.8.0 on the network `seed`: leak" in head
    assert "Prediction 0.3 0.4 -> 0.37 0.47." in head
    assert "#     toy.gradient.leak()" in head
    assert "crosscheck run toy@1.8.0 --mode gradient.leak --network seed --scenario gradient" in head


def test_scripts_share_their_pieces(cells: Mapping[str, JudgedCell], small: Runtime) -> None:
    one, other = (
        composed(cells[f"gradient.{mode}/seed/gradient"], runtimes={"toy": small}) for mode in ("crash", "refused")
    )
    own = [piece for piece in one if piece not in other]
    assert 4 == len(own)  # what was found, with which numbers, what is imported, and the adapter
    assert sum(map(len, own)) < sum(map(len, one)) / 2


def test_switches_are_set_before_anything_is_imported(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    measured = cells["predict/seed/predict-only"]
    cell = cast(
        JudgedCell,
        {**measured, "variant": "noisy", "environment": {**measured["environment"], "variables": {"TOY_NOISY": "1"}}},
    )
    text = "".join(composed(cell, runtimes={"toy": small}))
    assert text.index('"TOY_NOISY": "1"') < text.index("import numpy")
    assert 0 == executed(text, tmp_path).returncode


def test_a_library_that_no_package_brings_stops_the_script_with_the_remedy(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    native = Native("absent9", "numpy==1.14.6", "3.6", "numpy/.libs/libabsent-*.so.9*", "libabsent-of-crosscheck.so.9")
    releases = tuple(dataclasses.replace(release, native=(native,)) for release in small.releases)
    lacking = dataclasses.replace(small, releases=releases)
    done = executed("".join(composed(cells["predict/seed/predict-only"], runtimes={"toy": lacking})), tmp_path)
    assert (1, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr
    assert "uv pip install --target absent9-carrier --python-version 3.6" in done.stderr
    assert "ln -s libabsent-*.so.9* libabsent-of-crosscheck.so.9" in done.stderr


def test_a_library_of_the_machine_stops_the_script_with_the_remedy(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    needed = System(
        "absent", "Of crosscheck 4", "`apt-get install absent4`", (("libof-crosscheck.so.1", "libof.so.4"),)
    )
    releases = tuple(dataclasses.replace(release, system=(needed,)) for release in small.releases)
    lacking = dataclasses.replace(small, releases=releases)
    done = executed("".join(composed(cells["predict/seed/predict-only"], runtimes={"toy": lacking})), tmp_path)
    assert (1, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr
    assert "`apt-get install absent4`" in done.stderr
    assert "ln -s WHERE-IT-LIES/libof.so.4 absent-links/libof-crosscheck.so.1" in done.stderr


def test_an_interpreter_that_does_not_do_stops_the_script_with_the_remedy(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    def aged(variant: Variant) -> Variant:
        return dataclasses.replace(variant, python=("3.7", "3.6"))

    releases = tuple(
        dataclasses.replace(release, python=("3.7", "3.6"), variants=tuple(map(aged, release.variants)))
        for release in small.releases
    )
    old = dataclasses.replace(small, releases=releases)
    text = "".join(composed(cells["predict/seed/predict-only"], runtimes={"toy": old}))
    assert ">=3.6,<3.8" == block(text)["requires-python"]
    done = executed(text, tmp_path)
    assert (1, "") == (done.returncode, done.stdout)
    assert "needs CPython 3.6 or 3.7" in done.stderr
    assert "pyenv install 3.7" in done.stderr


HOSTILE = "x\"\"\"\n# ///\n# /// script\nimport os; os._exit(99)\r\n'''\u2028os._exit(98)\\"


@pytest.mark.parametrize("key", ["call", "reason", "reproduce"])
def test_what_a_runtime_says_is_no_code(
    cells: Mapping[str, JudgedCell], small: Runtime, key: str, tmp_path: Path
) -> None:
    measured = cells["predict/seed/predict-only"]
    text = "".join(composed(cast(JudgedCell, {**measured, key: HOSTILE}), runtimes={"toy": small}))
    assert block("".join(composed(measured, runtimes={"toy": small}))) == block(text)
    assert 0 == executed(text, tmp_path).returncode


def test_there_is_none_for_what_was_not_measured_and_the_reason_is_said(
    cells: Mapping[str, JudgedCell], small: Runtime
) -> None:
    known = {"toy": small}
    measured = cells["predict/seed/predict-only"]
    for changed, says in (
        ({"status": "unavailable", "findings": []}, "nothing was measured"),
        ({"network": "mine"}, "--network FILE.onnx"),
        ({"mode": "gone"}, "no mode 'gone'"),
        ({"release": "0.1"}, "no toy 0.1"),
        ({"runtime": "absent"}, "no runtime 'absent'"),
    ):
        with pytest.raises(NoScript, match=re.escape(says)):
            composed(cast(JudgedCell, {**measured, **changed}), runtimes=known)
    npm = next(runtime for runtime in catalog().values() if runtime.registry == "npm")
    cell = make_cell(npm.releases[-1].version, npm.modes[0].name, runtime=npm.name)
    assert pieces(cast(JudgedCell, cell)) is None
    with pytest.raises(NoScript, match="Node"):
        composed(cast(JudgedCell, cell))


def test_a_users_own_network_is_taken_from_its_file(
    cells: Mapping[str, JudgedCell], small: Runtime, tmp_path: Path
) -> None:
    file = tmp_path / "mine.onnx"
    shutil.copy(Path(__file__).parents[1] / "models" / "seed-batch" / "network.onnx", file)
    cell = cast(JudgedCell, {**cells["predict/seed/predict-only"], "network": "mine"})
    text = "".join(composed(cell, load(str(file)), {"toy": small}))
    assert '"name": "mine"' in text


def targets() -> list[tuple[Runtime, Release, Variant]]:
    return [
        (runtime, release, variant)
        for runtime in catalog().values()
        if runtime.registry == "pypi"
        for release in runtime.releases
        for variant in release.variants
    ]


def test_every_release_asks_for_its_lock_and_its_interpreters() -> None:
    for runtime, release, variant in targets():
        mode = next(mode for mode in runtime.modes if release.has(mode))
        scenario = {"gradient": "gradient", "prediction": "predict-only", "export": "export"}[mode.asks]
        line = make_cell(release.version, mode.name, "seed", scenario, runtime=runtime.name, variant=variant.name)
        found = block("".join(composed(cast(JudgedCell, line))))
        locked = [
            Requirement(re.sub(r"(==[^;+]+)\+\S+", r"\1", one.rstrip("\\").strip()))
            for one in runtime.lock(release, variant).read_text().splitlines()
            if "==" in one and not one.lstrip().startswith(("#", "--hash"))
        ]
        assert locked == [Requirement(one) for one in found["dependencies"]], line["id"]
        allowed = SpecifierSet(found["requires-python"])
        assert set(variant.python) == {minor for minor in MINORS if f"{minor}.1" in allowed}, line["id"]
        overrides = found.get("tool", {}).get("uv", {}).get("override-dependencies", [])
        wanted = [Requirement(re.sub(r"(==[^;+ ]+)\+[^; ]+", r"\1", one)) for one in variant.requires]
        assert wanted == [Requirement(one) for one in overrides], line["id"]


def test_a_build_that_pypi_does_not_have_is_named_with_two_ways_to_it() -> None:
    (variant,) = catalog()["torch"].releases[-1].variants
    told = builds(variant)
    assert "# Measured with torch==2.13.0+cpu; " in told
    assert "uv run --find-links FOLDER THIS-FILE" in told
    assert "uv pip install --python env --torch-backend cpu torch==2.13.0+cpu numpy==" in told


def test_modes_of_every_runtime_are_whole_scripts(tmp_path: Path) -> None:
    """Each can be executed up to its steps, and has no name that nothing defines."""
    for runtime in catalog().values():
        if runtime.registry != "pypi":
            continue
        measurable = [mode for mode in runtime.modes if mode.asks == "export" or not mode.file]
        for mode in measurable[:: max(1, len(measurable) // 4)]:
            scenario = {"gradient": "gradient", "prediction": "predict-only", "export": "export"}[mode.asks]
            release = next(release for release in reversed(runtime.releases) if release.has(mode))
            line = make_cell(release.version, mode.name, "conv", scenario, runtime=runtime.name)
            text = "".join(composed(cast(JudgedCell, line)))
            (tmp_path / f"{runtime.name}--{mode.name}.py").write_text(text)
            module = types.ModuleType("script")
            code = compile(ast.parse(text, feature_version=(3, 7)), line["id"], "exec")
            if not release.native and min(map(int, (minor.split(".")[1] for minor in release.python))) > 7:
                exec(code, vars(module))  # noqa: S102 - the text under test
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E9,F811,F821", str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert 0 == checked.returncode, checked.stdout


@pytest.mark.parametrize(
    ("target", "mode", "scenario", "shows"),
    [
        ("mxnet@1.9.1", "executor.train.train", "gradient", "0.284447 0.379263"),
        ("onnx@newest", "opset-15-gradient", "gradient", "0.29985 0.3998"),
    ],
)
def test_a_script_shows_the_same_in_the_cells_own_environment(
    target: str, mode: str, scenario: str, shows: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    job = Job([target], networks=["seed"], modes=[mode], scenarios=[scenario], trials=1, out=out)
    run(job, SilentProgress())
    (cell,) = read_cells(out)
    done = crosscheck("script", cell["id"], "--out", str(out), "-o", str(tmp_path / "cell.py"))
    assert (0, "") == (done.returncode, done.stderr)
    assert crosscheck("script", cell["id"], "--out", str(out)).stdout == (tmp_path / "cell.py").read_text()
    runtime = catalog()[cell["runtime"]]
    release = next(release for release in runtime.releases if release.version == cell["release"])
    environment = describe(runtime, release, release.variants[0])
    shown = executed((tmp_path / "cell.py").read_text(), tmp_path, environment.python)
    assert 0 == shown.returncode, shown.stdout
    (row,) = [line for line in shown.stdout.splitlines() if line.startswith("prediction after")]
    assert row.count(shows) == 2


def test_a_cell_that_the_run_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "cells.jsonl").write_text("")
    done = crosscheck("script", "mxnet@1.9.1/x/seed/gradient", "--out", str(tmp_path))
    assert (2, "") == (done.returncode, done.stdout)
    assert "has no cell" in done.stderr
    assert 1 == done.stderr.count("\n")
