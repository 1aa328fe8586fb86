"""Causes: the operator at fault is found by parts of the network, and the page groups cells by it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from crosscheck import locate
from crosscheck.job import Job, run
from crosscheck.records.schema import validate
from crosscheck.report import write
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import Cells, Measure, SilentProgress, read_cells
from tests.test_cli import crosscheck
from tests.test_exchange import made
from tests.test_report import Page, make_cell, saved, unpacked

POOL = {
    "op": "MaxPool",
    "node": "pool",
    "attributes": {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]},
    "first": False,
    "again": None,
}


@pytest.fixture(scope="module")
def out(toy: Runtime, measure: Measure) -> Path:
    """A run of the toy's modes that are wrong in parts of a network, in all of it, and that refuse parts."""
    modes = ["pool-garbage", "wrong-gradient", "wrong-whole", "refuses-parts", "leak-forward", "leak-backward"]
    scenarios = ["gradient", "order", "sibling"]
    return measure(Job(["toy"], networks=["conv"], modes=modes, scenarios=scenarios), {"toy": toy})


@pytest.fixture(scope="module")
def cells(out: Path) -> Cells:
    return read_cells(out)


@pytest.fixture(scope="module")
def page(out: Path) -> Page:
    return Page((out / "report.html").read_text())


def cause(cells: Cells, mode: str, scenario: str = "gradient") -> dict[str, Any] | None:
    found: dict[str, Any] | None = cells[f"toy@1.8.0/{mode}/conv/{scenario}"]["cause"]
    return found


def rows(page: Page) -> list[list[str]]:
    """The tables of causes, shown and folded, without their heads."""
    tables = (table for table in page.tables if "Operator" in [word.strip() for word in table[0]])
    return [[" ".join(word.split()) for word in row] for table in tables for row in table[1:]]


def row(page: Page, *words: str) -> list[str]:
    """The one row of the table in which all of these words are."""
    (found,) = (row for row in rows(page) if all(any(word in text for text in row) for word in words))
    return found


@pytest.mark.parametrize("scenario", ["gradient", "order", "sibling"])
def test_garbage_of_one_operator_is_its_doing_in_every_scenario(cells: Cells, scenario: str) -> None:
    found = cause(cells, "pool-garbage", scenario)
    assert found is not None
    assert ("wrong-gradient", "pool", "MaxPool") == (found["finding"], found["node"], found["op"])
    assert [2, 2] == found["attributes"]["kernel_shape"]
    shared = "" if scenario == "gradient" else " in toy@1.8.0/pool-garbage/conv/gradient"
    assert f"parts of the network{shared}" == found["by"]
    assert {"network": "conv-norm", "findings": ["clean"]} == found["again"]


def test_the_first_part_that_is_wrong_names_the_node(cells: Cells) -> None:
    found = cause(cells, "wrong-gradient")
    assert found is not None
    assert ("conv1", "Conv") == (found["node"], found["op"])


def test_what_only_the_whole_network_shows_is_at_its_last_node(cells: Cells) -> None:
    found = cause(cells, "wrong-whole")
    assert found is not None
    assert ("dense", "Gemm", "parts of the network") == (found["node"], found["op"], found["by"])


@pytest.mark.parametrize("scenario", ["gradient", "sibling"])
def test_parts_that_are_refused_name_no_node_and_end_no_run(cells: Cells, scenario: str) -> None:
    row = cells[f"toy@1.8.0/refuses-parts/conv/{scenario}"]
    assert ("ok", ["wrong-gradient"], None) == (row["status"], row["findings"], row["cause"])


def test_a_part_that_crashes_is_not_a_part_that_is_right(toy: Runtime, tmp_path: Path) -> None:
    counts, cells = located_alone(toy, tmp_path, "gradient", ["crashes-in-parts"])
    assert {"cells_asked": 1, "cells_left_out": 0, "cells_unmeasured": 1} == counts
    row = cells["toy@1.8.0/crashes-in-parts/conv/gradient"]
    assert ("ok", ["wrong-gradient"], None) == (row["status"], row["findings"], row["cause"])


def test_a_leak_has_no_operator_to_be_looked_for(cells: Cells) -> None:
    assert cause(cells, "leak-forward") is None


