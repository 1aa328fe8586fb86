# /// script
# requires-python = ">=3.11"
# dependencies = ["marionette-driver==3.7.1", "setuptools<81"]
# ///
"""Opens a report in Firefox, uses it, and prints what it saw as JSON.

    uv run --script tests/browser/firefox.py REPORT.html [WIDTH HEIGHT [PICTURE.png]]

A script with packages of its own: those that drive Firefox are old, and are imported nowhere else.
"""

import base64
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from marionette_driver.marionette import Marionette

#: Seconds until the page is ready, at most.
PATIENCE = 120.0
#: Pixels of the window that are not the page's.
FRAME = 86

FACTS = """
const [first] = performance.getEntriesByName("first-contentful-paint");
const root = document.documentElement;
return {
  width: innerWidth, height: innerHeight, scroll_width: root.scrollWidth, scroll_height: root.scrollHeight,
  paint_ms: first ? first.startTime : null,
  open: document.querySelectorAll("details[open]").length,
};
"""
FILTER = """
const field = document.getElementById("q"), before = performance.now();
field.value = arguments[0];
field.dispatchEvent(new Event("input"));
document.body.offsetHeight;
return { ms: performance.now() - before, found: document.getElementById("found").textContent };
"""
CELL = """
document.querySelector("table.matrix td > a").click();
return new Promise((resolve) => setTimeout(() => resolve({
  open: document.getElementById("cell").open, text: document.querySelector("#cell p.lead")?.textContent ?? "",
}), 500));
"""


def main() -> None:
    """Open the report, and print what is seen."""
    page, *rest = sys.argv[1:]
    width, height = (int(rest[0]), int(rest[1])) if len(rest) > 1 else (1280, 900)
    # Firefox writes its log into a folder of its own, not into the current one.
    logs = tempfile.TemporaryDirectory()
    firefox = Marionette(
        bin=shutil.which("firefox-esr") or shutil.which("firefox"), headless=True, gecko_log=str(Path(logs.name, "log"))
    )
    firefox.start_session()
    try:
        firefox.set_window_rect(width=width, height=height + FRAME)
        firefox.navigate(Path(page).resolve().as_uri())
        start = time.monotonic()
        while firefox.execute_script("return document.documentElement.dataset.ready") != "yes":
            if time.monotonic() - start > PATIENCE:
                sys.exit("the page did not become ready")
            time.sleep(0.05)
        seen = firefox.execute_script(FACTS)
        if rest[2:]:
            Path(rest[2]).write_bytes(base64.b64decode(firefox.screenshot(full=False)))
        seen["filter"] = firefox.execute_script(FILTER, script_args=("finding:leak",))
        seen["cleared"] = firefox.execute_script(FILTER, script_args=("",))
        seen["cell"] = firefox.execute_script(CELL)
        print(json.dumps(seen))
    finally:
        firefox.quit()
        logs.cleanup()


if __name__ == "__main__":
    main()
