"""The page in Firefox: it fits its window, filters, and opens a cell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crosscheck.environments.interpreters import uv
from crosscheck.report import write
from tests.test_report import default_cells, saved

SCRIPT = Path(__file__).with_name("firefox.py")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(saved(tmp_path_factory.mktemp("firefox"), default_cells()))


def seen(report: Path, width: int) -> dict[str, Any]:
    """What the script sees in a window of this width. Without Firefox tests are skipped, or fail in CI."""
    if shutil.which("firefox-esr") is None and shutil.which("firefox") is None:
        reason = "no Firefox on this machine: `apt-get install firefox-esr`, or the package of your system"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    command = uv("run", "--no-project", "--quiet", "--python", sys.executable, "--script", str(SCRIPT), str(report))
    shown = subprocess.run([*command, str(width), "900"], capture_output=True, text=True, timeout=300)
    assert 0 == shown.returncode, shown.stderr
    facts: dict[str, Any] = json.loads(shown.stdout.splitlines()[-1])
    return facts


@pytest.mark.parametrize("width", [500, 1280])
def test_firefox_shows_the_page(report: Path, width: int) -> None:
    facts = seen(report, width)
    assert facts["width"] == width
    assert facts["scroll_width"] <= width
    assert 0 == facts["open"]
    leaking = sum("leak" in line["findings"] for line in default_cells())
    assert f"{leaking} of {len(default_cells())} cells." == facts["filter"]["found"]
    assert f"{len(default_cells())} cells." == facts["cleared"]["found"]
    assert facts["cell"]["open"]
    assert facts["cell"]["text"].startswith("One gradient in training mode moved ")
