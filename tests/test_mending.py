"""A damaged journal: what cannot be read is measured again and said in one line; what is no journal is moved aside."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosscheck.job import Job, Result, run
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.mending import mend, move_aside
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import SilentProgress, read_cells

RunToy = Callable[..., Result]
OPTIONS: dict[str, Any] = {"modes": ["leak-backward", "inference"], "networks": ["seed", "conv"]}


@pytest.fixture(scope="module")
def whole(toy: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    out = tmp_path_factory.mktemp("whole")
    run(Job(["toy@1.8.0"], out=out, **OPTIONS), SilentProgress(), {"toy": toy})
    return out


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Path:
    """A copy of its journal, alone in a folder."""
    with sqlite3.connect(whole / "journal.sqlite") as journal:
        journal.execute("vacuum into ?", (str(tmp_path / "journal.sqlite"),))
    return tmp_path / "journal.sqlite"


def sql(*statements: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with sqlite3.connect(path, isolation_level=None) as journal:
            for statement in statements:
                journal.execute(statement)

    return damage


def pages(table: str, filling: bytes, first: int = 1, step: int = 3) -> Callable[[Path], None]:
    """Overwrite every third page of a table, its root excepted, or that page alone."""

    def damage(path: Path) -> None:
        with sqlite3.connect(path) as journal:
            size = journal.execute("pragma page_size").fetchone()[0]
            total = journal.execute("pragma page_count").fetchone()[0]
            root = journal.execute("select rootpage from sqlite_master where name = ?", (table,)).fetchone()[0]
        content = bytearray(path.read_bytes())
        for page in [root] if step == 0 else range(root + first, total + 1, step):
            content[(page - 1) * size : page * size] = (filling * size)[:size]
        path.write_bytes(content)

    return damage


FIRST = "where key = (select key from observation limit 1)"
LARGEST = "where digest = (select digest from content order by length(data) desc limit 1)"
SHORTER = zlib.compress(b"short").hex()
DAMAGES = {
    "status": sql(f"update observation set status = 'fine' {FIRST}"),
    "status-null": sql(f"update observation set status = null {FIRST}"),
    "steps": sql(f"update observation set steps = '{{' {FIRST}"),
    "steps-list": sql(f"update observation set steps = '[1]' {FIRST}"),
    "steps-blob": sql(f"update observation set steps = x'00' {FIRST}"),
    "keys": sql(f"update observation set keys = x'00' {FIRST}"),
    "keys-null": sql(f"update observation set keys = null {FIRST}"),
    "arrays": sql(f"update observation set arrays = x'' {FIRST}"),
    "blob": sql(f"update content set data = x'00' {LARGEST}"),
    "blob-short": sql(f"update content set data = x'{SHORTER}' {LARGEST}"),
    "blob-empty": sql(f"update content set data = x'' {LARGEST}"),
    "blob-null": sql(f"update content set data = null {LARGEST}"),
    "blob-gone": sql(f"delete from content {LARGEST}"),
    "contents-gone": sql("delete from content"),
    "derived": sql("update derived set data = x'00'"),
    "derived-other": sql(f"update derived set data = x'{SHORTER}'"),
    "pages-zero": pages("observation", b"\0"),
    "pages-garbage": pages("observation", b"\xa5\x01"),
    "root-zero": pages("observation", b"\0", step=0),
    "root-of-contents": pages("content", b"\xa5", step=0),
}


def repaired(out: Path, toy: Runtime) -> SilentProgress:
    progress = SilentProgress()
    run(Job(["toy@1.8.0"], out=out, **OPTIONS), progress, {"toy": toy})
    return progress


def judged(out: Path) -> dict[str, tuple[str, list[str]]]:
    return {name: (cell["status"], cell["findings"]) for name, cell in read_cells(out).items()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_mended(whole: Path, damaged: Path, toy: Runtime, damage: str) -> None:
    DAMAGES[damage](damaged)
    progress = repaired(damaged.parent, toy)
    assert judged(whole) == judged(damaged.parent)
    (note,) = progress.notes
    assert "measured again" in note
    assert [] == list(damaged.parent.glob("*aside*"))
    assert [] == repaired(damaged.parent, toy).notes


def test_records_that_can_be_read_are_kept(damaged: Path, toy: Runtime) -> None:
    DAMAGES["status"](damaged)
    (note,) = repaired(damaged.parent, toy).notes
    assert "Of its records 1 are measured again" in note


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("these are my notes, " * 100),
        lambda path: path.write_bytes(b"\0" * 4096),
        sql("drop table observation", "create table observation (key text primary key, mine text)"),
        sql("create table notes (mine text)"),
        sql("pragma user_version = 99"),
    ],
)
def test_what_is_no_journal_is_moved_aside(
    whole: Path, damaged: Path, toy: Runtime, damage: Callable[[Path], object]
) -> None:
    (damaged.parent / "journal.aside-1.sqlite").touch()
    damage(damaged)
    before = damaged.read_bytes()
    (note,) = repaired(damaged.parent, toy).notes
    aside = damaged.parent / "journal.aside-2.sqlite"
    assert str(aside) in note
    assert before == aside.read_bytes()
    assert judged(whole) == judged(damaged.parent)


def test_a_content_is_what_was_written(damaged: Path) -> None:
    """Other bytes of the same length decompress, too."""
    with sqlite3.connect(damaged) as journal:
        digest, data = journal.execute(f"select digest, data from content {LARGEST}").fetchone()
        other = np.frombuffer(zlib.decompress(data), np.uint8) + np.uint8(1)
        journal.execute("update content set data = ? where digest = ?", (zlib.compress(other.tobytes()), digest))
    with Journal(damaged) as journal_read, pytest.raises(Exception, match="cannot be read"):
        journal_read.observations(journal_read.reusable())


BESIDE = ("", "-wal", "-shm")


def test_what_sqlite_keeps_beside_a_file_is_moved_aside_with_it(tmp_path: Path) -> None:
    for suffix in BESIDE:
        (tmp_path / f"journal.sqlite{suffix}").write_text(f"content{suffix}")
    assert tmp_path / "journal.aside-1.sqlite" == move_aside(tmp_path / "journal.sqlite")
    expected = {f"journal.aside-1.sqlite{suffix}": f"content{suffix}" for suffix in BESIDE}
    assert expected == {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_a_mended_journal_is_one_file_with_nothing_of_an_earlier_attempt(damaged: Path) -> None:
    with Journal(damaged) as journal:
        whole = journal.reusable()
    for suffix in BESIDE:
        damaged.with_name(f"{damaged.name}.new{suffix}").write_text("an attempt that was killed")
    for suffix in BESIDE[1:]:
        damaged.with_name(damaged.name + suffix).write_text("damage")
    assert 0 == mend(damaged)
    assert [damaged] == list(damaged.parent.iterdir())
    with Journal(damaged) as journal:
        assert whole == journal.reusable()


BYTES = dict.fromkeys(("cell", "reading", "reason", "steps", "stderr"), "cast(x'ff' as text)")
BLOBS = dict.fromkeys(("cell", "reading", "steps", "stderr"), "x'ff'")
WORDS = dict.fromkeys(("seconds", "cpu_seconds", "peak_bytes"), "'many'")


@pytest.mark.parametrize(("column", "value"), [*BYTES.items(), *BLOBS.items(), *WORDS.items()])
def test_a_record_with_bytes_in_the_place_of_text_or_text_in_that_of_a_number_is_lost_alone(
    damaged: Path, column: str, value: str
) -> None:
    with Journal(damaged) as journal:
        whole = journal.reusable()
    sql(f"update observation set {column} = {value} {FIRST}")(damaged)
    assert 1 == mend(damaged)
    with Journal(damaged) as journal:
        kept = journal.reusable()
        assert len(kept) == len(journal.observations(kept)) == len(whole) - 1
    assert kept.items() <= whole.items()
