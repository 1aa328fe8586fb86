"""PyTorch: its table of modes, read by the host, and its newest CPU build, measured; most tests are marked large."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from crosscheck.cli import main
from crosscheck.environments.environment import describe
from crosscheck.environments.sources import sources
from crosscheck.job import Job, run
from crosscheck.networks import load, names
from crosscheck.runtimes.catalog import Runtime, catalog
from crosscheck.runtimes.mode import Mode
from crosscheck.runtimes.torch.network import IMPORTS
from tests.conftest import Cells, SilentProgress, cells_by_mode, read_cells

#: Every minor release that is listed.
RELEASES = [release.version for release in catalog()["torch"].releases]
NEWEST = "torch@2.13.0"

#: Runs displayed calls, each on a separate network, after the imports of a network's source; prints the error of the
#: gradient against a twin network in the intended mode, or the exception.
AS_SHOWN = """
import json, sys, warnings
import torch

warnings.simplefilter("ignore")
found = {}
imports, calls = json.load(sys.stdin)
for name, intent, call in calls:
    net, twin = (torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3), torch.nn.ReLU()) for _ in "ab")
    twin.load_state_dict(net.state_dict())
    x, cotangent = torch.randn(4, 2, 3, 3), torch.randn(4, 3, 3, 3)
    x_twin = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(twin.train(intent == "training")(x_twin), x_twin, cotangent)
    space = dict(net=net, x=x, cotangent=cotangent)
    exec(imports, space)
    try:
        exec(call, space)
        found[name] = float((space["dx"] - expected).abs().max())
    except Exception as problem:
        found[name] = type(problem).__name__ + ": " + str(problem)
print(json.dumps(found))
"""


@pytest.fixture(name="torch")
def _torch() -> Runtime:
    return catalog()["torch"]


def modes_of(torch: Runtime, version: str) -> Sequence[Mode]:
    release = next(release for release in torch.releases if release.version == version)
    return [mode for mode in torch.modes if release.has(mode)]


def test_every_release_is_locked_and_none_is_in_the_default_matrix(torch: Runtime) -> None:
    assert {"1.0.1", "1.4.0", "1.8.1", "1.12.1", "2.13.0"} <= {release.version for release in torch.releases}
    assert not any(release.default for release in torch.releases)
    assert all(torch.lock(release, release.variants[0]).exists() for release in torch.releases)


@pytest.mark.parametrize("version", RELEASES)
def test_modes_refer_to_modes_of_their_release(torch: Runtime, version: str) -> None:
    having = {mode.name: mode for mode in modes_of(torch, version)}
    for mode in having.values():
        for intent, other in (("inference", mode.inference), ("training", mode.training)):
            if other is not None:
                assert (intent, "gradient") == (having[other].intent, having[other].asks)


def test_sizes_are_listed_before_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "releases", "torch"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    line = next(words for words in rows if words and words[0] == "torch@1.0.1")
    assert ["580", "MB", "1160", "MB"] == line[-4:]


PINS = "numpy==2.2.6 \\\n    --hash=sha256:0\ntorch==2.13.0+cpu \\\n    --hash=sha256:1\n"


def test_cpu_builds_come_from_local_wheels_first(tmp_path: Path) -> None:
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    assert ["--find-links", str(tmp_path)] == sources(PINS, {"PIP_FIND_LINKS": str(tmp_path)})
    assert ["--find-links", str(tmp_path)] == sources(PINS, {"UV_FIND_LINKS": f"{tmp_path}/none,{tmp_path}"})


def test_cpu_builds_otherwise_come_from_torchs_index(tmp_path: Path) -> None:
    (tmp_path / "torch-2.12.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    assert ["--torch-backend", "cpu"] == sources(PINS, {"PIP_FIND_LINKS": str(tmp_path)})
    assert ["--torch-backend", "cpu"] == sources(PINS, {})


def test_other_packages_come_from_the_default_index(tmp_path: Path) -> None:
    assert [] == sources("numpy==2.2.6 \\\n    --hash=sha256:0\n", {"PIP_FIND_LINKS": str(tmp_path)})


#: Modes that the ordinary tests measure -> their findings, and the share of a batch's statistics in the running ones.
FEW = {
    "train.backward": (["leak", "gradients-left"], 0.1),
    "eval.backward": (["gradients-left"], 0),
    "eval.autograd-grad": (["clean"], 0),
    "momentum-none.train": (["leak"], 1),
    "checkpoint.non-reentrant.train": (["leak"], 0.19),
    "functional-call.dropped.train": (["clean"], 0),
}


@pytest.fixture(name="few", scope="module")
def _few(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """The modes above on `seed-batch`."""
    folder = tmp_path_factory.mktemp("few")
    job = Job([NEWEST], networks=["seed-batch"], modes=[*FEW], scenarios=["gradient"], trials=1, out=folder)
    run(job, SilentProgress())
    return cells_by_mode(folder)


def test_findings_of_the_newest_cpu_build(few: Cells) -> None:
    assert {mode: findings for mode, (findings, _) in FEW.items()} == {
        mode: cell["findings"] for mode, cell in few.items()
    }


def test_running_statistics_take_their_share_of_the_unbiased_ones(few: Cells) -> None:
    x = load("seed-batch").x
    for mode, (_, share) in FEW.items():
        mean, variance = (few[mode]["tensors"][f"bn.{name}"]["after"] for name in ("mean", "variance"))
        if not share:
            assert (None, None) == (mean, variance), mode
            continue
        np.testing.assert_allclose(share * x.mean(axis=0), mean, rtol=1e-5, err_msg=mode)
        np.testing.assert_allclose(1 - share + share * x.var(axis=0, ddof=1), variance, rtol=1e-5, err_msg=mode)


@pytest.mark.parametrize("mode", ["eval.backward", "eval.autograd-grad"])
def test_inference_gradients_are_those_of_a_constant_scale(few: Cells, mode: str) -> None:
    expected = load("seed-batch").cotangent / np.sqrt(1 + 0.001)
    np.testing.assert_allclose(expected, few[mode]["gradient"], rtol=1e-6)


@pytest.fixture(name="cells", scope="module")
def _cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """Plain gradients on all networks, torch's special modes on two."""
    folder = tmp_path_factory.mktemp("torch")
    plain = ["eval.autograd-grad", "eval.no-grad", "train.autograd-grad"]
    peculiar = ["deepcopy.train", "checkpoint.non-reentrant.train", "*functional-call.*.train", "momentum-none*.train"]
    peculiar += ["jit-trace*.train", "export.onnx.*"]
    result: Cells = {}
    for networks, modes in (["*"], plain), (["seed-batch", "conv"], peculiar):
        scenarios = ["gradient", "predict-only", "export"]
        job = Job([NEWEST], networks=networks, modes=modes, scenarios=scenarios, trials=1, out=folder)
        run(job, SilentProgress())
        result |= read_cells(folder)
    return result


