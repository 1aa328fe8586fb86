"""A synthetic run of many cells: time and memory of planning, looking up, judging and reporting.

    uv run python -m tests.benchmarks.many_cells [--cells N]

Measures the calls of the tests' toy runtime that end by themselves in one release, gives other made-up releases the
same observations until there are N cells, and runs the job three times: as if all of it had just been measured, with
nothing changed, and with another page. Prints seconds and the seconds a cell of each, and the largest memory of a
process.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from crosscheck.cells import Trial
from crosscheck.environments.environment import describe
from crosscheck.job import Job, run
from crosscheck.matrix import cache
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import targets
from crosscheck.networks import load
from crosscheck.runtimes.catalog import Runtime, load_runtime
from tests.conftest import SilentProgress

TOY = Path(__file__).parents[1] / "toy"
MEASURED = "1.8.0"
MODES = ["inference", "predict", "leak-*"]
NETWORKS = ["seed", "seed-batch", "conv", "conv-norm", "digits"]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A synthetic run of many cells.")
    parser.add_argument("--cells", type=int, default=30_000)
    wanted = parser.parse_args().cells
    table = Table("what", "cells", "s", "ms a cell", box=None)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        job = Job(["toy"], everything=True, modes=MODES, networks=NETWORKS, out=out, trials=1)
        once = run(job, SilentProgress(), {"toy": with_releases(Path(folder) / "once" / "toy", 1)})
        count = sum(once.statuses.values())
        toy = with_releases(Path(folder) / "many" / "toy", -(-wanted // count))
        cells = give(out, toy)
        for what in ("judge and report", "nothing changed", "another page"):
            if what == "another page":
                (out / "report.html").unlink()
            start = time.monotonic()
            run(job, SilentProgress(), {"toy": toy})
            seconds = time.monotonic() - start
            table.add_row(what, str(cells), f"{seconds:.1f}", f"{1000 * seconds / cells:.2f}")
    Console().print(table)
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"largest process: {largest / 1e6:.2f} GB")
    return 0


def with_releases(folder: Path, count: int) -> Runtime:
    """The toy with so many releases, all installed alike."""
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    table = folder / "releases.toml"
    head = table.read_text().partition("[[release]]")[0]
    versions = [f"1.8.{number}" for number in range(count)]
    rows = [f'[[release]]\nversion = "{version}"\nreleased = 2025-05-05\ndefault = true\n' for version in versions]
    table.write_text(head + "\n".join(rows))
    for version in versions[1:]:
        shutil.copy(folder / "locks" / "1.8.0.txt", folder / "locks" / f"{version}.txt")
    return load_runtime(folder)


def give(out: Path, toy: Runtime) -> int:
    """Give the cells of all releases the observations of the measured one; the number of cells."""
    plan = planned(toy)
    with Journal(out / "journal.sqlite") as journal:
        rows = journal.connection.execute("select cell, reading, repeat, key from observation").fetchall()
        measured: dict[str, list[tuple[str, int, str]]] = {}
        for cell, *row in rows:
            measured.setdefault(cell, []).append(tuple(row))
        journal.connection.execute("begin")
        for one in plan:
            for reading, repeat, source in measured[as_measured(one)]:
                journal.connection.execute(
                    "insert or ignore into observation select ?, ?, reading, repeat, status, reason, steps, keys, "
                    "arrays, seconds, cpu_seconds, peak_bytes, memory_limit, stderr from observation where key = ?",
                    (key(one, Trial(one.cell, reading, repeat)), one.cell.id, source),
                )
        journal.connection.execute("commit")
    return len(plan)


def planned(toy: Runtime) -> Sequence[Planned]:
    """The plan of the job."""
    selected = targets(["toy"], {"toy": toy}, everything=True)
    return expand(selected, [load(name) for name in NETWORKS], Wanted(MODES, (), NETWORKS, True, 1))


def as_measured(cell: Planned) -> str:
    """The id of a cell in the release that was measured."""
    return dataclasses.replace(cell.cell, release=MEASURED).id


def key(cell: Planned, trial: Trial) -> str:
    """The journal key of a trial of a cell."""
    target = cell.target
    environment = describe(target.runtime, target.release, target.variant)
    return cache.key(cell, trial, environment, "fork")


if __name__ == "__main__":
    sys.exit(main())
