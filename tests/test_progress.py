"""What a run says while it is at work."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from crosscheck.cli import main
from crosscheck.job import Job, Result, run
from crosscheck.matrix.settings import Progress
from crosscheck.progress import JsonProgress, LineProgress, RichProgress, Shown, progress_for
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import SilentProgress

RunToy = Callable[..., Result]

#: Seconds after which a line that never comes is missed.
PATIENCE = 60.0


class Written(io.StringIO):
    """A stream that is no terminal."""

    def waits_for(self, text: str) -> bool:
        """Whether the text comes."""
        end = time.monotonic() + PATIENCE
        while text not in self.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
        return text in self.getvalue()


def console(stream: io.StringIO, terminal: bool = False) -> Console:
    return Console(file=stream, width=200, force_terminal=terminal)


def test_a_long_step_is_not_silent() -> None:
    written = Written()
    with LineProgress(console(written), silence=0.01) as progress:
        progress.step("writing the report")
        assert written.waits_for("writing the report, after ")


def test_lines_tell_what_is_done_what_is_left_and_what_is_at_work() -> None:
    written = Written()
    with LineProgress(console(written), silence=0.01) as progress:
        progress.step("measuring")
        progress.begin(1, 1_000_000, 10)
        progress.environment("toy@1.0", "making")
        progress.running(["toy@2.0"])
        progress.cell("one")
        assert written.waits_for("measuring: 11 of 1000000 cells after ")
        assert written.waits_for(" s left (making toy@1.0, toy@2.0)")
        progress.environment("toy@1.0", "ready")
        progress.step("judging")
        progress.judging(1, 7)
        assert written.waits_for("judging: 1 of 7 cells after ")
    assert "1 environments to make, 1000000 cells, 10 of them measured already" in written.getvalue()


def test_the_last_cell_is_told_at_once() -> None:
    written = Written()
    with LineProgress(console(written)) as progress:
        progress.step("measuring")
        progress.begin(0, 2, 1)
        progress.cell("last")
        assert "measuring: 2 of 2 cells" in written.getvalue()


def test_every_part_of_a_run_is_a_step(run_toy: RunToy, progress: SilentProgress) -> None:
    run_toy(modes=["inference"], networks=["seed"], scenarios=["gradient"])
    steps = ["planning", "measuring", "asking about exported files", "judging", "locating causes", "writing the report"]
    assert steps == progress.steps


def test_progress_for_programs_is_an_object_a_line(toy: Runtime, tmp_path: Path) -> None:
    written = Written()
    job = Job(["toy"], modes=["inference"], networks=["seed"], scenarios=["gradient"], out=tmp_path)
    with JsonProgress(console(written)) as progress:
        run(job, progress, {"toy": toy})
    events = [json.loads(line) for line in written.getvalue().splitlines()]
    assert {"event": "measuring", "environments": 0, "cells": 1, "reused": 0} == {
        name: value for name, value in events[2].items() if name != "seconds"
    }
    assert "toy@1.8.0/inference/seed/gradient" in [event.get("cell") for event in events]
    seconds = [event["seconds"] for event in events]
    assert sorted(seconds) == seconds


@pytest.mark.parametrize(
    ("shown", "terminal", "kind"),
    [
        (Shown.AUTO, True, RichProgress),
        (Shown.AUTO, False, LineProgress),
        (Shown.LINES, True, LineProgress),
        (Shown.JSON, True, JsonProgress),
        (Shown.NONE, True, Progress),
    ],
)
def test_how_progress_is_shown(shown: Shown, terminal: bool, kind: type[Progress]) -> None:
    assert type(progress_for(console(Written(), terminal), shown)) is kind


def run_tract(capfd: pytest.CaptureFixture[str], out: Path, *options: str) -> str:
    """The output of a run of one cell."""
    words = ["run", "tract@newest", "--mode", "opset-15", "--network", "seed", "--scenario", "predict-only"]
    assert main([*words, "--out", str(out), *options]) == 0
    return capfd.readouterr().out


def test_a_quiet_run_prints_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "" == run_tract(capfd, tmp_path, "--quiet")


def test_the_last_object_has_counts_and_the_report(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [json.loads(line) for line in run_tract(capfd, tmp_path, "--progress", "json").splitlines()]
    end = lines[-1]
    assert ("end", 0, {"ok": 1}) == (end["event"], end["code"], end["statuses"])
    assert Path(end["report"]).exists()
