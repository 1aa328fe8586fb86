"""Shards of a job: how it is divided, and that its merged parts are what one run of the whole job gives."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosscheck.cells import Status
from crosscheck.cli import main
from crosscheck.errors import UsageError
from crosscheck.forecast import forecast
from crosscheck.job import Job, run
from crosscheck.matrix.server import Limits
from crosscheck.merging import Request, merge
from crosscheck.options import matrix_of
from crosscheck.runtimes.catalog import Runtime, load_runtime
from crosscheck.shards import Shard, Unit, balanced
from tests.conftest import Cells, SilentProgress, read_cells

TESTS = Path(__file__).parent
RELEASES = ("1.7.0", "1.8.0", "1.8.1")
COUNT = 3
#: What differs from run to run; the name of an array's file has a digest of what its trial took.
OF_THE_MACHINE = ("seconds", "peak_bytes", "stderr", "arrays")
#: Modes that give the same cells in every run: findings, causes that are measured, failures.
MODES = (
    "inference", "leak-backward", "wrong-whole", "wrong-prediction", "pool-order-dependent", "refused", "from-1.8",
    "export.right", "export.twin", "export.torn", "file-gradient",
)  # fmt: skip


def runtime(folder: Path, source: str, releases: Sequence[str]) -> Runtime:
    """A toy as a runtime named after the folder, with these releases, the newest in the default matrix."""
    shutil.copytree(TESTS / source, folder, ignore=shutil.ignore_patterns("__pycache__", "locks"))
    head, _, tail = (TESTS / "toy" / "releases.toml").read_text().partition("[[release]]")
    variants = tail[tail.index("[[variant]]") :]
    rows = [f'[[release]]\nversion = "{version}"\nreleased = 2025-05-05\n' for version in releases]
    (folder / "releases.toml").write_text("\n".join([head, *rows]) + "default = true\n\n" + variants)
    (folder / "locks").mkdir()
    for version in releases:
        shutil.copy(TESTS / "toy" / "locks" / "1.8.0.txt", folder / "locks" / f"{version}.txt")
    return load_runtime(folder)


@pytest.fixture(scope="module")
def runtimes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Runtime]:
    """The toy in three releases, and two that read files, one of which exports them in two releases."""
    folder = tmp_path_factory.mktemp("runtimes")
    toys = [
        runtime(folder / "toy", "toy", RELEASES),
        runtime(folder / "trader", "exchange_toy", RELEASES[:2]),
        runtime(folder / "reader", "exchange_toy", RELEASES[1:2]),
    ]
    return {toy.name: toy for toy in toys}


def job(out: Path, **options: Any) -> Job:
    what = ["toy@1.7..1.8", "toy@1.8.0+unimportable", "trader@1.7..1.8", "reader@1.8.0"]
    usual = {"what": what, "networks": ["conv"], "modes": MODES, "scenarios": ["gradient", "predict-only", "export"]}
    return Job(**{**usual, "out": out, **options})


@pytest.fixture(scope="module")
def whole(runtimes: dict[str, Runtime], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    run(job(folder), SilentProgress(), runtimes)
    return folder


@pytest.fixture(scope="module")
def shards(runtimes: dict[str, Runtime], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    folders = [folder / str(number) for number in range(1, COUNT + 1)]
    for number, out in enumerate(folders, 1):
        run(job(out, shard=Shard(number, COUNT)), SilentProgress(), runtimes)
    return folders


@pytest.fixture(scope="module")
def merged(shards: list[Path], runtimes: dict[str, Runtime], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSCHECK_CACHE", str(folder / "cache"))
        merge(Request(shards, folder / "run"), SilentProgress(), runtimes)
    assert not (folder / "cache").exists()
    return folder / "run"


def steady(cells: Cells) -> list[dict[str, Any]]:
    """The cells in their order, without what differs from run to run.

    That is also the number of trials that had begun when one was refused.
    """
    left_out = {status: (*OF_THE_MACHINE, *(["trials"] if status == "refused" else [])) for status in Status}
    return [
        {name: value for name, value in cell.items() if name not in left_out[Status(cell["status"])]}
        for cell in cells.values()
    ]


def test_merged_shards_are_the_cells_of_one_undivided_run(whole: Path, shards: list[Path], merged: Path) -> None:
    one, other = read_cells(whole), read_cells(merged)
    assert [*one] == [*other]
    for before, after in zip(steady(one), steady(other), strict=True):
        assert before == after
    assert all(len(read_cells(shard)) < len(one) for shard in shards)
    findings = {finding for cell in one.values() for finding in cell["findings"]}
    assert {"clean", "leak", "wrong-gradient", "wrong-prediction", "export-changed"} <= findings
    assert {"ok", "refused", "import-failed", "not-in-release"} == {cell["status"] for cell in one.values()}
    assert any(cell["cause"] and cell["cause"]["by"].startswith("parts") for cell in one.values())


def test_files_and_arrays_are_there_after_a_merge(whole: Path, merged: Path) -> None:
    assert {path.name for path in (whole / "files").iterdir()} == {path.name for path in (merged / "files").iterdir()}
    one, other = read_cells(whole), read_cells(merged)
    for cell in one:
        if one[cell]["arrays"]:
            with np.load(whole / one[cell]["arrays"]) as before, np.load(merged / other[cell]["arrays"]) as after:
                assert before.files == after.files
                assert all(np.array_equal(before[key], after[key], equal_nan=True) for key in before.files)


def test_facts_of_a_merged_run_are_those_of_the_whole(whole: Path, merged: Path) -> None:
    one, other = (json.loads((folder / "run.json").read_text()) for folder in (whole, merged))
    for name in ("runtimes", "networks", "scenarios", "environments", "causes", "command"):
        assert one[name] == other[name]
    assert one["import_seconds"].keys() == other["import_seconds"].keys()
    assert one["counts"]["findings"] == other["counts"]["findings"]
    assert other["shard"] is None


def test_the_same_command_goes_on_in_a_merged_folder(
    merged: Path, runtimes: dict[str, Runtime], tmp_path: Path
) -> None:
    shutil.copytree(merged, tmp_path / "run")
    assert run(job(tmp_path / "run"), SilentProgress(), runtimes).unchanged


def test_every_cell_of_the_plan_is_in_one_shard(whole: Path, shards: list[Path]) -> None:
    planned = [[cell for cell in read_cells(shard) if ".from." not in cell] for shard in shards]
    assert sorted(cell for cells in planned for cell in cells) == sorted(
        cell for cell in read_cells(whole) if ".from." not in cell
    )


def test_a_shard_says_which_part_it_is(shards: list[Path]) -> None:
    assert "part 2 of 3 of <code>crosscheck run toy@1.7..1.8" in (shards[1] / "report.html").read_text()


def test_a_shard_goes_on_as_it_was_divided(shards: list[Path], runtimes: dict[str, Runtime], tmp_path: Path) -> None:
    shutil.copytree(shards[0], tmp_path / "run")
    assert run(job(tmp_path / "run", shard=Shard(1, COUNT)), SilentProgress(), runtimes).unchanged


def without_parts(shard: Path, copy: Path) -> Path:
    """A copy of a shard that measured no parts of networks."""
    shutil.copytree(shard, copy)
    known = [(cell,) for cell in read_cells(shard)]
    with sqlite3.connect(copy / "journal.sqlite") as journal:
        journal.execute("create temporary table known (cell text)")
        journal.executemany("insert into known values (?)", known)
        deleted = journal.execute("delete from observation where cell not in (select cell from known)").rowcount
    journal.close()
    assert deleted
    return copy


def test_parts_that_no_shard_measured_are_measured_where_their_environment_is(
    whole: Path, shards: list[Path], runtimes: dict[str, Runtime], tmp_path: Path
) -> None:
    fewer = [without_parts(shard, tmp_path / shard.name) for shard in shards]
    merge(Request(fewer, tmp_path / "out"), SilentProgress(), runtimes)
    assert steady(read_cells(whole)) == steady(read_cells(tmp_path / "out"))


def test_parts_that_no_shard_measured_are_named_where_their_environment_is_missing(
    shards: list[Path], runtimes: dict[str, Runtime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = [without_parts(shard, tmp_path / shard.name) for shard in shards]
    monkeypatch.setenv("CROSSCHECK_CACHE", str(tmp_path / "cache"))
    progress = SilentProgress()
    merge(Request(fewer, tmp_path / "out"), progress, runtimes)
    assert {f"toy@{version}" for version in RELEASES} == {note.partition(":")[0] for note in progress.notes}
    assert all("its environment is not on this machine" in note for note in progress.notes)
    facts = json.loads((tmp_path / "out" / "run.json").read_text())
    assert facts["causes"]["cells_unmeasured"] == facts["causes"]["cells_asked"] > 0
    assert not any(cell["cause"] for cell in read_cells(tmp_path / "out").values())


def test_what_ran_out_of_time_in_a_shard_has_run_out_of_time(
    runtimes: dict[str, Runtime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"modes": ["hang"], "networks": ["seed"], "scenarios": ["gradient"], "limits": Limits(seconds=1.0)}
    alone = job(tmp_path / "shard", what=["toy@1.8.1"], shard=Shard(1, 1), **options)
    run(alone, SilentProgress(), runtimes)
    monkeypatch.setenv("CROSSCHECK_CACHE", str(tmp_path / "cache"))
    merge(Request([alone.out], tmp_path / "out"), SilentProgress(), runtimes)
    assert ["timed-out"] == [cell["status"] for cell in read_cells(tmp_path / "out").values()]
    assert (alone.out / "cells.jsonl").read_text() == (tmp_path / "out" / "cells.jsonl").read_text()


def changed(shard: Path, copy: Path, **fields: Any) -> Path:
    """A copy of a shard in which the first cell that is clean has other fields."""
    shutil.copytree(shard, copy)
    lines = [json.loads(line) for line in (copy / "cells.jsonl").read_text().splitlines()]
    next(line for line in lines if line["findings"] == ["clean"]).update(fields)
    (copy / "cells.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return copy


def refusal(folders: Sequence[Path], runtimes: dict[str, Runtime], out: Path) -> str:
    """Why folders are not merged; nothing is written then."""
    with pytest.raises(UsageError) as problem:
        merge(Request(folders, out), SilentProgress(), runtimes)
    assert not out.exists()
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_a_shard_that_ran_twice_is_merged_unless_it_contradicts_itself(
    shards: list[Path], runtimes: dict[str, Runtime], tmp_path: Path
) -> None:
    again = changed(shards[0], tmp_path / "again", findings=["leak"])
    said = refusal([*shards, again], runtimes, tmp_path / "out")
    cell = next(cell for cell, line in read_cells(shards[0]).items() if line["findings"] == ["clean"])
    assert f"{cell} is ok, clean in {shards[0]}, and ok, leak in {again}." == said
    merge(Request([*shards, shards[0]], tmp_path / "out"), SilentProgress(), runtimes)
    assert len(read_cells(tmp_path / "out")) > len(read_cells(shards[0]))


def test_a_missing_shard_is_named(shards: list[Path], runtimes: dict[str, Runtime], tmp_path: Path) -> None:
    assert "the results of shard 2/3 are missing." == refusal([shards[0], shards[2]], runtimes, tmp_path / "out")
    assert "the results of shards 2/3, 3/3 are missing." == refusal([shards[0]], runtimes, tmp_path / "out")


def test_what_is_no_shard_is_not_merged(
    whole: Path, shards: list[Path], runtimes: dict[str, Runtime], tmp_path: Path
) -> None:
    assert "has no finished run" in refusal([tmp_path / "none"], runtimes, tmp_path / "out")
    assert f"{whole} is no part of a job" in refusal([*shards, whole], runtimes, tmp_path / "out")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"job": {"trials": 3}}, "their options differ, trials 2 and trials 3"),
        ({"count": 4}, "their numbers of shards differ, 3 and 4"),
        ({"code": "abc"}, "their versions of crosscheck"),
        ({"networks": {"conv": "abc"}}, "their networks"),
        ({"parts": [["toy@1.7.0"], ["toy@1.8.0"], ["toy@1.8.1"]]}, "--times"),
    ],
)
def test_shards_of_different_jobs_are_not_merged(
    fields: dict[str, Any], said: str, shards: list[Path], runtimes: dict[str, Runtime], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(shards[1], other)
    facts = json.loads((other / "run.json").read_text())
    facts["shard"] |= {**fields, "job": facts["shard"]["job"] | fields.get("job", {})}
    (other / "run.json").write_text(json.dumps(facts))
    assert said in refusal([shards[0], other, shards[2]], runtimes, tmp_path / "out")


def test_a_folder_with_something_in_it_is_not_replaced(
    shards: list[Path], runtimes: dict[str, Runtime], tmp_path: Path
) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        merge(Request(shards, tmp_path), SilentProgress(), runtimes)
    assert ["notes"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("text", ["3", "0/3", "4/3", "1/0", "a/b", "1/3/4", "-1/3"])
def test_a_shard_is_a_number_and_a_count(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        Shard.parsed(text)
    assert Shard(3, 8) == Shard.parsed("3/8")


def test_a_mode_is_in_the_shard_of_its_counterpart_for_inference(runtimes: dict[str, Runtime], tmp_path: Path) -> None:
    matrix = matrix_of(job(tmp_path), runtimes, SilentProgress())
    plan = matrix.plan()
    division = matrix.division(len(plan))
    parts = [division.of(number, plan) for number in range(1, len(division.parts) + 1)]
    assert len(runtimes) < len({planned.target.id for planned in plan}) < len(parts)
    assert sorted(planned.cell.id for planned in plan) == sorted(planned.cell.id for part in parts for planned in part)
    for part in parts:
        modes = {(planned.target.id, planned.mode.name) for planned in part}
        for target, mode in modes:
            other = next(one.inference for one in runtimes[target.partition("@")[0]].modes if one.name == mode)
            assert other is None or (target, other) in modes or other not in MODES


def test_a_shard_beyond_the_parts_of_a_job_is_refused(runtimes: dict[str, Runtime], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="shard 60 has nothing to do"):
        run(job(tmp_path, shard=Shard(60, 60)), SilentProgress(), runtimes)


def best(seconds: Sequence[int], count: int) -> int:
    """The longest part of the best division, of all divisions."""
    parts = product(range(count), repeat=len(seconds))
    return min(
        max(sum(s for s, at in zip(seconds, where, strict=True) if at == part) for part in range(count))
        for where in parts
    )


@given(st.lists(st.integers(1, 40), min_size=1, max_size=7), st.integers(1, 3))
def test_the_longest_shard_is_at_most_a_third_longer_than_the_best_division(seconds: list[int], count: int) -> None:
    parts = balanced([Unit(str(name), value) for name, value in enumerate(seconds)], count)
    assert sorted(str(name) for name in range(len(seconds))) == sorted(unit.name for part in parts for unit in part)
    assert len(parts) == min(count, len(seconds))
    assert all(parts)
    longest = max(sum(unit.seconds for unit in part) for part in parts)
    assert 3 * count * longest <= (4 * count - 1) * best(seconds, count)


def test_units_with_the_same_environment_stay_together_where_that_is_faster() -> None:
    units = [Unit(f"{name}{number}", 1.0, {name: 10.0}) for name in "ab" for number in range(3)]
    assert [["a0", "a1", "a2"], ["b0", "b1", "b2"]] == [
        sorted(unit.name for unit in part) for part in balanced(units, 2)
    ]


def test_a_plan_has_the_cells_of_the_run(whole: Path, runtimes: dict[str, Runtime], tmp_path: Path) -> None:
    lines = {name: line for name, line in read_cells(whole).items() if ".from." not in name}
    planned = forecast(job(tmp_path), runtimes=runtimes)
    assert len(lines) == planned.whole.cells == sum(part.cells for part in planned.runtimes)
    assert {cell.partition("/")[0] for cell in lines} == set(planned.whole.targets)
    assert (0, 0) == (planned.whole.measured, len(planned.whole.making))
    assert "the figures that come with crosscheck" == planned.times
    assert [] == list(tmp_path.iterdir())


def test_a_plan_leaves_out_what_is_measured_and_knows_its_times(whole: Path, runtimes: dict[str, Runtime]) -> None:
    planned = forecast(job(whole), COUNT, runtimes=runtimes)
    statuses = [line["status"] for name, line in read_cells(whole).items() if ".from." not in name]
    assert statuses.count("ok") + statuses.count("refused") == planned.whole.measured
    assert str(whole) == planned.times
    spent = sum(line["seconds"] for name, line in read_cells(whole).items() if ".from." not in name)
    imports = json.loads((whole / "run.json").read_text())["import_seconds"].values()
    told = sum(part.seconds for part in planned.shards)
    assert spent + sum(imports) <= told <= spent + COUNT * len(planned.whole.targets) * max(imports)
    assert len(planned.shards) == COUNT == len({part.targets for part in planned.shards})


def plan(words: str, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `crosscheck plan` prints; it writes nothing."""
    assert 0 == main(["plan", *words.split(), "--out", str(out)])
    assert not out.exists()
    return capsys.readouterr().out


