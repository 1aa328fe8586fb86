"""Judgements are kept under all that they depend on, and are the same in one process and in several."""

from __future__ import annotations

import ast
import dataclasses
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import crosscheck
from crosscheck import judgements
from crosscheck.cells import Cell, Scenario, Status
from crosscheck.job import Job, Result, run
from crosscheck.judge import FileTruth, Truth, fields_of, judge, judgement_of
from crosscheck.judgements import Judgements, Question
from crosscheck.matrix import ledger
from crosscheck.matrix.journal import Journal, Record
from crosscheck.networks import Network, load
from crosscheck.networks.onnx_files import written_network
from crosscheck.recorded_arrays import RecordedArrays
from crosscheck.records import Judgement
from crosscheck.runtimes.catalog import Runtime
from crosscheck.runtimes.mode import Contract, Mode
from tests.conftest import SilentProgress, read_cells

RunToy = Callable[..., Result]
SOME: dict[str, Any] = {
    "modes": ["leak-*", "inference", "crash*", "nan", "predict"],
    "networks": ["seed", "seed-batch", "conv"],
}
ROOT = Path(crosscheck.__file__).parent
#: A trial that recorded nothing.
RECORD = Record("undisturbed", Status.OK, None, "", "", b"", 0.0, 0.0, 0, 0.0, "")

#: Prints the files of crosscheck that an import of these modules executes.
IMPORTED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
for name, module in sys.modules.items():
    if name.partition(".")[0] == "crosscheck":
        print(module.__file__)