def gradient(cells: Cells, mode: str, network: str = "conv") -> tuple[list[str], object]:
    cell = cells[f"{NEWEST}/{mode}/{network}/gradient"]
    update = cell["update"]
    return cell["findings"], update and (update["when"], update["count"], update["average"])


@pytest.mark.large
def test_displayed_calls_are_executable(torch: Runtime, cells: Cells) -> None:
    newest = next(release for release in torch.releases if release.version == NEWEST.partition("@")[2])
    layers_of_their_own = ("momentum", "functional.", "functional-no", "functional-fixed", "no-statistics")
    asked = [mode for mode in modes_of(torch, newest.version) if mode.asks == "gradient" and not mode.native]
    asked = [mode for mode in asked if not mode.name.startswith((*layers_of_their_own, "compile-inductor"))]
    python = describe(torch, newest, newest.variants[0]).python  # made for `cells`
    request = json.dumps((IMPORTS, [(mode.name, mode.intent, mode.call) for mode in asked]))
    done = subprocess.run([python, "-c", AS_SHOWN], input=request, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    refused = {name: error for name, error in result.items() if isinstance(error, str)}
    assert {"func.grad.train", "func.vjp.train", "func.vmap-grad.train"} == refused.keys()
    assert all("would mutate a captured Tensor" in error for error in refused.values())
    assert all(error < 1e-5 for name, error in result.items() if name not in refused)


@pytest.mark.large
def test_all_networks_predict_and_differentiate_like_the_oracle(cells: Cells) -> None:
    evaluated = [cell for cell in cells.values() if cell["mode"] in ("eval.autograd-grad", "eval.no-grad")]
    assert set(names()) == {cell["network"] for cell in evaluated}
    for cell in evaluated:
        assert ("ok", ["clean"]) == (cell["status"], cell["findings"]), cell["id"]


@pytest.mark.large
def test_training_uses_the_unbiased_variance_and_refuses_one_row(cells: Cells) -> None:
    assert (["leak"], ("forward", 1, "exponential")) == gradient(cells, "train.autograd-grad")
    assert "unbiased" == cells[f"{NEWEST}/train.autograd-grad/conv/gradient"]["update"]["variance"]
    assert "refused" == cells[f"{NEWEST}/train.autograd-grad/seed/gradient"]["status"]


@pytest.mark.large
@pytest.mark.parametrize(
    ("mode", "when", "count", "average"),
    [
        ("checkpoint.non-reentrant.train", "both", 2, "exponential"),
        ("momentum-none.train", "forward", 1, "replaced"),
        ("momentum-none-counted.train", "forward", 1, "cumulative"),
        ("jit-trace.train", "forward", 6, "exponential"),
        ("jit-trace-unchecked.train", "forward", 2, "exponential"),
        ("functional-call.shared.train", "forward", 1, "exponential"),
        ("func.functional-call.shared.train", "forward", 1, "exponential"),
    ],
)
def test_the_law_and_the_step_of_the_update(cells: Cells, mode: str, when: str, count: int, average: str) -> None:
    assert (["leak"], (when, count, average)) == gradient(cells, mode)


@pytest.mark.large
def test_statistics_that_the_users_lines_adopt_are_no_leak(cells: Cells) -> None:
    assert (["clean"], ("adopted", 1, "exponential")) == gradient(cells, "functional-call.adopted.train")


@pytest.mark.large
@pytest.mark.parametrize(
    "mode", ["deepcopy.train", "functional-call.dropped.train", "func.functional-call.dropped.train"]
)
def test_training_gradients_without_side_effects(cells: Cells, mode: str) -> None:
    assert (["clean"], ("none", 0, None)) == gradient(cells, mode)


@pytest.mark.large
def test_only_exports_in_training_form_move_statistics(cells: Cells) -> None:
    exported = {mode: cells[f"{NEWEST}/export.onnx.{mode}/conv/export"] for mode in ("eval-after-train", "training")}
    assert ["clean"] == exported["eval-after-train"]["findings"]
    assert ["export-changed"] == exported["training"]["findings"]
    assert "change of bn1.num_batches_tracked by the export" in {
        evidence["what"] for evidence in exported["training"]["evidence"]
    }
