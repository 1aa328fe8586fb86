"""The section of a user's network in the browser: images, their links and texts, small screens, accessibility."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.test_reading import opened_cell, violations
from tests.test_report import file_facts, make_cell, make_run

NAME = "mine-0a1b2c3d"
MODES = ("executor.train.train", "executor.train.default", "executor.train.other", "executor.eval.eval")


def lines(folder: Path) -> list[dict[str, Any]]:
    """A leak in three modes of one map and a clean mode, with their arrays in the folder; and a shipped network."""
    random = np.random.default_rng(0)
    x = random.normal(size=(4, 3, 24, 24)).astype(np.float32)
    gradients = {intent: random.normal(size=x.shape) for intent in ("inference", "training")}
    scores = np.eye(4, 5)
    (folder / "arrays").mkdir()
    reference = {f"gradient/{intent}": value for intent, value in gradients.items()}
    np.savez(folder / "arrays" / f"{NAME}.npz", input=x, prediction=scores, **reference)  # type: ignore[arg-type]
    cells = [make_cell(network="seed")]
    for mode in MODES:
        leaks = mode != "executor.eval.eval"
        arrays = {
            "gradient/first": gradients["training" if leaks else "inference"].astype(np.float32),
            "prediction/before": scores,
            "prediction/after": np.roll(scores, 1, axis=1) if leaks else scores,
        }
        np.savez(folder / "arrays" / f"{mode}.npz", **arrays)  # type: ignore[arg-type]
        findings = ("leak",) if leaks else ("clean",)
        cells.append(make_cell(network=NAME, mode=mode, findings=findings, arrays=f"arrays/{mode}.npz"))
    return cells


@pytest.fixture
def page(opened: Open, tmp_path: Path, request: pytest.FixtureRequest) -> Page:
    networks = {"seed": {"title": "The seed"}, NAME: {"title": "mine.onnx", "short": "mine", "file": file_facts()}}
    width = getattr(request, "param", 1280)
    return opened(lines(tmp_path), run=make_run(networks=networks), width=width)


def section(page: Page) -> Any:
    return page.get_by_role("region", name="Your network mine.onnx", exact=True)


def test_images_are_shown_without_a_request(page: Page) -> None:
    images = section(page).get_by_role("img")
    assert 2 + 2 * (2 + 2) == images.count()
    assert [24] * 10 == images.evaluate_all("images => images.map(image => image.naturalWidth)")
    expect(section(page).get_by_role("img", name="Row 1 of the input, 24x24 pixels")).to_be_visible()
    maps = section(page).get_by_role("img", name="Saliency map of row 1, training-mode gradient, float64 reference")
    expect(maps).to_be_visible()


def test_a_caption_leads_to_its_cells(page: Page) -> None:
    page.get_by_role("navigation").get_by_role("link", name="mine.onnx").click()
    expect(section(page).get_by_role("heading", level=2)).to_be_in_viewport()
    figure = section(page).locator("figure").filter(has_text="L leak")
    expect(figure).to_contain_text("class 0: 1 / class 1: 1, then class 1: 1 / class 2: 1")
    figure.get_by_text("3 modes").click()
    figure.get_by_role("link", name="executor.train.default").click()
    expect(opened_cell(page)).to_contain_text(f"mxnet@1.9.1/executor.train.default/{NAME}/gradient")


def test_its_table_has_the_other_networks(page: Page) -> None:
    row = section(page).get_by_role("row", name="executor.train.train")
    assert ["L leak", "L leak 1 of 1"] == [row.locator("td").nth(at).inner_text() for at in (0, 4)]
    row.get_by_role("link", name="1.9.1").first.click()
    expect(opened_cell(page)).to_contain_text(f"mxnet@1.9.1/executor.train.train/{NAME}/gradient")


@pytest.mark.parametrize("page", [360, 1280], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_axe_finds_no_violation(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    for details in page.locator("details").all():
        details.evaluate("node => { node.open = true; }")
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert width >= page.evaluate("document.documentElement.scrollWidth")
    assert [] == violations(page)
