"""Known cases: validity of the shipped table, and verdicts derived from cells."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from crosscheck.cells import Finding, Scenario, Status
from crosscheck.records.versions import run_of
from crosscheck.report import known, write
from crosscheck.report.known import Case, announced, known_cases, verdicts
from crosscheck.report.reading import read_cells
from crosscheck.runtimes.catalog import catalog
from tests.test_report import Page, make_cell, make_run, saved, unmeasured_cell

RUN = run_of(make_run())
CASES = known_cases()
HOSTILE = "</code><script>alert('x')</script><img src=x onerror=alert(1)>&\"'"


def case(**fields: Any) -> Case:
    """A report that training-mode gradients of MXNet below 1.2 leak."""
    facts: dict[str, Any] = {
        "runtime": "mxnet",
        "releases": "<1.2",
        "mode": ("executor.train.*",),
        "expects": ("leak",),
        "title": "It leaks.",
        "link": "https://example.org/issues/1",
        "date": date(2017, 7, 25),
        **fields,
    }
    return Case(**facts)


def verdict(tmp_path: Path, lines: list[dict[str, Any]], **fields: Any) -> known.Verdict:
    (result,) = verdicts(RUN, read_cells(saved(tmp_path, lines)), [case(**fields)])
    return result


def wrong_with(entry: Case) -> list[str]:
    """The reasons why an entry of the table can match no cell."""
    parts = urlsplit(entry.link)
    faults = [] if parts.scheme == "https" and parts.netloc else [f"{entry.link} is no https address"]
    known_words = {*Finding, Status.REFUSED, Status.CRASHED}
    faults += [f"there is no finding or status {word}" for word in entry.expects if word not in known_words]
    faults += [] if entry.title.endswith(".") else ["the title is no sentence"]
    faults += [f"no scenario is {glob}" for glob in entry.scenario if not any(fnmatchcase(s, glob) for s in Scenario)]
    try:
        specifier = SpecifierSet(entry.releases)
    except InvalidSpecifier:
        return [*faults, f"{entry.releases} is no PEP 440 specifier"]
    if entry.runtime not in catalog():
        return faults if entry.runtime in announced() else [*faults, f"there is no runtime {entry.runtime}"]
    runtime = catalog()[entry.runtime]
    releases = [release for release in runtime.releases if specifier.contains(release.version, prereleases=True)]
    if bool(releases) != entry.listed:
        return [*faults, f"releases in {entry.releases}: {len(releases)}; listed is {entry.listed}"]
    releases = releases or list(runtime.releases)  # one that is not listed is resolved like one of these
    for glob in entry.mode:
        modes = [mode for mode in runtime.modes if fnmatchcase(mode.name, glob)]
        if not any(release.has(mode) for release in releases for mode in modes):
            faults.append(f"no mode of these releases matches {glob}")
    variants = {variant.name for release in releases for variant in release.variants}
    faults += [
        f"no variant matches {glob}" for glob in entry.variant if not any(fnmatchcase(v, glob) for v in variants)
    ]
    return faults


def test_every_entry_of_the_table_can_match_a_cell() -> None:
    faults = {f"{entry.runtime} {entry.link}": wrong_with(entry) for entry in CASES}
    assert {} == {name: result for name, result in faults.items() if result}


def test_entries_of_the_table_are_distinct() -> None:
    claims = [(entry.link, entry.runtime, entry.expects, entry.needs) for entry in CASES]
    assert len(claims) == len(set(claims))


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"link": "javascript:alert(1)"}, "no https address"),
        ({"expects": ("leek",)}, "no finding or status leek"),
        ({"runtime": "mxnett"}, "no runtime mxnett"),
        ({"releases": "<0.1"}, "releases in"),
        ({"releases": "..1.3"}, "no PEP 440 specifier"),
        ({"mode": ("executor.trian.*",)}, "no mode"),
        ({"mode": ("gluon.*",), "releases": "<0.11"}, "no mode"),
        ({"variant": ("mkldn",)}, "no variant"),
        ({"scenario": ("twentie",)}, "no scenario"),
    ],
)
def test_entries_that_match_nothing_are_reported(fields: dict[str, Any], fault: str) -> None:
    assert [] == wrong_with(case())
    assert fault in " ".join(wrong_with(case(**fields)))


def test_one_matching_cell_confirms_and_the_newest_are_linked(tmp_path: Path) -> None:
    lines = [make_cell(release) for release in ("0.9.5.post2", "0.11.0", "1.9.1")]
    result = verdict(tmp_path, [*lines, make_cell("0.11.0", network="digits", findings=("clean",))])
    assert ("confirmed", "in 2 of 3 cells measured, of mxnet 0.9.5.post2, 0.11.0") == (result.word, result.why)
    assert ["0.11.0", "0.9.5.post2"] == [cell.release for cell in result.seen]
    assert "mxnet@0.11.0/executor.train.train/seed/gradient" == result.seen[0].anchor


def test_other_results_refute(tmp_path: Path) -> None:
    result = verdict(tmp_path, [make_cell("0.11.0", findings=("wrong-gradient",))])
    assert ("refuted", "wrong-gradient was found in 1 cell of mxnet 0.11.0") == (result.word, result.why)
    assert () == result.seen


@pytest.mark.parametrize("finding", ["gradients-left", "mode-left-changed", "save-changed", "racy"])
def test_a_scenario_that_does_not_look_for_a_finding_refutes_no_report_of_it(tmp_path: Path, finding: str) -> None:
    twenty = make_cell("0.11.0", network="digits", scenario="twenty")
    result = verdict(tmp_path, [twenty], expects=(finding,))
    assert ("not tried", False) == (result.word, result.asked)
    assert "the scenarios of this run do not look for it (twenty)" == result.why
    result = verdict(tmp_path, [twenty, make_cell("0.11.0")], expects=(finding,))
    assert ("refuted", "leak was found in 1 cell of mxnet 0.11.0") == (result.word, result.why)
    assert "confirmed" == verdict(tmp_path, [twenty], expects=(finding, "leak")).word
    shown = make_cell("0.11.0", scenario="interleaved", findings=(finding,))
    assert "confirmed" == verdict(tmp_path, [twenty, shown], expects=(finding,)).word


def test_a_report_of_clean_needs_all_cells(tmp_path: Path) -> None:
    lines = [make_cell("0.11.0", findings=("clean",)), make_cell("0.11.0", network="digits", findings=("clean",))]
    assert "confirmed" == verdict(tmp_path, lines, expects=("clean",)).word
    lines[1]["findings"] = ["leak"]
    assert "refuted" == verdict(tmp_path, lines, expects=("clean",)).word


def test_a_refusal_decides_only_reports_of_refusals(tmp_path: Path) -> None:
    lines = [unmeasured_cell("refused", "KeyError: 'spatial'", release="0.11.0")]
    assert "confirmed" == verdict(tmp_path, lines, expects=("refused",)).word
    result = verdict(tmp_path, lines)
    assert ("not tried", "nothing could be measured: refused (KeyError: 'spatial')") == (result.word, result.why)
    assert result.asked
    assert "refuted" == verdict(tmp_path, [make_cell("0.11.0")], expects=("refused",)).word


@pytest.mark.parametrize(
    ("line", "fields", "why"),
    [
        (make_cell("0.11.0"), {"runtime": "torch"}, "torch is not in this run"),
        (make_cell("1.9.1"), {}, "none of these releases is in this run (<1.2)"),
        (make_cell("0.11.0"), {"mode": ("gluon.*",)}, "this run has no matching cell"),
        (make_cell("0.11.0"), {"network": ("digits*",)}, "this run has no matching cell"),
        (make_cell("0.11.0"), {"scenario": ("twenty",)}, "this run has no matching cell"),
        (make_cell("0.11.0"), {"variant": ("mkl",)}, "this run has no matching cell"),
        (unmeasured_cell("not-in-release", release="0.11.0"), {}, "do not have this mode"),
        (unmeasured_cell("unavailable", "needs CPython 3.7", release="0.11.0"), {}, "unavailable (needs CPython 3.7)"),
        (
            make_cell("0.11.0"),
            {"needs": "an NVIDIA GPU"},
            "needs an NVIDIA GPU; without it, leak was found in mxnet 0.11",
        ),
        (make_cell("nightly"), {}, "none of these releases"),
    ],
)
def test_untried_reports_have_a_reason(tmp_path: Path, line: dict[str, Any], fields: dict[str, Any], why: str) -> None:
    result = verdict(tmp_path, [line], **fields)
    unasked = any(text in why for text in ("not in this run", "none of these releases", "no matching cell"))
    assert ("not tried", not unasked) == (result.word, result.asked)
    assert why in result.why


def test_a_report_with_a_number_of_updates_needs_that_number(tmp_path: Path) -> None:
    once = make_cell("0.11.0")
    result = verdict(tmp_path, [once], updates=2)
    assert ("refuted", "leak (updates: 1) was found in 1 cell of mxnet 0.11.0") == (result.word, result.why)
    twice = make_cell("0.11.0", update={**once["update"], "count": 2})
    assert "confirmed" == verdict(tmp_path, [once, twice], updates=2).word


def test_specifiers_include_post_releases(tmp_path: Path) -> None:
    assert "confirmed" == verdict(tmp_path, [make_cell("0.9.5.post2")], releases="==0.9.*").word
    assert "confirmed" == verdict(tmp_path, [make_cell("nightly")], releases="").word


@pytest.fixture
def page(tmp_path: Path) -> Callable[[list[dict[str, Any]]], Page]:
    def render(lines: list[dict[str, Any]]) -> Page:
        return Page(write(saved(tmp_path, lines)).read_text(encoding="utf-8"))

    return render


def of_7189(page: Page) -> list[str]:
    (line,) = [line for table in page.tables for line in table if "mxnet/issues/7189" in " ".join(line)]
    return line


def test_the_page_lists_and_counts_the_verdicts(
    page: Callable[[list[dict[str, Any]]], Page],
) -> None:
    made = page([make_cell("0.9.5.post2", "executor.eval.default", findings=("leak", "wrong-gradient"))])
    line = " ".join(of_7189(made))
    assert "2017-07-25" in line
    assert "confirmed: in 1 of 1 cell measured, of mxnet 0.9.5.post2" in line
    rest = len(CASES) - 2
    sentence = (
        f"crosscheck ships {len(CASES)} public reports about these and other runtimes. This run confirms 2, refutes 0"
    )
    assert f"{sentence}, and could not try {rest}." in " ".join(made.text.split())
    links = [attributes.get("href") for tag, attributes in made.tags if tag == "a"]
    assert "https://github.com/apache/mxnet/issues/7189" in links
    assert "#mxnet@0.9.5.post2/executor.eval.default/seed/gradient" in links


def test_texts_of_a_run_are_escaped(page: Callable[[list[dict[str, Any]]], Page]) -> None:
    line = unmeasured_cell("unavailable", HOSTILE, release="0.9.5.post2", mode="executor.eval.default")
    made = page([line, make_cell("0.11.0", "gluon.eval.default", network=HOSTILE, findings=("wrong-gradient",))])
    assert HOSTILE in " ".join(of_7189(made))
    assert not [tag for tag, _ in made.tags if tag == "img"]


def test_known_cases_do_not_change_cells(tmp_path: Path) -> None:
    folder = saved(tmp_path, [make_cell("0.9.5.post2", "executor.eval.default", findings=("clean",))])
    write(folder)
    (cell,) = map(json.loads, (folder / "cells.jsonl").read_text().splitlines())
    assert ["clean"] == cell["findings"]
