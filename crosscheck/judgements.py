"""Judges cells on all cores, and keeps every judgement in the journal under a digest of all that it depends on.

A judgement that the journal has is looked up, so that a run in which little has changed judges little.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

from crosscheck.cells import Cell
from crosscheck.exchange import ExportedFiles
from crosscheck.judge import Truth, fields_of, judge, judgement_of
from crosscheck.matrix.cache import code_digest
from crosscheck.matrix.journal import Journal
from crosscheck.networks import Network
from crosscheck.recorded_arrays import RecordedArrays
from crosscheck.records import Judgement
from crosscheck.records.conversion import plain
from crosscheck.runtimes.mode import Mode

__all__ = ["CODE", "Judged", "Judgements", "Question", "versions"]

#: Folders and modules of crosscheck whose code a judgement depends on.
CODE = (
    "judge", "exchange", "oracle", "gradients", "networks", "onnx_models", "scenarios", "cells.py", "errors.py",
    "judgements.py", "probe/names.py", "probe/recorded.py", "recorded_arrays.py", "records", "repeatability.py",
    "report/arrays.py", "runtimes/mode.py", "whole_files.py",
)  # fmt: skip
#: Packages that compute.
PACKAGES = ("autograd", "numpy", "onnx")
#: Fewest cells to judge for which further processes are started, each of which takes a second to import crosscheck.
WORTH = 64
#: Each process computes in one thread: the processes take all cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: Most cells of a network that one process judges at a time; it has computed the network's reference then.
PIECE = 64


@functools.cache
def versions() -> list[str]:
    """The versions of the packages that compute; each is read from a file."""
    return [importlib.metadata.version(package) for package in PACKAGES]


@dataclass(frozen=True)
class Question:
    """A cell to judge: the journal keys of its trials, and of those of its mode for inference by itself."""

    cell: Cell
    mode: Mode
    network: Network
    keys: tuple[str, ...]
    inference: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """A judged cell: fields of its line (`judge.fields_of`), the files of its arrays, and the file it wrote or read."""

    fields: Mapping[str, Any]
    files: Mapping[str, int] = field(default_factory=dict)
    exported: Mapping[str, Any] | None = None

    @property
    def arrays(self) -> str | None:
        """The .npz of its arrays, relative to the run's folder."""
        return next(iter(self.files), None)

    @property
    def judgement(self) -> Judgement:
        """The judgement, with short lists."""
        return judgement_of(self.fields)


@dataclass
class _Bench:
    """What a process needs to judge cells: observations, references, and where arrays and files are."""

    journal: Journal
    truths: dict[Network, Truth]
    files: ExportedFiles | None
    arrays: RecordedArrays | None

    def judge(self, question: Question, stamp: str) -> Judged:
        cell, mode, network = question.cell, question.mode, question.network
        observations = self.journal.observations(question.keys)
        inference = self.journal.observations(question.inference)
        truth = self.truths.get(network) or self.truths.setdefault(network, Truth.of(network))
        judgement = judge(cell, mode, network, truth, observations, inference)
        file = None if self.files is None else self.files.exported(cell, mode, network, observations, judgement)
        return Judged(
            fields=fields_of(judgement),
            files={} if self.arrays is None else self.arrays.keep(cell, observations[0], stamp),
            exported=None if file is None else plain(file),
        )