def test_the_list_for_a_ci_system_has_all_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "tract@newest onnx@newest --network conv"
    whole = json.loads(plan(f"{words} --json", tmp_path / "out", capsys))
    matrix = json.loads(plan(f"{words} --shards 2 --json", tmp_path / "out", capsys))
    assert ["1/2", "2/2"] == [entry["shard"] for entry in matrix]
    assert all(f"crosscheck run {words} --shard {entry['shard']}" == entry["command"] for entry in matrix)
    assert whole["cells"] == sum(entry["cells"] for entry in matrix)
    assert whole["trials"] == sum(entry["trials"] for entry in matrix) > whole["cells"]
    assert set(whole["targets"]) == {target for entry in matrix for target in entry["targets"]}
    assert whole["cells"] == sum(runtime["cells"] for runtime in whole["runtimes"].values())


def test_the_commands_of_the_list_are_the_job_of_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    further = '[[include]]\nruntimes = ["onnx@newest"]\nnetworks = ["seed"]\nscenarios = ["gradient"]\n'
    (tmp_path / "crosscheck.toml").write_text(f'runtimes = ["tract@newest"]\nnetworks = ["seed"]\n{further}')
    monkeypatch.chdir(tmp_path)
    words = "--trials 3 --mode *15* --time-limit 30"
    whole = json.loads(plan(f"{words} --quiet --json", tmp_path / "out", capsys))
    matrix = json.loads(plan(f"{words} --shards 2 --json", tmp_path / "out", capsys))
    assert ["onnx@1.23.2", "tract@0.23.9"] == sorted(target.partition("+")[0] for target in whole["targets"])
    trials = 0
    for entry in matrix:
        program, command, *rest = shlex.split(entry["command"])
        assert ("crosscheck", "run") == (program, command)
        part = json.loads(plan(" ".join([*rest, "--json"]), tmp_path / "out", capsys))
        assert (entry["cells"], entry["trials"]) == (part["cells"], part["trials"])
        trials += part["trials"]
    assert whole["trials"] == trials


