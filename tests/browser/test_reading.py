"""The page in the browser: panels of cells, keyboard, small screens, print, no JavaScript, accessibility."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from crosscheck.expectations import Entry, Expectations
from tests.browser.conftest import Open
from tests.test_report import curve_cell, default_cells, make_cell, make_run, summarized, unmeasured_cell

IMAGE = [[[[0.1 * (row - column) for column in range(8)] for row in range(8)]]]
FLIP = {"index": 17, "before": 3, "after": 8, "image": IMAGE[0], "before_probability": 0.987, "after_probability": 0.51}
RICH = make_cell(
    gradient=IMAGE,
    closed_forms={"inference": IMAGE, "training": [[[[0.0] * 8] * 8]]},
    tensors={
        "bn.mean": {"before": [0.0, 0.0], "after": [0.03, 0.04]},
        "bn.var": {"before": [1.0, 1.0], "after": [0.9, 0.9]},
        "bn.count": {"before": [0.0], "after": None},
    },
    state_changes={"bn.mean": 0.04, "bn.var": 0.1, "bn.count": 0.0, "conv.weight": 0.0},
    first_layer={"node": "bn0", "op": "BatchNormalization", "tensor": "y", "error": 0.0513},
    stderr="warning: one\nwarning: two",
    trials=[
        {
            "reading": "undisturbed",
            "count": 4,
            "statuses": {"ok": 4},
            "outcomes": [{"count": 3, "what": "prediction 0.284447"}, {"count": 1, "what": "prediction 0.29985"}],
        }
    ],
)
#: As long as they are.
LONG = "bound symbol, use_global_stats=True of_a_name_that_does_not_end_before_the_line, backward(is_train=False)"


def opened_cell(page: Page) -> Any:
    return page.get_by_role("dialog")


def test_a_square_opens_its_cell(opened: Open) -> None:
    page = opened([RICH], scripts=lambda cell: ("# /// script\n", f"# {cell.id}\n"))
    page.locator("table.matrix td a").first.click()
    cell = opened_cell(page)
    expect(cell.get_by_role("heading", name="mxnet@1.9.1/executor.train.train/seed/gradient")).to_be_focused()
    for text in (
        "executor.forward(is_train=...)",
        "0.29985 0.3998 (class 1)",
        "0.284447 0.379263 (class 1)",
        "updates: 1, in backward, momentum 0.9, variance biased, residual 1.2e-8",
        "1.0e+0 / 0 (against the inference / training form; \N{EN DASH} where that is zero)",
        "bn0 (BatchNormalization), its output y by 5.1e-2",
        "statistics: stay. The moving statistics are used.",
        "the same bits",
        "3 \N{MULTIPLICATION SIGN} prediction 0.284447",
        "warning: two",
        "mxnet 1.9.1, numpy 1.23.5",
        "crosscheck run mxnet@1.9.1 --mode executor.train.train --network seed --scenario gradient",
        "conv.weight",
    ):
        expect(cell).to_contain_text(text)
    mean = cell.get_by_role("row", name="bn.mean")
    assert ["bn.mean", "0 0", "0.03 0.04", "0.03 0.04"] == mean.locator("th, td").all_inner_texts()
    for name in ("bn.mean, before", "bn.mean, after", "bn.mean, difference"):
        expect(mean.get_by_role("img", name=name)).to_be_visible()
    shades = mean.get_by_role("img", name="bn.mean, after").locator("rect")
    assert ["0.750", "1.000"] == [shade.get_attribute("fill-opacity") for shade in shades.all()]
    for name in ("measured", "closed form, inference mode", "closed form, training mode"):
        expect(cell.get_by_role("img", name=f"Gradient, {name}")).to_be_visible()
    assert 64 == cell.get_by_role("img", name="Gradient, measured").locator("rect").count()


@pytest.mark.parametrize(
    ("fields", "sentences"),
    [
        (
            {},
            "One gradient in training mode moved mean and var of bn; the next prediction changed by 0.0205. The "
            "documentation says that they stay.",
        ),
        (
            {"state_changes": {"bn1.mean": 0.1, "bn1.var": 0.1, "bn2.mean": 0.1, "bn2.var": 0.2, "fc.weight": 0.0}},
            "moved mean and var of bn1, bn2; the next",
        ),
        (
            {"state_changes": {"bn1.mean": 0.1, "bn1.var": 0.1, "bn2.mean": 0.1, "count": 1.0}},
            "moved bn1.mean, bn1.var, bn2.mean, count; the next",
        ),
        (
            {"findings": ("clean",), "state_changes": {}},
            "One gradient in training mode left the network as it was, and the numbers are right.",
        ),
        (
            {"findings": ("wrong-gradient",), "state_changes": {}},
            "One gradient in training mode shows wrong-gradient: the gradient matches neither mode's closed form.",
        ),
        (
            {"top1_before": [1], "top1_after": [0], "contract": {"statistics": "move", "says": "", "link": ""}},
            "the next prediction changed by 0.0205; 1 of 1 row changed class. The documentation says that statistics "
            "move.",
        ),
    ],
)
def test_a_cell_begins_with_a_sentence(opened: Open, fields: dict[str, Any], sentences: str) -> None:
    page = opened([{**RICH, **fields}])
    page.locator("table.matrix td a").first.click()
    expect(opened_cell(page).locator("p.lead")).to_contain_text(sentences)


def test_a_cell_has_the_summary_of_its_mode_above_the_call(opened: Open) -> None:
    page = opened([RICH], run=summarized(LONG))
    page.locator("table.matrix td a").first.click()
    expect(opened_cell(page).locator("h3:has-text('Call') + p")).to_have_text(LONG)


def test_a_cell_links_to_the_same_question_in_other_releases_and_to_the_recipes(opened: Open) -> None:
    page = opened([make_cell("1.9.1"), make_cell("0.11.0", findings=("clean",))])
    page.locator("table.matrix td a").last.click()
    opened_cell(page).get_by_role("navigation", name="The same in other releases").get_by_role("link").click()
    expect(opened_cell(page).get_by_role("heading", level=2)).to_contain_text("mxnet@0.11.0/")
    opened_cell(page).get_by_role("link", name="recipes").click()
    expect(opened_cell(page)).to_be_hidden()
    expect(page.locator("details.recipe")).to_be_visible()


def test_toolkits_stand_below_the_runtimes_beside_the_causes(opened: Open) -> None:
    facts = make_run()
    facts["runtimes"]["onnxruntime"]["base"] = "mxnet"
    page = opened([make_cell("1.9.1"), make_cell("1.20.1", runtime="onnxruntime")], run=facts)
    boxes = [page.locator(f"section[aria-labelledby={name}]").bounding_box() for name in ("overview", "toolkits")]
    runtimes, toolkits = filter(None, boxes)
    assert (runtimes["x"], runtimes["width"]) == (toolkits["x"], toolkits["width"])
    assert toolkits["y"] >= runtimes["y"] + runtimes["height"]


def test_without_causes_the_tables_have_the_whole_width(opened: Open) -> None:
    page = opened([make_cell("1.9.1", findings=("clean",))])
    (table, first) = (page.locator(place).bounding_box() for place in ("section[aria-labelledby=overview]", ".first"))
    assert table is not None
    assert first is not None
    assert first["width"] == table["width"]


def test_the_first_screen_has_answer_causes_and_overview(opened: Open) -> None:
    page = opened(default_cells())
    for text in ("Yes, in 3 of the 3 releases", "Causes", "The newest release of each runtime"):
        expect(page.get_by_text(text).first).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("row", name="Apache MXNet 1.9.1").get_by_role("link", name="recipe")).to_be_in_viewport()


def test_all_but_the_matrix_and_the_story_is_folded(opened: Open) -> None:
    page = opened(default_cells())
    assert 0 == page.locator("details[open]").count()
    assert 8 <= page.locator("details.part").count()


def test_a_cell_says_what_to_do_about_each_of_its_findings(opened: Open) -> None:
    page = opened([make_cell(findings=("leak", "mode-left-changed")), make_cell(network="conv", findings=("clean",))])
    for network, shown in (("seed", ["leak: Ask in inference mode", "mode-left-changed: Set the flag"]), ("conv", [])):
        page.goto(f"{page.url.partition('#')[0]}#mxnet@1.9.1/executor.train.train/{network}/gradient")
        terms = opened_cell(page).locator("dt", has_text="What to do")
        expect(terms).to_have_count(len(shown))
        for place, words in enumerate(shown):
            expect(terms.nth(place).locator("+ dd")).to_contain_text(words)


def test_a_cell_links_to_its_causes(opened: Open) -> None:
    found: dict[str, Any] = {"finding": "wrong-gradient", "node": "pool", "op": "MaxPool"}
    found |= {"attributes": {"kernel_shape": [2, 2]}, "by": "parts of the network", "first": False, "again": None}
    page = opened([RICH, make_cell(network="conv", findings=("leak", "wrong-gradient"), cause=found)])
    page.goto(f"{page.url}#mxnet@1.9.1/executor.train.train/conv/gradient")
    expect(opened_cell(page)).to_be_visible()
    links = opened_cell(page).locator("dl").first.get_by_role("link", name="1.9.1")
    by = {
        "wrong-gradient": "wrong-gradient: MaxPool 2x2 in training mode; 1.9.1",
        "leak": "leak: BatchNormalization in training mode, contrary to the documentation; 1.9.1",
    }
    assert set(by.values()) == set(links.all_inner_texts())
    for finding, line in by.items():
        opened_cell(page).get_by_role("link", name=line).click()
        expect(opened_cell(page)).to_be_hidden()
        row = page.locator(":target")
        expect(row).to_be_in_viewport()
        expect(row).to_contain_text(finding)
        page.go_back()
        expect(opened_cell(page)).to_be_visible()


def test_texts_are_copied_and_the_script_is_saved(opened: Open) -> None:
    page = opened([RICH], scripts=lambda cell: ("# /// script\n", f"# {cell.id}\n"))
    page.locator("table.matrix td a").first.click()
    page.get_by_role("button", name="Copy the command").click()
    assert RICH["reproduce"] == page.evaluate("navigator.clipboard.readText()")
    page.get_by_text("that need only this runtime and numpy").click()
    page.get_by_role("button", name="Copy the script").click()
    assert f"# /// script\n# {RICH['id']}\n" == page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save the script as a file").click()
    assert "mxnet@1.9.1--executor.train.train--seed--gradient.py" == saving.value.suggested_filename


def test_a_link_opens_a_cell_and_back_closes_it(opened: Open) -> None:
    page = opened(default_cells())
    page.locator("tr[data-mode='executor.predict'] td a").last.click()
    expect(opened_cell(page)).to_be_visible()
    assert "cell=mxnet%401.9.1%2Fexecutor.predict%2F" in page.url
    again = page.context.new_page()
    again.goto(page.url)
    expect(opened_cell(again)).to_contain_text("mxnet@1.9.1/executor.predict")
    page.go_back()
    expect(opened_cell(page)).to_be_hidden()


def test_a_cell_links_to_the_other_cells_of_its_square(opened: Open) -> None:
    page = opened([make_cell(), make_cell(network="conv", findings=("clean",))])
    page.locator("table.matrix td a").first.click()
    opened_cell(page).get_by_role("link", name="gradient, conv").click()
    expect(opened_cell(page).get_by_role("heading", level=2)).to_have_text(
        "mxnet@1.9.1/executor.train.train/conv/gradient"
    )


def test_the_page_is_usable_by_keyboard(opened: Open) -> None:
    page = opened(default_cells())
    page.keyboard.press("/")
    expect(page.get_by_label("Search cells")).to_be_focused()
    page.keyboard.type("mode:executor.predict release:1.9.1")
    expect(page.locator("#found")).to_have_text("2 of 20 cells.")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('table.matrix td a')"):
            break
    page.keyboard.press("Enter")
    expect(opened_cell(page)).to_contain_text("mxnet@1.9.1/executor.predict")
    page.keyboard.press("Escape")
    expect(opened_cell(page)).to_be_hidden()
    expect(page).not_to_have_url(re.compile("cell="))


def test_arrows_move_between_squares(opened: Open) -> None:
    page = opened(default_cells())

    def focused() -> str:
        place: str = page.evaluate(
            "[document.activeElement.closest('tr').dataset.mode, document.activeElement.closest('td').cellIndex].join()"
        )
        return place

    page.locator("tr[data-mode='executor.eval.default'] td a").first.focus()
    seen = [focused()]
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
        seen.append(focused())
    columns = [int(place.partition(",")[2]) for place in seen]
    assert [1, 2, 4, 4, 4, 3] == columns[:6]  # the third release has none there, and the fourth is the last
    assert "executor.train.train,3" == seen[5]
    assert "executor.eval.default" not in seen[6]


def test_links_within_the_page_open_their_targets(opened: Open) -> None:
    page = opened(default_cells(), fragment="#mode/mxnet/executor.eval.eval")
    expect(page.locator(".ways details.mode[open] summary")).to_contain_text("executor.eval.eval")
    page = opened(default_cells(), fragment="#mxnet@1.9.1/executor.train.train/seed/gradient")
    expect(opened_cell(page)).to_contain_text("mxnet@1.9.1/executor.train.train/seed/gradient")


def test_misclassified_images_are_shown_with_both_classes_and_their_probabilities(opened: Open) -> None:
    line = curve_cell([0.99, *[0.5] * 20], [3] * 21)
    line["curve"]["flips"] = [FLIP]
    page = opened([line, curve_cell([0.99] * 21, [3] * 21, mode="executor.predict")])
    expect(page.get_by_role("img", name="held-out image 17")).to_be_visible()
    expect(page.locator(".flips figcaption")).to_contain_text("3 99 %")
    expect(page.locator(".flips figcaption")).to_contain_text("8 51 %")
    chart = page.get_by_role("img", name="Accuracy against the number of calls")
    assert 2 == chart.locator("polyline").count()
    assert 1 == chart.locator(".flat polyline").count()


def test_names_of_modes_stay_legible_beside_many_releases(opened: Open) -> None:
    page = opened([make_cell(f"1.{number}.0", findings=(("leak", "clean")[number % 2],)) for number in range(60)])
    name = page.locator("tr[data-mode] th a").first.bounding_box()
    assert name is not None
    assert name["height"] < 2 * 20  # two lines at most


def test_labels_on_a_phone_have_the_colour_of_their_square(opened: Open) -> None:
    page = opened(default_cells(), width=360)
    script = """nodes => nodes.map(td => [getComputedStyle(td, "::before"), getComputedStyle(td)])
        .filter(([label, square]) => label.content !== "none" && label.color !== square.color).length"""
    labelled = page.locator(".overview td[data-label]")
    assert labelled.count() > 5
    assert 0 == labelled.evaluate_all(script)


def test_documented_leaks_other_leaks_and_failures_look_different(opened: Open) -> None:
    documented = {"statistics": "move", "says": "They follow.", "link": ""}
    page = opened(
        [
            make_cell("0.9.5.post2", contract=documented, contradicts=False),
            make_cell("0.11.0"),
            make_cell("1.2.0", contract={**documented, "statistics": "undocumented"}, contradicts=False),
            unmeasured_cell("refused", "no such operator", release="1.9.1"),
        ]
    )
    squares = page.locator("tr[data-mode] td")
    assert ["L", "L!", "L?", "r"] == [re.sub(r"\d", "", text).strip() for text in squares.all_inner_texts()]
    colours = squares.evaluate_all("nodes => nodes.map(node => getComputedStyle(node).backgroundColor)")
    assert 3 == len(set(colours))
    assert colours[1] == colours[2]


def test_all_tables_exist_without_javascript(opened: Open) -> None:
    page = opened(default_cells(), javascript=False)
    expect(page.get_by_role("search")).to_be_hidden()
    expect(page.locator("table.matrix").first).to_be_visible()
    square = page.locator("tr[data-mode='executor.train.train'] td a").first
    anchor = (square.get_attribute("href") or "")[1:]
    assert 1 == page.locator(f"[id='{anchor}']").count()
    expect(page.get_by_text("0.284447 0.379263").first).to_be_visible()
    page.locator("details.part", has=page.locator("#ways")).locator("summary").first.click()
    page.locator(".ways details.mode").first.locator("summary").click()
    expect(page.locator(".ways details.mode").first.locator("table")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_window(opened: Open, width: int) -> None:
    page = opened([RICH, *default_cells()[1:]], run=summarized(LONG), width=width)
    assert width >= page.evaluate("document.documentElement.scrollWidth")
    page.locator("table.matrix td a").first.click()
    assert width >= opened_cell(page).evaluate("node => node.scrollWidth")


def test_print_omits_interactive_elements(opened: Open) -> None:
    page = opened(default_cells())
    page.emulate_media(media="print")
    expect(page.get_by_role("search")).to_be_hidden()
    expect(page.locator("table.matrix").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation(opened: Open, scheme: Any, width: int) -> None:
    line = curve_cell([0.99, *[0.5] * 20], [3] * 21, release="1.8.0")
    line["curve"]["flips"] = [FLIP]
    every = [
        make_cell(f"2.{number}.0", findings=(name,))
        for number, name in enumerate(
            ("corrupted", "wrong-gradient", "racy", "state-moved", "mode-ignored", "export-changed", "clean")
        )
    ]
    some = (Entry(("mxnet@1.*",), frozenset({"leak"})), Entry(("none",), frozenset({"leak"})))
    expectations = Expectations("expect.toml", some)
    page = opened(
        [RICH, line, *every, *default_cells()[1:]], run=summarized(LONG), width=width, expectations=expectations
    )
    page.emulate_media(color_scheme=scheme)
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true; }")
    assert [] == violations(page)
    page.locator("table.matrix td a").first.click()
    for details in opened_cell(page).locator("details").all():
        details.evaluate("node => { node.open = true; }")
    assert [] == violations(page)


def violations(page: Page) -> list[str]:
    """Accessibility violations found by axe-core: each rule and the first element that violates it."""
    results = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {rule['help']}: {rule['nodes'][0]['html'][:300]}" for rule in results]


def test_texts_of_runtimes_are_inert(opened: Open) -> None:
    attack = '</script><img src=x onerror="alert(1)"><!-- \' " & {{ 7 * 7 }}'
    line = make_cell(
        **dict.fromkeys(("release", "mode", "network", "call", "stderr", "reproduce", "reason"), attack),
        findings=("leak",),
        contract={"statistics": "stay", "says": attack, "link": "javascript:alert(1)"},
        tensors={attack: {"before": [0.0], "after": [1.0]}},
    )
    page = opened([line], scripts=lambda _: (attack,))
    page.locator("table.matrix td a").first.click()
    expect(opened_cell(page)).to_contain_text(attack)
    page.get_by_label("Close the cell").click()
    page.get_by_label("Search cells").fill("onerror")
    expect(page.locator("#results")).to_contain_text(attack)
    assert 0 == page.locator("img").count()
    assert 0 == page.locator("a[href^='javascript:']").count()
