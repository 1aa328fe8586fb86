"""Stores observations in an SQLite file that survives a kill at any moment.

Stores observations, not findings, so that old runs can be judged again after a change of thresholds.
"""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from crosscheck.cells import Array, Observation, Status, Step
from crosscheck.errors import CrosscheckError

__all__ = ["Journal", "Record"]

VERSION = 1
#: zlib's fastest level: snapshots are repetitive, and a matrix has a hundred thousand of them.
COMPRESSION = 1
TABLE = """
create table if not exists observation (
    key text primary key, cell text, reading text, repeat integer,
    status text, reason text, steps text, keys text, arrays blob,
    seconds real, cpu_seconds real, peak_bytes integer, stderr text
) without rowid
"""

#: Statuses to measure again: a timeout may be caused by the machine.
NOT_REUSED = (Status.TIMED_OUT.value,)


@dataclass(frozen=True)
class Record:
    """One trial's observation as it is stored: `keys` and `arrays` as the probe wrote them."""

    reading: str
    status: Status
    reason: str | None
    steps: str
    keys: str
    arrays: bytes
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stderr: str

    def observation(self, arrays: Mapping[str, Array] | None = None) -> Observation:
        """Decode steps and arrays; uses `arrays` if not None."""
        return Observation(
            reading=self.reading,
            status=self.status,
            reason=self.reason,
            steps=_steps(self.steps),
            arrays=_arrays(self.keys, self.arrays) if arrays is None else arrays,
            seconds=self.seconds,
            cpu_seconds=self.cpu_seconds,
            peak_bytes=self.peak_bytes,
            stderr=self.stderr,
        )


class Journal:
    """The journal of one output folder. The folder's lock limits it to one run at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.connection = sqlite3.connect(path, isolation_level=None)
            # Write-ahead logging: committed rows survive a killed process, and a commit needs no fsync.
            self.connection.execute("pragma journal_mode = wal")
            self.connection.execute("pragma synchronous = normal")
            if self.connection.execute("pragma user_version").fetchone()[0] not in (0, VERSION):
                raise CrosscheckError(f"{path} was written by another version of crosscheck. Use another --out.")
            self.connection.execute(f"pragma user_version = {VERSION}")
            self.connection.execute(TABLE)
        except sqlite3.DatabaseError as problem:
            raise CrosscheckError(
                f"{path} cannot be used as a journal ({problem}). Move it away or use another --out."
            ) from problem

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def append(self, key: str, cell: str, repeat: int, record: Record) -> None:
        """Append one trial's observation. Raises CrosscheckError if the disk is full."""
        row = (
            key, cell, record.reading, repeat, record.status.value, record.reason, record.steps, record.keys,
            zlib.compress(record.arrays, COMPRESSION), record.seconds, record.cpu_seconds, record.peak_bytes,
            record.stderr,
        )  # fmt: skip
        try:
            self.connection.execute(f"insert or replace into observation values ({', '.join('?' * len(row))})", row)
        except sqlite3.OperationalError as problem:
            raise CrosscheckError(
                f"{self.path} cannot be written ({problem}). Free some space and run the same command again; "
                "what was measured is kept."
            ) from problem

    def reusable(self) -> dict[str, Status]:
        """Key -> status of all reusable trials."""
        rows = self.connection.execute(
            f"select key, status from observation where status not in ({', '.join('?' * len(NOT_REUSED))})", NOT_REUSED
        )
        return {key: Status(status) for key, status in rows}

    def records(self, keys: Iterable[str]) -> list[Record]:
        """The observations of the keys, in their order; missing keys are skipped."""
        records = []
        for key in keys:
            row = self.connection.execute(
                "select reading, status, reason, steps, keys, arrays, seconds, cpu_seconds, peak_bytes, stderr "
                "from observation where key = ?",
                (key,),
            ).fetchone()
            if row is not None:
                record = Record(row[0], Status(row[1]), *row[2:])
                records.append(replace(record, arrays=zlib.decompress(record.arrays)))
        return records

    def observations(self, keys: Iterable[str]) -> list[Observation]:
        """The same as observations. Trials with equal bytes share arrays, for fast comparison."""
        first: dict[tuple[str, bytes], Observation] = {}
        observations = []
        for record in self.records(keys):
            same = first.get((record.keys, record.arrays))
            observations.append(record.observation(None if same is None else same.arrays))
            first.setdefault((record.keys, record.arrays), observations[-1])
        return observations

    def forget(self) -> None:
        """Delete all observations."""
        self.connection.execute("delete from observation")


def _steps(text: str) -> tuple[Step, ...]:
    """Decode steps. The step in which the process died has NaN seconds."""
    steps: list[Step] = []
    begun: str | None = None
    rows: list[Mapping[str, Any]] = json.loads(_list(text))
    for row in rows:
        if row.get("begun"):
            begun = row["label"]
            continue
        if begun == row["label"]:
            begun = None
        steps.append(Step(row["label"], row["seconds"], row.get("error"), row.get("flags")))
    if begun is not None:
        steps.append(Step(begun, float("nan"), error="the process ended in this step"))
    return tuple(steps)


def _list(lines: str) -> str:
    """JSON lines as one JSON list, which is parsed several times as fast."""
    return f"[{','.join(lines.splitlines())}]"


def _arrays(keys: str, data: bytes) -> dict[str, Array]:
    """Read-only views of `data`, split by `keys` (`crosscheck.probe.recorder.Recorder`)."""
    arrays: dict[str, Array] = {}
    offset = 0
    for key, dtype, shape in json.loads(_list(keys)):
        count = math.prod(shape)
        arrays[key] = np.frombuffer(data, dtype, count, offset).reshape(shape)
        offset += arrays[key].nbytes
    return arrays
