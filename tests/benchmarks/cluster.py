"""A matrix on Dask clusters of 1, 2 and 4 workers of one thread on this machine, and what the engine costs a trial.

    uv run python -m tests.benchmarks.cluster [WHAT ...] [--network GLOB] [--mode GLOB] [--scenario GLOB]

Prints, for the same cells, for this machine's engine with one trial at a time and for each cluster: the wall time, how
many times as fast as the first it is, and the processor's time of the engine's own processes a trial: of the host, and
of the workers, without probe servers and trials. Environments are built before the timing; workers stay in their place
from the first to the last. On a machine with fewer cores than workers the wall times show what the engine adds and
whether it keeps its workers busy, not what further machines would bring.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from crosscheck.environments.environment import describe, make
from crosscheck.matrix.bench import ThisMachine
from crosscheck.matrix.cluster.client import Cluster, local
from crosscheck.matrix.engine import Engine, Executor
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import matching, targets
from crosscheck.matrix.settings import Settings, cores
from crosscheck.networks import load, names
from crosscheck.progress import progress_for
from crosscheck.runtimes.catalog import catalog

WORKERS = (1, 2, 4)


class Timed(NamedTuple):
    """One run: its wall time, the processor's time of the host's process and of the workers', and its trials."""

    wall: float
    host: float
    workers: float
    trials: int


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A matrix on Dask clusters of this machine.")
    parser.add_argument("what", nargs="*", default=["mxnet@..1.9.1"])
    parser.add_argument("--network", action="append", default=[])
    parser.add_argument("--mode", action="append", default=[])
    parser.add_argument("--scenario", action="append", default=[])
    parsed = parser.parse_args()
    selected = targets(parsed.what, catalog(), everything=False)
    networks = [load(name) for name in matching(parsed.network or ["*"], names(), "network")]
    plan = expand(selected, networks, Wanted(parsed.mode, parsed.scenario, parsed.network))
    for target in selected:
        make(target.runtime, target.release, describe(target.runtime, target.release, target.variant))
    runs = {"this machine, one trial at a time": timed(plan, ThisMachine(), lambda: 0.0)}
    for count in WORKERS:
        with local(count) as cluster:
            runs[f"Dask, workers: {count}"] = timed(plan, cluster, functools.partial(spent, cluster))
    first = next(iter(runs.values()))
    table = Table("", "seconds", "times as fast", "host, ms a trial", "workers, ms a trial", box=None)
    for name, run in runs.items():
        own = (f"{seconds / run.trials * 1000:.2f}" for seconds in (run.host, run.workers))
        table.add_row(name, f"{run.wall:.1f}", f"{first.wall / run.wall:.2f}", *own)
    console = Console(width=120)
    console.print(f"{len(selected)} releases, {len(plan)} cells, {first.trials} trials, {cores()} cores")
    console.print(table)
    return 0


def spent(cluster: Cluster) -> float:
    """The processor's time (s) of the workers' processes until now."""
    seconds: dict[str, float] = cluster.client.run(time.process_time)
    return sum(seconds.values())


def timed(plan: Sequence[Planned], executor: Executor, workers: Callable[[], float]) -> Timed:
    """Measure the plan without reuse."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal.sqlite") as journal,
        progress_for(Console(stderr=True)) as progress,
    ):
        before = time.perf_counter(), time.process_time(), workers()
        measured = Engine(journal, Settings(1), progress, executor).measure(plan)
        after = time.perf_counter(), time.process_time(), workers()
    wall, host, others = (end - start for start, end in zip(before, after, strict=True))
    return Timed(wall, host, others, measured.ran)


if __name__ == "__main__":
    sys.exit(main())
