"""Mends a damaged journal: what can be read is kept, the rest is measured again. What is no journal is moved aside."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

from crosscheck.cells import Status
from crosscheck.matrix.journal import COLUMNS, DIGEST_SIZE, DamagedJournal, Journal

__all__ = ["mend", "move_aside"]

#: What SQLite keeps beside a database.
BESIDE = ("-wal", "-shm")
ORDERS = ("order by key", "order by key desc", "indexed by known")


def move_aside(path: Path) -> Path:
    """Rename a file that is no journal, with what belongs to it; returns the new path, which nothing had before."""
    names = (path.with_name(f"{path.stem}.aside-{number}{path.suffix}") for number in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    for suffix in BESIDE:
        if path.with_name(path.name + suffix).exists():
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return path.rename(aside)


def mend(path: Path) -> int:
    """Write the readable records of a journal to a new one, which takes its place; the number of those lost, if known.

    What was derived from them is left out, as it is computed again.
    """
    mended = path.with_name(f"{path.name}.new")
    for suffix in ("", *BESIDE):
        mended.with_name(mended.name + suffix).unlink(missing_ok=True)
    lost = 0
    with Journal(path, writable=False) as damaged, Journal(mended) as new:
        new.connection.execute("begin")
        for key in sorted(_keys(damaged)):
            lost += not _copy(damaged, new, key)
        new.connection.execute("commit")
    for suffix in BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    mended.replace(path)
    return lost


def _keys(journal: Journal) -> set[str]:
    """All keys that can be found: from both ends, since a damaged page ends the search, and in the index."""
    keys: set[str] = set()
    for order in ORDERS:
        try:
            for (key,) in journal.connection.execute(f"select key from observation {order}"):
                if isinstance(key, str):
                    keys.add(key)
        except sqlite3.DatabaseError:
            continue
    return keys


def _copy(damaged: Journal, new: Journal, key: str) -> bool:
    """Copy a record with its contents, if all of it can be read."""
    names = COLUMNS["observation"].split(", ")
    try:
        if not damaged.observations([key]):
            return False
        row = damaged.connection.execute(
            f"select {COLUMNS['observation']} from observation where key = ?",
            (key,),
        ).fetchone()
        record = dict(zip(names, row, strict=True))
        texts = all(isinstance(record[name], str) for name in ("cell", "reading", "steps", "stderr"))
        numbers = all(isinstance(record[name], float | int) for name in ("seconds", "cpu_seconds", "peak_bytes"))
        if not texts or not numbers or record["status"] not in set(Status):
            return False
        digests = record["keys"] + record["arrays"]
        for place in range(0, len(digests), DIGEST_SIZE):
            digest = digests[place : place + DIGEST_SIZE]
            content = damaged.connection.execute("select data from content where digest = ?", (digest,)).fetchone()
            new.connection.execute("insert or ignore into content values (?, ?)", (digest, *content))
        marks = ", ".join("?" * len(row))
        new.connection.execute(f"insert into observation values ({marks})", row)
    except (DamagedJournal, sqlite3.DatabaseError):
        return False
    return True
