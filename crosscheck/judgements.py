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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

from crosscheck.cells import Cell
from crosscheck.exchange import ExportedFiles
from crosscheck.judge import Truth, costs_of, fields_of, judge, judgement_of
from crosscheck.matrix.cache import code_digest
from crosscheck.matrix.journal import Journal
from crosscheck.networks import Network
from crosscheck.recorded_arrays import RecordedArrays
from crosscheck.records import Judgement
from crosscheck.records.conversion import plain
from crosscheck.runtimes.mode import Mode

__all__ = ["CODE", "Judged", "Judgements", "Question", "Shared", "versions"]

#: Folders and modules of crosscheck whose code a judgement depends on.
CODE = (
    "judge", "exchange", "oracle", "gradients", "networks", "onnx_models", "scenarios", "cells.py", "errors.py",
    "judgements.py", "probe/names.py", "probe/recorded.py", "recorded_arrays.py", "records", "repeatability.py",
    "report/arrays.py", "runtimes/answer.py", "runtimes/mode.py", "whole_files.py",
)  # fmt: skip
#: Packages that compute.
PACKAGES = ("autograd", "numpy", "onnx")
#: Fewest cells to judge for which further processes are started, each of which takes a second to import crosscheck.
WORTH = 64
#: Each process computes in one thread: the processes take all cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: Most cells of a network that one process judges at a time; it has computed the network's reference then.
PIECE = 64
#: Most judgements in memory that cells share: as many as a release of most runtimes has, about 10 kB each.
KEPT = 1024


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
class Shared:
    """What cells have in common whose trials recorded the same: fields of their lines, and the file they wrote or read.

    fields: those of `judge.fields_of`; what `judge.costs_of` says is one of the cells'.
    """

    fields: Mapping[str, Any]
    exported: Mapping[str, Any] | None = None

    @property
    def kept(self) -> Mapping[str, Any]:
        """What the journal has of it."""
        return {"fields": self.fields, "exported": self.exported}

    @functools.cached_property
    def judgement(self) -> Judgement:
        """The judgement, with short lists."""
        return judgement_of(self.fields)


@dataclass(frozen=True)
class Judged:
    """A judged cell: what it shares with others, what its trials cost (`judge.costs_of`), the files of its arrays."""

    shared: Shared
    costs: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields of its line that the judge fills."""
        return {**self.shared.fields, **self.costs}

    @property
    def exported(self) -> Mapping[str, Any] | None:
        """The file that it wrote or read."""
        return self.shared.exported

    @property
    def arrays(self) -> str | None:
        """The .npz of its arrays, relative to the run's folder."""
        return next(iter(self.files), None)

    @property
    def judgement(self) -> Judgement:
        """The judgement, with short lists."""
        return replace(self.shared.judgement, **self.costs)


class _Answer(NamedTuple):
    """A judged cell as it is kept: the mark of what it shares with others, and that itself where it is new."""

    mark: str
    costs: Mapping[str, Any]
    files: Mapping[str, int]
    shared: Shared | None

    @property
    def kept(self) -> Mapping[str, Any]:
        """What the journal has of the cell."""
        return {"mark": self.mark, "costs": self.costs, "files": self.files}


@dataclass
class _Bench:
    """What a process needs to judge cells: observations, references, and where arrays and files are.

    judged: the marks of what was judged here -> the files of the first such cell's arrays.
    """

    journal: Journal
    truths: dict[Network, Truth]
    files: ExportedFiles | None
    arrays: RecordedArrays | None
    judged: dict[str, Mapping[str, int]] = field(default_factory=dict)

    def judge(self, question: Question, stamp: str) -> _Answer:
        """Judge a cell; of one whose trials recorded the same as another one's, only the costs and files are new."""
        recorded, costs = self.journal.observed(question.keys)
        mark = _digest([*_asked(question, self.files), recorded, self.journal.observed(question.inference)[0]])
        if mark in self.judged:
            same = {} if self.arrays is None else self.arrays.keep_same(question.cell, stamp, self.judged[mark])
            if same is not None:
                return _Answer(mark, costs_of(costs), same, None)
        shared, files = self._judge(question, stamp)
        self.judged[mark] = files
        return _Answer(mark, costs_of(costs), files, shared)

    def _judge(self, question: Question, stamp: str) -> tuple[Shared, Mapping[str, int]]:
        cell, mode, network = question.cell, question.mode, question.network
        observations = self.journal.observations(question.keys)
        inference = self.journal.observations(question.inference)
        truth = self.truths.get(network) or self.truths.setdefault(network, Truth.of(network))
        judgement = judge(cell, mode, network, truth, observations, inference)
        file = None if self.files is None else self.files.exported(cell, mode, network, observations, judgement)
        shared = Shared(fields_of(judgement), None if file is None else plain(file))
        return shared, {} if self.arrays is None else self.arrays.keep(cell, observations[0], stamp)


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
        for answers in self._judge(tasks):
            kept = {marks[place]: _text(answer.kept) for place, answer in answers.items()}
            shared = {answer.mark: _text(answer.shared.kept) for answer in answers.values() if answer.shared}
            self.journal.derive(kept | shared)
            done += len(answers)
            progress(done, len(missing))
        self._shared.cache_clear()  # of marks that were missing
        return map(self._known, marks)

    def _has(self, mark: str) -> bool:
        """Whether the journal has a judgement, and its arrays are there, too."""
        text = self.journal.derived(mark)
        if text is None:
            return False
        kept = json.loads(text)
        return self._shared(kept["mark"]) is not None and (self.arrays is None or self.arrays.has(kept["files"]))

    def _known(self, mark: str) -> Judged:
        text = self.journal.derived(mark)
        assert text is not None, "it was judged"
        kept = json.loads(text)
        shared = self._shared(kept["mark"])
        assert shared is not None, "it was judged"
        return Judged(shared, kept["costs"], kept["files"])

    @functools.cached_property
    def _shared(self) -> functools._lru_cache_wrapper[Shared | None]:
        """What the journal has under the mark of what cells share; the last ones are kept, as releases take turns."""

        @functools.lru_cache(KEPT)
        def shared(mark: str) -> Shared | None:
            text = self.journal.derived(mark)
            return None if text is None else Shared(**json.loads(text))

        return shared

    def _judge(self, tasks: Sequence[_Task]) -> Iterator[dict[int, _Answer]]:
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
        """A digest of all that a judgement, its costs and its files depend on."""
        trials = self.journal.stamp(question.keys), self.journal.stamp(question.inference)
        return _digest([question.cell.id, *_asked(question, self.files), *trials, self.arrays is not None])


def _asked(question: Question, files: ExportedFiles | None) -> list[Any]:
    """All that a judgement depends on beside what trials recorded. A release, or a variant, is nothing of that."""
    cell, network = question.cell, question.network
    source = network.file.source if network.file is not None else None
    return [
        code_digest(CODE),
        versions(),
        [cell.runtime, cell.mode, cell.network, cell.scenario],
        question.mode.digest,
        [network.digest, None if source is None else source.digest, network.own is not None, network.large],
        None if network.own is None else network.own.rows,
        None if files is None else files.depends_on(cell, question.mode, network),
    ]


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()


def _text(kept: Mapping[str, Any]) -> bytes:
    return json.dumps(kept).encode()


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


def _judge_piece(number: int) -> dict[int, _Answer]:
    return {place: _Process.bench.judge(question, stamp) for place, question, stamp in _Process.pieces[number]}


class _Process:
    """What a process that judges has for all its pieces."""

    bench: _Bench
    pieces: Sequence[Sequence[_Task]]
