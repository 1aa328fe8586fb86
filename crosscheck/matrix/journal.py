"""Stores observations in an SQLite file that survives a kill at any moment.

Stores observations, so that old runs can be judged again after a change of thresholds, and beside them what was derived
from observations, under a digest of all that it depends on. Equal contents are stored once: trials of a network record
the same tensors again and again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from crosscheck.cells import Array, Observation, Status, Step
from crosscheck.errors import CrosscheckError

__all__ = ["COLUMNS", "Costs", "DamagedJournal", "Journal", "NoJournal", "Record", "is_closed"]

#: Version 1 stored the arrays of each trial as one block. It is not upgraded: the key of a trial contains a digest of
#: the probe, which changed with the format, so that no trial of an older journal could be reused.
VERSION = 2
#: zlib's fastest level.
COMPRESSION = 1
#: Bytes from which an array is a content of its own. Smaller ones of a trial are one content together: a network of
#: small tensors costs one row and one call of zlib a trial.
LARGE = 4096
DIGEST_SIZE = 16
#: `keys` and `arrays` are digests of contents; `arrays` has one of the small arrays, then one for each large array.
#: `known` has all that `reusable` reads, a small part of the rows.
TABLES = """
create table if not exists content (digest blob primary key, data blob) without rowid;
create table if not exists observation (
    key text primary key, cell text, reading text, repeat integer,
    status text, reason text, steps text, keys blob, arrays blob,
    seconds real, cpu_seconds real, peak_bytes integer, memory_limit real, stderr text
) without rowid;
create index if not exists known on observation (status, memory_limit, key);
create table if not exists derived (mark text primary key, data blob) without rowid;
"""
COLUMNS = {
    "content": "digest, data",
    "observation": "key, cell, reading, repeat, status, reason, steps, keys, arrays, seconds, cpu_seconds, peak_bytes, "
    "memory_limit, stderr",
    "derived": "mark, data",
}
#: Statuses, in SQL, of trials that another limit or machine may let end.
LIMITED = f"('{Status.TIMED_OUT.value}', '{Status.OUT_OF_MEMORY.value}')"
#: The part of an error code of SQLite that has the kind; the others have details.
KIND = 0xFF
#: What reading a record raises that is not as it was written.
UNREADABLE = (zlib.error, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError)
#: The duration of a step, in its line of JSON. Inside a text there are backslashes before the quotation marks.
DURATION = re.compile(r'"seconds": ?[-+.eE0-9]+')
#: What a trial cost: seconds, peak bytes and standard error.
Costs = tuple[float, int, str]
#: Most texts of keys whose parsed form is kept: a cell has about as many as readings.
PARSED = 64


@dataclass(frozen=True)
class Record:
    """One trial's observation as the probe wrote it: `keys` and `arrays` as in `crosscheck.probe.recorder.Recorder`.

    memory_limit: the trial's limit of resident memory, in bytes.
    """

    reading: str
    status: Status
    reason: str | None
    steps: str
    keys: str
    arrays: bytes
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    memory_limit: float
    stderr: str


class NoJournal(CrosscheckError):
    """A file that is something else than a journal of this version."""


class DamagedJournal(CrosscheckError):
    """A journal with something in it that cannot be read; `crosscheck.matrix.mending` mends it."""


P = ParamSpec("P")
T = TypeVar("T")


def _guarded(method: Callable[Concatenate[Journal, P], T]) -> Callable[Concatenate[Journal, P], T]:
    """The method, with DamagedJournal for what cannot be read."""

    @functools.wraps(method)
    def guarded(journal: Journal, /, *arguments: P.args, **options: P.kwargs) -> T:
        with journal.sound():
            return method(journal, *arguments, **options)

    return guarded


def is_closed(path: Path) -> bool:
    """Whether no run has the journal open, nor was killed while it had: its log would be beside it."""
    return not os.path.exists(f"{path}-wal")


class Journal:
    """The journal of one output folder. The folder's lock limits it to one run at a time.

    writable: false for a process that reads it while another one writes it, or while nobody does.
    """

    def __init__(self, path: Path, writable: bool = True) -> None:
        self.path = path
        #: Arrays in use, by digest, type and shape: observations share equal ones.
        self._arrays: WeakValueDictionary[tuple[bytes, str, tuple[int, ...]], Array] = WeakValueDictionary()
        if not writable:
            # SQLite would make a log even for a closed journal, and a process that only reads cannot remove it.
            alone = "&immutable=1" if is_closed(path) else ""
            self.connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{alone}", uri=True)
            return
        with self.sound():
            self.connection = sqlite3.connect(path, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self.connection.close()
                raise

    def _open(self) -> None:
        version = self.connection.execute("pragma user_version").fetchone()[0]
        tables = {name for (name,) in self.connection.execute("select name from sqlite_master where type = 'table'")}
        if version not in (0, VERSION):
            raise NoJournal(
                f"{self.path} was written by another version of crosscheck, whose trials cannot be reused. Move it "
                "away, or use another --out."
            )
        if not tables <= COLUMNS.keys():
            raise NoJournal(f"{self.path} is a database of something else. Move it away, or use another --out.")
        for table in tables:
            self.connection.execute(f"select {COLUMNS[table]} from {table} limit 0")
        # Write-ahead logging: committed rows survive a killed process, and a commit needs no fsync.
        self.connection.execute("pragma journal_mode = wal")
        self.connection.execute("pragma synchronous = normal")
        self.connection.execute(f"pragma user_version = {VERSION}")
        self.connection.executescript(TABLES)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def append(self, key: str, cell: str, repeat: int, record: Record) -> None:
        """Append one trial's observation, with its new contents, in one transaction.

        Raises CrosscheckError if the disk is full.
        """
        contents = [(_digest(data), data) for data in (record.keys.encode(), *_parts(record.keys, record.arrays))]
        keys, *parts = (digest for digest, _ in contents)
        row = (
            key, cell, record.reading, repeat, record.status.value, record.reason, record.steps, keys, b"".join(parts),
            record.seconds, record.cpu_seconds, record.peak_bytes, record.memory_limit, record.stderr,
        )  # fmt: skip
        with self._transaction():
            for digest, data in contents:
                if not self.connection.execute("select 1 from content where digest = ?", (digest,)).fetchone():
                    packed = zlib.compress(data, COMPRESSION)
                    self.connection.execute("insert into content values (?, ?)", (digest, packed))
            self.connection.execute(f"insert or replace into observation values ({', '.join('?' * len(row))})", row)

    @_guarded
    def reusable(self, memory_limit: float = 0, timed_out: bool = False) -> dict[str, Status]:
        """Key -> status of all trials that need not be measured again, under that limit of memory (bytes).

        Trials that ran out of time are measured again, since the machine may have been busy, unless `timed_out`; and
        those that ran out of memory under a smaller limit.
        """
        rows = self.connection.execute(
            "select key, status from observation where status is not ? and (status is not ? or memory_limit >= ?)",
            (None if timed_out else Status.TIMED_OUT.value, Status.OUT_OF_MEMORY.value, memory_limit),
        )
        return {key: Status(status) for key, status in rows}

    @_guarded
    def observations(self, keys: Iterable[str]) -> list[Observation]:
        """The observations of the keys, in their order; missing keys are skipped.

        Equal arrays of 4 KiB or more are one object, as are the mappings of trials whose arrays are all equal: they
        need no more memory than one, and comparisons end at once.
        """
        contents: dict[bytes, bytes] = {}
        mappings: dict[tuple[bytes, bytes], Mapping[str, Array]] = {}
        observations = []
        for key in keys:
            row = self.connection.execute(
                "select reading, status, reason, steps, keys, arrays, seconds, cpu_seconds, peak_bytes, stderr "
                "from observation where key = ?",
                (key,),
            ).fetchone()
            if row is None:
                continue
            reading, status, reason, steps, *digests, seconds, cpu_seconds, peak_bytes, stderr = row
            same = (digests[0], digests[1])
            if same not in mappings:
                mappings[same] = self._mapping(*same, contents)
            observations.append(
                Observation(
                    reading=reading,
                    status=Status(status),
                    reason=reason,
                    steps=_steps(steps),
                    arrays=mappings[same],
                    seconds=seconds,
                    cpu_seconds=cpu_seconds,
                    peak_bytes=peak_bytes,
                    stderr=stderr,
                )
            )
        return observations

    @_guarded
    def stamp(self, keys: Sequence[str]) -> str:
        """A digest of the observations of the keys: of all that their trials recorded, and of what is missing."""
        rows = [
            self.connection.execute(
                "select status, reason, steps, keys, arrays, stderr from observation where key = ?", (key,)
            ).fetchone()
            for key in keys
        ]
        return _digest(repr(rows).encode()).hex()

    @_guarded
    def observed(self, keys: Sequence[str]) -> tuple[str, list[Costs]]:
        """A digest of what the trials of the keys recorded, whatever they cost; and what each cost.

        Equal for trials that differ in durations, memory and standard error alone. Missing keys are skipped.
        """
        digest, costs = hashlib.blake2b(digest_size=DIGEST_SIZE), []
        for key in keys:
            row = self.connection.execute(
                "select reading, status, reason, keys, arrays, steps, seconds, peak_bytes, stderr "
                "from observation where key = ?",
                (key,),
            ).fetchone()
            if row is not None:
                *recorded, steps, seconds, peak_bytes, stderr = row
                digest.update(repr((*recorded, DURATION.sub("", steps))).encode())
                costs.append((seconds, peak_bytes, stderr))
        return digest.hexdigest(), costs

    @_guarded
    def derived(self, mark: str) -> bytes | None:
        """What `derive` stored under a mark, or None."""
        row = self.connection.execute("select data from derived where mark = ?", (mark,)).fetchone()
        if row is None:
            return None
        data = zlib.decompress(row[0][DIGEST_SIZE:])
        if _digest(mark.encode() + data) != row[0][:DIGEST_SIZE]:
            raise ValueError("a result that is not what was written")
        return data

    def derive(self, results: Mapping[str, bytes]) -> None:
        """Store what was derived from observations, by marks, each a digest of all that the result depends on."""
        packed = [
            (mark, _digest(mark.encode() + data) + zlib.compress(data, COMPRESSION)) for mark, data in results.items()
        ]
        with self._transaction():
            self.connection.executemany("insert or replace into derived values (?, ?)", packed)

    def take(self, other: Journal, leaving: Set[str] = frozenset()) -> None:
        """Add the records of another journal; those that this one has under the same key or mark stay.

        Trials that ran out of time or memory here, and not there, are replaced. leaving: marks of what was derived that
        are left out.
        """
        with self._transaction():
            for table, columns in COLUMNS.items():
                names = columns.split(", ")
                known = "do nothing"
                if table == "observation":
                    values = ", ".join(f"{name} = excluded.{name}" for name in names)
                    known = f"do update set {values} where status in {LIMITED} and excluded.status not in {LIMITED}"
                places = ", ".join("?" * len(names))
                rows = (row for row in other._rows(table) if table != "derived" or row[0] not in leaving)
                self.connection.executemany(
                    f"insert into {table} values ({places}) on conflict ({names[0]}) {known}", rows
                )

    def _rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        with self.sound():
            yield from self.connection.execute(f"select {COLUMNS[table]} from {table}")

    def forget(self) -> None:
        """Delete all observations, and what was derived from them."""
        self.connection.executescript(
            "begin; delete from observation; delete from content; delete from derived; commit"
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Raises CrosscheckError if the disk is full."""
        try:
            self.connection.execute("begin")
            yield
            self.connection.execute("commit")
        except sqlite3.DatabaseError as problem:
            if _kind(problem) == sqlite3.SQLITE_CORRUPT:
                raise DamagedJournal(f"{self.path} is damaged ({problem}).") from problem
            remedy = "Free some space" if _kind(problem) == sqlite3.SQLITE_FULL else "Mend that"
            raise CrosscheckError(
                f"{self.path} cannot be written ({problem}). {remedy} and run the same command again; what was "
                "measured is kept."
            ) from problem
        finally:
            if self.connection.in_transaction:
                with suppress(sqlite3.Error):
                    self.connection.execute("rollback")

    @contextmanager
    def sound(self) -> Iterator[None]:
        """Raises DamagedJournal or NoJournal for what is not as it was written."""
        try:
            yield
        except sqlite3.DatabaseError as problem:
            code = _kind(problem)
            if code == sqlite3.SQLITE_CORRUPT:
                raise DamagedJournal(f"{self.path} is damaged ({problem}).") from problem
            kind = NoJournal if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR) else CrosscheckError
            raise kind(
                f"{self.path} cannot be used as a journal ({problem}). Move it away or use another --out."
            ) from problem
        except UNREADABLE as problem:
            raise DamagedJournal(f"{self.path} has a record that cannot be read ({problem}).") from problem

    def _mapping(self, keys: bytes, arrays: bytes, contents: dict[bytes, bytes]) -> dict[str, Array]:
        """The arrays of a trial. `contents` collects texts and small arrays by digest."""
        small, *large = (arrays[at : at + DIGEST_SIZE] for at in range(0, len(arrays), DIGEST_SIZE))
        data = self._content(small, contents)
        mapping: dict[str, Array] = {}
        for entry in _entries(self._content(keys, contents).decode()):
            if entry.same is not None:
                mapping[entry.key] = mapping[entry.same]
            elif entry.number is None:
                array = np.frombuffer(data, entry.dtype, entry.items, entry.place)
                mapping[entry.key] = array.reshape(entry.shape)
            else:
                mapping[entry.key] = self._array(large[entry.number], entry)
        return mapping

    def _array(self, digest: bytes, entry: _Entry) -> Array:
        """A large array, read-only; the one in use if there is one."""
        identity = (digest, entry.dtype.str, entry.shape)
        array = self._arrays.get(identity)
        if array is None:
            array = np.frombuffer(self._content(digest, {}), entry.dtype).reshape(entry.shape)
            self._arrays[identity] = array
        return array

    def _content(self, digest: bytes, contents: dict[bytes, bytes]) -> bytes:
        if digest not in contents:
            (data,) = self.connection.execute("select data from content where digest = ?", (digest,)).fetchone()
            content = zlib.decompress(data)
            if _digest(content) != digest:
                raise ValueError("a content that is not what was written")
            contents[digest] = content
        return contents[digest]