def test_every_line_with_a_cause_keeps_to_the_schema(cells: Cells) -> None:
    for line in cells.values():
        validate(line)


def test_parts_are_not_among_the_cells_of_the_run(cells: Cells, out: Path) -> None:
    assert {"conv"} == {row["network"] for row in cells.values()}
    assert len(cells) == json.loads((out / "run.json").read_text())["counts"]["cells"]


def test_the_run_and_the_page_say_how_many_cells_were_asked(out: Path, page: Page) -> None:
    causes = json.loads((out / "run.json").read_text())["causes"]
    assert {"cells_asked": 4, "cells_left_out": 0, "cells_unmeasured": 1} == causes
    assert "Of 1 wrong cell the parts of the network could not be measured" in page.words
    assert "further wrong cell" not in page.words


def test_the_page_has_a_row_for_each_cause(page: Page) -> None:
    pool = row(page, "MaxPool 2x2")
    assert "wrong-gradient in inference mode" in pool[2]
    assert pool[4].startswith("3 cells, smallest case on conv: toy@1.8.0/pool-garbage/conv/")
    assert "Smallest case: crosscheck reduce toy@1.8.0/pool-garbage/conv/" in pool[4]
    assert "unrepeatable" not in " ".join(" ".join(row) for row in rows(page))
    assert row(page, "Conv 3x3")[4].startswith("2 cells, smallest case on conv: toy@1.8.0/wrong-gradient/")
    assert row(page, "not located")[4].startswith("2 cells, smallest case on conv: toy@1.8.0/refuses-parts/")


def test_what_is_against_the_documentation_comes_first_and_what_is_documented_beside_the_table(page: Page) -> None:
    first = rows(page)[0]
    assert ["Toy runtime", "BatchNormalization"] == first[:2]
    assert "leak in training mode, contrary to the documentation" in first[2]
    assert "toy@1.8.0/leak-forward/conv/gradient" in first[4]
    assert not any("leak-backward" in text for row in rows(page) for text in row)
    assert "Calls in training mode move statistics, as documented: Toy runtime 1.8.0 (2 cells)." in page.words


def test_the_page_links_cells_that_are_there(page: Page) -> None:
    ids = set(page.attributes("id"))
    assert "causes" in ids
    assert "toy@1.8.0/pool-garbage/conv/gradient" in ids
    assert {address[1:] for address in page.attributes("href") if address.startswith("#")} <= ids


def test_explain_names_operator_and_node(out: Path) -> None:
    done = crosscheck("explain", "toy@1.8.0/pool-garbage/conv/gradient", "--out", str(out))
    assert (0, "") == (done.returncode, done.stderr)
    assert "MaxPool 2x2 (pool) for wrong-gradient, by parts of the network" in " ".join(done.stdout.split())


def test_wrong_cells_beyond_the_bound_are_counted_and_told(
    toy: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "MOST_CELLS", 1)
    modes = ["wrong-gradient", "mode-ignored", "no-gradient"]
    job = Job(["toy"], networks=["conv"], modes=modes, scenarios=["gradient"], trials=1, out=tmp_path)
    run(job, SilentProgress(), {"toy": toy})
    causes = json.loads((tmp_path / "run.json").read_text())["causes"]
    assert {"cells_asked": 1, "cells_left_out": 2, "cells_unmeasured": 0} == causes
    assert [True, False, False] == sorted(
        (row["cause"] is not None for row in read_cells(tmp_path).values()), reverse=True
    )
    words = Page((tmp_path / "report.html").read_text()).words
    assert "The operator was located in 1 cell; 2 further wrong cells had no similar cell among these." in words


def located_alone(
    toy: Runtime, folder: Path, scenario: str, modes: list[str], network: str = "conv"
) -> tuple[dict[str, Any], Cells]:
    """What `run.json` says of causes, and the cells, of a run of one scenario."""
    run(Job(["toy"], networks=[network], modes=modes, scenarios=[scenario], out=folder), SilentProgress(), {"toy": toy})
    return json.loads((folder / "run.json").read_text())["causes"], read_cells(folder)


