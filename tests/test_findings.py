"""End-to-end findings: each misbehaviour of the toy runtime has its finding, and a correct mode is clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crosscheck.cells import Finding
from crosscheck.job import Job, run
from crosscheck.matrix.server import Limits
from crosscheck.networks import load
from crosscheck.records.schema import validate
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import Cells, Measure, SilentProgress, read_cells

#: Modes that use up a whole limit, or whose trials all run twice, are measured once, on one network.
SLOW = {"hang", "eats-memory", "crash-in-a-fork"}


def cell(cells: Cells, mode: str, scenario: str = "gradient", network: str = "conv") -> dict[str, Any]:
    return cells[f"toy@1.8.0/{mode}/{network}/{scenario}"]


#: Modes, what their cells show, and what those of other scenarios show instead: `sibling` asks once, and `ascent` has
#: answers that no later prediction reads.
TABLE: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("inference training predict export from-1.8 rewrites trains-first adopts fed", "clean", {}),
    ("leak-backward leak-forward leak-both leak-unbiased-take leak-one-momentum forward-leak", "leak", {}),
    ("leak-second", "leak", {"sibling": "clean"}),
    ("leak-on-read", "clean", {"gradient": "leak"}),
    ("state-moved", "clean", {"gradient": "state-moved"}),
    ("corrupted", "leak corrupted unrepeatable", {}),
    ("nan", "leak corrupted", {}),
    ("poisoned", "poisoned", {"ascent": "clean"}),
    ("wrong-gradient wrong-whole refuses-parts crashes-in-parts", "wrong-gradient", {}),
    ("no-gradient", "no-gradient", {}),
    ("mode-ignored", "mode-ignored", {}),
    ("forward-ignored", "mode-ignored", {}),
    ("wrong-prediction", "wrong-prediction", {}),
    ("order-dependent", "clean", {"order": "order-dependent"}),
    ("racy", "leak", {"gradient": "leak racy"}),
    ("unrepeatable", "wrong-gradient unrepeatable", {}),
    ("parameters-written", "leak parameters-written", {}),
    ("input-written fed-written", "input-written", {}),
    ("prediction-writes-input", "clean", {"predict-only": "input-written"}),
    ("mode-left-changed layer-switched", "mode-left-changed", {}),
    ("gradients-left", "gradients-left", {}),
    ("export-changes-source export-changes-copy", "export-changed", {}),
    ("refused crash", "", {}),
    ("crash-later", "", {"gradient": "poisoned"}),
)
SHOWN = {mode: (findings, other) for modes, findings, other in TABLE for mode in modes.split()}

#: Modes whose findings depend on the network.
PARTLY = ("pool-garbage", "pool-order-dependent", "pool-disturbed-later", "prediction-writes-scale")


@pytest.fixture(scope="module")
def cells(toy: Runtime, measure: Measure) -> Cells:
    """Every mode of the toy in every suitable scenario, on two networks; one a finding in scenarios of a third.

    A trial on the third takes as long as fifty others.
    """
    modes = [mode.name for mode in toy.modes if mode.name not in SLOW]
    of_each_finding = [modes.split()[0] for modes, _, _ in TABLE] + ["predict", *PARTLY]
    found: Cells = {}
    for networks, scenarios, trials, asked in (
        (["seed-batch", "conv"], [], 3, modes),
        (["digits"], ["twenty", "ascent"], 2, of_each_finding),
    ):
        job = Job(["toy"], networks=networks, scenarios=scenarios, modes=asked, trials=trials)
        found |= read_cells(measure(job, {"toy": toy}))
    return found


@pytest.mark.parametrize("mode", SHOWN)
def test_a_mode_shows_what_it_does_and_nothing_else(cells: Cells, mode: str) -> None:
    usual, other = SHOWN[mode]
    rows = [row for row in cells.values() if row["mode"] == mode and row["status"] != "not-in-release"]
    assert rows
    for row in rows:
        assert set(other.get(row["scenario"], usual).split()) == set(row["findings"]), row["id"]


def test_garbage_of_one_operator_is_found_where_the_network_has_it(cells: Cells) -> None:
    found = {name: row["findings"] for name, row in cells.items() if row["mode"] == "pool-garbage"}
    expected = {name: ["wrong-gradient", "unrepeatable"] if "/conv/" in name else ["clean"] for name in found}
    assert {"gradient", "order", "sibling"} <= {name.rpartition("/")[2] for name in found}
    assert expected == found


@pytest.mark.parametrize(
    ("mode", "scenario"), [("pool-order-dependent", "order"), ("pool-disturbed-later", "gradient")]
)
def test_an_operator_that_an_earlier_mode_disturbs_is_found_where_the_network_has_it(
    cells: Cells, mode: str, scenario: str
) -> None:
    found = {name: row["findings"] for name, row in cells.items() if row["mode"] == mode}
    dependent = f"toy@1.8.0/{mode}/conv/{scenario}"
    assert {name: ["order-dependent"] if name == dependent else ["clean"] for name in found} == found
    assert dependent in found


def test_a_prediction_that_writes_scales_is_found_where_they_are_not_what_it_writes(cells: Cells) -> None:
    """Only in `predict-only`: in `twenty` the first prediction has written them before the first call."""
    found = {name: row["findings"] for name, row in cells.items() if row["mode"] == "prediction-writes-scale"}
    written = {name for name in found if name.endswith("/predict-only") and "/seed-batch/" not in name}
    assert {"predict-only", "twenty"} == {name.rpartition("/")[2] for name in found}
    assert {name: ["parameters-written"] if name in written else ["clean"] for name in found} == found
    assert written


def test_every_mode_of_the_toy_is_held_against_an_expectation(toy: Runtime) -> None:
    assert {mode.name for mode in toy.modes} == {*SHOWN, *SLOW, *PARTLY}


def test_every_finding_is_provoked_by_the_toy(cells: Cells) -> None:
    of_toolkits = {Finding.SAVE_CHANGED}
    assert set(Finding) - of_toolkits == {finding for row in cells.values() for finding in row["findings"]}


def test_a_rewritten_statistic_is_clean_with_a_remark(cells: Cells) -> None:
    (remark,) = (row for row in cell(cells, "rewrites")["evidence"] if "rewritten" in row["detail"])
    assert "bn1.variance, bn2.variance" in remark["detail"]
    assert 0 < remark["value"] < remark["threshold"]
    assert cell(cells, "rewrites")["contradicts"] is False


def test_arrays_of_the_caller_are_named(cells: Cells) -> None:
    (evidence, *_) = cell(cells, "fed-written")["evidence"]
    assert "an array of the caller" in evidence["what"]
    assert cell(cells, "fed-written")["contradicts"] is True


@pytest.mark.parametrize("network", ["seed-batch", "conv"])
@pytest.mark.parametrize(
    ("mode", "when", "count", "momentum", "variance"),
    [
        ("leak-backward", "backward", 1, 0.9, "biased"),
        ("leak-forward", "forward", 1, 0.9, "biased"),
        ("leak-both", "both", 2, 0.9, "biased"),
        ("leak-unbiased-take", "backward", 1, 0.1, "unbiased"),
        ("leak-one-momentum", "backward", 1, 0.7, "biased"),
        ("leak-second", "second", 1, 0.9, "biased"),
        ("leak-on-read", "read", 1, 0.9, "biased"),
        ("adopts", "adopted", 1, 0.9, "biased"),
    ],
)
def test_the_law_and_the_moment_of_an_update(
    cells: Cells, mode: str, when: str, count: int, momentum: float, variance: str, network: str
) -> None:
    update = cell(cells, mode, network=network)["update"]
    assert (when, count, variance) == (update["when"], update["count"], update["variance"])
    assert update["momentum"] == pytest.approx(momentum, abs=1e-4)
    assert update["residual"] < 1e-5


def test_a_contract_that_promises_otherwise_is_contradicted(cells: Cells) -> None:
    assert cell(cells, "leak-forward")["contradicts"] is True
    assert cell(cells, "leak-backward")["contradicts"] is False
    assert cell(cells, "training")["contradicts"] is False


def test_a_leak_that_the_public_view_hides(cells: Cells) -> None:
    assert cell(cells, "leak-backward")["public_view"] == "hides"
    assert cell(cells, "parameters-written")["public_view"] == "shows"


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("prediction-writes-scale", "largest change of {} by the documented prediction"),
        ("prediction-writes-input", "largest change of the input array during the documented prediction before"),
    ],
)
def test_what_the_documented_prediction_writes_is_not_put_down_to_the_call(cells: Cells, mode: str, says: str) -> None:
    norms = load("conv").batch_norms if mode == "prediction-writes-scale" else ()
    expected = [says.format(norm.scale) for norm in norms] or [says]
    found = [item["what"].partition(": ")[2] for item in cell(cells, mode, "predict-only")["evidence"]]
    assert expected == found


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


def test_what_crashes_in_forks_alone_is_measured_without_one_and_told(toy: Runtime, tmp_path: Path) -> None:
    job = Job(["toy"], modes=["crash-in-a-fork"], networks=["seed"], scenarios=["gradient"], trials=1, out=tmp_path)
    run(job, SilentProgress(), {"toy": toy})
    (row,) = read_cells(tmp_path).values()
    assert ("ok", ["clean"]) == (row["status"], row["findings"])
    assert "a forked trial crashed (killed by SIGSEGV)" in row["reason"]
    assert "one in a new interpreter did not" in row["reason"]


def test_a_mode_that_the_release_lacks_is_not_run(toy: Runtime, tmp_path: Path) -> None:
    run(Job(["toy@1.7.0"], modes=["from-1.8"], networks=["conv"], out=tmp_path), SilentProgress(), {"toy": toy})
    (row,) = (row for row in read_cells(tmp_path).values() if row["scenario"] == "gradient")
    assert ("not-in-release", [], "from-1.8 is there since 1.8.0") == (row["status"], row["findings"], row["reason"])


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
    job = Job(["toy"], modes=[mode], networks=["seed"], scenarios=["gradient"], trials=1, out=tmp_path, limits=limits)
    result = run(job, SilentProgress(), {"toy": toy})
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
