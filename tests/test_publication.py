"""The files of a run belong together: they are replaced together, and what is damaged is made anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crosscheck import publication
from crosscheck.cli import main
from crosscheck.job import Result
from tests.conftest import read_cells

RunToy = Callable[..., Result]
ONE = {"modes": ["leak-backward"], "networks": ["seed"], "scenarios": ["gradient"]}
OTHER = {"modes": ["inference"], "networks": ["seed-batch"], "scenarios": ["gradient"]}
ID, OTHER_ID = "toy@1.8.0/leak-backward/seed/gradient", "toy@1.8.0/inference/seed-batch/gradient"


def contents(folder: Path) -> dict[str, bytes]:
    """All results but the facts, which have the time."""
    files = [folder / "cells.jsonl", *(folder / "arrays").rglob("*.np?")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def assert_whole(folder: Path, cell: str, other: str) -> None:
    """Cells, arrays and report are of the selection of the one cell."""
    cells = read_cells(folder)
    assert {cell} == cells.keys()
    assert {cells[cell]["arrays"]} == {str(file.relative_to(folder)) for file in (folder / "arrays").rglob("*.npz")}
    page = (folder / "report.html").read_text()
    assert cell in page
    assert other not in page
    assert {"arrays", "cells.jsonl", "journal.sqlite", "lock", "report.html", "run.json"} >= {
        file.name for file in folder.iterdir() if not file.name.startswith("journal.sqlite-")
    }


def garble(path: Path) -> None:
    path.write_bytes(b"x" + path.read_bytes()[1:])


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: (out / "cells.jsonl").write_text(""),
        lambda out: garble(out / "cells.jsonl"),
        lambda out: (out / "cells.jsonl").unlink(),
        lambda out: garble(out / "report.html"),
        lambda out: (out / "report.html").unlink(),
        lambda out: shutil.rmtree(out / "arrays"),
        lambda out: next((out / "arrays").rglob("*.npz")).write_bytes(b"PK"),
        lambda out: (out / "run.json").write_text("{"),
        lambda out: (out / "run.json").write_text("[]"),
        lambda out: (out / "arrays" / "stray.npz.1.unfinished").touch(),
    ],
)
def test_damaged_results_are_made_anew(run_toy: RunToy, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    run_toy(**ONE)
    before = contents(tmp_path)
    damage(tmp_path)
    assert not run_toy(**ONE).unchanged
    assert before == contents(tmp_path)
    assert_whole(tmp_path, ID, OTHER_ID)
    assert run_toy(**ONE).unchanged


class Killed(BaseException):
    """Ends a job at a place, like a kill."""


@pytest.mark.parametrize("moved", range(4))
def test_a_run_that_is_killed_while_it_publishes_is_completed(
    run_toy: RunToy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    """After so many of its files were moved."""
    run_toy(**ONE)
    left = iter(range(moved))
    replace = Path.replace

    def killed(source: Path, target: Path) -> Path:
        if source.parent == tmp_path / "results" and next(left, None) is None:
            raise Killed
        return replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        if moved < 3:
            with pytest.raises(Killed):
                run_toy(**OTHER)
        else:
            run_toy(**OTHER)
    run_toy(**OTHER)
    assert_whole(tmp_path, OTHER_ID, ID)
    assert run_toy(**OTHER).unchanged
    assert not run_toy(**ONE).unchanged
    assert_whole(tmp_path, ID, OTHER_ID)


@pytest.mark.parametrize("place", ["crosscheck.job.report.write", "crosscheck.job.locate", "crosscheck.job.publish"])
def test_a_run_that_is_killed_before_it_publishes_changes_nothing(
    run_toy: RunToy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def killed(*arguments: object, **options: object) -> None:
        raise Killed

    run_toy(**ONE)
    before = contents(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(place, killed)
        with pytest.raises(Killed):
            run_toy(**OTHER)
    assert before.items() <= contents(tmp_path).items()
    run_toy(**ONE)
    assert before == contents(tmp_path)
    assert_whole(tmp_path, ID, OTHER_ID)


def test_a_rebuilt_report_belongs_to_its_cells(run_toy: RunToy, tmp_path: Path) -> None:
    run_toy(**ONE)
    assert 0 == main(["report", str(tmp_path), "--against", str(tmp_path)])
    assert publication.belongs_together(tmp_path)
    assert run_toy(**ONE).unchanged
