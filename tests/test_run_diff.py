"""Comparison of runs: `crosscheck diff`, `crosscheck report --against`, and reports without `run.json`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crosscheck.cli import main
from crosscheck.report.cell_diff import MEANINGS, Kind, difference
from crosscheck.report.number_text import DASH
from crosscheck.report.reading import read_cells
from tests.test_report import Page, curve_cell, make_cell, make_run, saved, unmeasured_cell

Lines = list[dict[str, Any]]
CLEAN: tuple[str, ...] = ("clean",)
HOSTILE = '[red]\x1b[2J</td><script>alert(1)</script>" & {{ 7 * 7 }} \ud800'


def run_of(folder: Path, cells: Lines) -> Path:
    """A folder with `cells.jsonl` only."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cells.jsonl").write_text("".join(json.dumps(cell) + "\n" for cell in cells))
    return folder


def kinds(tmp_path: Path, now: Lines, before: Lines) -> list[str]:
    """The kinds of the changes, in the order of the cells."""
    runs = [read_cells(run_of(tmp_path / name, cells)) for name, cells in (("now", now), ("before", before))]
    return [change.kind for change in difference(*runs).values()]


def diff(tmp_path: Path, now: Lines, before: Lines, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and the output of `crosscheck diff`, with normalized white space."""
    words = ["diff", str(run_of(tmp_path / "now", now)), str(run_of(tmp_path / "before", before))]
    code = main(words)
    return code, " ".join(capsys.readouterr().out.split())


def test_the_command_line(tmp_path: Path) -> None:
    now, before = run_of(tmp_path / "now", [make_cell()]), run_of(tmp_path / "before", [make_cell(findings=CLEAN)])
    command = [sys.executable, "-c", "import sys; from crosscheck.cli import main; sys.exit(main())", "diff"]
    worse = subprocess.run([*command, now, before / "cells.jsonl"], capture_output=True, text=True)
    fixed = subprocess.run([*command, before, now], capture_output=True, text=True)
    assert (1, "", 0, "") == (worse.returncode, worse.stderr, fixed.returncode, fixed.stderr)
    assert re.search(r"worse +1 +mxnet 1\.9\.1 +executor\.train\.train +gradient: seed +clean -> leak", worse.stdout)
    assert re.search(r"fixed +1 +mxnet 1\.9\.1 +executor\.train\.train +gradient: seed +leak -> clean", fixed.stdout)
    assert worse.stdout.endswith(f"{now} against {before}/cells.jsonl: 1 worse, 0 the same\n")


def test_equal_runs_print_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [make_cell(), unmeasured_cell("refused", "no", release="1.2.0")]
    assert 0 == main(["diff", *(str(run_of(tmp_path / name, cells)) for name in ("now", "before"))])
    assert f"{tmp_path}/now against {tmp_path}/before: nothing changed in 2 cells\n" == capsys.readouterr().out


def test_volatile_fields_are_not_compared(tmp_path: Path) -> None:
    before = make_cell(reason="timed: crashed at 0x7f1200", seconds=0.05, stderr="pid 4711")
    now = make_cell(reason="timed: crashed at 0x7f9900", seconds=0.25, stderr="pid 815")
    now["prediction_after"] = [[value * (1 + 2e-5) for value in row] for row in now["prediction_after"]]
    now["gradient_error"] = {"inference": 1.00002, "training": 3e-6}
    now["update"] |= {"residual": 9e-7}
    assert [] == kinds(tmp_path, [now], [before])


@pytest.mark.parametrize(
    ("now", "before", "kind"),
    [
        (make_cell(findings=("leak", "racy")), make_cell(findings=("racy",)), "worse"),
        (make_cell(findings=("racy",)), make_cell(findings=("leak", "racy")), "fixed"),
        (make_cell(findings=("leak",)), make_cell(findings=("state-moved",)), "worse"),
        (make_cell(findings=("state-moved",)), make_cell(findings=("leak",)), "fixed"),
        (make_cell(findings=CLEAN, status="crashed"), make_cell(findings=("leak",)), "worse"),
        (make_cell(findings=("leak",)), make_cell(findings=CLEAN, status="crashed"), "fixed"),
        (unmeasured_cell("timed-out"), make_cell(findings=CLEAN), "worse"),
        (unmeasured_cell("refused"), make_cell(findings=("leak",)), "worse"),
        (unmeasured_cell("not-in-release"), make_cell(findings=CLEAN), "worse"),
        (make_cell(findings=CLEAN), unmeasured_cell("refused"), "fixed"),
        (make_cell(findings=("leak",)), unmeasured_cell("refused"), "changed"),
        (unmeasured_cell("unavailable"), unmeasured_cell("refused"), "changed"),
        (make_cell(contradicts=True), make_cell(contradicts=False), "changed"),
    ],
)
def test_the_change_of_a_cell(tmp_path: Path, now: dict[str, Any], before: dict[str, Any], kind: str) -> None:
    assert [kind] == kinds(tmp_path, [now], [before])


def test_another_selection_is_not_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now, before = make_cell("1.9.1", findings=("poisoned",)), make_cell("1.2.0", findings=CLEAN)
    code, out = diff(tmp_path, [now], [before], capsys)
    assert 0 == code
    assert "new 1 mxnet 1.9.1 executor.train.train gradient: seed (absent) -> poisoned" in out
    assert "gone 1 mxnet 1.2.0 executor.train.train gradient: seed clean -> (absent)" in out
    assert out.endswith(": 1 new, 1 gone, 0 the same")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"prediction_after": [[0.2844466, 0.38]]}, "prediction after"),
        ({"prediction_after": [["NaN", 0.3792626]]}, "prediction after"),
        ({"prediction_before": [[0.29985, 0.3998, 0.1]]}, "prediction before"),
        ({"gradient_error": {"inference": 1.0, "training": 0.001}}, "gradient error"),
        ({"later": {"gradient_again": {"inference": 0.5, "training": 0.0}, "inference_gradient": None}}, "later"),
        ({"state_changes": {"bn.mean": 0.04, "bn.var": 0.2}}, "state changes"),
        ({"update": {"when": "forward", "count": 1, "momentum": 0.9, "variance": "biased"}}, "update law"),
        ({"public_view": "hides"}, "parameter view"),
    ],
)
def test_different_numbers_are_named(
    tmp_path: Path, fields: dict[str, Any], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = diff(tmp_path, [make_cell(**fields)], [make_cell()], capsys)
    assert 0 == code
    assert f"leak -> leak; different numbers: {named}" in out
    assert "1 changed, 0 the same" in out


def test_a_temporarily_flipped_class_is_a_change(tmp_path: Path) -> None:
    accuracy = [0.9] * 21
    assert ["changed"] == kinds(
        tmp_path, [curve_cell(accuracy, [3] * 20 + [8])], [curve_cell(accuracy, [3] * 19 + [8] * 2)]
    )


def test_numbers_of_one_run_only_are_not_compared(tmp_path: Path) -> None:
    assert [] == kinds(tmp_path, [make_cell(gradient_error=None, update=None)], [make_cell()])


def test_random_findings_are_neither_worse_nor_fixed(tmp_path: Path) -> None:
    outcomes = [{"count": 1, "what": "one"}, {"count": 1, "what": "other"}]
    trials = [{"reading": "unsettled", "count": 2, "statuses": {"ok": 2}, "outcomes": outcomes}]
    racy, lucky = make_cell(findings=("leak", "racy"), trials=trials), make_cell(findings=("racy",), trials=trials)
    assert ["changed"] == kinds(tmp_path, [racy], [lucky])
    assert ["changed"] == kinds(tmp_path, [lucky], [racy])
    assert ["worse"] == kinds(tmp_path, [racy], [make_cell()])
    assert [] == kinds(tmp_path, [{**racy, "prediction_after": [[7.0, 7.0]]}], [racy])
    corrupted = make_cell(findings=("corrupted",))
    assert ["changed"] == kinds(tmp_path, [make_cell(findings=("corrupted", "racy"))], [corrupted])
    assert [] == kinds(tmp_path, [{**corrupted, "state_changes": {"bn.mean": "NaN"}}], [corrupted])


def test_equal_changes_share_a_line_worst_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    releases = ["0.9.5.post2", "0.10.0", "0.11.0", "1.9.1"]
    networks = ["seed", "conv"]
    before = [make_cell(release, network=network, findings=CLEAN) for release in releases for network in networks]
    now = [make_cell(release, network=network) for release in reversed(releases) for network in networks]
    now[-1] = make_cell("0.9.5.post2", network="conv", findings=("poisoned",))
    code, out = diff(tmp_path, now, before, capsys)
    assert 1 == code
    lines = out.split(" worse ")[1:]
    assert lines[0].startswith("1 mxnet 0.9.5.post2 executor.train.train gradient: conv clean -> poisoned")
    assert lines[1].startswith("4 mxnet 0.9.5.post2 to 1.9.1 (4 releases) executor.train.train gradient: seed clean ->")
    assert lines[2].startswith("3 mxnet 0.10.0 to 1.9.1 (3 releases) executor.train.train gradient: conv clean -> leak")
    assert out.endswith(": 8 worse, 0 the same")


def test_help_defines_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["diff", "--help"])
    help_text = capsys.readouterr().out
    assert set(Kind) == set(MEANINGS)
    assert list(Kind) == re.findall(r"^  (worse|fixed|changed|new|gone) ", help_text, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["diff", "nowhere", "nowhere"], "nowhere/cells.jsonl does not exist"),
        (["diff", "nowhere.jsonl", "nowhere"], "nowhere.jsonl does not exist"),
        (["diff", "nowhere"], "OTHER"),
        (["report", "nowhere"], "nowhere/cells.jsonl does not exist"),
        (["report", "run/cells.jsonl"], "run/cells.jsonl/cells.jsonl cannot be read"),
        (["report", "run", "--against", "nowhere"], "nowhere/cells.jsonl does not exist"),
        (["report", "run", "--site", "run"], "--site run: this is the folder of the run"),
        (["open", "run"], "run/report.html does not exist"),
    ],
)
def test_usage_errors_are_one_line_with_exit_code_2(
    words: list[str], near: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_of(tmp_path / "run", [make_cell()])
    assert 2 == main(words)
    err = capsys.readouterr().err
    assert near in err
    assert 1 == err.count("\n")


def test_cells_that_are_not_utf_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path, [make_cell()])
    (tmp_path / "cells.jsonl").write_bytes(b'{"schema": 1, "id": "\xff"}\n')
    assert 3 == main(["diff", str(tmp_path), str(tmp_path)])
    assert "cells.jsonl: not UTF-8" in capsys.readouterr().err


def test_hostile_names_are_escaped_in_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"release": HOSTILE, "mode": HOSTILE, "network": HOSTILE, "runtime": HOSTILE}
    now, before = make_cell(**fields, findings=("leak",)), make_cell(**fields, findings=CLEAN)
    code, out = diff(tmp_path, [now], [before], capsys)
    assert 1 == code
    assert "\x1b" not in out
    assert "[red]\\x1b[2J" in out
    assert "\\ud800" in out


@pytest.fixture
def compared(tmp_path: Path) -> Page:
    """A report with one worse, one fixed, one changed, one new and one gone cell."""
    before = [
        make_cell("1.9.1", findings=CLEAN),
        make_cell("1.9.1", "executor.eval.eval"),
        make_cell("0.11.0", prediction_after=[[0.1, 0.2]]),
        make_cell("1.2.0"),
        make_cell("0.11.0", "executor.predict", findings=CLEAN),
    ]
    now = [
        make_cell("1.9.1"),
        make_cell("1.9.1", "executor.eval.eval", findings=CLEAN),
        make_cell("0.11.0"),
        unmeasured_cell("unavailable", "no wheel", release="0.9.5.post2"),
        make_cell("0.11.0", "executor.predict", findings=CLEAN),
    ]
    (tmp_path / "now").mkdir()
    folder, other = saved(tmp_path / "now", now), run_of(tmp_path / "other", before)
    assert 0 == main(["report", str(folder), "--against", str(other)])
    return Page((folder / "report.html").read_text())


def test_the_report_lists_changes_in_a_table(compared: Page) -> None:
    assert "other : 1 cell worse , 1 cell fixed , 1 cell changed , 1 cell new , 1 cell gone ; 1 cell the same." in (
        re.sub(r"([,;:])", r" \1", compared.words).replace("  ", " ")
    )
    (table,) = [table for table in compared.tables if table[0][0].strip() == "Change"]
    numbers = "leak ; different numbers: prediction after"
    assert [
        ["worse", "Apache MXNet 1.9.1", "executor.train.train", "seed", "gradient", "clean", "leak", "1"],
        ["fixed", "Apache MXNet 1.9.1", "executor.eval.eval", "seed", "gradient", "leak", "clean", "1"],
        ["changed", "Apache MXNet 0.11.0", "executor.train.train", "seed", "gradient", "leak", numbers, "1"],
        ["new", "Apache MXNet 0.9.5.post2", "executor.train.train", "seed", "gradient", DASH, "unavailable", "1"],
        ["gone", "Apache MXNet 1.2.0", "executor.train.train", "seed", "gradient", "leak", DASH, "1"],
    ] == [[cell.strip() for cell in row] for row in table[1:]]


def test_every_change_links_to_its_cell(compared: Page) -> None:
    targets = {address[1:] for address in compared.attributes("href") if address.startswith("#")}
    assert "mxnet@1.9.1/executor.train.train/seed/gradient" in targets
    assert targets <= set(compared.attributes("id"))


def test_changes_stand_before_everything_else(compared: Page) -> None:
    assert compared.attributes("id").index("difference") < compared.attributes("id").index("answer")


def test_a_report_without_another_run_has_no_changes(tmp_path: Path) -> None:
    assert 0 == main(["report", str(saved(tmp_path, [make_cell()]))])
    assert "What changed" not in (tmp_path / "report.html").read_text()


def test_hostile_names_are_escaped_in_the_table_of_changes(tmp_path: Path) -> None:
    attack = HOSTILE.replace("\x1b", "")
    fields = {"release": attack, "mode": attack, "network": attack, "runtime": attack}
    folder = run_of(tmp_path / "now", [make_cell(**fields, findings=("leak",))])
    other = run_of(tmp_path / "<img src=x>", [make_cell(**fields, findings=CLEAN)])
    assert 0 == main(["report", str(folder), "--against", str(other)])
    page = Page((folder / "report.html").read_text())
    assert [] == [tag for tag, _ in page.tags if tag == "img"]
    assert "{{ 7 * 7 }}" in page.words
    assert "<img src=x>" in page.words


def test_the_report_is_rebuilt_from_the_cells_alone(tmp_path: Path) -> None:
    releases = ["1.10.0", "1.9.1", "0.11.0", "nightly", "0.9.5.post2"]
    cells = [make_cell(release) for release in releases]
    cells += [make_cell("1.9.1", "executor.eval.eval", findings=CLEAN), make_cell("1.9.1", variant="naive-engine")]
    assert 0 == main(["report", str(run_of(tmp_path, cells))])
    page = Page((tmp_path / "report.html").read_text())
    assert "The folder has no run.json: command, machine and times are unknown" in page.words
    (seed,) = [table for table in page.tables if "After a training-mode gradient" in " ".join(table[0])]
    assert ["0.9.5.post2", "0.11.0", "1.9.1", "1.10.0", "nightly"] == [row[0].strip() for row in seed[1:]]
    (environments,) = [table for table in page.tables if table[0][0].strip() == "Environment"]
    assert "mxnet@1.9.1+naive-engine" in [row[0].strip() for row in environments[1:]]
    assert {f"{release}.txt" for release in releases} == {row[3].strip() for row in environments[1:]}
    assert "7 in 14 trials" in page.words
    assert "None" not in page.words


def test_cells_that_do_not_name_their_lock_are_read(tmp_path: Path) -> None:
    cell = make_cell()
    del cell["environment"]["lock"]
    assert 0 == main(["report", str(run_of(tmp_path, [cell]))])
    page = Page((tmp_path / "report.html").read_text())
    (environments,) = [table for table in page.tables if table[0][0].strip() == "Environment"]
    assert ["unknown without run.json"] == [row[3].strip() for row in environments[1:]]


def test_a_run_without_packages_is_read(tmp_path: Path) -> None:
    run = make_run(environments={"mxnet@1.9.1": {"lock": "1.9.1.txt", "python": "3.11.7", "key": "a"}})
    assert 0 == main(["report", str(saved(tmp_path, [make_cell()], run))])
    assert "1.9.1.txt" in (tmp_path / "report.html").read_text()
