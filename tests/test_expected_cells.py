"""What is expected of cells, beside a run: marks in the report, and jobs whose results do not depend on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crosscheck.cli import main
from crosscheck.expectations import Expectations, read_expectations
from crosscheck.job import Result
from crosscheck.report import write
from crosscheck.runtimes.catalog import Runtime
from tests.conftest import SilentProgress, read_cells
from tests.test_report import Page, default_cells, make_cell, saved

RunToy = Callable[..., Result]
HOSTILE = "</p><script>alert(1)</script>"
LEAKS = '[[expect]]\ncells = "mxnet@*/executor.train.train"\nfindings = ["leak"]\nreason = "documented"\n'
ONE = {"modes": ["leak-backward"], "networks": ["seed-batch"]}


def expectations(folder: Path, text: str) -> Expectations:
    path = folder / "expect.toml"
    path.write_text(text)
    return read_expectations(path)


def squares(page: Page, mode: str) -> list[str]:
    """The classes of the squares of a mode's row."""
    tags = iter(page.tags)
    row = next(attributes for tag, attributes in tags if attributes.get("data-mode") == mode)
    assert row
    found: list[str] = []
    for tag, attributes in tags:
        if tag == "tr":
            return found
        if tag == "td":
            found.append(attributes.get("class") or "")
    return found


def test_squares_are_marked_by_the_most_important_of_their_cells(tmp_path: Path) -> None:
    text = LEAKS + '[[expect]]\ncells = "mxnet@0.11.0/executor.eval.eval"\nfindings = ["leak"]\n'
    page = Page(write(saved(tmp_path, default_cells()), expectations=expectations(tmp_path, text)).read_text())
    assert ["x-expected", "x-expected", "", "x-expected"] == [
        name.partition(" ")[2] for name in squares(page, "executor.train.train")
    ]
    assert ["x-unexpected", "x-unexpected", "", "x-unexpected"] == [
        name.partition(" ")[2] for name in squares(page, "executor.eval.default")
    ]
    assert ["", "x-fixed", "", ""] == [name.partition(" ")[2] for name in squares(page, "executor.eval.eval")]
    assert "3 cells unexpected, 1 cell fixed, 6 cells expected" in page.words


def test_the_page_begins_with_what_is_unexpected_and_fixed(tmp_path: Path) -> None:
    text = LEAKS.replace("documented", HOSTILE) + '[[expect]]\ncells = "tract@*"\nfindings = ["leak"]\n'
    cells = [make_cell(findings=("leak", "racy")), make_cell("1.2.0", findings=("clean",))]
    html = write(saved(tmp_path, cells), expectations=expectations(tmp_path, text)).read_text()
    words = Page(html).words
    assert words.index("Against what is expected") < words.index("Yes, in 1 of the 2 releases")
    assert f"{cells[0]['id']}: unexpected: racy; expected: leak ({HOSTILE})" in words
    assert f"{cells[1]['id']}: fixed: leak ({HOSTILE})" in words
    assert "1 pattern without cells of this run line 5: tract@* matches no cell" in words
    assert HOSTILE not in html


def test_a_page_without_expectations_has_no_marks(tmp_path: Path) -> None:
    page = Page(write(saved(tmp_path, default_cells())).read_text())
    assert not [name for name in page.attributes("class") if "x-" in name]
    assert "Against what is expected" not in page.words


def test_what_is_measured_does_not_depend_on_what_is_expected(
    run_toy: RunToy, tmp_path: Path, progress: SilentProgress
) -> None:
    run_toy(**ONE)
    plain = (tmp_path / "cells.jsonl").read_bytes()
    ids = list(read_cells(tmp_path))
    for text, marks in (("", "x-unexpected"), ('[[expect]]\ncells = "toy@*"\nfindings = ["leak"]', "x-expected")):
        again = run_toy(**ONE, expectations=expectations(tmp_path, text))
        assert again.unchanged
        page = Page((tmp_path / "report.html").read_text())
        assert marks in " ".join(page.attributes("class"))
    assert plain == (tmp_path / "cells.jsonl").read_bytes()
    assert run_toy(**ONE).unchanged
    fresh = run_toy(**ONE, fresh=True, expectations=expectations(tmp_path, ""))
    assert not fresh.unchanged
    assert "x-unexpected" in (tmp_path / "report.html").read_text()
    assert ids == list(read_cells(tmp_path))