def _kind(problem: sqlite3.DatabaseError) -> int:
    """The error code of SQLite, without details; text that is no UTF-8 has none, and is damage."""
    code: int = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & KIND


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE).digest()


class _Entry(NamedTuple):
    """An array of a trial, and where it is stored.

    same: the key of an earlier array with the same bytes, type and shape, or None. items, size: its numbers and bytes.
    recorded: its offset in the recorded bytes. number: its number among the large arrays, None for a small one.
    place: the offset of a small one among the small arrays.
    """

    key: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    same: str | None
    items: int
    size: int
    recorded: int
    number: int | None
    place: int


@functools.lru_cache(PARSED)
def _entries(keys: str) -> tuple[_Entry, ...]:
    """The arrays that a text of keys describes."""
    entries: list[_Entry] = []
    first: dict[tuple[Any, ...], str] = {}
    stored: dict[tuple[int, int], tuple[int | None, int]] = {}
    small = large = 0
    for key, spelled, lengths, recorded in json.loads(_list(keys)):
        dtype, shape = np.dtype(spelled), tuple(lengths)
        items = math.prod(shape)
        size = items * dtype.itemsize
        if (recorded, size) not in stored:
            if size < LARGE:
                stored[recorded, size] = None, small
                small += size
            else:
                stored[recorded, size] = large, 0
                large += 1
        identity = (recorded, spelled, shape)
        entries.append(_Entry(key, dtype, shape, first.get(identity), items, size, recorded, *stored[recorded, size]))
        first.setdefault(identity, key)
    return tuple(entries)


def _parts(keys: str, data: bytes) -> Iterator[bytes | memoryview]:
    """The small arrays of a trial as one content, then each large one."""
    view = memoryview(data)
    stored = {(entry.recorded, entry.size): entry.number for entry in _entries(keys)}
    yield b"".join(view[start : start + size] for (start, size), number in stored.items() if number is None)
    for (start, size), number in stored.items():
        if number is not None:
            yield view[start : start + size]


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
