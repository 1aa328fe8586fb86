"""Every number of the report of a toy run is in `cells.jsonl`; page and cells are read independently."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from crosscheck.job import Job
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import Measure
from tests.test_report import Page

MODES = ["inference", "training", "predict", "leak-both", "wrong-gradient", "refused", "corrupted"]
#: A number with a fraction or an exponent; integers are counts, tested separately below.
REAL = re.compile(r"(?<![\w.])-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)(?![\w.]|-\d)")

#: Every text of an element except headings, which contain releases.
TEXTS = """node => {
    const found = [], walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        if (!walker.currentNode.parentElement.closest("h2, nav")) found.push(walker.currentNode.data);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def folder(toy: Runtime, measure: Measure) -> Path:
    return measure(Job(what=["toy"], modes=MODES, networks=["seed*", "digits"]), {"toy": toy})


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def leaves(value: Any) -> Iterator[Any]:
    """Every number and text of a JSON value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def rounded(records: Any) -> set[float]:
    """The numbers of JSON values, rounded as in the report to six or two digits, and those within texts."""
    recorded_numbers: set[float] = set()
    for leaf in leaves(records):
        if isinstance(leaf, str):
            recorded_numbers.update(float(text) for text in REAL.findall(leaf))
        elif isinstance(leaf, int | float) and not isinstance(leaf, bool) and math.isfinite(leaf):
            recorded_numbers.update(
                {float(f"{leaf:.6g}"), float(f"{leaf:.5e}"), float(f"{leaf:.1e}"), float(f"{leaf:.1f}")}
            )
    return recorded_numbers


def test_every_number_of_the_page_is_in_the_cells(folder: Path, lines: list[dict[str, Any]]) -> None:
    cases = tomllib.loads(resources.files("crosscheck.report").joinpath("known_cases.toml").read_text())
    known = rounded([lines, json.loads((folder / "run.json").read_text()), cases])
    html = (folder / "report.html").read_text()
    words = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)
    axis, original = {0.5}, {0.29985, 0.3998, 0.284447, 0.379263}
    gigabytes = {float(text) for text in re.findall(r"([\d.]+) GB memory", words)}
    numbers = [float(text) for text in REAL.findall(words)]
    assert len(numbers) > 100
    assert [] == sorted(set(numbers) - known - axis - original - gigabytes)


def test_every_line_has_the_numbers_of_all_its_cells(page: Page, lines: list[dict[str, Any]]) -> None:
    """The entries of a line must hold for every cell that it links to."""
    by_place = {(line["mode"], line["scenario"], line["network"]): line for line in lines}
    seen = 0
    for table, section in zip(
        (table for table in page.tables if table[0][0].startswith("Scenario, network")),
        (attributes["id"] for tag, attributes in page.tags if tag == "details" and attributes.get("class") == "mode"),
        strict=True,
    ):
        mode = str(section).rpartition("/")[2]
        for words in table[1:]:
            scenario, _, network = words[0].strip().partition(", ")
            line = by_place[mode, scenario, network.strip()]
            assert all(finding in words[1] for finding in line["findings"])
            seen += 1
            if line["curve"]:
                ends = [line["curve"]["accuracy"][at] for at in (0, -1)]
                assert [f"accuracy {end:.6g}," in words[2 + at] for at, end in enumerate(ends)] == [True, True]
            elif line["prediction_before"] and network.strip() == "seed":
                for column, key in ((2, "prediction_before"), (3, "prediction_after")):
                    numbers = " ".join(f"{number:.6g}" for number in line[key][0])
                    assert numbers == words[column].partition("(")[0].strip()
    assert sum(line["status"] != "not-in-release" for line in lines) == seen


def test_the_squares_and_the_answer_count_the_cells(page: Page, lines: list[dict[str, Any]]) -> None:
    titles = [attributes["title"] or "" for tag, attributes in page.tags if tag == "a" and "title" in attributes]
    squares = {title for title in titles if "measured cells" in title}
    assert squares
    for mode in MODES:
        here = [line for line in lines if line["mode"] == mode]
        measured = [line for line in here if line["status"] in ("ok", "crashed")]
        for finding, count in Counter(finding for line in here for finding in line["findings"]).items():
            assert any(f"{finding} in {count} of {len(measured)} measured cells" in title for title in squares), mode
    assert any(line["findings"] == ["leak"] for line in lines)
    assert "Yes, in 1 of the 1 release measured" in page.words
    unmeasured = sum(line["status"] not in ("ok", "not-in-release") for line in lines)
    assert f"{unmeasured} cells of {len(lines)} could not be measured or crashed" in page.words


def test_every_number_of_an_opened_cell_is_in_its_line(
    chromium: Browser, folder: Path, lines: list[dict[str, Any]]
) -> None:
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto((folder / "report.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    seen = 0
    for line in lines:
        page.evaluate("id => { location.hash = '#?' + new URLSearchParams({cell: id}); }", line["id"])
        page.wait_for_function("id => document.getElementById('cell-id')?.textContent === id", arg=line["id"])
        texts = page.locator("dialog").evaluate(TEXTS)
        numbers = {float(text) for text in REAL.findall("\n".join(texts))}
        seen += len(numbers)
        changes = [
            [later - before for before, later in zip(pair["before"], pair["after"], strict=True)]
            for pair in line["tensors"].values()
            if pair["after"] and not any(isinstance(number, str) for number in pair["after"])
        ]
        pairs = zip(leaves(line["prediction_before"]), leaves(line["prediction_after"]), strict=False)
        apart = [abs(now - old) for old, now in pairs if isinstance(old, float) and isinstance(now, float)]
        told = {float(f"{max(apart, default=0.0):.3g}")}
        assert [] == unexplained(numbers, rounded([line, changes]) | told), line["id"]
    assert seen > 300
    context.close()


def unexplained(numbers: set[float], known: set[float]) -> list[float]:
    """The numbers not among the known ones; differences are computed from nine digits, so the last digit may differ."""
    return [
        number for number in numbers - known if not any(math.isclose(number, other, rel_tol=1e-5) for other in known)
    ]
