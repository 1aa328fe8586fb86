"""Every release of every runtime, once. Slow: run by its own command, `uv run pytest -m campaign`."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosscheck.job import Job, run
from crosscheck.runtimes.catalog import catalog
from tests.conftest import SilentProgress, read_cells

pytestmark = pytest.mark.campaign


@pytest.mark.parametrize("runtime", sorted(catalog()))
def test_every_release_is_measured_or_has_a_reason(runtime: str, tmp_path: Path) -> None:
    releases = [f"{runtime}@{release.version}" for release in catalog()[runtime].releases]
    scenarios = ["gradient", "predict-only", "export"]
    run(Job(releases, modes=["*"], networks=["seed-batch"], scenarios=scenarios, out=tmp_path), SilentProgress())
    cells = read_cells(tmp_path).values()
    assert {release.version for release in catalog()[runtime].releases} == {cell["release"] for cell in cells}
    for cell in cells:
        measured = cell["status"] in ("ok", "crashed")
        assert cell["findings"] if cell["status"] == "ok" else cell["reason"], cell["id"]
        assert measured or not cell["findings"], cell["id"]
        assert cell["status"] not in ("import-failed", "install-failed", "timed-out", "out-of-memory"), cell["id"]
