"""Kills runs on the toy at random moments, two selections in turns, and compares what is left with a run without kills.

    uv run python -m tests.kills [KILLS] [SEED]

Prints a line a round, so that a campaign that is ended itself has told what it saw.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crosscheck.matrix.scratch import MEMORY, OWNER, PREFIX
from crosscheck.publication import FINISHED, RUN, UNFINISHED

ROOT = Path(__file__).parents[1]
#: What a kill hits: the run alone, or all processes of its session.
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
SELECTIONS: tuple[list[str], ...] = (["leak-backward", "leak-both"], ["inference", "export", "crash"])
#: Kills after which both selections are finished and compared, and all begins from nothing.
ROUND = 8
#: `crosscheck run` on the toy.
SCRIPT = """
import sys
from pathlib import Path
from crosscheck import cli, job
from crosscheck.runtimes import known
from crosscheck.runtimes.catalog import load_runtime
toy = {"toy": load_runtime(Path("tests/toy").absolute())}
job.catalog, known.check_names = lambda: toy, lambda words: None
sys.exit(cli.main(["run", "toy@1.8.0", "--network", "seed", "--network", "conv", *sys.argv[1:]]))
"""
#: Fields of a cell that say how its measuring went, not what it showed.
CHANCE = {"seconds", "cpu_seconds", "peak_bytes", "stderr", "reason", "trials", "arrays"}
#: What a run writes in its folder -> what it is at since then, the latest first.
PHASES = {FINISHED: "publishing", UNFINISHED: "judging and writing", RUN: "ending", "lock": "measuring"}
STARTING = "starting"
#: The share of kills that hit a run at work; the others hit it while it imports.
AT_WORK = 0.7
#: Seconds by which the time of a file may be behind the clock.
COARSE = 0.02


@dataclass
class Outcome:
    """What kills did: how many hit a run at work, by signal and by what it was at, and what was wrong afterwards."""

    hit: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def start(modes: list[str], out: Path, temporary: Path) -> subprocess.Popen[bytes]:
    words = [word for mode in modes for word in ("--mode", mode)]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words, "--out", str(out)],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def whole(modes: list[str], out: Path, temporary: Path) -> None:
    """Run to the end. Raises RuntimeError where that fails."""
    if code := start(modes, out, temporary).wait():
        raise RuntimeError(f"exit code {code}")


def results(out: Path) -> dict[str, Any]:
    """The cells, without what is chance, and the names of the files."""
    cells = [json.loads(line) for line in (out / "cells.jsonl").read_text().splitlines()]
    page = (out / "report.html").read_text()
    return {
        "cells": [{name: value for name, value in cell.items() if name not in CHANCE} for cell in cells],
        "arrays named": {cell["arrays"] for cell in cells}
        == {str(path.relative_to(out)) for path in (out / "arrays").rglob("*.npz")},
        "in the page": all(cell["id"] in page for cell in cells),
        "files": sorted(path.name for path in out.iterdir()),
    }


def differences(now: dict[str, Any], expected: dict[str, Any]) -> str:
    """Which parts of the results differ, and by what."""
    told = []
    for name in (name for name in now if now[name] != expected[name]):
        texts = ([f"{item}" for item in value] if isinstance(value, list) else [f"{value}"]
                 for value in (now[name], expected[name]))  # fmt: skip
        here, there = map(set, texts)
        told.append(f"{name}: {sorted(here - there)} instead of {sorted(there - here)}")
    return "; ".join(told)


def phase(out: Path, began: float) -> str:
    """What a run that began at a time (`time.time`) is at, by its folder."""
    for name, doing in PHASES.items():
        with contextlib.suppress(OSError):
            if (out / name).stat().st_mtime > began - COARSE:
                return doing
    return STARTING


def wait_for_work(process: subprocess.Popen[bytes], out: Path, began: float) -> None:
    """Wait until a run that began at a time is at work, or has ended."""
    while process.poll() is None and phase(out, began) == STARTING:
        time.sleep(COARSE)


def processes(out: Path) -> list[int]:
    """Processes that belong to a run: by its folder in their arguments, or in a scratch folder of none that lives."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(out).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def abandoned(*places: Path) -> set[Path]:
    """Scratch folders whose owner is gone."""
    found = set()
    for folder in (path for place in places for path in place.glob(f"{PREFIX}*") if (path / OWNER).exists()):
        with contextlib.suppress(Timeout), FileLock(folder / OWNER, timeout=0):
            found.add(folder)
    return found