"""


@pytest.fixture(scope="module")
def some(toy: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("some")
    progress = SilentProgress()
    run(Job(["toy"], out=folder, jobs=1, **SOME), progress, {"toy": toy})
    assert progress.judged[-1] == (len(read_cells(folder)),) * 2
    return folder


@pytest.fixture
def to_judge(some: Path, tmp_path: Path) -> bytes:
    """Puts a copy of that run where `run_toy` continues it, without what says that nothing is to be done; its lines."""
    shutil.copytree(some, tmp_path, dirs_exist_ok=True)
    (tmp_path / "cells.jsonl").unlink()
    return (some / "cells.jsonl").read_bytes()


def test_what_was_judged_is_looked_up(
    run_toy: RunToy, to_judge: bytes, tmp_path: Path, progress: SilentProgress
) -> None:
    run_toy(**SOME)
    assert [] == progress.judged
    assert to_judge == (tmp_path / "cells.jsonl").read_bytes()


def test_another_judge_judges_again_without_measuring(
    run_toy: RunToy, to_judge: bytes, tmp_path: Path, progress: SilentProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgements, "code_digest", lambda names: "another")
    run_toy(**SOME)
    assert [] == progress.cells
    assert progress.judged[-1] == (len(read_cells(tmp_path)),) * 2
    assert to_judge == (tmp_path / "cells.jsonl").read_bytes()


def test_several_processes_judge_like_one(
    run_toy: RunToy, to_judge: bytes, tmp_path: Path, progress: SilentProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgements, "code_digest", lambda names: "another")
    monkeypatch.setattr(judgements, "WORTH", 1)
    monkeypatch.setattr(judgements, "PIECE", 5)
    run_toy(**SOME, jobs=2)
    assert len(progress.judged) > 1
    assert to_judge == (tmp_path / "cells.jsonl").read_bytes()


def test_further_processes_judge_many_cells_and_large_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large network's cells are in pieces by runtime and intent, and come first; others are in pieces of 64."""
    started: list[int] = []

    class Pool:
        """Judges in this process."""

        def __init__(
            self, count: int, initializer: Callable[..., None], initargs: tuple[Any, ...], env: object
        ) -> None:
            started.append(count)
            initializer(*initargs)

        def submit(self, function: Callable[[int], Any], number: int) -> Future[Any]:
            done: Future[Any] = Future()
            done.set_result(function(number))
            return done

        def shutdown(self, kill_workers: bool) -> None:
            pass

    def pieces(jobs: int, small: int, *large: tuple[str, str]) -> list[int]:
        """The sizes of the pieces of so many cells of a small network, and of cells of a large one."""
        cells = [("tiny", "inference", network)] * small + [(*cell, own) for cell in large]
        with Journal(tmp_path / "journal.sqlite") as journal:
            journal.forget()
            journal.append("key", "cell", 0, RECORD)
            questions = [
                Question(
                    Cell(runtime, str(number), "plain", intent, one.name, Scenario.GRADIENT),
                    Mode(intent, intent, "gradient", "call()", Contract("stay", "", "")),
                    one,
                    ("key",),
                )
                for number, (runtime, intent, one) in enumerate(cells)
            ]
            sums = [0]
            judged = list(Judgements(journal, jobs).of(questions, lambda done, cells: sums.append(done)))
            assert len(questions) == len(judged)
            return [after - before for before, after in pairwise(sums)]

    network = load("seed")
    onnx.save(network.model, tmp_path / "own.onnx")
    monkeypatch.setattr("crosscheck.networks.network.LARGE", 0)
    own = load(str(tmp_path / "own.onnx"))
    monkeypatch.setattr(judgements, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(judgements, "as_completed", list)
    four = [("b", "inference"), ("a", "training"), ("a", "inference"), ("a", "inference")]
    assert [2, 1, 1, 1] == pieces(1, 1, *four)
    assert [64] == pieces(2, 64)
    assert [1, 1] == pieces(1, 1, ("a", "inference"))
    assert [] == started
    assert [2, 1, 1, 1] == pieces(2, 1, *four)
    assert [64, 1] == pieces(9, 65)
    assert [2, 2] == started


def test_files_that_were_exported_from_one_network_are_judged_in_one_piece(tmp_path: Path) -> None:
    source, mode = load("seed"), Mode("tiny", "inference", "gradient", "call()", Contract("stay", "", ""))
    files = [written_network(source.model.SerializeToString(), f"seed.{name}", source) for name in "ab"]
    told: list[tuple[int, int]] = []
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.append("key", "cell", 0, RECORD)
        cells = [Cell("tiny", "1.0", "plain", "tiny", file.name, Scenario.GRADIENT) for file in files]
        asked = [Question(cell, mode, file, ("key",)) for cell, file in zip(cells, files, strict=True)]
        truths: dict[Network, Truth] = {file: FileTruth(file) for file in files}
        list(Judgements(journal, 1, truths).of(asked, lambda done, cells: told.append((done, cells))))
    assert [(2, 2)] == told


def test_the_file_of_a_cells_arrays_is_named_after_its_first_trial_alone(tmp_path: Path) -> None:
    network, mode = load("seed"), Mode("tiny", "inference", "gradient", "call()", Contract("stay", "", ""))
    cell = Cell("tiny", "1.0", "plain", "tiny", "seed", Scenario.GRADIENT)
    with Journal(tmp_path / "journal.sqlite") as journal:
        for number, key in enumerate(("first", "second")):
            journal.append(key, cell.id, number, dataclasses.replace(RECORD, stderr=key))
        judged = Judgements(journal, 1, arrays=RecordedArrays(tmp_path / "arrays")).of(
            [Question(cell, mode, network, keys) for keys in (("first",), ("first", "second"), ("second", "first"))]
        )
        one, same, other = (answer.arrays for answer in judged)
    assert one == same != other


def test_cells_whose_trials_recorded_the_same_are_judged_once_and_keep_costs_and_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recorded(seconds: float, value: float = 0.5, error: str = "") -> Record:
        steps = [{"label": "predict/before", "begun": True}, {"label": "predict/before", "seconds": seconds}]
        if error:
            steps.append({"label": "gradient/first", "seconds": seconds, "error": error})
        return dataclasses.replace(
            RECORD,
            steps="".join(json.dumps(step) + "\n" for step in steps),
            keys='["prediction/before", "<f8", [1, 1], 0]\n',
            arrays=struct.pack("<d", value),
            seconds=seconds,
            peak_bytes=int(1000 * seconds),
            stderr=f"took {seconds}",
        )

    rows = {
        "1.0": recorded(0.25),
        "1.1": recorded(1e-05),
        "1.2": recorded(0.25, value=0.75),
        "1.3": recorded(0.25, error='ValueError: "seconds": 1'),
        "1.4": recorded(0.5, error='ValueError: "seconds": 2'),
        "1.5": recorded(3.0),
    }
    asked: list[str] = []

    def counting(cell: Cell, *arguments: Any) -> Judgement:
        asked.append(cell.release)
        return judge(cell, *arguments)

    monkeypatch.setattr(judgements, "judge", counting)
    network, mode = load("seed"), Mode("tiny", "inference", "gradient", "call()", Contract("stay", "", ""))
    with Journal(tmp_path / "journal.sqlite") as journal:
        for key, row in rows.items():
            journal.append(key, key, 0, row)
        questions = [
            Question(Cell("tiny", key, "plain", "tiny", "seed", Scenario.GRADIENT), mode, network, (key,))
            for key in rows
        ]
        judged = list(Judgements(journal, 1, arrays=RecordedArrays(tmp_path / "arrays")).of(questions))
    assert ["1.0", "1.2", "1.3", "1.4"] == asked
    assert list(rows.values()) == [
        dataclasses.replace(row, **{name: one.fields[name] for name in ("seconds", "peak_bytes", "stderr")})
        for row, one in zip(rows.values(), judged, strict=True)
    ]
    assert [row.seconds for row in rows.values()] == [one.judgement.seconds for one in judged]
    assert [0.5, 0.5, 0.75, 0.5, 0.5, 0.5] == [one.judgement.prediction_before.item() for one in judged]  # type: ignore[union-attr]
    files = [tmp_path / (one.arrays or "") for one in judged]
    assert len(rows) == len(set(files))
    assert [0.5, 0.5, 0.75, 0.5, 0.5, 0.5] == [np.load(file)["prediction/before"].item() for file in files]


def test_a_cell_is_judged_anew_if_anything_that_its_judgement_depends_on_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = Mode("tiny", "inference", "gradient", "call()", Contract("stay", "", ""))
    first = Question(Cell("tiny", "1.0", "plain", "tiny", "seed", Scenario.GRADIENT), mode, load("seed"), ("key",))
    others = [
        dataclasses.replace(first, cell=dataclasses.replace(first.cell, release="1.1")),
        dataclasses.replace(first, mode=dataclasses.replace(mode, text="another()")),
        dataclasses.replace(first, network=load("seed-batch")),
        dataclasses.replace(first, keys=("another",)),
        dataclasses.replace(first, inference=("key",)),
    ]
    with Journal(tmp_path / "journal.sqlite") as journal:
        for key in ("key", "another"):
            journal.append(key, "cell", 0, dataclasses.replace(RECORD, stderr=key))

        def judged(question: Question, arrays: RecordedArrays | None = None) -> int:
            counts: list[int] = []
            list(Judgements(journal, 1, arrays=arrays).of([question], lambda done, cells: counts.append(done)))
            return sum(counts)

        for question in (first, *others):
            assert [1, 0] == [judged(question) for _ in range(2)]
        arrays = RecordedArrays(tmp_path / "arrays")
        assert [1, 0] == [judged(first, arrays) for _ in range(2)]
        assert [None] == [answer.arrays for answer in Judgements(journal, 1).of([first])]
        for name, value in (("versions", ["0"]), ("code_digest", "0")):
            monkeypatch.setattr(judgements, name, lambda *_, value=value: value)
            assert [1, 0] == [judged(first) for _ in range(2)]


def test_the_packages_that_compute_are_among_what_a_judgement_depends_on() -> None:
    """Those that the oracle and the judge import."""
    files = [file for folder in ("oracle", "judge") for file in (ROOT / folder).glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"crosscheck"}
    assert set(judgements.PACKAGES) == packages


def test_a_trial_that_is_measured_anew_is_judged_anew(
    run_toy: RunToy, tmp_path: Path, progress: SilentProgress
) -> None:
    options: dict[str, Any] = {"modes": ["predict"], "networks": ["seed"], "scenarios": ["predict-only"]}
    run_toy(**options)
    (before,) = read_cells(tmp_path).values()
    progress.judged.clear()
    run_toy(**options, fresh=True)
    (after,) = read_cells(tmp_path).values()
    assert [(1, 1)] == progress.judged
    assert before["seconds"] != after["seconds"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:100])])