@pytest.mark.parametrize("scenario", ["gradient", "order", "sibling"])
def test_a_run_of_one_scenario_locates_the_operator(toy: Runtime, tmp_path: Path, scenario: str) -> None:
    counts, cells = located_alone(toy, tmp_path, scenario, ["pool-garbage"])
    assert {"cells_asked": 1, "cells_left_out": 0, "cells_unmeasured": 0} == counts
    again = {"network": "conv-norm", "findings": ["clean"]}
    expected = {"finding": "wrong-gradient", "by": "parts of the network", **POOL, "again": again}
    assert expected == cause(cells, "pool-garbage", scenario)


def test_scenarios_without_gradient_ask_once_and_share(toy: Runtime, tmp_path: Path) -> None:
    job = Job(["toy"], networks=["conv"], modes=["pool-garbage"], scenarios=["order", "sibling"], out=tmp_path)
    run(job, SilentProgress(), {"toy": toy})
    causes = json.loads((tmp_path / "run.json").read_text())["causes"]
    assert {"cells_asked": 1, "cells_left_out": 0, "cells_unmeasured": 0} == causes
    cells = read_cells(tmp_path)
    asked, shared = (cause(cells, "pool-garbage", scenario) for scenario in ("order", "sibling"))
    assert asked is not None
    assert asked["by"] == "parts of the network"
    assert asked | {"by": "parts of the network in toy@1.8.0/pool-garbage/conv/order"} == shared


@pytest.mark.parametrize(
    ("mode", "scenario"), [("pool-order-dependent", "order"), ("pool-disturbed-later", "gradient")]
)
def test_an_operator_that_an_earlier_call_disturbs_is_located(
    toy: Runtime, tmp_path: Path, mode: str, scenario: str
) -> None:
    counts, cells = located_alone(toy, tmp_path, scenario, ["pool-order-dependent", "pool-disturbed-later"])
    assert {"cells_asked": 1, "cells_left_out": 0, "cells_unmeasured": 0} == counts
    again = {"network": "conv-norm", "findings": ["clean"]}
    expected = {"finding": "order-dependent", "by": "parts of the network", **POOL, "again": again}
    assert expected == cause(cells, mode, scenario)


def test_an_earlier_call_that_disturbs_every_operator_is_at_the_first_node(toy: Runtime, tmp_path: Path) -> None:
    _, cells = located_alone(toy, tmp_path, "order", ["order-dependent"])
    found = cause(cells, "order-dependent", "order")
    assert found is not None
    assert ("order-dependent", "conv1", "Conv", True) == tuple(found[key] for key in ("finding", "node", "op", "first"))
    # Every shipped network of that rank has a convolution.
    assert found["again"] is None


def test_the_same_command_again_measures_no_part(toy: Runtime, tmp_path: Path) -> None:
    job = Job(["toy"], networks=["conv"], modes=["wrong-whole"], scenarios=["gradient"], trials=1, out=tmp_path)
    assert not run(job, SilentProgress(), {"toy": toy}).unchanged
    (tmp_path / "cells.jsonl").unlink()
    progress = SilentProgress()
    run(job, progress, {"toy": toy})
    assert [] == progress.cells
    (row,) = read_cells(tmp_path).values()
    assert "dense" == row["cause"]["node"]


@pytest.mark.parametrize(("shows_layers", "by"), [(True, "its layers"), (False, "parts of the network")])
def test_a_reader_of_onnx_gets_parts_as_files(toy: Runtime, tmp_path: Path, shows_layers: bool, by: str) -> None:
    """The careless reader takes another epsilon than the file's from the second batch normalization on."""
    reader = dataclasses.replace(made(toy, tmp_path / "careless", careless=True), shows_layers=shows_layers)
    job = Job(["careless@1.8.0"], networks=["conv"], modes=["opset-15"], trials=1, out=tmp_path / "out")
    run(job, SilentProgress(), {"careless": reader})
    (row,) = read_cells(tmp_path / "out").values()
    assert ["wrong-prediction"] == row["findings"]
    assert ("bn2", "BatchNormalization", by) == (row["cause"]["node"], row["cause"]["op"], row["cause"]["by"])


def located(finding: str = "wrong-gradient", release: str = "1.9.1", **fields: Any) -> dict[str, Any]:
    """A cell of an inference-mode gradient for whose finding MaxPool is at fault."""
    by = {"finding": finding, "by": "parts of the network", **POOL}
    return make_cell(release, "executor.eval.eval", findings=(finding,), **{"cause": by, **fields})


