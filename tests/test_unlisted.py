"""Releases that a runtime's folder does not list."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from crosscheck.bisect import Request, bisect
from crosscheck.errors import UsageError
from crosscheck.job import Job, Result, run
from crosscheck.runtimes.catalog import Runtime, load_runtime
from tests.conftest import SilentProgress, read_cells

TOY = Path(__file__).parent / "toy"
UNLISTED = """[[release]]
version = "1.7.0"
released = 2024-08-22

"""


@pytest.fixture
def newest_alone(tmp_path: Path) -> Runtime:
    """The toy, which lists 1.8.0 alone."""
    folder = tmp_path / "one" / "toy"
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__", "1.7.0.txt"))
    table = folder / "releases.toml"
    assert UNLISTED in table.read_text()
    table.write_text(table.read_text().replace(UNLISTED, ""))
    return load_runtime(folder)


def asked(toy: Runtime, out: Path, progress: SilentProgress, *what: str) -> Result:
    job = Job(what, modes=["leak-both"], networks=["seed"], scenarios=["gradient"], out=out)
    return run(job, progress, {"toy": toy})


def test_a_release_that_is_not_listed_is_resolved_and_its_lock_kept_with_the_run(
    newest_alone: Runtime, tmp_path: Path, progress: SilentProgress
) -> None:
    out = tmp_path / "out"
    asked(newest_alone, out, progress, "toy@1.7.0", "toy@1.8.0")
    lock = out / "locks" / "toy-1.7.0.txt"
    assert lock.read_text().startswith("autograd==1.7.0 \\\n    --hash=")
    assert [f"toy@1.7.0: not listed; resolved like 1.8.0; its lock is {lock}"] == progress.notes
    cells = read_cells(out)
    assert ["toy@1.7.0/leak-both/seed/gradient", "toy@1.8.0/leak-both/seed/gradient"] == list(cells)
    assert all("leak" in cell["findings"] for cell in cells.values())
    assert "1.7.0" == cells["toy@1.7.0/leak-both/seed/gradient"]["environment"]["packages"]["autograd"]
    facts = json.loads((out / "run.json").read_text())
    assert ["1.7.0", "1.8.0"] == facts["runtimes"]["toy"]["releases"]
    assert "1.7.0: not listed; resolved like 1.8.0" in (out / "report.html").read_text()


def test_it_is_resolved_once(newest_alone: Runtime, tmp_path: Path, progress: SilentProgress) -> None:
    out = tmp_path / "out"
    asked(newest_alone, out, progress, "toy@1.7.0")
    progress.notes.clear()
    assert asked(newest_alone, out, progress, "toy@1.7.0").unchanged
    assert [] == progress.notes


def test_a_version_that_does_not_exist(newest_alone: Runtime, tmp_path: Path, progress: SilentProgress) -> None:
    with pytest.raises(UsageError, match=r"lists no release '1\.7\.99'.*could not be resolved, either: uv cannot"):
        asked(newest_alone, tmp_path / "out", progress, "toy@1.7.99")


@pytest.mark.parametrize("word", ["toy@2", "toy@nothing", "toy@1.7.0..1.7.5"])
def test_the_beginning_of_a_version_and_ranges_name_listed_releases_alone(
    newest_alone: Runtime, tmp_path: Path, progress: SilentProgress, word: str
) -> None:
    with pytest.raises(UsageError, match=r"toy has no release|is not a version"):
        asked(newest_alone, tmp_path / "out", progress, word)


def test_it_takes_part_in_a_bisection(newest_alone: Runtime, tmp_path: Path, progress: SilentProgress) -> None:
    request = Request(["toy@1.7.0", "toy@1.8.0"], modes=["leak-both"], networks=["seed"], out=tmp_path / "out")
    (answer,) = bisect(request, progress, {"toy": newest_alone})
    assert {0: True, 1: True} == answer.search.outcomes
    assert ["1.7.0", "1.8.0"] == [planned.target.release.version for planned in answer.cells]
