"""Search: syntax, filtered squares, and views restored from links."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from crosscheck.expectations import Entry, Expectations
from tests.browser.conftest import Open
from tests.test_report import default_cells, make_cell, make_run, unmeasured_cell

CELLS: list[dict[str, Any]] = [
    make_cell("0.11.0", contradicts=False, contract={"statistics": "move", "says": "They follow.", "link": ""}),
    make_cell("1.2.0", contradicts=True),
    make_cell("1.2.0", network="conv", findings=("clean",)),
    make_cell("1.9.1.post1", "executor.eval.eval", findings=("clean",), default_call=True),
    make_cell("1.10.0", "executor.eval.eval", findings=("racy", "wrong-gradient"), variant="naive-engine"),
    make_cell("1.10.0", "executor.predict", scenario="predict-only", findings=("clean",), reason="said twice: no"),
    unmeasured_cell("refused", 'the "axis" is refused', release="1.10.0", network="conv"),
]


def names(page: Page) -> list[str]:
    """The ids of the listed cells, in order."""
    return page.locator("#results a").all_inner_texts()


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("finding:leak", [0, 1]),
        ("FINDING:leak,racy", [0, 1, 4]),
        ("-finding:*", [6]),
        ("release:1.2.0..1.9.1.post1", [1, 2, 3]),
        ("release:..1.2.0 finding:clean", [2]),
        ("release:1.9.1..", [3, 4, 5, 6]),
        ("release:1.10*", [4, 5, 6]),
        ("variant:plain network:conv", [2, 6]),
        ("mode:*.eval.*", [3, 4]),
        ("status:refused", [6]),
        ("intent:inference asks:prediction", [5]),
        ("is:undocumented", [1]),
        ("is:contradicted", [1]),
        ("is:default", [3]),
        ("is:different", [0, 1, 2]),
        ("runtime:mxnet scenario:predict-only", [5]),
        ("naive", [4]),
        ('"said twice"', [5]),
        ('-"said twice" -finding:leak,clean', [4, 6]),
    ],
)
def test_search_syntax(opened: Open, words: str, places: list[int]) -> None:
    page = opened(CELLS)
    page.get_by_label("Search cells").fill(words)
    expect(page.locator("#found")).to_have_text(f"{len(places)} of 7 cells.")
    assert [CELLS[place]["id"] for place in places] == names(page)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("is:broken", "is:broken is unknown; known: is:undocumented, is:contradicted"),
        ("lease:1.9", "lease: is not a field and is searched as text; fields: runtime:, release:"),
    ],
)
def test_invalid_terms_are_reported(opened: Open, words: str, message: str) -> None:
    page = opened(CELLS)
    page.get_by_label("Search cells").fill(words)
    expect(page.locator("#found")).to_contain_text(message)


def test_search_by_change(opened: Open) -> None:
    before = [make_cell("1.9.1", findings=("clean",)), make_cell("1.2.0")]
    page = opened([make_cell("1.9.1"), make_cell("1.2.0", findings=("clean",))], against=before)
    page.get_by_label("Search cells").fill("changed:worse")
    expect(page.locator("#found")).to_have_text("1 of 2 cells.")
    assert ["mxnet@1.9.1/executor.train.train/seed/gradient"] == names(page)


def test_search_by_what_is_expected(opened: Open) -> None:
    leaks = Expectations("expect.toml", (Entry(("mxnet@*",), frozenset({"leak"}), reason="it is documented"),))
    cells = [
        make_cell(),
        make_cell("1.2.0", findings=("racy",)),
        make_cell("1.2.0", network="conv", findings=("clean",)),
    ]
    page = opened(cells, expectations=leaks)
    square = page.locator("tr[data-mode='executor.train.train'] td")
    expect(square.nth(0)).to_have_class("t-order x-unexpected")
    for kind, cell in zip(("expected", "unexpected", "fixed"), cells, strict=True):
        page.get_by_label("Search cells").fill(f"is:{kind}")
        expect(page.locator("#found")).to_have_text("1 of 3 cells.")
        assert [cell["id"]] == names(page)
        expect(page.locator(f"table.matrix td.x-{kind}")).to_have_count(1)
    page.get_by_role("link", name="1 cell fixed").click()
    expect(page.locator("#results a")).to_have_text(cells[2]["id"])
    page.locator("#results a").click()
    expect(page.locator("dialog")).to_contain_text("fixed: leak (it is documented)")


def test_the_view_is_stored_in_the_fragment(opened: Open) -> None:
    page = opened(default_cells())
    page.get_by_label("Search cells").fill("finding:leak -is:default")
    page.get_by_label("Network", exact=True).select_option("seed")
    expect(page.locator("#found")).to_have_text("6 of 20 cells.")
    again = page.context.new_page()
    again.goto(page.url)
    expect(again.locator("#found")).to_have_text("6 of 20 cells.")
    assert "finding:leak -is:default" == again.get_by_label("Search cells").input_value()
    assert names(page) == names(again)
    page.get_by_role("button", name="Copy link").click()
    assert page.url == page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#found")).to_have_text("20 cells.")
    assert page.url.endswith("report.html#")


def squares(page: Page) -> list[list[str]]:
    """The class and letters of every square."""
    script = "nodes => nodes.map(td => [td.className, td.textContent.replace(/[0-9\\s]/g, '')])"
    shown_squares: list[list[str]] = page.locator("table.matrix td").evaluate_all(script)
    return shown_squares


def test_clearing_the_search_restores_squares(opened: Open) -> None:
    page = opened([*CELLS, *default_cells()[1:]])
    written = squares(page)
    assert len({looks for looks, _ in written}) > 5
    page.get_by_label("Search cells").fill("-nowhere")
    expect(page.locator("#found")).to_contain_text("of")
    assert written == squares(page)


def test_network_and_scenario_filter_squares(opened: Open) -> None:
    page = opened([make_cell(), make_cell(network="conv", findings=("clean",))])
    square = page.locator("tr[data-mode='executor.train.train'] td")
    expect(square).to_have_text("L!")
    page.get_by_label("Network", exact=True).select_option("conv")
    expect(square).to_have_text("✓")
    page.get_by_label("Network", exact=True).select_option("seed")
    expect(square).to_have_text("L!")
    page.get_by_label("Scenario", exact=True).select_option("gradient")
    expect(square).to_have_text("L!")


def test_cells_outside_the_search_are_hidden(opened: Open) -> None:
    page = opened(default_cells())
    page.get_by_label("Search cells").fill("mode:executor.predict runtime:mxnet")
    expect(page.locator("tr[data-mode]:visible")).to_have_count(1)
    page.locator("details.part", has=page.locator("#ways")).locator("summary").first.click()
    expect(page.locator(".ways details.mode:visible")).to_have_count(1)
    expect(page.get_by_role("heading", name="Apache MXNet", exact=True)).to_be_visible()
    for heading in page.get_by_role("heading", name="ONNX Runtime").all():
        expect(heading).to_be_hidden()


def test_ways_with_equal_squares_share_a_row_until_expanded(opened: Open) -> None:
    leaking, clean = ("executor.a", "executor.b", "gluon.a"), ("executor.c", "gluon.c")
    lines = [make_cell(mode=name, findings=("leak",)) for name in leaking]
    page = opened([*lines, *(make_cell(mode=name, findings=("clean",)) for name in clean)])
    rows = page.locator("tr[data-mode]:visible th a")
    expect(rows).to_have_text(["executor.a", "executor.c"])
    page.get_by_role("button", name="Show 2 ways with the same squares as executor.a").click()
    expect(rows).to_have_text([*leaking, "executor.c"])
    page.get_by_role("button", name="Fold 2 ways with the same squares as executor.a").click()
    expect(rows).to_have_text(["executor.a", "executor.c"])
    page.get_by_label("Search cells").fill("mode:gluon.*")
    expect(rows).to_have_text(["gluon.a", "gluon.c"])
    page.emulate_media(media="print")
    expect(page.locator("tr[data-mode]:visible")).to_have_count(2)


def test_ways_of_one_api_stand_together_under_its_title(opened: Open) -> None:
    run = make_run()
    run["runtimes"]["mxnet"]["apis"] = {"gluon.*": "Gluon", "executor.*": "symbolic executor"}
    names = ("executor.a", "gluon.a", "executor.b")
    page = opened([make_cell(mode=name, findings=("clean",)) for name in names], run=run)
    rows = page.locator("table.matrix tbody tr:visible th")
    executor, gluon = re.compile("^executor.a"), re.compile("^gluon.a")
    expect(rows).to_have_text(["Training-mode gradients", "symbolic executor", executor, "Gluon", gluon])
    page.get_by_label("Search cells").fill("mode:gluon.*")
    expect(rows).to_have_text(["Training-mode gradients", "Gluon", gluon])


def test_equal_releases_share_a_column_until_expanded(opened: Open) -> None:
    releases = ("0.9.5.post2", "0.11.0", "1.2.0", "1.9.1")
    lines = [make_cell(name, findings=("leak" if name == "1.9.1" else "clean",)) for name in releases]
    page = opened(lines)
    heads = page.locator("th.release:visible")
    expect(heads).to_have_text(["0.9.5.post2 to 1.2.0", "1.9.1"])
    page.get_by_role("button", name="Show every release (2 folded)").click()
    expect(heads).to_have_text(["0.9.5.post2", "0.11.0", "1.2.0", "1.9.1"])


def test_a_search_without_a_hit_names_the_runtimes_of_the_report(opened: Open) -> None:
    page = opened(default_cells())
    page.get_by_label("Search cells").fill("runtime:keras")
    expect(page.locator("#found")).to_have_text("0 of 20 cells. Runtimes of this report: mxnet, onnxruntime.")
    expect(page.locator("#results")).to_be_hidden()


def test_lines_of_a_mode_that_is_opened_after_a_search_follow_it(opened: Open) -> None:
    page = opened([make_cell(), make_cell(network="conv", findings=("clean",))])
    lines = page.locator(".ways tbody tr:visible")
    page.get_by_label("Search cells").fill("finding:clean")
    page.locator("details.part", has=page.locator("#ways")).locator("summary").first.click()
    page.locator(".ways details.mode summary").click()
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("conv")
    page.get_by_role("button", name="Clear").click()
    expect(lines).to_have_count(2)


def test_a_link_to_a_mode_shows_it_among_those_of_the_search(opened: Open) -> None:
    page = opened([make_cell(mode=f"executor.{letter}", network=network) for letter in "abcd" for network in "xy"])
    page.get_by_label("Search cells").fill("mode:executor.c")
    page.locator("table.matrix").get_by_role("link", name="executor.c").click()
    expect(page.locator(".ways details.mode:visible")).to_have_count(1)
    expect(page.locator(".ways details.mode[open] summary")).to_be_in_viewport()
