"""Finds processes by what Linux tells of each, the fields of proc_pid_stat(5)."""

import os
from typing import List, Set

__all__ = ["PARENT", "SESSION", "fields_of", "processes_with"]

#: Places among the fields after the name: the state is the first.
PARENT, SESSION = 1, 3


def fields_of(path: str) -> List[str]:
    """The fields after the name, of the process or thread whose folder in /proc that is; empty if it has ended."""
    try:
        with open(os.path.join(path, "stat"), errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def processes_with(place: int, value: int) -> Set[int]:
    """The processes with that number in a field."""
    listed = [name for name in os.listdir("/proc") if name.isdigit()]
    return {int(name) for name in listed if fields_of("/proc/" + name)[place : place + 1] == [str(value)]}
