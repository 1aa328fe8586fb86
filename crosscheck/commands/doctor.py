"""`crosscheck doctor`: lists missing requirements of this machine and how to install them."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.console import Console

from crosscheck.ending import INCOMPLETE, OK
from crosscheck.environments import interpreters, machine
from crosscheck.environments.environment import cache_folder
from crosscheck.environments.interpreters import uv
from crosscheck.errors import EnvironmentFailure
from crosscheck.matrix.scratch import ROOM as TRIALS_ROOM
from crosscheck.matrix.scratch import scratch_place
from crosscheck.matrix.server import Limits
from crosscheck.matrix.settings import cores
from crosscheck.matrix.shortage import ENOUGH_FILES, available_memory
from crosscheck.probe.server import PR_SET_CHILD_SUBREAPER, control_process
from crosscheck.runtimes.catalog import Runtime, System, catalog

__all__ = ["arguments", "examine", "main"]

#: Disk space of the default matrix's environments, with a margin (bytes).
ROOM = 3 * 10**9


def arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def main(parsed: argparse.Namespace, console: Console) -> int:
    """Print what this machine has and lacks."""
    return OK if examine(console) else INCOMPLETE


def examine(console: Console) -> bool:
    """Print present and missing requirements, with remedies; return whether every release is available."""
    runtimes = list(catalog().values())
    checks = [
        _platform(),
        _uv(),
        _disk(),
        _processes(),
        _memory(),
        _files(),
        _trial_files(),
        _threads(),
        _node(runtimes),
        *map(_interpreters, runtimes),
        *_systems(runtimes),
    ]
    for good, text in checks:
        console.print(
            f"{'[green]ok[/green]     ' if good else '[red]missing[/red]'} {text}", highlight=False, soft_wrap=True
        )
    return all(good for good, _ in checks)


def _platform() -> tuple[bool, str]:
    here = f"{platform.system()} {platform.machine()}"
    if here == "Linux x86_64":
        return True, here
    return (
        False,
        f"{here}: most old releases have wheels for Linux x86_64 only; run crosscheck there, or in a container",
    )


def _uv() -> tuple[bool, str]:
    try:
        answer = subprocess.run(uv("--version"), capture_output=True, text=True)
    except OSError:
        return False, "uv is missing: `python3 -m pip install uv`"
    return True, answer.stdout.strip()


def _disk() -> tuple[bool, str]:
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"environments live in {folder}, {free / 1e9:.0f} GB free"
    if free >= ROOM:
        return True, text
    return False, f"{text}: free {ROOM / 1e9:.0f} GB, or name another folder in CROSSCHECK_CACHE"


def _processes() -> tuple[bool, str]:
    """Whether a probe server becomes the parent of all that its trials leave behind, which it ends then."""
    here = control_process(PR_SET_CHILD_SUBREAPER, 1)
    control_process(PR_SET_CHILD_SUBREAPER, 0)
    if here:
        return True, "processes: what a trial leaves behind is ended after it, and trials end with crosscheck"
    return False, (
        "processes: this system forbids prctl(PR_SET_CHILD_SUBREAPER): what a trial leaves behind in a session of its "
        "own goes on; allow prctl, or run crosscheck in a container that ends with it"
    )


def _memory() -> tuple[bool, str]:
    free, limit, trials = available_memory(), Limits().memory, cores()
    text = f"memory: {free / 1e9:.1f} GB can be had; {trials} trials at a time may use {limit / 1e9:.0f} GB each"
    if free >= limit * trials:
        return True, text
    return False, f"{text}: run with --jobs {max(1, int(free // limit))}, or with a smaller --memory-limit"


def _files() -> tuple[bool, str]:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = limit == resource.RLIM_INFINITY or limit >= ENOUGH_FILES
    text = f"open files: {'any number' if limit == resource.RLIM_INFINITY else limit} a process"
    return enough, text if enough else f"{text}: some runtimes need {ENOUGH_FILES}; raise the limit (`ulimit -Hn`)"


def _trial_files() -> tuple[bool, str]:
    place = scratch_place()
    free = shutil.disk_usage(place).free
    text = f"trials write to {place}, {free / 1e9:.1f} GB free"
    return free > TRIALS_ROOM, text if free > TRIALS_ROOM else f"{text}: free {TRIALS_ROOM / 1e9:.1f} GB, or set TMPDIR"


def _threads() -> tuple[bool, str]:
    """Whether a trial can hold back a runtime's other threads, as `crosscheck.probe.pace` does it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return True, (
            "races: without the privilege CAP_SYS_NICE a runtime's other threads are not always held back, so that "
            "`racy` may be missed in some runs"
        )
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True, "races: a runtime's other threads can be held back, so that a missing wait shows in every run"


def _node(runtimes: Sequence[Runtime]) -> tuple[bool, str]:
    names = [runtime.name for runtime in runtimes if runtime.registry == "npm"]
    return True, f"{', '.join(names)}: Node comes with their environments"


def _interpreters(runtime: Runtime) -> tuple[bool, str]:
    lacking = defaultdict(list)
    for release in runtime.releases:
        try:
            interpreters.find(release.python, fetch=False)
        except EnvironmentFailure:
            lacking[release.python].append(release.version)
    if not lacking:
        return True, f"{runtime.name}: interpreters for all {len(runtime.releases)} releases"
    parts = [
        f"{', '.join(versions)} need CPython {' or '.join(minors)} ({interpreters.remedy(minors)})"
        for minors, versions in lacking.items()
    ]
    return False, f"{runtime.name}: {'; '.join(parts)}"


def _systems(runtimes: Sequence[Runtime]) -> Iterator[tuple[bool, str]]:
    """System dependencies of releases besides interpreters: presence, and the releases that need each."""
    needing: dict[tuple[Runtime, System], list[str]] = defaultdict(list)
    for runtime in runtimes:
        for release in runtime.releases:
            for needed in release.system:
                needing[runtime, needed].append(release.version)
    for (runtime, needed), versions in needing.items():
        modes = f" in the modes {', '.join(needed.modes)}" if needed.modes else ""
        what = f"{runtime.name}: {needed.about} for {', '.join(versions)}{modes}"
        try:
            machine.find(needed)
        except EnvironmentFailure as failure:
            yield False, f"{what}: {failure}"
        else:
            yield True, what
