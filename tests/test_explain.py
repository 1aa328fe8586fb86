"""What `crosscheck explain` prints of a cell of a large network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from crosscheck.cells import Finding
from crosscheck.commands.explain import explain
from tests.test_report import make_cell, make_run


def printed(folder: Path, **fields: Any) -> list[str]:
    """The lines for a cell with these fields, on a page of 160 characters."""
    cell = make_cell(**fields)
    (folder / "cells.jsonl").write_text(json.dumps(cell) + "\n")
    console = Console(width=160)
    with console.capture() as capture:
        explain(console, folder, cell["id"])
    return capture.get().splitlines()


def paragraph(lines: list[str], name: str) -> str:
    """The text beside a name, in one line."""
    start = next(number for number, line in enumerate(lines) if line.startswith(name))
    rows = [lines[start].removeprefix(name), *lines[start + 1 :]]
    end = next((number for number, line in enumerate(rows[1:], 1) if not line.startswith("  ")), len(rows))
    return " ".join(" ".join(rows[:end]).split())


def test_the_summary_of_the_mode_stands_beside_its_name_where_the_run_has_it(tmp_path: Path) -> None:
    assert not [line for line in printed(tmp_path) if line.startswith("mode ")]
    run = make_run()
    mode = next(mode for mode in run["runtimes"]["mxnet"]["modes"] if mode["name"] == "executor.train.train")
    mode["summary"] = "bound symbol, backward()"
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert "executor.train.train: bound symbol, backward()" == paragraph(printed(tmp_path), "mode")


def test_each_finding_has_what_its_reader_can_do_and_clean_has_nothing(tmp_path: Path) -> None:
    for finding in Finding:
        lines = [line for line in printed(tmp_path, findings=(finding,)) if line.startswith("what to do")]
        assert (finding != Finding.CLEAN) == bool(lines), finding
        assert all(f"{finding}: " in line for line in lines)
    both = printed(tmp_path, findings=("leak", "mode-left-changed"))
    assert 2 == sum("leak: Ask in inference mode" in line or "mode-left-changed: Set the flag" in line for line in both)


def test_the_ten_largest_changes_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    changes = {f"t{number}": float(number) for number in range(40)}
    lines = printed(tmp_path, state_changes=changes, omitted={"state_changes": 62})
    expected = ", ".join(f"t{number} {number}" for number in range(39, 29, -1))
    assert f"{expected}, and 92 more" == paragraph(lines, "state changes")
    assert "62 of state changes" == paragraph(lines, "left out")


def test_all_of_a_few_changes_are_listed(tmp_path: Path) -> None:
    lines = printed(tmp_path, state_changes={"mean": 0.25, "variance": 0.5})
    assert "variance 0.5, mean 0.25" == paragraph(lines, "state changes")
    assert not [line for line in lines if line.startswith(("left out", "arrays"))]


def test_the_memory_of_the_largest_trial_is_told_where_it_is_known(tmp_path: Path) -> None:
    assert "up to 132 MB a trial" == paragraph(printed(tmp_path, peak_bytes=132_300_000), "memory")
    assert not [line for line in printed(tmp_path) if line.startswith("memory")]


def test_a_cell_of_a_large_network_has_at_most_80_lines(tmp_path: Path) -> None:
    evidence = [
        {
            "finding": finding,
            "what": f"undisturbed: largest change of layer{number}.0.downsample.1.running_mean by the call",
            "value": 0.123456789,
            "threshold": 1e-6,
            "why": "a statistic that is computed anew from itself ends within a few roundings of its type",
            "detail": "",
        }
        for finding in ("leak", "corrupted", "parameters-written")
        for number in range(10)
    ]
    prediction = [[0.1 + number / 3 for number in range(32)] for _ in range(4)]
    changes = {f"layer{number}.0.downsample.1.running_mean": number / 7 for number in range(40)}
    lines = printed(
        tmp_path, evidence=evidence, prediction_before=prediction, prediction_after=prediction, state_changes=changes
    )
    assert len(lines) <= 80
    assert ["leak", "corrupted", "parameters-written"] == [
        line.split()[0] for line in lines if line.split()[1:] == ["and", "4", "more"]
    ]


def test_control_characters_and_markup_of_a_runtime_are_shown_as_signs(tmp_path: Path) -> None:
    reason = "\x1b[31mred\x1b[0m [/x] [bold]loud[/bold] \x07 \u202e"
    text = "\n".join(printed(tmp_path, reason=reason))
    assert "\x1b" not in text
    assert "\\x1b[31mred\\x1b[0m [/x] [bold]loud[/bold] \\x07 \\u202e" in text
