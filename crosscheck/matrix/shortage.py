"""Tells what the machine lacked from what the runtime did: a trial that the machine spoilt is no observation.

Where that is not certain the machine counts as the cause: the trial runs again, and its cell has no result rather
than a wrong one.
"""

from __future__ import annotations

import functools
import os
import re
import resource
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosscheck.cells import Status
from crosscheck.matrix.journal import Record
from crosscheck.probe.recorder import EXIT_LACKING, LACKING

__all__ = [
    "ENOUGH_FILES",
    "available_memory",
    "earlier_oom_kills",
    "is_of_machine",
    "lack_of",
    "lack_of_server",
    "oom_kills",
]

#: Bytes of free room below which a file system counts as full: a trial needs about as much.
FULL = 16 * 10**6
#: Fewest files that a process may open for it to be the runtime's own doing if it has too many.
ENOUGH_FILES = 1024
#: What runtimes say that have met a full disk, or as many files as the whole machine takes.
SAID_FULL = re.compile("no space left on device|disk quota exceeded|too many open files in system", re.IGNORECASE)
SAID_FILES = re.compile("too many open files", re.IGNORECASE)
SAID_THREADS = re.compile("can't start new thread|resource temporarily unavailable", re.IGNORECASE)
SAID_MEMORY = re.compile("cannot allocate memory|memoryerror|bad_alloc", re.IGNORECASE)
#: Where Linux says what the processes of a control group may have (version 2).
GROUP = "/sys/fs/cgroup/memory"


def is_of_machine(problem: OSError) -> bool:
    """Whether an error of a system call is for want of room, files, memory or processes."""
    return problem.errno in LACKING


def lack_of(record: Record, reply: Mapping[str, Any], file_limit: float, kills: int) -> str | None:
    """What the machine lacked for a trial, or None if its record is an observation.

    reply: how the trial ended, as `crosscheck.probe.server` tells. file_limit: the bytes that it was allowed to write.
    kills: `oom_kills()` when it began.
    """
    if reply["ended"] == "lacking":
        code = reply["code"]
        why = record.stderr.strip()[-200:] if code == EXIT_LACKING else os.strerror(code)
        return f"this machine did not let a trial begin or record ({why})"
    if reply["ended"] == "files" and file_limit < record.memory_limit:
        return "there was no room for the files that a trial wrote"
    if record.status is Status.OK and '"error"' not in record.steps:
        return None
    text = "\n".join((record.reason or "", record.steps, record.stderr))
    if reply["least_room"] < FULL or SAID_FULL.search(text):
        return "there was no room left for files"
    if SAID_FILES.search(text) and resource.getrlimit(resource.RLIMIT_NOFILE)[1] < ENOUGH_FILES:
        return "a process may open too few files here (`ulimit -Hn`)"
    if SAID_THREADS.search(text):
        return "the machine let no further process or thread begin"
    if reply["ended"] == "signal" and reply["code"] == signal.SIGKILL and oom_kills() > kills:
        return "Linux ended a trial because the machine had no memory left"
    short = available_memory() + record.peak_bytes < record.memory_limit
    if short and reply["ended"] in ("exit", "signal") and SAID_MEMORY.search(text):
        return "the machine had less free memory than a trial may use (--memory-limit)"
    return None


def lack_of_server(ended_by: int, stderr: str, kills: int) -> str | None:
    """The same for a probe server, which was ended by a signal, or by none (0)."""
    if ended_by == signal.SIGKILL and oom_kills() > kills:
        return "Linux ended a probe server because the machine had no memory left"
    if SAID_FULL.search(stderr):
        return "there was no room left for files"
    return "the machine let no further process or thread begin" if SAID_THREADS.search(stderr) else None


def oom_kills() -> int:
    """How many processes Linux has ended for want of memory since it started."""
    words = _text("/proc/vmstat").split()
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


def earlier_oom_kills() -> int:
    """`oom_kills()` of at most a second ago. Reading it for every trial takes a tenth of the host's time.

    A trial that began meanwhile is measured again if Linux ended it, or one before it: that is the safe side.
    """
    return _oom_kills_in(int(time.monotonic()))


@functools.lru_cache(1)
def _oom_kills_in(second: int) -> int:
    return oom_kills()


def available_memory() -> float:
    """Bytes that processes can still get: of the machine, of the control group, and under `ulimit -v`."""
    known = re.search(r"^MemAvailable: +(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    amounts = [float("inf") if known is None else int(known[1]) * 1024.0]
    limit, used = _text(f"{GROUP}.max").strip(), _text(f"{GROUP}.current").strip()
    if limit.isdigit() and used.isdigit():
        cached = re.search(r"^inactive_file (\d+)", _text(f"{GROUP}.stat"), re.MULTILINE)
        amounts.append(float(int(limit) - int(used) + (0 if cached is None else int(cached[1]))))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        amounts.append(float(hard))
    return min(amounts)


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
