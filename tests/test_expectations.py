"""Expectations: which entry decides about a cell, what is unexpected or fixed, mistakes in files, and written files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosscheck.cli import main
from crosscheck.errors import UsageError
from crosscheck.expectations import Entry, Expectations, Outcome, compare, read_expectations, updated
from crosscheck.records import JudgedCell
from crosscheck.records.versions import cell_of
from tests.test_report import make_cell, unmeasured_cell

CLEAN = ("clean",)


def cell(**fields: Any) -> JudgedCell:
    return cell_of(make_cell(**fields))


def unmeasured(status: str, **fields: Any) -> JudgedCell:
    return cell_of(unmeasured_cell(status, **fields))


def entry(cells: str | Sequence[str], *findings: str, line: int = 1, **fields: Any) -> Entry:
    patterns = (cells,) if isinstance(cells, str) else tuple(cells)
    return Entry(patterns, frozenset(findings), line=line, **fields)


def against(cells: Sequence[JudgedCell], *entries: Entry, strict: bool = False) -> Outcome:
    return compare(cells, Expectations("expect.toml", entries), strict)


def shown(outcome: Outcome) -> dict[str, str]:
    """The verdicts as text."""
    return {name: str(verdict) for name, verdict in outcome.verdicts.items()}


def read(folder: Path, text: str, strict: bool = False) -> Expectations:
    path = folder / "expect.toml"
    path.write_text(text)
    return read_expectations(path, strict)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("mxnet@1.9.1/executor.train.train/seed/gradient", True),
        ("mxnet@1.*/executor.*/*/gradient", True),
        ("mxnet@*", True),
        ("mxnet@1.9.1/*.train", True),
        ("mxnet@1.9.1+*", False),
        ("*/gradient", False),
        ("mxnet@1.9.1/*/gradient", False),
        ("mxnet@1.9.1/*/Seed", False),
        ("mxnet@1.9.[12]/*/see?", True),
    ],
)
def test_a_glob_is_for_one_part_of_an_id_and_parts_left_out_match_all(pattern: str, matches: bool) -> None:
    outcome = against([cell()], entry(pattern, "leak"))
    assert ("expected: leak" if matches else "unexpected: leak") == str(outcome.verdicts[cell().id])
    assert (not matches) == bool(outcome.unmatched)


def test_a_variant_is_part_of_the_release() -> None:
    outcome = against([cell(variant="naive-engine")], entry("mxnet@1.9.1/*", "leak"))
    assert ["unexpected: leak"] == list(shown(outcome).values())
    outcome = against([cell(variant="naive-engine")], entry("mxnet@1.9.1+naive-engine/*", "leak"))
    assert ["expected: leak"] == list(shown(outcome).values())


def test_the_last_entry_that_matches_a_cell_decides_alone() -> None:
    cells = [cell(findings=("leak", "racy")), cell(network="conv", findings=CLEAN)]
    broad, narrow = entry("mxnet@*", "leak"), entry("mxnet@*/*/seed/*", "racy", line=5)
    exception = entry("mxnet@*/*/conv/*", line=9)
    assert {cells[0].id: "unexpected: leak; expected: racy"} == shown(against(cells, broad, narrow, exception))
    assert {
        cells[0].id: "unexpected: racy; expected: leak",
        cells[1].id: "fixed: leak",
    } == shown(against(cells, narrow, broad))


def test_a_clean_cell_without_an_entry_has_no_verdict() -> None:
    assert {} == shown(against([cell(findings=CLEAN)]))


def test_what_is_shown_sometimes_is_neither_unexpected_nor_fixed() -> None:
    racy = entry("mxnet@*", "leak", sometimes=frozenset({"racy"}))
    assert ["expected: leak, racy"] == list(shown(against([cell(findings=("leak", "racy"))], racy)).values())
    assert ["expected: leak"] == list(shown(against([cell(findings=("leak",))], racy)).values())
    assert ["fixed: leak; expected: racy"] == list(shown(against([cell(findings=("racy",))], racy)).values())


@pytest.mark.parametrize("status", ["unavailable", "install-failed", "timed-out", "out-of-memory", "not-asked"])
def test_a_cell_that_could_not_be_measured_is_neither(status: str) -> None:
    outcome = against([unmeasured(status)], entry("mxnet@*", "leak"), strict=True)
    assert ({}, False) == (shown(outcome), outcome.failed)


def test_a_cell_that_its_release_does_not_have_is_neither() -> None:
    assert {} == shown(against([unmeasured("not-in-release")], entry("mxnet@*", "leak")))


def test_crashes_and_refusals_are_expected_like_findings() -> None:
    cells = [unmeasured("refused"), cell(network="conv", status="crashed", findings=("leak",))]
    assert ["unexpected: refused", "unexpected: crashed; expected: leak"] == list(
        shown(against(cells, entry("*/*/conv/*", "leak"))).values()
    )
    assert ["expected: refused", "expected: leak, crashed"] == list(
        shown(against(cells, entry("*", "refused"), entry("*/*/conv/*", "leak", "crashed"))).values()
    )


def test_a_cell_that_crashed_or_was_refused_fixes_nothing() -> None:
    cells = [unmeasured("refused"), cell(network="conv", status="crashed", findings=())]
    outcome = against(cells, entry("*", "leak", "refused", "crashed"))
    assert ["expected: refused", "expected: crashed"] == list(shown(outcome).values())


def test_an_undecided_cell_fixes_no_finding() -> None:
    undecided = cell(findings=(), undecided="no tensor can be read")
    assert {} == shown(against([undecided], entry("*", "leak")))
    assert ["fixed: refused"] == list(shown(against([undecided], entry("*", "leak", "refused"))).values())


def test_only_what_is_unexpected_fails_unless_strict() -> None:
    leaking, clean = cell(), cell(findings=CLEAN)
    assert against([leaking]).failed
    assert not against([leaking], entry("*", "leak"), strict=True).failed
    assert [False, True] == [against([clean], entry("*", "leak"), strict=strict).failed for strict in (False, True)]
    elsewhere = entry("onnx@*", "leak")
    assert [False, True] == [against([clean], elsewhere, strict=strict).failed for strict in (False, True)]


def test_entries_that_decide_nothing_are_named() -> None:
    outcome = against(
        [cell()],
        entry(["mxnet@1.9.1/*", "mxnet@1.2/*"], "racy", line=3),
        entry("mxnet@*", "leak", line=8),
        entry(["onnx@*", "mxnet@1.9.1/*", "mnn@*"], "leak", line=12),
    )
    assert [
        (3, "mxnet@1.2/*", "matches no cell"),
        (3, "mxnet@1.9.1/*", "is overridden by later entries in all its cells"),
        (8, "mxnet@*", "is overridden by later entries in all its cells"),
        (12, "onnx@*", "matches no cell"),
        (12, "mnn@*", "matches no cell"),
    ] == [(lost.line, lost.pattern, lost.why) for lost in outcome.unmatched]


GOOD = '[[expect]]\ncells = "mxnet@*"\nfindings = ["leak"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[expect]\ncells = "mxnet@*"\n', "line 1, column 9: not TOML: "),
        ('# all\n\ncells = "mxnet@*\n', "line 3, column 17: not TOML: "),
        ('[[expect]]\ncells = "mxnet@*', "line 2: not TOML: "),
        ('cells = "mxnet@*"', "line 1: unknown table or key 'cells'. Did you mean expect?"),
        (GOOD + "\n[[expected]]\n", "line 5: unknown table or key 'expected'. Did you mean expect?"),
        ('expect = "leak"', "line 1: 'expect' is no list of tables. Write [[expect]] above each entry."),
        ("# finding = 1\n" + GOOD + 'finding = ["leak"]', "line 5: unknown key 'finding'. Did you mean findings"),
        (GOOD + "\n# the next\n[[expect]]\nfindings = ['leak']", "line 6: an entry without `cells`"),
        (GOOD.replace('"mxnet@*"', "3"), "line 2: `cells` is a number, not a list of texts."),
        (GOOD.replace('"mxnet@*"', '["a", 1]'), "line 2: `cells` is a list of other values, not a list of texts."),
        (GOOD.replace('"mxnet@*"', "[]"), "line 2: `cells` is empty."),
        (
            GOOD.replace('"mxnet@*"', '[\n"mxnet@*",\n"a/b/c/d/e"]'),
            "line 4: 'a/b/c/d/e' is no pattern of cells, runtime@",
        ),
        (GOOD.replace("mxnet@*", "mxnet@*//seed"), "line 2: 'mxnet@*//seed' is no pattern of cells, runtime@"),
        (GOOD.replace('["leak"]', '"leak"'), "line 3: `findings` is a text, not a list of texts."),
        (GOOD.replace('["leak"]', '["leek"]'), "line 3: unknown finding 'leek'. Did you mean leak"),
        (GOOD.replace('["leak"]', "[]"), 'line 3: `findings` is empty. Write findings = ["clean"]'),
        (GOOD.replace('["leak"]', '["clean", "leak"]'), "line 3: `clean` stands alone"),
        (GOOD.replace('findings = ["leak"]', ""), 'line 1: an entry without `findings`. Write findings = ["clean"]'),
        (GOOD + 'sometimes = ["refuse"]', "line 4: unknown finding 'refuse'. Did you mean refused"),
        (GOOD + "reason = true", "line 4: `reason` is a truth value, not a text."),
        (GOOD + "link = {a = 1}", "line 4: `link` is a table, not a text."),
        (GOOD + "link.to = 'x'", "line 4: `link` is a table, not a text."),
        (
            'expect = [\n{cells = "mxnet@*", findings = ["leak"]},\n{cells = "a", findings = ["leek"]}]',
            "line 3: unknown f",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/expect.toml, {said}")
    assert "\n" not in str(caught.value)


def test_strict_asks_for_reasons(tmp_path: Path) -> None:
    text = GOOD + 'reason = "documented"\n\n' + GOOD + 'reason = " "\n'
    assert 2 == len(read(tmp_path, text).entries)
    with pytest.raises(UsageError, match="line 9: an entry without a reason, which --strict asks for"):
        read(tmp_path, text, strict=True)


@pytest.mark.parametrize("text", ["", "# nothing is expected\n"])
def test_a_file_without_entries_expects_clean_cells(text: str, tmp_path: Path) -> None:
    assert () == read(tmp_path, text).entries


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none.toml: No such file or directory. `crosscheck expect RUN -o "):
        read_expectations(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'reason = "\xe9"')
    with pytest.raises(UsageError, match=r"latin.toml: not UTF-8"):
        read_expectations(tmp_path / "latin.toml")


def written(cells: Sequence[JudgedCell], folder: Path, old: str | None = None) -> str:
    """The text of a file that a run writes, over an old one."""
    return updated(cells, None if old is None else read(folder, old)).text


def test_alike_cells_become_one_pattern(tmp_path: Path) -> None:
    cells = [
        cell(release=release, mode=f"executor.{mode}", network=network, findings=findings)
        for release in ("0.11.0", "1.9.1")
        for network in ("seed", "conv")
        for mode, findings in (("train.train", ("leak",)), ("train.default", ("leak",)), ("eval.eval", CLEAN))
    ]
    (only,) = read(tmp_path, written(cells, tmp_path)).entries
    assert (("mxnet@*/executor.train.*/*/gradient",), frozenset({"leak"})) == (only.cells, only.findings)


def test_a_pattern_of_one_cell_is_its_id(tmp_path: Path) -> None:
    (only,) = read(tmp_path, written([cell()], tmp_path)).entries
    assert (cell().id,) == only.cells


def test_signs_of_globs_in_names_stand_for_themselves(tmp_path: Path) -> None:
    odd, clean = cell(network="a/mine[1]*"), cell(network="a/mine1x", findings=CLEAN)
    expectations = read(tmp_path, written([odd, clean], tmp_path))
    assert {odd.id: "expected: leak"} == shown(compare([odd, clean], expectations))


def test_entries_that_are_true_stay_as_they_are(tmp_path: Path) -> None:
    old = (
        "# Ours.\n\n# Documented since 2017.\n[[expect]]\ncells = 'mxnet@*'  # all\nfindings = ['leak']\n"
        'reason = "documented"\n'
    )
    new = written([cell(), cell(runtime="onnx", findings=("racy",))], tmp_path, old)
    assert new.startswith(old)
    assert '\n\n[[expect]]\ncells = ["onnx@1.9.1/executor.train.train/seed/gradient"]\nfindings = ["racy"]\n' in new


def test_an_entry_that_is_no_longer_true_leaves_its_reason_to_what_is(tmp_path: Path) -> None:
    old = GOOD + "reason = 'documented \"as it is\"'\nlink = 'https://example.org'\n"
    cells = [cell(), cell(network="conv", findings=CLEAN), cell(network="dense", findings=("racy",))]
    first, second = read(tmp_path, written(cells, tmp_path, old)).entries
    assert ((cells[0].id,), 'documented "as it is"', "https://example.org") == (first.cells, first.reason, first.link)
    assert ((cells[2].id,), frozenset({"racy"}), "") == (second.cells, second.findings, second.reason)


def test_entries_in_another_style_are_written_anew_where_they_are_true(tmp_path: Path) -> None:
    old = (
        'expect = [{cells = "mxnet@*", findings = ["leak"], reason = "a\u2028b\\u007f"}, '
        '{cells = ["tract@*"], findings = ["leak"]}]\n'
    )
    (only,) = read(tmp_path, written([cell()], tmp_path, old)).entries
    assert (("mxnet@*",), frozenset({"leak"}), "a\u2028b\x7f") == (only.cells, only.findings, only.reason)
    again = written([cell()], tmp_path, (tmp_path / "expect.toml").read_text())
    assert only.reason == read(tmp_path, again).entries[0].reason


def test_an_entry_that_matches_nothing_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "expect.toml"
    path.write_text(GOOD + "\n" + GOOD.replace("mxnet", "mnn"))
    (tmp_path / "cells.jsonl").write_text(json.dumps(make_cell()) + "\n")
    assert 0 == main(["expect", str(tmp_path), "-o", str(path)])
    said = f"line 5, no longer true: mnn@*\nexpectations: {path}: 1 entries, of which 1 stood there before\n"
    assert (said, GOOD) == (capsys.readouterr().out, path.read_text())


def test_the_command_prints_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cells.jsonl").write_text(json.dumps(make_cell()) + "\n")
    assert 0 == main(["expect", str(tmp_path)])
    (only,) = read(tmp_path, capsys.readouterr().out).entries
    assert ((make_cell()["id"],), frozenset({"leak"})) == (only.cells, only.findings)


#: What a cell of a drawn run shows: status and findings.
SHOWN = (
    ("ok", CLEAN),
    ("ok", ("leak",)),
    ("ok", ("leak", "racy")),
    ("ok", ()),
    ("crashed", ("leak",)),
    ("refused", ()),
    ("timed-out", ()),
    ("not-in-release", ()),
)
PLACES = [
    (runtime, release, variant, mode, network)
    for runtime in ("mxnet", "onnx")
    for release in ("0.9", "1.0", "1.1")
    for variant in ("plain", "mkl")
    for mode in ("train.a", "train.b", "eval")
    for network in ("seed", "seed-batch")
]
RUNS = st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(SHOWN)), unique_by=lambda item: item[0], max_size=40)


def drawn(run: list[tuple[tuple[str, ...], tuple[str, tuple[str, ...]]]]) -> list[JudgedCell]:
    return [
        cell(
            runtime=runtime, release=release, variant=variant, mode=mode, network=network, status=status, findings=found
        )
        for (runtime, release, variant, mode, network), (status, found) in run
    ]


def assert_fulfilled(cells: Sequence[JudgedCell], expectations: Expectations) -> None:
    outcome = compare(cells, expectations)
    assert {} == {name: text for name, text in shown(outcome).items() if not text.startswith("expected: ")}
    assert () == outcome.unmatched
    shows = {cell.id for cell in cells if set(cell.findings) - {"clean"} or cell.status in ("crashed", "refused")}
    assert shows == outcome.verdicts.keys()


@settings(max_examples=60, deadline=None)
@given(RUNS, RUNS)
def test_a_run_fulfils_the_file_that_it_writes_also_over_an_older_one(
    tmp_path_factory: pytest.TempPathFactory, run: Any, later: Any
) -> None:
    folder = tmp_path_factory.getbasetemp()
    first, second = drawn(run), drawn(later)
    text = written(first, folder)
    assert_fulfilled(first, read(folder, text))
    assert text == written(first, folder, text)
    assert_fulfilled(second, read(folder, written(second, folder, text)))
