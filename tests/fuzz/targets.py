"""What the campaigns feed: each target reads bytes, and raises nothing but what it documents."""

from __future__ import annotations

import functools
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck.cells import Asks, Cell, Observation, Scenario, Status, Trial
from crosscheck.configuration import FILE, found
from crosscheck.errors import CrosscheckError, NetworkError, UsageError
from crosscheck.expectations import compare, read_expectations
from crosscheck.gradients.api import sized_gradient
from crosscheck.judge import FileTruth, Truth, judge
from crosscheck.matrix.journal import Journal
from crosscheck.matrix.server import COUNTS, Limits, ProbeServer, ServerDied, _UnderWay
from crosscheck.matrix.shortage import oom_kills
from crosscheck.matrix.trial_folder import collect
from crosscheck.networks import FileOptions, load
from crosscheck.networks.lowering import lower
from crosscheck.networks.onnx_files import missing_forms, written_network
from crosscheck.onnx_models.read import read_onnx
from crosscheck.probe import recorded
from crosscheck.report.reading import read_cells
from crosscheck.runtimes.mode import Contract, Mode
from tests.fuzz.mutations import Mutate, mutate_bytes, mutate_lines, mutate_model

__all__ = ["TARGETS", "Target"]

CORPUS = Path(__file__).with_name("corpus")
#: Between the files of a trial's folder in one input.
BETWEEN = b"\n%%\n"
CELL = Cell("toy", "1", "", "training", "seed", Scenario.GRADIENT)
EXPORT = Cell("toy", "1", "", "export", "conv", Scenario.EXPORT)
EXPORTER = Mode("export", "inference", "export", "export()", Contract("stay", "", ""))
TRIAL_FILES = ("end.json", "steps.jsonl", "keys.jsonl", "arrays.bin")
REPLY = {"ended": "exit", "code": 0, **dict.fromkeys(COUNTS[1:], 1000)}


@dataclass(frozen=True)
class Target:
    """run: reads an input; the folder is its own. allowed: what it may raise. corpus: the name of a folder."""

    run: Callable[[bytes, Path], Any]
    mutate: Mutate
    allowed: tuple[type[Exception], ...]
    corpus: str

    def seeds(self) -> list[bytes]:
        """The corpus, in the order of the names."""
        return [path.read_bytes() for path in sorted((CORPUS / self.corpus).iterdir())]


def _file(content: bytes, folder: Path) -> Path:
    path = folder / "mine.onnx"
    path.write_bytes(content)
    return path


def _load(content: bytes, folder: Path) -> None:
    network = load(str(_file(content, folder)))
    assert network.as_it_is is not None
    missing_forms(network.as_it_is)


def _lower(content: bytes, folder: Path) -> None:
    lower(read_onnx(_file(content, folder)), "mine", "mine.onnx")


def _gradient(content: bytes, folder: Path) -> None:
    path = _file(content, folder)
    for training in (False, True):
        sized_gradient(path, training, (), None, FileOptions())


@functools.cache
def _source() -> Any:
    return load("conv")


def _exported(content: bytes, folder: Path) -> None:
    truth = FileTruth(written_network(content, "mine", _source()))
    for asks in (Asks.PREDICTION, Asks.GRADIENT):
        truth.answer(asks, training=False)
    truth.refusal  # noqa: B018


def _judged(content: bytes, folder: Path) -> None:
    source = _source()
    arrays = {f"{recorded.FILE}network.onnx": np.frombuffer(content, np.uint8)}
    row = Observation("undisturbed", Status.OK, None, (), arrays, 0.01, 0.01, 0)
    judge(EXPORT, EXPORTER, source, Truth.of(source), [row])


def _cells(content: bytes, folder: Path) -> None:
    (folder / "cells.jsonl").write_bytes(content)
    read_cells(folder)


def _write_trial(folder: Path, content: bytes) -> None:
    for name, part in zip(TRIAL_FILES, content.split(BETWEEN), strict=False):
        (folder / name).write_bytes(part)


def _results(content: bytes, folder: Path) -> None:
    _write_trial(folder, content)
    record = collect(folder, REPLY, "undisturbed", 1e9)
    for name in TRIAL_FILES:
        (folder / name).unlink(missing_ok=True)
    with Journal(folder / "journal.sqlite") as journal:
        journal.append("key", "cell", 0, record)
        journal.observations(["key"])
    (folder / "journal.sqlite").unlink()


class _Server(ProbeServer):
    """A server without a process, with one trial under way, and what it says."""

    def __init__(self, folder: Path, said: bytes) -> None:
        self.limits, self.folder = Limits(), folder
        self.ready, self.import_seconds = False, 0.0
        self._rest, self._heard, self._kills = b"", 0.0, oom_kills()
        (folder / "1").mkdir(exist_ok=True)
        _write_trial(folder / "1", (CORPUS / "results" / "trial").read_bytes())
        self._under_way = {1: _UnderWay(Trial(CELL, "undisturbed"), folder / "1", 1e9, self._kills)}
        self.replies, write = os.pipe()
        os.write(write, said[: 2**15] + b"\n")  # a pipe takes that at once
        os.close(write)


def _wire(content: bytes, folder: Path) -> None:
    server = _Server(folder, content)
    try:
        server.receive()
    finally:
        os.close(server.replies)


def _journal(content: bytes, folder: Path) -> None:
    path = folder / "journal.sqlite"
    for name in ("journal.sqlite-wal", "journal.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    path.write_bytes(content)
    with Journal(path) as journal:
        journal.observations(journal.reusable())


def journal_of(folder: Path) -> bytes:
    """A journal with a few trials, for the corpus."""
    _write_trial(folder, (CORPUS / "results" / "trial").read_bytes())
    record = collect(folder, REPLY, "undisturbed", 1e9)
    path = folder / "journal.sqlite"
    with Journal(path) as journal:
        for number in range(3):
            journal.append(f"key{number}", "cell", number, record)
    with sqlite3.connect(path) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    return path.read_bytes()


def _configuration(content: bytes, folder: Path) -> None:
    (folder / FILE).write_bytes(content)
    found(folder)


def _expectations(content: bytes, folder: Path) -> None:
    path = folder / "expect.toml"
    path.write_bytes(content)
    compare(_judged_cells(), read_expectations(path))


@functools.cache
def _judged_cells() -> Any:
    return read_cells(CORPUS / "cells" / sorted(path.name for path in (CORPUS / "cells").iterdir())[0])


TARGETS: dict[str, Target] = {
    "loader": Target(_load, mutate_model, (NetworkError,), "onnx"),
    "lowering": Target(_lower, mutate_model, (NetworkError,), "onnx"),
    "gradient": Target(_gradient, mutate_model, (NetworkError,), "onnx"),
    "exported": Target(_exported, mutate_model, (NetworkError,), "exported"),
    "judged": Target(_judged, mutate_model, (), "exported"),
    "cells": Target(_cells, mutate_lines, (CrosscheckError,), "cells"),
    "results": Target(_results, mutate_lines, (), "results"),
    "wire": Target(_wire, mutate_lines, (ServerDied,), "wire"),
    "journal": Target(_journal, mutate_bytes, (CrosscheckError,), "journal"),
    "configuration": Target(_configuration, mutate_lines, (UsageError,), "configuration"),
    "expectations": Target(_expectations, mutate_lines, (UsageError,), "expectations"),
}
