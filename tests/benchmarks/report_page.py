"""Size of the report of ten thousand cells, time until its first table is visible, and duration of filters.

    uv run python tests/benchmarks/report_page.py [RUN] [--cells N]

RUN is the folder of a finished run; its first N cells are used, repeated under further release names if there are
fewer. Without RUN, uses random cells. Measures in headless Chromium: each filter is typed once as a warm-up, and timed
from the event to the frame after drawing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from crosscheck.report import write
from crosscheck.script.writer import pieces
from tests.test_report import make_cell, make_run

FILTERS = (
    "finding:leak",
    "is:different",
    "mode:*.eval.* -finding:clean",
    "release:1.0..1.5 network:conv",
    "backward",
    "",
)
FILTER = """async text => {
    const field = document.getElementById("q");
    const start = performance.now();
    field.value = text;
    field.dispatchEvent(new Event("input"));
    const handled = performance.now() - start;
    await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
    return [handled, performance.now() - start];
}"""
#: The time of the first paint of the first table.
SEEN = """() => new Promise(resolve => new PerformanceObserver(list => resolve(list.getEntries().at(-1).startTime))
    .observe({type: "paint", buffered: true}))"""


def main() -> int:
    """Write the page, open it, print the measurements."""
    parser = argparse.ArgumentParser(description="Size and speed of the report of many cells.")
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--cells", type=int, default=10_000)
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lines = synthetic(parsed.cells) if parsed.run is None else measured(parsed.run, parsed.cells)
        (folder / "cells.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (folder / "run.json").write_text(
            json.dumps(make_run()) if parsed.run is None else (parsed.run / "run.json").read_text()
        )
        start = time.perf_counter()
        path = write(folder, scripts=pieces)
        table = Table("", "value", box=None)
        table.add_row("cells", f"{len(lines)}")
        table.add_row("built in", f"{time.perf_counter() - start:.1f} s")
        table.add_row("size", f"{path.stat().st_size / 1e6:.2f} MB")
        for name, value in measured_in_browser(path):
            table.add_row(name, value)
    Console().print(table)
    return 0


def synthetic(count: int) -> list[dict[str, Any]]:
    """Cells of 40 releases, 50 modes and 5 networks with random numbers, like those of a large run."""
    modes, networks = [f"api{number}.eval.train" for number in range(50)], ["seed", "conv", "digits", "pair", "deep"]
    made = []
    for mode, release, network in itertools.islice(itertools.product(modes, range(40), networks), count):
        # Most releases have the same results as their neighbours.
        numbers = random.Random(f"{mode} {release // 8} {network}")  # noqa: S311 - a benchmark's cells, not a secret
        cell = make_cell(
            f"1.{release}.0",
            mode,
            network,
            findings=("leak", "racy") if numbers.random() < 0.4 else ("clean",),
            prediction_after=[[numbers.random() for _ in range(10)]],
            gradient=[[numbers.random() for _ in range(16)]],
            tensors={
                name: {"before": [0.0] * 8, "after": [numbers.random() for _ in range(8)]} for name in ("mean", "var")
            },
        )
        made.append(cell)
    return made


def measured(run: Path, count: int) -> list[dict[str, Any]]:
    """The first cells of a run, repeated under further release names if there are fewer."""
    with (run / "cells.jsonl").open() as file:
        own = [json.loads(line) for line in itertools.islice(file, count)]
    made = []
    for number in range(count):
        line = own[number % len(own)]
        if turn := number // len(own):
            release = f"{line['release']}+{turn}"
            line = {**line, "release": release, "id": line["id"].replace(line["release"], release, 1)}
        made.append(line)
    return made


def measured_in_browser(path: Path) -> list[tuple[str, str]]:
    """Load and filter times of the page in a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        start = time.perf_counter()
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_selector("table")
        timings = [("first table visible after", f"{time.perf_counter() - start:.2f} s")]
        timings.append(("first paint after", f"{page.evaluate(SEEN) / 1000:.2f} s"))
        page.wait_for_selector("html[data-ready]")
        timings.append(("search ready after", f"{time.perf_counter() - start:.2f} s"))
        for text in (*FILTERS, *FILTERS):
            handled, drawn = page.evaluate(FILTER, text)
            timings.append((f"filter {text or '(none)'}", f"{handled:.0f} ms, drawn after {drawn:.0f} ms"))
        browser.close()
    return timings[: -2 * len(FILTERS)] + timings[-len(FILTERS) :]


if __name__ == "__main__":
    sys.exit(main())