def shown(tmp_path: Path, *lines: dict[str, Any]) -> Page:
    return Page(write(saved(tmp_path, list(lines))).read_text())


def test_cells_of_one_cause_share_a_row(tmp_path: Path) -> None:
    page = shown(
        tmp_path, located(), located(release="1.2.0"), located(network="conv"), located(variant="naive-engine")
    )
    (only,) = rows(page)
    assert ["Apache MXNet", "MaxPool 2x2"] == only[:2]
    assert only[3].startswith("1.2.0, 1.9.1, 1.9.1 +naive-engine")
    assert only[4].startswith("4 cells, smallest case on seed, conv: ")


def test_findings_that_follow_from_the_located_one_have_no_row(tmp_path: Path) -> None:
    findings = ["wrong-gradient", "unrepeatable", "order-dependent", "input-written"]
    page = shown(tmp_path, located() | {"findings": findings})
    assert {"MaxPool 2x2", "BatchNormalization"} == {row[1] for row in rows(page)}
    assert "input-written" in row(page, "BatchNormalization")[2]


@pytest.mark.parametrize(
    ("wrong", "bounds"),
    [
        (("1.2.0", "1.9.1"), "not yet in 0.11.0"),
        (("0.9.5.post2", "0.11.0"), "no longer in 1.2.0"),
        (("0.11.0", "1.2.0"), "not yet in 0.9.5.post2, no longer in 1.9.1"),
        (("0.9.5.post2", "0.11.0", "1.2.0", "1.9.1"), ""),
    ],
)
def test_a_row_names_the_neighbouring_releases_without_the_finding(
    tmp_path: Path, wrong: tuple[str, ...], bounds: str
) -> None:
    releases = ("0.9.5.post2", "0.11.0", "1.2.0", "1.9.1")
    right = [located("clean", release, cause=None) for release in releases if release not in wrong]
    (only,) = rows(shown(tmp_path, *(located(release=release) for release in wrong), *right))
    assert bounds == only[3].partition("; ")[2]


def test_an_unmeasured_release_bounds_nothing(tmp_path: Path) -> None:
    other = located("clean", "1.2.0", cause=None, network="digits")
    (only,) = rows(shown(tmp_path, located(), other))
    assert "1.9.1" == only[3]


def test_the_operators_attributes_tell_code_paths_apart(tmp_path: Path) -> None:
    padded = {"finding": "wrong-gradient", "by": "parts of the network", **POOL}
    padded["attributes"] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    page = shown(tmp_path, located(), located(network="conv", cause=padded))
    assert {"MaxPool 2x2", "MaxPool 3x3 by steps of 2x2 padded"} == {row[1] for row in rows(page)}


def test_a_documented_leak_does_not_make_corruption_of_the_same_cell_documented(tmp_path: Path) -> None:
    contract = {**located()["contract"], "statistics": "move"}
    fields: dict[str, Any] = {"intent": "training", "cause": None, "contract": contract, "contradicts": False}
    both, leaking = located("leak", **fields) | {"findings": ["corrupted", "leak"]}, located("leak", "1.2.0", **fields)
    page = shown(tmp_path, both, leaking)
    (only,) = rows(page)
    assert "corrupted" in only[2]
    assert "leak" not in only[2]
    corrupted = ["cause/1", "corrupted: BatchNormalization in training mode; 1.9.1"]
    leak = ["causes/documented", "leak: BatchNormalization in training mode, as documented; 1.2.0, 1.9.1"]
    values = unpacked(page.embedded)["values"]
    assert [corrupted, leak] in values
    assert [leak] in values


def test_a_run_without_findings_has_no_causes(tmp_path: Path) -> None:
    assert "causes" not in shown(tmp_path, located("clean", cause=None)).attributes("id")


def test_undocumented_moves_without_a_defect_are_not_called_clean(tmp_path: Path) -> None:
    contract = {**located()["contract"], "statistics": "undocumented"}
    page = shown(tmp_path, located("leak", intent="training", cause=None, contract=contract, contradicts=None))
    assert "No operator gives wrong numbers, and nothing contradicts the documentation." in page.words
    assert "Beside that: undocumented moves in training mode in 1 runtime" in page.words