@dataclass(frozen=True)
class Judgements:
    """Judges cells from the observations of a journal, in `jobs` processes.

    truths: references that were computed before, by network. files, arrays: those of the run, None for cells that a run
    asks about on the way.
    """

    journal: Journal
    jobs: int
    truths: dict[Network, Truth] = field(default_factory=dict)
    files: ExportedFiles | None = None
    arrays: RecordedArrays | None = None

    def of(
        self, questions: Sequence[Question], progress: Callable[[int, int], None] = lambda done, cells: None
    ) -> Iterator[Judged]:
        """The judged cells, in the order of the questions, each of which has an observation of its first key.

        All are judged before the first is yielded; each is read from the journal then, so that many need no memory.
        `progress` is called with the numbers of judged cells and of cells to judge.
        """
        marks = [self._mark(question) for question in questions]
        missing = [place for place, mark in enumerate(marks) if not self._has(mark)]
        tasks = [(place, questions[place], self.journal.stamp(questions[place].keys[:1])) for place in missing]
        done = 0
        for judged in self._judge(tasks):
            texts = {marks[place]: json.dumps(vars(cell)) for place, cell in judged.items()}
            self.journal.derive({mark: text.encode() for mark, text in texts.items()})
            done += len(judged)
            progress(done, len(missing))
        return map(self._known, marks)

    def _kept(self, mark: str) -> Judged | None:
        """What the journal has under a mark."""
        text = self.journal.derived(mark)
        return None if text is None else Judged(**json.loads(text))

    def _has(self, mark: str) -> bool:
        """Whether the journal has a judgement, and its arrays are there, too."""
        judged = self._kept(mark)
        return judged is not None and (self.arrays is None or self.arrays.has(judged.files))

    def _known(self, mark: str) -> Judged:
        judged = self._kept(mark)
        assert judged is not None, "it was judged"
        return judged

    def _judge(self, tasks: Sequence[_Task]) -> Iterator[dict[int, Judged]]:
        """Judge cells, and yield them by place, as soon as a piece of them is judged."""
        pieces = _pieces(tasks)
        if self.jobs < 2 or len(pieces) < 2 or (len(tasks) < WORTH and not any(map(_slow, tasks))):
            bench = _Bench(self.journal, self.truths, self.files, self.arrays)
            for piece in pieces:
                yield {place: bench.judge(question, stamp) for place, question, stamp in piece}
            return
        given = (self.journal.path, self.truths, self.files, self.arrays, pieces)
        pool = ProcessPoolExecutor(min(self.jobs, len(pieces)), initializer=_set_up, initargs=given, env=ONE_THREAD)
        try:
            for future in as_completed([pool.submit(_judge_piece, number) for number in range(len(pieces))]):
                yield future.result()
        finally:
            pool.shutdown(kill_workers=True)

    def _mark(self, question: Question) -> str:
        """A digest of all that a judgement depends on."""
        network = question.network
        source = network.file.source if network.file is not None else None
        parts = [
            code_digest(CODE),
            versions(),
            question.cell.id,
            question.mode.digest,
            [network.digest, None if source is None else source.digest, network.own is not None, network.large],
            None if network.own is None else network.own.rows,
            self.journal.stamp(question.keys),
            self.journal.stamp(question.inference),
            None if self.files is None else self.files.depends_on(question.cell, question.mode, network),
            self.arrays is not None,
        ]
        return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()


#: A question, its place among all, and what names its arrays.
_Task = tuple[int, Question, str]


def _slow(task: _Task) -> bool:
    return task[1].network.large


def _pieces(tasks: Sequence[_Task]) -> list[list[_Task]]:
    """Cells that are judged one after the other in one process, as they have a reference in common; longest first.

    Those of a large network are told apart by runtime and intent: an answer takes seconds, and runtimes differ.
    """
    alike: dict[Any, list[_Task]] = {}
    for task in tasks:
        cell, mode, network = task[1].cell, task[1].mode, task[1].network
        network = network.file.source or network if network.file else network
        alike.setdefault((id(network), _slow(task) and (cell.runtime, mode.intent)), []).append(task)
    pieces = [group[start : start + PIECE] for group in alike.values() for start in range(0, len(group), PIECE)]
    return sorted(pieces, key=lambda piece: (-_slow(piece[0]), -len(piece)))


def _set_up(
    path: Path,
    truths: dict[Network, Truth],
    files: ExportedFiles | None,
    arrays: RecordedArrays | None,
    pieces: list[list[_Task]],
) -> None:
    """Begin a process that judges pieces."""
    _Process.bench, _Process.pieces = _Bench(Journal(path, writable=False), truths, files, arrays), pieces


def _judge_piece(number: int) -> dict[int, Judged]:
    return {place: _Process.bench.judge(question, stamp) for place, question, stamp in _Process.pieces[number]}


class _Process:
    """What a process that judges has for all its pieces."""

    bench: _Bench
    pieces: Sequence[Sequence[_Task]]
