"""A short campaign of kills: `python -m tests.kills 200` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.kills import campaign


def test_killed_runs_end_in_the_same_files_as_whole_ones(tmp_path: Path) -> None:
    outcome = campaign(8, tmp_path)
    assert [] == outcome.wrong
    assert 8 == sum(outcome.hit.values())