def test_missing_and_damaged_arrays_are_written_again(
    run_toy: RunToy, to_judge: bytes, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    files = {path: path.read_bytes() for path in (tmp_path / "arrays").rglob("*.npz")}
    damage(next(iter(files)))
    run_toy(**SOME)
    assert files == {path: path.read_bytes() for path in (tmp_path / "arrays").rglob("*.npz")}
    assert to_judge == (tmp_path / "cells.jsonl").read_bytes()


def test_a_judgement_is_read_as_it_was_written(run_toy: RunToy, tmp_path: Path) -> None:
    run_toy(modes=["leak-b*", "nan"], networks=["seed", "digits"])
    rows = read_cells(tmp_path).values()
    assert any(row["curve"] for row in rows)
    for row in rows:
        fields = {name: row[name] for name in Judgement.__dataclass_fields__}
        read = fields_of(judgement_of(json.loads(json.dumps(fields))))
        assert fields == read


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        (judgements.CODE, ["crosscheck.judge"]),
        (ledger.CODE, ["crosscheck.matrix.agreement", "crosscheck.repeatability"]),
    ],
)
def test_the_code_that_is_imported_is_among_what_a_result_depends_on(code: tuple[str, ...], modules: list[str]) -> None:
    shown = subprocess.run([sys.executable, "-c", IMPORTED, *modules], capture_output=True, text=True, check=True)
    files = {Path(line).relative_to(ROOT) for line in shown.stdout.splitlines()}
    # A package's own module is executed for what is imported from inside of it, and says what the package is.
    others = {file for file in files if file.name != "__init__.py" and not {str(file), file.parts[0]} & set(code)}
    assert set() == others


def imported_by(file: Path) -> set[Path]:
    """The files of crosscheck from which a module imports, relative to the package."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "crosscheck":
            place = ROOT.joinpath(*str(node.module).split(".")[1:])
            for name in node.names:
                places = (place / f"{name.name}.py", place / name.name / "__init__.py", place.with_suffix(".py"))
                found.add(next((path for path in places if path.exists()), place / "__init__.py").relative_to(ROOT))
    return found


def test_the_code_that_keeps_arrays_and_files_of_a_judgement_is_among_what_it_depends_on() -> None:
    """Not what takes trials to the journal, whose contents count."""
    makers = [ROOT / "judgements.py", ROOT / "recorded_arrays.py", *(ROOT / "exchange").glob("*.py")]
    files = {maker.relative_to(ROOT) for maker in makers}.union(*map(imported_by, makers))
    others = {file.parts[0] for file in files if not {str(file), file.parts[0]} & set(judgements.CODE)}
    assert {"matrix"} == others
