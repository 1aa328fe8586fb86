"""Where the time of a first run goes, beside what `uv` alone takes for the same environments.

    uv run python -m tests.benchmarks.cold_run [WHAT ...]

With empty caches of crosscheck and uv, runs `crosscheck run WHAT --fresh` twice: the second run finds the environments
there. Then, with empty caches again, `uv` installs the same locks, two at a time, as crosscheck does. Prints seconds,
and the first run relative to the sum of 1.2 times uv's time and the second run. It downloads every environment twice.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from crosscheck.environments.environment import Environment, describe, installation, new_folder
from crosscheck.matrix.selection import Target, present, targets
from crosscheck.runtimes.catalog import catalog

#: Installers at work at a time, as in `crosscheck.matrix.bench`.
AT_A_TIME = 2
#: What a first run may take, in parts of uv's own time, beyond a run that finds its environments.
ALLOWED = 1.2
PARTS = ("environments", "cells", "judging", "total")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Where the time of a first run goes.")
    parser.add_argument("what", nargs="*", metavar="WHAT")
    what = parser.parse_args().what
    with tempfile.TemporaryDirectory() as folder:
        empty = {"CROSSCHECK_CACHE": f"{folder}/crosscheck", "UV_CACHE_DIR": f"{folder}/uv"}
        first = run(what, Path(folder) / "first", empty)
        second = run(what, Path(folder) / "second", empty)
    alone = uv_alone(what)
    table = Table("s", *PARTS, box=None)
    for name, seconds in (("first run", first), ("with the environments there", second)):
        table.add_row(name, *(f"{seconds[part]:.0f}" for part in PARTS))
    table.add_row("uv alone, two at a time", f"{alone:.0f}", "", "", "")
    Console().print(table)
    bound = ALLOWED * alone + second["total"]
    print(f"first run / ({ALLOWED} x uv + run with environments): {first['total'] / bound:.2f}")
    return 0


def run(what: Sequence[str], out: Path, caches: Mapping[str, str]) -> Mapping[str, float]:
    """Run a job with these caches; the seconds of its parts. `cells` includes the time of `environments`."""
    command = [str(Path(sys.executable).with_name("crosscheck")), "run", *what, "--fresh", "--out", str(out)]
    process = subprocess.run(command, env={**os.environ, **caches}, stdout=subprocess.DEVNULL)
    if process.returncode not in (0, 4):
        sys.exit(process.returncode)
    seconds: Mapping[str, float] = json.loads((out / "run.json").read_text())["seconds"]
    return seconds


def uv_alone(what: Sequence[str]) -> float:
    """The seconds that uv takes for the environments, with an empty cache."""
    selected = targets(what, catalog(), everything=False)
    chosen = selected if what else present(selected)[0]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CROSSCHECK_CACHE"] = f"{folder}/crosscheck"
        os.environ["UV_CACHE_DIR"] = f"{folder}/uv"
        described = [(target, describe(target.runtime, target.release, target.variant)) for target in chosen]
        todo = {environment.key: (target, environment) for target, environment in described}
        start = time.monotonic()
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(install, todo.values()))
        return time.monotonic() - start


def install(asked: tuple[Target, Environment]) -> None:
    """Install the locks of an environment."""
    target, environment = asked
    subprocess.run(new_folder(environment), check=True)
    python = ["--python", str(environment.python)]
    subprocess.run(installation(environment.lock, python), check=True)
    for native in target.release.native:
        place = ["--target", str(environment.folder / native.name), "--python-version", native.python]
        foreign = [*place, *python, "--python-platform", "x86_64-manylinux2014", "--only-binary", ":all:"]
        subprocess.run(installation(target.runtime.native_lock(native), foreign), check=True)


if __name__ == "__main__":
    sys.exit(main())
