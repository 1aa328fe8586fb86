"""Folders for trial files, which end with the run; those of killed runs are removed by the next one.

The owner of a folder holds a lock in it, which Linux releases when the owner's process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["ROOM", "scratch_folder", "scratch_place"]

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
PREFIX = "crosscheck-"
OWNER = "owner"
#: Bytes of room for the running trials, exported files included.
ROOM = 500 * 10**6
#: Seconds after which a folder without a lock is no folder that is being made.
OLD = 24 * 3600.0


@contextlib.contextmanager
def scratch_folder(in_memory: bool = True) -> Iterator[Path]:
    """A new folder: in memory if that is wanted and there is room, since disks are slower than trials.

    Raises OSError where none can be made.
    """
    _sweep()
    folder, lock = _claimed(scratch_place() if in_memory else Path(tempfile.gettempdir()))
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _claimed(place: Path) -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = FileLock(folder / OWNER, thread_local=False)  # another thread may release it
        with contextlib.suppress(Timeout, FileNotFoundError):
            lock.acquire(timeout=0)
            if (folder / OWNER).exists():
                return folder, lock
        # Another run swept it before it was locked.


def scratch_place() -> Path:
    """Where folders for trial files are made: in memory if there is room, else in the folder for temporary files."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if roomy else Path(tempfile.gettempdir())


def _sweep() -> None:
    """Remove the folders of this user whose owner is gone."""
    for place in {MEMORY, Path(tempfile.gettempdir())}:
        for folder in place.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError, Timeout):
                facts = folder.lstat()
                if facts.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
                    continue
                if not (folder / OWNER).exists():
                    if time.time() - facts.st_mtime > OLD:
                        shutil.rmtree(folder, ignore_errors=True)
                    continue
                with FileLock(folder / OWNER, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
