"""Makes both outcomes of a race likely: holds the other threads of the process back, or waits until they rest."""

import contextlib
import os
import time
from typing import Any, Callable, List, Set

from crosscheck.probe.processes import fields_of

PERIOD = 0.001  # seconds between two looks at the threads
QUIET = 3  # looks in a row at which all threads sleep
LIMIT = 1.0  # seconds after which threads that never sleep are no longer waited for


def hold() -> Set[int]:
    """Let the other threads run only while this one blocks, until `release`. Returns the CPUs used before.

    All threads share one CPU, where nothing preempts this one under SCHED_FIFO. That needs a privilege; without it the
    other threads get SCHED_BATCH, and seldom preempt it (sched(7)).
    """
    cpus = os.sched_getaffinity(0)
    _each([0, *_others()], os.sched_setaffinity, {sorted(cpus)[os.getpid() % len(cpus)]})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        _each(_others(), os.sched_setscheduler, os.SCHED_BATCH, os.sched_param(0))
    return cpus


def release(cpus: Set[int]) -> None:
    """Undo `hold`."""
    threads = [0, *_others()]
    _each(threads, os.sched_setscheduler, os.SCHED_OTHER, os.sched_param(0))
    _each(threads, os.sched_setaffinity, cpus)


def rest() -> None:
    """Wait until all other threads sleep, without a call of the runtime, which may itself wait or compute."""
    end, quiet = time.monotonic() + LIMIT, 0
    while quiet < QUIET and time.monotonic() < end:
        time.sleep(PERIOD)
        quiet = 0 if any(_runs(thread) for thread in _others()) else quiet + 1


def _others() -> List[int]:
    """The ids of the threads of this process but for the first, which carries out the steps."""
    return [thread for thread in map(int, os.listdir("/proc/self/task")) if thread != os.getpid()]


def _each(threads: List[int], call: Callable[..., None], *arguments: Any) -> None:
    for thread in threads:
        with contextlib.suppress(ProcessLookupError):  # the thread has ended
            call(thread, *arguments)


def _runs(thread: int) -> bool:
    """Whether a thread runs, can run, or waits for a disk: states R and D of proc(5)."""
    return fields_of("/proc/self/task/{}".format(thread))[:1] in (["R"], ["D"])
