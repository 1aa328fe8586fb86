"""Duration of the MXNet matrix against its lower bound, and against a new interpreter per trial.

    uv run python tests/benchmarks/mxnet_matrix.py [WHAT ...] [--network GLOB] [--mode GLOB] [--scenario GLOB]

Prints, for the same cells on an idle machine: the wall time; the lower bound, which is one import per release plus the
CPU time of the trials' steps, divided by the cores used; and the time with a new interpreter per trial. The latter is
measured on every k-th cell of each release (`--every`) and extrapolated. Environments are built before the
timing. On a machine that does other work, too, the CPU time a trial tells more than the wall time.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from crosscheck.environments.environment import describe, make
from crosscheck.matrix.engine import Engine
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.ledger import Measured
from crosscheck.matrix.plan import Planned, Wanted, expand
from crosscheck.matrix.selection import matching, targets
from crosscheck.matrix.settings import Settings, cores
from crosscheck.networks import load, names
from crosscheck.progress import progress_for
from crosscheck.runtimes.catalog import catalog


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Duration of the MXNet matrix against its lower bound.")
    parser.add_argument("what", nargs="*", default=["mxnet@..1.9.1"])
    parser.add_argument("--network", action="append", default=[])
    parser.add_argument("--mode", action="append", default=[])
    parser.add_argument("--scenario", action="append", default=[])
    parser.add_argument("--every", type=int, default=40, metavar="K")
    parsed = parser.parse_args()
    selected = targets(parsed.what, catalog(), everything=False)
    networks = [load(name) for name in matching(parsed.network or ["*"], names(), "network")]
    plan = expand(selected, networks, Wanted(parsed.mode, parsed.scenario, parsed.network))
    for target in selected:
        make(target.runtime, target.release, describe(target.runtime, target.release, target.variant))

    forked = timed(plan, "fork")
    sampled = sample(plan, parsed.every)
    interpreters = timed(sampled, "new-interpreter")
    wanted = [planned for planned in sampled if planned.trials]
    part = sum(len(planned.trials) for planned in wanted) / sum(len(planned.trials) for planned in plan)
    floor = (sum(forked.measured.import_seconds.values()) + forked.own) / cores()
    table = Table("", "seconds", "relative to the bound", box=None)
    per_interpreter = interpreters.wall / part
    rows = (("wall time", forked.wall), ("lower bound", floor), ("new interpreter per trial", per_interpreter))
    for name, seconds in rows:
        table.add_row(name, f"{seconds:.1f}", f"{seconds / floor:.2f}")
    console = Console()
    console.print(f"{len(selected)} releases, {len(plan)} cells, {forked.measured.ran} trials, {cores()} cores")
    console.print(table)
    own, rest = (1000 * seconds / forked.measured.ran for seconds in (forked.own, forked.cpu - forked.own))
    console.print(f"CPU time a trial: {own:.1f} ms its steps, {rest:.1f} ms all else, imports among it")
    console.print(
        f"a new interpreter per trial takes {per_interpreter / forked.wall:.1f} times as long "
        f"(from {part:.1%} of the trials)"
    )
    return 0


class Timed:
    """One run: its wall time, the CPU seconds of all its processes, and those of the trials' own computation."""

    def __init__(self, measured: Measured, wall: float, cpu: float, own: float) -> None:
        self.measured = measured
        self.wall = wall
        self.cpu = cpu
        self.own = own


def timed(plan: Sequence[Planned], isolation: str) -> Timed:
    """Measure the plan without reuse."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        with progress_for(Console(stderr=True)) as progress:
            start, start_cpu = time.perf_counter(), processor_seconds()
            measured = Engine(journal, Settings(cores(), isolation), progress).measure(plan)
            wall, cpu = time.perf_counter() - start, processor_seconds() - start_cpu
        own = sum(row.cpu_seconds for keys in measured.keys.values() for row in journal.observations(keys))
    return Timed(measured, wall, cpu, own)


def processor_seconds() -> float:
    """CPU seconds of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def sample(plan: Sequence[Planned], every: int) -> list[Planned]:
    """Every k-th cell, counted per release so that every release is included."""
    counts: dict[str, int] = {}
    chosen = []
    for planned in plan:
        if planned.lacking is not None:
            continue
        seen = counts.get(planned.target.id, 0)
        counts[planned.target.id] = seen + 1
        if seen % every == 0:
            chosen.append(planned)
    return chosen


if __name__ == "__main__":
    sys.exit(main())
