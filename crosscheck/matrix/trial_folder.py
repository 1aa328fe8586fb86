"""Reads what a trial left in its folder.

The runtime under test ran in the process that wrote it, and may have written anything. What does not fit the form that
`crosscheck.probe.recorder` writes is no observation: the trial counts as crashed, with the reason.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck.cells import Status
from crosscheck.matrix.journal import Record
from crosscheck.matrix.shortage import is_of_machine

__all__ = ["collect", "plain", "tail"]

STDERR_TAIL = 2000  # characters of standard error to keep
#: The statuses that a trial may give itself.
SELF_TOLD = frozenset({Status.OK, Status.REFUSED, Status.OUT_OF_MEMORY, Status.IMPORT_FAILED})
#: How JSON spells the beginning of a surrogate.
SURROGATE = "\\ud"
#: Most texts of keys that are kept with what they need: trials of a reading have the same.
PARSED = 64
#: Kinds of numpy types that are recorded: truth values, integers and floats.
NUMBERS = "biuf"
#: How numpy spells a type; its other spellings are expressions, which are not to be evaluated.
SPELLED = re.compile(r"[<>|]?[A-Za-z]\d*")


class _Unreadable(Exception):
    """What the trial left has not the form that it should have."""


def collect(folder: Path, reply: Mapping[str, Any], reading: str, memory_limit: float) -> Record:
    """The files of a trial's folder and how its process ended, `reply`, as a record.

    Raises OSError where this process lacks files or memory to read them.
    """
    stderr = tail(folder / "stderr")
    try:
        end = _end(folder / "end.json")
        status, reason = _ending(end, reply)
        steps, keys = _steps(folder / "steps.jsonl"), _lines(folder / "keys.jsonl")
        arrays = _bytes(folder / "arrays.bin")
        if _needed(keys) > len(arrays):
            raise _Unreadable("arrays that are shorter than described")
    except _Unreadable as problem:
        end, status, reason = {}, Status.CRASHED, f"it left {problem}"
        steps = keys = ""
        arrays = b""
    return Record(
        reading=reading,
        status=status,
        reason=reason,
        steps=steps,
        keys=keys,
        arrays=arrays,
        seconds=_seconds(end.get("seconds"), reply["wall_seconds"]),
        cpu_seconds=_seconds(end.get("cpu_seconds"), 0.0),
        peak_bytes=reply["peak_bytes"],
        memory_limit=memory_limit,
        stderr=stderr,
    )


def tail(path: Path) -> str:
    """The end of a text, "" without the file."""
    try:
        return plain(_bytes(path, STDERR_TAIL).decode("utf-8", "replace"))
    except _Unreadable:
        return ""


def plain(text: str) -> str:
    """The text with question marks for lone surrogates, which no file takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _end(path: Path) -> dict[str, Any]:
    """How the trial says that it ended; empty if it did not."""
    content = _bytes(path)
    if not content:
        return {}
    try:
        end: dict[str, Any] = json.loads(content)
    except ValueError:
        raise _Unreadable("an end.json that is not JSON") from None
    status = end.get("status") if isinstance(end, dict) else None
    if not isinstance(status, str) or status not in SELF_TOLD:
        raise _Unreadable("an end.json without a known status")
    if not isinstance(end.get("reason"), str | None):
        raise _Unreadable("an end.json whose reason is no text")
    return end


def _ending(end: Mapping[str, Any], reply: Mapping[str, Any]) -> tuple[Status, str | None]:
    match reply["ended"]:
        case "time":
            return Status.TIMED_OUT, f"no end after {reply['wall_seconds']:.0f} s; --time-limit allows more"
        case "memory":
            return Status.OUT_OF_MEMORY, (
                f"over the limit with {reply['peak_bytes'] / 1e9:.1f} GB resident; --memory-limit allows more"
            )
        case "files":
            return Status.OUT_OF_MEMORY, (
                f"over the limit with {reply['file_bytes'] / 1e9:.1f} GB of files; --memory-limit allows more"
            )
        case "signal":
            return Status.CRASHED, f"killed by {signal.Signals(reply['code']).name}"
        case _ if end:
            return Status(end["status"]), None if end.get("reason") is None else plain(end["reason"])
        case _:
            return Status.CRASHED, f"ended with exit code {reply['code']} and no result"


def _steps(path: Path) -> str:
    """The text of the steps, JSON lines."""
    text = _lines(path)
    for line in text.splitlines():
        try:
            step = json.loads(line)
        except ValueError:
            raise _Unreadable("a step that is not JSON") from None
        known = isinstance(step, dict) and isinstance(step.get("label"), str)
        if not known or not (step.get("begun") or isinstance(step.get("seconds"), int | float)):
            raise _Unreadable(f"a step without label or seconds: {line[:100]}")
    if SURROGATE in text:
        return "".join(plain(json.dumps(json.loads(line), ensure_ascii=False)) + "\n" for line in text.splitlines())
    return text


@functools.lru_cache(PARSED)
def _needed(keys: str) -> int:
    """The bytes that the described arrays need. Raises _Unreadable unless every line describes an array of numbers."""
    needed = 0
    for line in keys.splitlines():
        try:
            key, spelled, sizes, offset = json.loads(line)
            if not SPELLED.fullmatch(spelled):
                raise ValueError(spelled)
            dtype = np.dtype(spelled)
        except (ValueError, TypeError):
            raise _Unreadable(f"a description of an array that is none: {line[:100]}") from None
        if not isinstance(key, str) or dtype.kind not in NUMBERS or dtype.shape:
            raise _Unreadable(f"an array that is not of numbers: {line[:100]}")
        if not isinstance(sizes, list) or not all(type(count) is int and count >= 0 for count in (*sizes, offset)):
            raise _Unreadable(f"an array of an impossible shape or place: {line[:100]}")
        try:
            np.broadcast_to(np.empty((), dtype), sizes)  # takes no memory
        except ValueError:  # too many axes, or beside a 0 a size that no array has
            raise _Unreadable(f"an array of an impossible shape or place: {line[:100]}") from None
        needed = max(needed, offset + math.prod(sizes) * dtype.itemsize)
    return needed


def _lines(path: Path) -> str:
    """Complete lines only: a killed process may leave a partial one, or a key less than arrays."""
    text = _bytes(path).decode("utf-8", "replace")
    return text[: text.rfind("\n") + 1]


def _bytes(path: Path, last: int | None = None) -> bytes:
    """The content of a regular file, or its last bytes; a link, a pipe or a device may have no end."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _Unreadable(f"{path.name} that is no file")
            if last is not None:
                file.seek(max(0, os.fstat(file.fileno()).st_size - last))
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as problem:
        if is_of_machine(problem):
            raise
        raise _Unreadable(f"{path.name} that cannot be read ({problem.strerror})") from None


def _seconds(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else otherwise