@pytest.fixture
def crosscheck(toy: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a command as a user types it, on the toy."""
    monkeypatch.setattr("crosscheck.job.catalog", lambda: {"toy": toy})
    monkeypatch.setattr("crosscheck.commands.run.check_names", lambda words: None)
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(list(words))


RUN = ("run", "toy", "--mode", "leak-backward", "--network", "seed-batch", "--scenario", "gradient", "--out", "out")
CELL = "toy@1.8.0/leak-backward/seed-batch/gradient"


def test_a_run_that_shows_something_else_exits_with_1_and_names_it(
    crosscheck: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == crosscheck(*RUN)
    assert 0 == crosscheck("expect", "out", "-o", "expect.toml")
    assert 0 == crosscheck(*RUN, "--expect", "expect.toml")
    assert capsys.readouterr().out.endswith("against expect.toml: 0 unexpected, 0 fixed, 1 expected\n")
    text = (tmp_path / "expect.toml").read_text()
    (tmp_path / "expect.toml").write_text(text.replace('["leak"]', '["racy"]'))
    assert 1 == crosscheck(*RUN, "--expect", "expect.toml")
    out = capsys.readouterr().out
    assert f"\nunexpected: {CELL}: leak; crosscheck explain {CELL} --out out\n" in out
    assert f"\nfixed: {CELL}: racy; expect.toml, line 5\n" in out
    assert out.endswith("against expect.toml: 1 unexpected, 0 fixed, 0 expected\n")


def test_programs_and_quiet_readers_are_told_what_is_not_expected(
    crosscheck: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == crosscheck(*RUN, "--quiet")
    (tmp_path / "expect.toml").write_text("")
    assert 1 == crosscheck(*RUN, "--quiet", "--expect", "expect.toml")
    assert capsys.readouterr().out.startswith(f"unexpected: {CELL}: leak; ")
    assert 1 == crosscheck(*RUN, "--progress", "json", "--expect", "expect.toml")
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (1, {"unexpected": 1, "fixed": 0, "expected": 0}) == (told[-1]["code"], told[-1]["expectations"])
    assert 0 == crosscheck("expect", "out", "-o", "expect.toml")
    capsys.readouterr()
    assert 0 == crosscheck(*RUN, "--quiet", "--expect", "expect.toml")
    assert "" == capsys.readouterr().out


def test_strict_exits_with_1_where_an_entry_is_not_true(
    crosscheck: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = (
        f'[[expect]]\ncells = "{CELL}"\nfindings = ["leak"]\nreason = "as it is"\n'
        '[[expect]]\ncells = "toy@0.1"\nfindings = ["leak"]\nreason = "gone"\n'
    )
    (tmp_path / "expect.toml").write_text(entries)
    assert 0 == crosscheck(*RUN, "--expect", "expect.toml")
    assert 1 == crosscheck(*RUN, "--expect", "expect.toml", "--strict")
    assert "\nexpect.toml, line 5: toy@0.1 matches no cell\n" in capsys.readouterr().out


def test_what_is_not_expected_outweighs_what_could_not_be_measured(
    crosscheck: Callable[..., int], tmp_path: Path
) -> None:
    (tmp_path / "expect.toml").write_text("")
    slow = ("--mode", "hang", "--time-limit", "1")
    assert 4 == crosscheck("run", "toy", *slow, *RUN[4:], "--expect", "expect.toml")
    assert 1 == crosscheck(*RUN[:4], *slow, *RUN[4:], "--expect", "expect.toml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--expect", "none.toml"], "none.toml: No such file or directory"),
        (["--strict"], "--strict is about expectations, and none are named: --expect FILE does so."),
    ],
)
def test_mistakes_are_said_before_anything_is_measured(
    words: list[str], said: str, crosscheck: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == crosscheck(*RUN, *words)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def states(path: Path) -> list[tuple[str, str]]:
    """The results of a SARIF with their baseline states."""
    (run,) = json.loads(path.read_text())["runs"]
    return [(result["ruleId"], result["baselineState"]) for result in run["results"]]


def test_a_run_is_compared_with_an_earlier_one_and_with_the_one_that_it_replaces(
    crosscheck: Callable[..., int], tmp_path: Path
) -> None:
    (tmp_path / "earlier").mkdir()
    parts = {"runtime": "toy", "release": "1.8.0", "mode": "leak-backward", "network": "seed-batch"}
    saved(tmp_path / "earlier", [make_cell(**parts, findings=("clean",))])
    assert 0 == crosscheck(*RUN, "--against", "earlier", "--sarif", "crosscheck.sarif")
    assert [("leak", "new")] == states(tmp_path / "crosscheck.sarif")
    assert "<p>Against <code>earlier</code>:" in (tmp_path / "out" / "report.html").read_text()
    assert 0 == crosscheck(*RUN, "--against", "out", "--sarif", "crosscheck.sarif")
    assert [("leak", "unchanged")] == states(tmp_path / "crosscheck.sarif")


def test_report_says_what_has_changed_since_an_earlier_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, findings in (("now", ("racy",)), ("earlier", ("leak",))):
        (tmp_path / name).mkdir()
        saved(tmp_path / name, [make_cell(findings=findings)])
    assert 0 == main(["report", "now", "--against", "earlier", "--sarif", "crosscheck.sarif"])
    assert [("racy", "new"), ("leak", "absent")] == states(tmp_path / "crosscheck.sarif")
    capsys.readouterr()
    assert 2 == main(["report", "now", "--against", "nowhere"])
    assert 1 == capsys.readouterr().err.count("\n")


def test_a_finished_run_is_compared_by_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crosscheck-out").mkdir()
    cells = [make_cell(release=f"1.{number}.0") for number in range(25)]
    saved(tmp_path / "crosscheck-out", cells)
    (tmp_path / "expect.toml").write_text("")
    assert 1 == main(["report", "--expect", "expect.toml"])
    lines = capsys.readouterr().out.splitlines()
    assert f"unexpected: {cells[0]['id']}: leak; crosscheck explain {cells[0]['id']}" == lines[1]
    assert ["and 5 more; --summary FILE has all", "against expect.toml: 25 unexpected, 0 fixed, 0 expected"] == lines[
        -2:
    ]
    assert json.loads((tmp_path / "crosscheck-out" / "cells.jsonl").read_text().splitlines()[0]) == cells[0]


def test_a_run_appends_its_summary_to_the_file_that_github_names(
    crosscheck: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "steps.md").write_text("# The step before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "steps.md")
    assert 0 == crosscheck(*RUN, "--markdown", "own.md")
    own = (tmp_path / "own.md").read_text()
    assert "in 1 of 1 release" in own
    assert "# The step before\n" + own == (tmp_path / "steps.md").read_text()
    assert 0 == crosscheck("report", "out")
    assert "# The step before\n" + own == (tmp_path / "steps.md").read_text()
