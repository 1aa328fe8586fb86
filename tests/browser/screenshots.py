"""Takes the README's pictures of the report of a finished run.

`uv run python -m tests.browser.screenshots RUN [NAME ...]` takes all pictures, or the named ones.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

#: File name -> width, height, colour scheme, fragment, and the id to scroll to ("" for the top).
PICTURES = {
    "first": (1280, 900, "light", "", ""),
    "dark": (1280, 900, "dark", "", ""),
    "matrix": (1280, 820, "light", "", "matrix"),
    "twenty": (1280, 640, "light", "", "story"),
    "cell": (1280, 900, "light", "#?cell=mxnet@1.9.1/executor.train.train/seed/gradient", ""),
    "saliency": (1280, 760, "light", "", "saliency/1"),
    "phone": (360, 740, "light", "", ""),
    "print": (794, 1123, "light", "", ""),
}
FOLDER = Path(__file__).parent / "screenshots"


def main() -> int:
    """Write a PNG for each of the pictures."""
    run, names = Path(sys.argv[1]).resolve(), sys.argv[2:] or list(PICTURES)
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in names:
            width, height, scheme, fragment, target = PICTURES[name]
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
            page = context.new_page()
            page.goto((run / "report.html").as_uri() + fragment)
            page.wait_for_selector("html[data-ready]")
            if name == "print":
                page.emulate_media(media="print")
            if target:
                page.evaluate("id => document.getElementById(id).scrollIntoView()", target)
            page.screenshot(path=FOLDER / f"{name}.png")
            context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