def left(out: Path, temporary: Path) -> set[str]:
    """Processes, scratch folders and temporary files that a finished run has left."""
    found = {f"process {process}" for process in processes(out)}
    return found | {str(path) for path in (*abandoned(MEMORY), *temporary.iterdir())}


def campaign(
    kills: int, folder: Path, seed: int = 0, tell: Callable[[int, Outcome], None] = lambda kills, outcome: None
) -> Outcome:
    """Kill runs, each at a moment drawn within the time that a whole one takes, and finish each selection at last.

    tell: called after each round, with the number of kills until then.
    """
    drawn, outcome = random.Random(seed), Outcome()  # noqa: S311
    temporary = folder / "tmp"
    temporary.mkdir()
    expected, takes = [], []
    for number, modes in enumerate(SELECTIONS):
        began, place = time.time(), folder / f"whole-{number}"
        process = start(modes, place, temporary)
        wait_for_work(process, place, began)
        at_work = time.time()
        if code := process.wait():
            raise RuntimeError(f"exit code {code}")
        takes.append((at_work - began, time.time() - at_work))
        expected.append(results(place))
    out = folder / "killed"
    known = left(out, temporary)
    for kill in range(kills):
        if kill % ROUND == 0:  # from nothing, else there is nothing to measure any more
            shutil.rmtree(out, ignore_errors=True)
        which = kill % 2
        began = time.time()
        process = start(SELECTIONS[which], out, temporary)
        number = drawn.choice(SIGNALS)
        starting, working = takes[which]
        if at_work := drawn.random() < AT_WORK:
            wait_for_work(process, out, began)
        try:
            code = process.wait(drawn.uniform(0.0, working if at_work else starting))
            outcome.hit["ended before"] += 1
            if differ := f"exit code {code}" if code else differences(results(out), expected[which]):
                outcome.wrong.append(f"run {kill}, selection {which}: {differ}")
            shutil.rmtree(out)  # nothing is left to measure
        except subprocess.TimeoutExpired:
            outcome.phases[phase(out, began)] += 1
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if drawn.random() < 0.5 else os.kill)(process.pid, number)
            process.wait()
            outcome.hit[number.name] += 1
        if kill % ROUND == ROUND - 1 or kill == kills - 1:
            for which, modes in enumerate(SELECTIONS):
                whole(modes, out, temporary)
                if differ := differences(results(out), expected[which]):
                    outcome.wrong.append(f"after kill {kill}, selection {which}: {differ}")
            new = left(out, temporary) - known
            known |= new
            outcome.wrong += [f"after kill {kill}: {what} is left" for what in sorted(new)]
            tell(kill + 1, outcome)
    return outcome


def main() -> None:
    kills, seed = (int(word) for word in [*sys.argv[1:], *("200", "0")[len(sys.argv) - 1 :]])
    began = time.monotonic()

    def tell(kills: int, outcome: Outcome) -> None:
        hit, phases = (
            ", ".join(f"{count} {name}" for name, count in counts.most_common())
            for counts in (outcome.hit, outcome.phases)
        )
        print(f"{kills} runs in {time.monotonic() - began:.0f} s: {hit}; killed while {phases}", flush=True)
        print(f"{len(outcome.wrong)} cells, files, processes or folders that are not as after whole runs", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        outcome = campaign(kills, Path(folder), seed, tell)
    print("\n".join(outcome.wrong))


if __name__ == "__main__":
    main()
