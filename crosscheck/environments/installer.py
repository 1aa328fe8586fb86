"""Runs installers (uv, npm): none outlives this process, however it ends, and all can be stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

__all__ = ["run_installer", "stop_installers"]

#: Has Linux kill the process when the thread that started it ends (PR_SET_PDEATHSIG of linux/prctl.h, kept by exec).
#: A program of its own: code between fork and exec is not safe in a process with threads.
TIED = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); "
    "os.getppid() == int(sys.argv[1]) or os._exit(1); os.execvp(sys.argv[2], sys.argv[2:])"
)

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()


def run_installer(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with what it printed. Raises FileNotFoundError for a program that is missing."""
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    tied = [sys.executable, "-I", "-S", "-c", TIED, str(os.getpid()), *command]
    with _lock:
        process = subprocess.Popen(
            tied,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        _running.add(process)
    try:
        stdout, stderr = process.communicate()
    finally:
        _running.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def stop_installers() -> None:
    """End all installers that run, and what they started."""
    with _lock:
        for process in list(_running):
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
