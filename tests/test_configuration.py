"""The file of a job."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from crosscheck.cli import main
from crosscheck.configuration import EXAMPLE, KEYS, TABLES, found
from crosscheck.errors import UsageError
from crosscheck.job import Job, Selection, run
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import SilentProgress, read_cells

SMALL = """
runtimes = ["tract@newest"]
networks = ["seed"]
modes = ["opset-15"]
scenarios = ["predict-only"]
out = "results"
"""


def written(folder: Path, text: str, name: str = "crosscheck.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def options(folder: Path, text: str) -> dict[str, Any]:
    written(folder, text)
    configuration = found(folder)
    assert configuration is not None
    return dict(configuration.options)


def test_a_folder_without_a_file(tmp_path: Path) -> None:
    assert found(tmp_path) is None
    written(tmp_path, "[tool.other]\n", "pyproject.toml")
    assert found(tmp_path) is None


def test_a_table_of_pyproject_is_the_same_file(tmp_path: Path) -> None:
    written(tmp_path, '[tool.crosscheck]\nmodes = ["a"]\n[tool.crosscheck.outputs]\nstrict = true\n', "pyproject.toml")
    configuration = found(tmp_path)
    assert configuration is not None
    assert {"mode": ["a"], "strict": True} == configuration.options
    assert {"mode": ["b"]} == options(tmp_path, 'modes = ["b"]'), "crosscheck.toml counts if there are both"


def test_paths_are_relative_to_the_file_and_globs_are_not(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").touch()
    text = 'networks = ["mine.onnx", "conv*"]\nout = "there"\n[outputs]\njunit = "j.xml"\n'
    expected = {"network": [str(tmp_path / "mine.onnx"), "conv*"], "out": tmp_path / "there"}
    assert expected | {"junit": tmp_path / "j.xml"} == options(tmp_path, text)


def test_the_example_selects_nothing_and_uncommented_has_every_key(tmp_path: Path) -> None:
    assert {} == options(tmp_path, EXAMPLE)
    uncommented = re.sub(r"^# (?=\[|[a-z-]+ = )", "", EXAMPLE, flags=re.MULTILINE)
    values = options(tmp_path, uncommented)
    wanted = {option for keys in (KEYS, *TABLES.values()) for _, option in keys.values()}
    assert wanted == values.keys()
    configuration = found(tmp_path)
    assert configuration is not None
    assert (Selection(["torch@newest"], ["digits"], [], ["twenty"]),) == configuration.include


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trials = ]", "line 1, column "),
        ("\nnetwork = []", "line 2: unknown key 'network'. Did you mean networks"),
        ("trials = 2\nmodes = 'gluon'", "line 2: 'modes' is a text, not a list of texts."),
        ("trials = '2'", "line 1: 'trials' is a text, not a whole number."),
        ("trials = true", "line 1: 'trials' is a truth value, not a whole number."),
        ("time-limit = '1'", "'time-limit' is a text, not a number."),
        ("all = 1", "'all' is a number, not true or false."),
        ("modes = [1]", "'modes' is a list of other values, not a list of texts."),
        ("outputs = 1", "'outputs' is a number, not a table. Write [outputs]."),
        ("[outputs]\njunut = 'x'", "line 2: unknown key 'junut' of outputs. Did you mean junit"),
        ("[include]\nmodes = []", "'include' is no list of tables."),
        ("[[include]]\nmode = []", "line 2: unknown key 'mode' of include. Did you mean modes"),
        ("[[include]]\nmodes = []", "line 1: [[include]] without runtimes"),
    ],
)
def test_a_mistake_is_one_line_with_the_line_and_the_nearest_name(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        found(tmp_path)
    assert str(raised.value).startswith(f"{path}, line ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


TRACT = 'runtimes = ["tract@newest"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TRACT + 'trials = 1\nmodes = ["opset-15x"]', "line 3: no mode matches 'opset-15x'. Did you mean opset-15"),
        ('runtimes = ["tracct"]', "line 1: "),
        ('# as on the "x" machine\nruntimes = ["tract@newest+x"]', "line 2: tract"),
        (TRACT + 'networks = ["sead"]', "line 2: no network matches 'sead'. Did you mean seed"),
        (TRACT + "# none\ntrials = 0", "line 3: --trials"),
        (TRACT + 'isolation = "spoon"', "line 2: 'spoon' is no isolation"),
        (TRACT + 'exclude = ["*/*/absent"]', "line 2: no cell matches '*/*/absent'"),
        (TRACT + 'exclude = ["*/*/*/*/*"]', "line 2: '*/*/*/*/*' is no pattern of cells"),
        (TRACT + "[[include]]\n" + TRACT + 'modes = ["nothing"]', "line 4: no mode matches 'nothing'"),
    ],
)
def test_names_that_match_nothing_are_said_with_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    written(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    assert main(["run"]) == 2
    error = capfd.readouterr().err
    assert f"crosscheck.toml, {message}" in error
    assert 1 == error.count("\n")


def test_run_finds_the_file_and_the_command_line_overrides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, SMALL + '[outputs]\nsummary = "summary.json"\n')
    monkeypatch.chdir(tmp_path)
    assert main(["run"]) == 0
    (cell,) = read_cells(tmp_path / "results")
    assert "/opset-15/seed/predict-only" in cell
    assert json.loads((tmp_path / "summary.json").read_text())
    assert main(["run", "--mode", "opset-9", "--out", "other"]) == 0
    (cell,) = read_cells(tmp_path / "other")
    assert "/opset-9/seed/predict-only" in cell


def test_init_writes_a_file_that_run_takes_and_never_writes_over_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert EXAMPLE == (tmp_path / "crosscheck.toml").read_text()
    written(tmp_path, SMALL)
    assert main(["init"]) == 2
    assert "crosscheck.toml is there already" in capfd.readouterr().err
    assert SMALL == (tmp_path / "crosscheck.toml").read_text()


def test_a_job_has_further_parts_and_leaves_cells_out(toy: Runtime, tmp_path: Path, progress: SilentProgress) -> None:
    job = Job(
        ["toy@1.8.0"],
        modes=["inference", "leak-both"],
        networks=["seed"],
        scenarios=["gradient"],
        out=tmp_path,
        include=[
            Selection(["toy@1.7.0"], ["conv"], ["inference"], ["gradient"]),
            Selection(["toy@1.8.0"], ["seed"], ["inference", "nan"], ["gradient"]),
        ],
        exclude=["toy@1.8.0/leak-*"],
    )
    run(job, progress, {"toy": toy})
    expected = ["toy@1.8.0/inference/seed", "toy@1.7.0/inference/conv", "toy@1.8.0/nan/seed"]
    assert [f"{cell}/gradient" for cell in expected] == list(read_cells(tmp_path))
    assert run(job, progress, {"toy": toy}).unchanged


def test_nothing_is_left(toy: Runtime, tmp_path: Path, progress: SilentProgress) -> None:
    job = Job(["toy"], modes=["inference"], networks=["seed"], out=tmp_path, exclude=["*"])
    with pytest.raises(UsageError, match="all cells are left out"):
        run(job, progress, {"toy": toy})