def test_a_shards_own_plan_is_its_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "tract@newest onnx@newest --network conv"
    matrix = json.loads(plan(f"{words} --shards 2 --json", tmp_path / "out", capsys))
    for entry in matrix:
        shown = json.loads(plan(f"{words} --shard {entry['shard']} --json", tmp_path / "out", capsys))
        assert (entry["cells"], entry["targets"]) == (shown["cells"], shown["targets"])


@pytest.mark.parametrize("words", ["--shards 0", "--shards 2 --shard 1/2", "--shard 3", "--times nowhere"])
def test_a_wrong_division_is_one_line(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["plan", "tract@newest", *words.split(), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert "" == printed.out
    assert 1 == printed.err.count("\n")


def test_a_plan_names_the_environments_that_are_not_there(
    runtimes: dict[str, Runtime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSCHECK_CACHE", str(tmp_path / "cache"))
    planned = forecast(job(tmp_path / "out"), runtimes=runtimes)
    assert {one.target.partition("+")[0] for one in planned.whole.making} == {
        *(f"toy@{version}" for version in RELEASES), "trader@1.7.0", "trader@1.8.0", "reader@1.8.0",
    }  # fmt: skip
    assert planned.whole.environments == len(planned.whole.making) == 6
    assert [] == list(tmp_path.iterdir())
