"""Makes both outcomes of a race likely: holds the other threads of the process back, or waits until they rest."""

import contextlib
import os
import time
from typing import List, Set

PERIOD = 0.001  # seconds between two looks at the threads
QUIET = 3  # looks in a row at which all threads sleep
LIMIT = 1.0  # seconds after which threads that never sleep are no longer waited for


def hold() -> Set[int]:
    """Let the other threads run only while this one blocks, until `release`. Returns the CPUs used before.

    All threads share one CPU, where nothing preempts this one under SCHED_FIFO. That needs a privilege; without it the
    other threads get SCHED_BATCH, and seldom preempt it (sched(7)).
    """
    cpus = os.sched_getaffinity(0)
    _confine({sorted(cpus)[os.getpid() % len(cpus)]})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        _schedule(others(), os.SCHED_BATCH)
    return cpus


def release(cpus: Set[int]) -> None:
    """Undo `hold`."""
    _schedule([0, *others()], os.SCHED_OTHER)
    _confine(cpus)


def rest() -> None:
    """Wait until all other threads sleep, without a call of the runtime, which may itself wait or compute."""
    end, quiet = time.monotonic() + LIMIT, 0
    while quiet < QUIET and time.monotonic() < end:
        time.sleep(PERIOD)
        quiet = 0 if any(_runs(thread) for thread in others()) else quiet + 1


def others() -> List[int]:
    """The ids of the threads of this process but for the first, which carries out the steps."""
    return [thread for thread in map(int, os.listdir("/proc/self/task")) if thread != os.getpid()]


def _confine(cpus: Set[int]) -> None:
    for thread in [0, *others()]:
        with contextlib.suppress(ProcessLookupError):  # the thread has ended
            os.sched_setaffinity(thread, cpus)


def _schedule(threads: List[int], policy: int) -> None:
    for thread in threads:
        with contextlib.suppress(ProcessLookupError):  # the thread has ended
            os.sched_setscheduler(thread, policy, os.sched_param(0))


def _runs(thread: int) -> bool:
    """Whether a thread runs, can run, or waits for a disk: states R and D of proc(5)."""
    try:
        with open("/proc/self/task/{}/stat".format(thread)) as file:
            return file.read().rpartition(")")[2].split()[0] in "RD"
    except OSError:
        return False  # the thread has ended
