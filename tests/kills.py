"""Kills runs on the toy at random moments, two selections in turns, and compares what is left with a run without kills.

uv run python -m tests.kills 200
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crosscheck.matrix.scratch import MEMORY, OWNER, PREFIX

ROOT = Path(__file__).parents[1]
#: What a kill hits: the run alone, or all processes of its session.
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
SELECTIONS: tuple[list[str], ...] = (["leak-*"], ["inference", "training", "export", "crash"])
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


@dataclass
class Outcome:
    """What kills did: how many hit a run at work, and what was wrong afterwards."""

    hit: Counter[str] = field(default_factory=Counter)
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


def campaign(kills: int, folder: Path, seed: int = 0) -> Outcome:
    """Kill runs, each at a moment drawn within the time that a whole one takes, and finish each selection at last."""
    drawn, outcome = random.Random(seed), Outcome()  # noqa: S311
    temporary = folder / "tmp"
    temporary.mkdir()
    before = abandoned(MEMORY)
    expected, takes = [], []
    for number, modes in enumerate(SELECTIONS):
        began = time.monotonic()
        whole(modes, folder / f"whole-{number}", temporary)
        takes.append(time.monotonic() - began)
        expected.append(results(folder / f"whole-{number}"))
    out = folder / "killed"
    for kill in range(kills):
        if kill % 8 == 0:  # from nothing, else there is nothing to measure any more
            shutil.rmtree(out, ignore_errors=True)
        which = kill % 2
        process = start(SELECTIONS[which], out, temporary)
        number = drawn.choice(SIGNALS)
        try:
            process.wait(drawn.uniform(0.0, takes[which]))
            outcome.hit["ended before"] += 1
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if drawn.random() < 0.5 else os.kill)(process.pid, number)
            process.wait()
            outcome.hit[number.name] += 1
        if kill % 8 == 7:
            for which, modes in enumerate(SELECTIONS):
                whole(modes, out, temporary)
                if (now := results(out)) != expected[which]:
                    differ = [name for name in now if now[name] != expected[which][name]]
                    outcome.wrong.append(f"after kill {kill}, selection {which}: other {', '.join(differ)}")
    outcome.wrong += [f"process {process} is left" for process in processes(out)]
    outcome.wrong += [f"{folder} is left" for folder in abandoned(MEMORY, temporary) - before]
    return outcome


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        outcome = campaign(kills, Path(folder), seed=kills)
    told = ", ".join(f"{count} {name}" for name, count in outcome.hit.most_common())
    print(f"{kills} runs in {time.monotonic() - began:.0f} s: {told}")
    print(f"{len(outcome.wrong)} cells, files, processes or folders that are not as after whole runs")
    print("\n".join(outcome.wrong))


if __name__ == "__main__":
    main()
