"""Time and disk space of the journal, against one compressed block of arrays per trial.

    uv run python tests/benchmarks/journal.py [--trials N] [--cells N]

First N trials of small networks like those of the default matrix: `conv` in five readings per cell, about 40 arrays a
trial, every second cell with numbers of its own. Then N cells of a network of 1.7 MB, whose calls move two statistics.
Prints, for both, the CPU time and the disk space per trial of the journal and of a block per trial in an SQLite file of
the same settings, their ratios, and the size of the file in multiples of the network's parameters.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sqlite3
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from crosscheck.cells import Array, Observation, Status, Step
from crosscheck.matrix.journal import Journal, Record
from crosscheck.networks import load

READINGS = 5
#: Moments of the snapshots of a trial.
MOMENTS = ("after", "after-second", "last")
#: Shapes of a network of 1.7 MB with eight nodes, weights and moving statistics.
LARGE_NETWORK = {
    "conv1.w": (32, 3, 3, 3), "bn1.scale": (32,), "bn1.bias": (32,), "bn1.mean": (32,), "bn1.var": (32,),
    "conv2.w": (64, 32, 3, 3), "fc1.w": (384, 1024), "fc1.b": (384,), "fc2.w": (10, 384), "fc2.b": (10,),
}  # fmt: skip
#: Most cells of the large network that are written as blocks: one takes as much as any other.
BLOCK_CELLS = 4

Arrays = Mapping[str, Array]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and disk space of the journal.")
    parser.add_argument("--trials", type=int, default=6000)
    parser.add_argument("--cells", type=int, default=152)
    parsed = parser.parse_args()
    conv, random = load("conv"), np.random.default_rng(0)
    large = {name: random.standard_normal(shape, np.float32) for name, shape in LARGE_NETWORK.items()}
    cases: list[tuple[str, Arrays, Array, int, int]] = [
        ("conv", conv.weights, conv.x, parsed.trials // READINGS, parsed.trials // READINGS),
        ("1.7 MB", large, random.random((1, 3, 32, 32), np.float32), parsed.cells, min(parsed.cells, BLOCK_CELLS)),
    ]
    columns = ("network", "layout", "trials", "append ms", "read ms", "kB", "MB in all", "times the network")
    table = Table(*columns, box=None)
    for name, weights, x, cells, block_cells in cases:
        size = sum(value.nbytes for value in weights.values())
        rows = []
        for layout, store, count in (("block per trial", Blocks, block_cells), ("journal", Kept, cells)):
            trials = count * READINGS
            append, read, disk = measured(store, weights, x, count)
            rows.append((append / trials * 1e3, read / trials * 1e3, disk / trials / 1e3))
            facts = (*rows[-1], disk / 1e6, disk / size)
            table.add_row(name, layout, str(trials), *(f"{number:.3f}" for number in facts))
        ratios = (mine / theirs for theirs, mine in zip(*rows, strict=True))
        table.add_row("", "ratio", "", *(f"{ratio:.3f}" for ratio in ratios))
    Console(width=120).print(table)
    return 0


def measured(store: type[Kept | Blocks], weights: Arrays, x: Array, cells: int) -> tuple[float, float, int]:
    """CPU seconds to append and to read the trials, cell by cell, and bytes on disk."""
    random = np.random.default_rng(2)
    append = read = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        with store(path) as kept:
            for number in range(cells):
                trials = cell(weights, x, random if number % 2 else None)
                records = [record(arrays, store.once) for arrays in trials]
                keys = [key(number, repeat) for repeat in range(len(records))]
                start = time.process_time()
                for repeat, row in enumerate(records):
                    kept.append(keys[repeat], "cell", repeat, row)
                between = time.process_time()
                kept.observations(keys)
                append, read = append + between - start, read + time.process_time() - between
        return append, read, path.stat().st_size


class Kept(Journal):
    """The journal, of trials that wrote equal arrays once."""

    once = True


class Blocks:
    """A row per trial that has its keys and one block of all its arrays."""

    once = False

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.executescript("pragma journal_mode = wal; pragma synchronous = normal")
        columns = "key text primary key, steps text, keys text, arrays blob"
        self.connection.execute(f"create table block ({columns}) without rowid")

    def __enter__(self) -> Blocks:
        return self

    def __exit__(self, *problem: object) -> None:
        self.connection.close()

    def append(self, name: str, cell: str, repeat: int, row: Record) -> None:
        """One trial."""
        values = (name, row.steps, row.keys, zlib.compress(row.arrays, 1))
        self.connection.execute("insert into block values (?, ?, ?, ?)", values)

    def observations(self, names: Sequence[str]) -> list[Observation]:
        """The trials; those with equal blocks share arrays."""
        first: dict[tuple[str, bytes], Arrays] = {}
        rows = []
        for name in names:
            query = "select steps, keys, arrays from block where key = ?"
            steps, keys, packed = self.connection.execute(query, (name,)).fetchone()
            taken = tuple(Step(row["label"], row["seconds"]) for row in json.loads(f"[{','.join(steps.splitlines())}]"))
            same = keys, zlib.decompress(packed)
            if same not in first:
                first[same] = split(*same)
            rows.append(Observation("undisturbed", Status.OK, None, taken, first[same], 0.0, 0.0, 0))
        return rows


def cell(weights: Arrays, x: Array, random: np.random.Generator | None) -> Iterator[Arrays]:
    """The arrays of a cell's trials; with `random`, the call moves statistics, and its numbers are no other cell's."""
    own = np.random.default_rng(1) if random is None else random
    prediction: Array = own.random((len(x), 10), np.float32)
    gradient: Array = own.random(x.shape, np.float32)  # type: ignore[assignment]
    moved: dict[str, Array] = dict(weights)
    if random is not None:
        moved |= {name: value + np.float32(1) for name, value in weights.items() if value.ndim == 1}
    for _ in range(READINGS):
        arrays: dict[str, Array] = {"prediction/before": prediction, "prediction/before-again": prediction}
        for moment in MOMENTS:
            arrays |= {f"prediction/{moment}": prediction, f"gradient/{moment}": gradient}
            arrays |= {f"state/{moment}/{name}": value for name, value in moved.items()}
        yield arrays


def split(keys: str, data: bytes) -> Arrays:
    """The arrays of a block."""
    arrays: dict[str, Array] = {}
    for name, dtype, shape, offset in json.loads(f"[{','.join(keys.splitlines())}]"):
        arrays[name] = np.frombuffer(data, dtype, math.prod(shape), offset).reshape(shape)
    return arrays


def record(arrays: Arrays, once: bool) -> Record:
    """A trial as the probe writes it; `once`: equal arrays once."""
    lines, data, end = [], [], 0
    offsets: dict[bytes, int] = {}
    for name, value in arrays.items():
        numbers = value.tobytes()
        digest = hashlib.blake2b(numbers).digest()
        if not once or digest not in offsets:
            data.append(numbers)
            offsets[digest], end = end, end + len(numbers)
        lines.append(json.dumps([name, value.dtype.str, value.shape, offsets[digest]]) + "\n")
    steps = "".join(json.dumps({"label": f"predict/{number}", "seconds": 0.001}) + "\n" for number in range(12))
    return Record("undisturbed", Status.OK, None, steps, "".join(lines), b"".join(data), 0.0, 0.0, 0, 0, "")


def key(cell: int, repeat: int) -> str:
    """A key as long as those of the matrix, and as scattered."""
    return hashlib.sha256(f"{cell} {repeat}".encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
