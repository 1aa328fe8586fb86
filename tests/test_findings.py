"""End-to-end findings: each misbehaviour of the toy runtime has its finding, and a correct mode is clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crosscheck.cells import Finding
from crosscheck.job import Job, run
from crosscheck.judge import validate
from crosscheck.matrix.server import Limits
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import Cells, SilentProgress, read_cells

#: Modes that exhaust a limit are measured once, on one network.
SLOW = {"hang", "eats-memory"}


@pytest.fixture(scope="module")
def cells(toy: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """Every mode of the toy in every suitable scenario, on three networks."""
    folder = tmp_path_factory.mktemp("toy")
    modes = [mode.name for mode in toy.modes if mode.name not in SLOW]
    job = Job(["toy"], networks=["seed-batch", "conv", "digits"], modes=modes, trials=3, out=folder)
    run(job, SilentProgress(), {"toy": toy})
    return read_cells(folder)


def cell(cells: Cells, mode: str, scenario: str = "gradient", network: str = "conv") -> dict[str, Any]:
    return cells[f"toy@1.8.0/{mode}/{network}/{scenario}"]


@pytest.mark.parametrize(
    ("finding", "mode", "scenario", "network"),
    [
        ("leak", "leak-backward", "gradient", "conv"),
        ("leak", "leak-forward", "gradient", "seed-batch"),
        ("leak", "leak-both", "twenty", "digits"),
        ("leak", "leak-backward", "ascent", "digits"),
        ("leak", "leak-backward", "sibling", "conv"),
        ("leak", "forward-leak", "predict-only", "conv"),
        ("state-moved", "state-moved", "gradient", "conv"),
        ("corrupted", "corrupted", "gradient", "conv"),
        ("corrupted", "nan", "gradient", "conv"),
        ("poisoned", "poisoned", "gradient", "conv"),
        ("wrong-gradient", "wrong-gradient", "gradient", "conv"),
        ("mode-ignored", "mode-ignored", "gradient", "conv"),
        ("mode-ignored", "forward-ignored", "predict-only", "conv"),
        ("wrong-prediction", "wrong-prediction", "gradient", "conv"),
        ("order-dependent", "order-dependent", "order", "seed-batch"),
        ("racy", "racy", "gradient", "conv"),
        ("unrepeatable", "unrepeatable", "gradient", "conv"),
        ("unrepeatable", "unrepeatable", "sibling", "conv"),
        ("parameters-written", "parameters-written", "gradient", "conv"),
        ("input-written", "input-written", "gradient", "conv"),
        ("mode-left-changed", "mode-left-changed", "gradient", "conv"),
        ("export-changed", "export-changes-source", "export", "conv"),
        ("export-changed", "export-changes-copy", "export", "conv"),
    ],
)
def test_each_misbehaviour_has_its_finding(cells: Cells, finding: str, mode: str, scenario: str, network: str) -> None:
    assert finding in cell(cells, mode, scenario, network)["findings"]


def test_every_finding_is_provoked_by_the_toy(cells: Cells) -> None:
    assert set(Finding) == {finding for row in cells.values() for finding in row["findings"]}


@pytest.mark.parametrize("mode", ["inference", "training", "predict", "export", "from-1.8"])
def test_a_well_behaved_mode_is_clean_in_all_its_scenarios(cells: Cells, mode: str) -> None:
    rows = {row["id"]: row["findings"] for row in cells.values() if row["mode"] == mode and row["release"] == "1.8.0"}
    assert rows
    assert {name: ["clean"] for name in rows} == rows


@pytest.mark.parametrize(
    ("mode", "when", "count", "momentum", "variance"),
    [
        ("leak-backward", "backward", 1, 0.9, "biased"),
        ("leak-forward", "forward", 1, 0.9, "biased"),
        ("leak-both", "both", 2, 0.9, "biased"),
        ("leak-unbiased-take", "backward", 1, 0.1, "unbiased"),
    ],
)
def test_the_law_and_the_step_of_an_update(
    cells: Cells, mode: str, when: str, count: int, momentum: float, variance: str
) -> None:
    update = cell(cells, mode, network="seed-batch")["update"]
    assert (when, count, variance) == (update["when"], update["count"], update["variance"])
    assert update["momentum"] == pytest.approx(momentum, abs=1e-4)
    assert update["residual"] < 1e-5


def test_an_update_triggered_by_a_read_is_reported(cells: Cells) -> None:
    assert cell(cells, "leak-on-read")["update"]["when"] == "read"


def test_a_leak_contradicts_a_contract_of_constant_statistics(cells: Cells) -> None:
    assert cell(cells, "leak-forward")["contradicts"] is True
    assert cell(cells, "leak-backward")["contradicts"] is False
    assert cell(cells, "training")["contradicts"] is False


def test_a_leak_that_the_public_view_hides(cells: Cells) -> None:
    assert cell(cells, "leak-backward")["public_view"] == "hides"
    assert cell(cells, "parameters-written")["public_view"] == "shows"


def test_twenty_and_its_controls(cells: Cells) -> None:
    leaking = cell(cells, "leak-backward", "twenty", "digits")["curve"]["accuracy"]
    flat = cell(cells, "predict", "twenty", "digits")["curve"]["accuracy"]
    assert 21 == len(leaking) == len(flat)
    assert leaking[0] - leaking[-1] > 0.1
    assert {flat[0]} == set(flat)


@pytest.mark.parametrize(
    ("mode", "status", "says"),
    [
        ("refused", "refused", "the toy does not do that"),
        ("crash", "crashed", "SIGSEGV"),
        ("crash-later", "crashed", "SIGABRT"),
    ],
)
def test_statuses(cells: Cells, mode: str, status: str, says: str) -> None:
    row = cell(cells, mode)
    assert status == row["status"]
    assert says in row["reason"]


def test_a_mode_that_the_release_lacks_is_not_run(toy: Runtime, tmp_path: Path) -> None:
    run(Job(["toy@1.7.0"], modes=["from-1.8"], networks=["conv"], out=tmp_path), SilentProgress(), {"toy": toy})
    (row,) = (row for row in read_cells(tmp_path).values() if row["scenario"] == "gradient")
    assert ("not-in-release", [], "from-1.8 is there since 1.8.0") == (row["status"], row["findings"], row["reason"])


def test_races_and_nondeterminism_are_distinguished(cells: Cells) -> None:
    for row in cells.values():
        if row["mode"] in ("racy", "unrepeatable", "corrupted") and row["status"] == "ok":
            assert not {"racy", "unrepeatable"} <= set(row["findings"]), row["id"]
            assert ("unrepeatable" in row["findings"]) == (row["mode"] != "racy"), row["id"]


def test_forks_that_agree_through_shared_memory_are_unrepeatable(cells: Cells) -> None:
    row = cell(cells, "unrepeatable", "gradient", "seed-batch")
    assert ["wrong-gradient", "unrepeatable"] == row["findings"]


def test_a_failure_to_measure_is_never_a_number(cells: Cells) -> None:
    unmeasured = [row for row in cells.values() if row["status"] not in ("ok", "crashed")]
    assert unmeasured
    for row in unmeasured:
        assert not row["findings"]
        measured = ("prediction_before", "prediction_after", "gradient_error", "update", "top1_before", "contradicts")
        assert not any(row[name] for name in measured), row["id"]


def test_a_crash_keeps_earlier_arrays_and_stderr(cells: Cells) -> None:
    assert cell(cells, "crash")["prediction_before"] is not None
    assert "about to crash" in cell(cells, "crash")["stderr"]


def test_the_first_layer_that_differs_is_named(cells: Cells) -> None:
    first = cell(cells, "forward-ignored", "predict-only")["first_layer"]
    assert ("bn1", "BatchNormalization") == (first["node"], first["op"])
    assert first["error"] > 1e-3
    assert cell(cells, "predict", "predict-only")["first_layer"] is None


@pytest.mark.parametrize(
    ("mode", "status", "limits"),
    [
        ("hang", "timed-out", Limits(seconds=3)),
        ("eats-memory", "out-of-memory", Limits(seconds=600, memory=10**9)),
    ],
)
def test_limits(toy: Runtime, tmp_path: Path, mode: str, status: str, limits: Limits) -> None:
    job = Job(["toy"], modes=[mode], networks=["seed"], scenarios=["gradient"], trials=1, out=tmp_path)
    result = run(job, SilentProgress(), {"toy": toy}, limits)
    assert {status: 1} == result.statuses
    assert 1 == result.incomplete


def test_disagreeing_trials_are_repeated_and_their_distribution_kept(cells: Cells) -> None:
    (undisturbed,) = (row for row in cell(cells, "corrupted")["trials"] if row["reading"] == "undisturbed")
    assert 8 == undisturbed["count"] == sum(outcome["count"] for outcome in undisturbed["outcomes"])
    assert len(undisturbed["outcomes"]) > 1


def test_every_line_conforms_to_the_schema(cells: Cells) -> None:
    for row in cells.values():
        validate(row)


def test_output_of_a_runtime_is_harmless(toy: Runtime, tmp_path: Path) -> None:
    run(Job(["toy@1.8.0+noisy"], modes=["inference"], networks=["seed"], out=tmp_path), SilentProgress(), {"toy": toy})
    assert {"ok"} == {row["status"] for row in read_cells(tmp_path).values()}


def test_a_failed_import_is_a_status_with_the_runtimes_message(toy: Runtime, tmp_path: Path) -> None:
    for isolation in ("fork", "new-interpreter"):
        job = Job(["toy@1.8.0+unimportable"], modes=["inference"], networks=["seed"], out=tmp_path, isolation=isolation)
        result = run(job, SilentProgress(), {"toy": toy})
        assert {"import-failed"} == set(result.statuses)
        assert all("libtoy.so.1" in row["reason"] for row in read_cells(tmp_path).values())
