"""Fixtures: Chromium, and reports opened from disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from crosscheck.report import load, write
from tests.test_report import saved

#: Names of the browser's executable on common systems.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The machine's Chromium. Without it tests are skipped, or fail in continuous integration."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = "no Chromium on this machine: `apt-get install chromium`, or the package of your system"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root, the user of continuous integration; the page is trusted.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Iterator[Open]:
    """Write a report of these cells in `tmp_path`, open it from disk, and wait until its JavaScript is ready.

    An error or a message on the browser's console fails the test.
    """
    messages: list[str] = []
    contexts = []

    def open_it(lines: list[dict[str, Any]], fragment: str = "", **options: Any) -> Page:
        width, javascript = options.pop("width", 1280), options.pop("javascript", True)
        against = options.pop("against", None)
        folder = saved(tmp_path, lines, options.pop("run", None))
        other = None
        if against is not None:
            other = saved(Path(tempfile.mkdtemp(dir=tmp_path)), against)
        path = write(folder, against=None if other is None else load(other), **options)
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=javascript, offline=True
        )
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda problem: messages.append(str(problem)))
        page.goto(f"{path.as_uri()}{fragment}")
        if javascript:
            page.wait_for_selector("html[data-ready]")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert [] == messages
