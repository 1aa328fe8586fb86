"""The report of synthetic runs: contents of the page and its tables, and escaping of runtimes' texts."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from crosscheck.cells import Finding, Status
from crosscheck.errors import CrosscheckError
from crosscheck.records import JudgedCell
from crosscheck.records.versions import run_of
from crosscheck.report import curves, matrix, number_text, sections, summary, vocabulary, write
from crosscheck.report.embedded_data import embedded
from crosscheck.report.reading import read_cells

SEED_BEFORE = [[0.29985, 0.3998]]
SEED_AFTER = [[0.2844466, 0.3792626]]
FALL = [0.98 - 0.03 * call for call in range(21)]
MODES = {
    "executor.train.train": ("training", "gradient"),
    "executor.eval.default": ("inference", "gradient"),
    "executor.eval.eval": ("inference", "gradient"),
    "executor.predict": ("inference", "prediction"),
}


def make_cell(
    release: str = "1.9.1",
    mode: str = "executor.train.train",
    network: str = "seed",
    scenario: str = "gradient",
    findings: tuple[str, ...] = ("leak",),
    runtime: str = "mxnet",
    variant: str = "plain",
    **fields: Any,
) -> dict[str, Any]:
    """A line of `cells.jsonl`; by default a measured cell of `seed`."""
    intent, asks = MODES.get(mode, ("training", "gradient"))
    suffix = "" if variant == "plain" else f"+{variant}"
    leaks = "leak" in findings
    return {
        "schema": 1,
        "id": f"{runtime}@{release}{suffix}/{mode}/{network}/{scenario}",
        "runtime": runtime,
        "release": release,
        "released": "",
        "variant": variant,
        "mode": mode,
        "intent": intent,
        "asks": asks,
        "network": network,
        "scenario": scenario,
        "call": f"executor.forward(is_train=...)  # {mode}\nexecutor.backward()",
        "status": "ok",
        "reason": None,
        "findings": list(findings),
        "evidence": [
            {
                "finding": finding,
                "what": "largest change of prediction/after",
                "value": 0.0205,
                "threshold": 1e-6,
                "why": "float32 rounding",
                "detail": "row 0, class 1",
            }
            for finding in findings
        ],
        "contract": {"statistics": "stay", "says": "The moving statistics are used.", "link": "https://example.org/bn"},
        "contradicts": leaks,
        "trials": [
            {
                "reading": "undisturbed",
                "count": 2,
                "statuses": {"ok": 2},
                "outcomes": [{"count": 2, "what": "prediction 0.284447"}],
            }
        ],
        "prediction_before": SEED_BEFORE,
        "prediction_after": SEED_AFTER if leaks else SEED_BEFORE,
        "top1_before": [1],
        "top1_after": [1],
        "gradient": [[0.0, 0.0]],
        "gradient_error": {"inference": 1.0, "training": 0.0} if leaks else {"inference": 3.1e-8, "training": 0.62},
        "later": {"gradient_again": {"inference": 1.0, "training": 2e-8}, "inference_gradient": None},
        "state_changes": {"bn.mean": 0.04 if leaks else 0.0, "bn.var": 0.1 if leaks else 0.0},
        "update": {"when": "backward", "count": 1, "momentum": 0.9, "variance": "biased", "residual": 1.2e-8}
        if leaks
        else None,
        "public_view": "shows" if leaks else None,
        "curve": None,
        "seconds": 0.05,
        "environment": {
            "python": "3.11.7",
            "lock": f"{release}.txt",
            "packages": {"mxnet": release, "numpy": "1.23.5"},
            "variables": {},
        },
        "stderr": "",
        "arrays": None,
        "reproduce": f"crosscheck run {runtime}@{release} --mode {mode} --network {network} --scenario {scenario}",
        **fields,
    }


def unmeasured_cell(status: str, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """An unmeasured cell, whose numbers are null."""
    return make_cell(
        findings=(),
        status=status,
        reason=reason,
        **{
            **dict.fromkeys(
                ("prediction_before", "prediction_after", "top1_before", "top1_after", "gradient", "gradient_error")
            ),
            **dict.fromkeys(("later", "update", "public_view", "contradicts")),
            "state_changes": {},
            "trials": [],
            **fields,
        },
    )


def curve_cell(accuracy: list[float], top1: list[int], **fields: Any) -> dict[str, Any]:
    """A cell of `twenty` on the digits."""
    leaks = len(set(accuracy)) > 1
    return make_cell(
        **{
            "network": "digits",
            "scenario": "twenty",
            "findings": ("leak",) if leaks else ("clean",),
            "curve": {"accuracy": accuracy, "top1": top1, "label": top1[0]},
            "gradient": None,
            "gradient_error": None,
            "later": None,
            **fields,
        }
    )


def make_run(**fields: Any) -> dict[str, Any]:
    """A `run.json` of two runtimes."""
    return {
        "schema": 1,
        "crosscheck": "0.1.0",
        "started": "2026-11-22T16:00:00+00:00",
        "command": ["crosscheck", "run"],
        "machine": {
            "system": "Linux",
            "machine": "x86_64",
            "cpu": "a processor",
            "cores": 2,
            "memory_bytes": 24_000_000_000,
            "python": "3.11.7",
        },
        "jobs": 2,
        "isolation": "fork",
        "seconds": {"environments": 61.2, "cells": 90.0, "judging": 1.5, "total": 152.7},
        "counts": {"cells": 9, "trials": 40, "reused": 0},
        "runtimes": {
            "mxnet": {
                "title": "Apache MXNet",
                "link": "https://example.org/mxnet",
                "releases": ["0.9.5.post2", "0.11.0", "1.2.0", "1.9.1"],
                "modes": [
                    {"name": name, "intent": intent, "asks": asks, "call": ""} for name, (intent, asks) in MODES.items()
                ],
            },
            "onnxruntime": {"title": "ONNX Runtime", "link": "", "releases": ["1.0.0"], "modes": []},
        },
        "networks": {"seed": {"title": "The seed"}, "digits": {"title": "Digits"}, "digits-plain": {"title": "Plain"}},
        "scenarios": {
            "gradient": {"question": "Does one gradient change it?", "steps": "predict, gradient, predict"},
            "twenty": {"question": "And twenty?", "steps": "twenty times"},
        },
        "environments": {
            "mxnet@1.9.1": {"lock": "locks/1.9.1.txt", "python": "3.11.7", "packages": {"mxnet": "1.9.1"}}
        },
        **fields,
    }


def file_facts(text: str = "") -> dict[str, Any]:
    """What `run.json` has of a user's file; `text` stands for all words that come from the file."""
    return {
        "file": text or "mine.onnx",
        "opset": 15,
        "ir": 8,
        "nodes": 3,
        "inputs": [{"name": text or "x", "type": "float32", "shape": [4, 3, 24, 24]}],
        "outputs": [
            {"name": text or "y", "type": "float32", "shape": [4, 5]},
            {"name": text or "z", "type": "", "shape": None},
        ],
        "operators": {"BatchNormalization": 2, text or "Conv": 1},
        "batch_norms": [
            {
                "attributes": "epsilon 1e-05, momentum 0.9",
                "statistics": "moving statistics in opset 15 (training_mode = 0)",
                "layers": [[text or "first", 4], [text or "second", 6]],
            }
        ],
        "differentiated": "number 2 alone",
        "rows": 2,
        "said": [text or "input 'x' is taken as 4,3,24,24; --batch N changes it.", "it is asked as it is alone."],
    }


def default_cells() -> list[dict[str, Any]]:
    """Training mode leaks in every release; one inference mode is clean from 0.11.0 on, the other never."""
    cells = []
    for release in ("0.9.5.post2", "0.11.0", "1.9.1"):
        old = release == "0.9.5.post2"
        cells.append(make_cell(release))
        cells.append(make_cell(release, "executor.eval.default", findings=("leak", "mode-ignored")))
        cells.append(
            unmeasured_cell("not-in-release", release=release, mode="executor.eval.eval")
            if old
            else make_cell(release, "executor.eval.eval", findings=("clean",))
        )
        cells.append(make_cell(release, "executor.predict", scenario="predict-only", findings=("clean",)))
        cells.append(curve_cell(FALL, [3] * 5 + [8] * 16, release=release))
        cells.append(curve_cell([0.98] * 21, [3] * 21, release=release, mode="executor.predict"))
    cells.append(
        unmeasured_cell("unavailable", "1.2.0 needs CPython 3.7; this machine has 3.11. Install it.", release="1.2.0")
    )
    cells.append(make_cell("1.0.0", "session.run", findings=("clean",), runtime="onnxruntime", asks="prediction"))
    return cells


def saved(folder: Path, cells: list[dict[str, Any]], run: dict[str, Any] | None = None) -> Path:
    """Write `cells.jsonl` and `run.json` like a job."""
    (folder / "run.json").write_text(json.dumps(run or make_run(), allow_nan=False))
    (folder / "cells.jsonl").write_text("".join(json.dumps(cell, allow_nan=False) + "\n" for cell in cells))
    return folder


def loaded(tmp_path: Path, cells: list[dict[str, Any]]) -> list[JudgedCell]:
    """The cells, written and read back."""
    return read_cells(saved(tmp_path, cells) / "cells.jsonl")


RUN = run_of(make_run())


class Page(HTMLParser):
    """A parsed page: tables as lists of rows of texts, tags with attributes, and the whole text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.embedded = ""
        self._inside: str | None = None
        self.feed(html.replace("<wbr>", ""))  # a place where a line may end is no text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag in ("script", "style"):
            self._inside = dict(attrs).get("id") or tag
        if tag in ("td", "th", "caption"):
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "caption", "script", "style"):
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside in ("td", "th"):
            self.tables[-1][-1][-1] += " ".join(data.split()) and " ".join(data.split()) + " "
        if self._inside == "cells":
            self.embedded += data
        if self._inside not in ("cells", "vocabulary", "script", "style"):
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def table(self, heading: str) -> list[list[str]]:
        """The first table with a column of that heading."""
        return next(table for table in self.tables if heading in [text.strip() for text in table[0]])

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


def unpacked(embedded_text: str) -> dict[str, Any]:
    """The embedded data, as the page's JavaScript unpacks them."""
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(embedded_text)))
    return data


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(write(saved(tmp_path, default_cells())).read_text())


def test_the_causes_come_first(page: Page) -> None:
    causes = page.tables[0]
    assert "Operator" in [heading.strip() for heading in causes[0]]
    assert all("crosscheck reduce mxnet@" in row[-1] for row in causes[1:])


def test_the_example_of_2017_stands_beside_the_newest_numbers_of_its_runtime(page: Page) -> None:
    heads, then, now = page.table("Where")
    assert ["Where", "Prediction before", "and after"] == [text.strip() for text in heads]
    assert ["0.29985 0.3998", "0.284447 0.379263"] == [text.strip() for text in then[1:]]
    assert "Apache MXNet 1.9.1, executor.train.train , this run" == now[0].strip()
    assert ["0.29985 0.3998", "0.284447 0.379263"] == [text.strip() for text in now[1:]]


def test_the_example_of_2017_has_a_table(page: Page) -> None:
    example = page.table("After a training-mode gradient")
    rows = {row[0].strip(): row[1:] for row in example[1:]}
    assert list(rows) == ["0.9.5.post2", "0.11.0", "1.2.0", "1.9.1"]
    for release in ("0.9.5.post2", "1.9.1"):
        assert rows[release][0].strip() == "0.29985 0.3998"
        assert rows[release][1].startswith("0.284447 0.379263 ")
    assert rows["1.9.1"][2].startswith("0.29985 0.3998 ")
    assert "unavailable 1.2.0 needs CPython 3.7" in rows["1.2.0"][0]


def test_the_answer_comes_first_and_has_the_numbers(page: Page) -> None:
    assert "Yes, in 3 of the 3 releases measured (1 of 1 runtime): computing an input gradient changed" in page.words
    assert "in 3 of them contrary to the documentation. 1 further release could not be measured." in page.words
    assert "Leaking modes: mxnet executor.train.train (3 of 3 releases), mxnet executor.eval.default" in page.words
    assert "clean from release 0.11.0 on, in every later measured release, in mode executor.eval.eval" in page.words
    assert "In 0.9.5.post2, the previous measured release, executor.eval.eval was not measured." in page.words
    assert "every measured release that has them: mxnet executor.eval.eval (2 releases)." in page.words


def test_only_measured_gradients_count_in_the_answer(tmp_path: Path) -> None:
    cells = loaded(
        tmp_path,
        [
            make_cell("0.11.0", findings=("clean",)),
            make_cell("0.11.0", "executor.predict", scenario="predict-only", findings=("leak",)),
            unmeasured_cell("timed-out", "no answer in 60 s", release="1.9.1"),
        ],
    )
    facts = summary.answer(RUN, cells)
    assert facts.measured == (("mxnet", "0.11.0"),)
    assert facts.leaking == ()
    assert [mode.mode for mode in facts.safe_modes] == ["executor.train.train"]


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        (("clean", "clean", "clean"), "0.9.5.post2"),
        (("leak", "clean", "clean"), "0.11.0"),
        (("clean", "leak", "clean"), "1.9.1"),
        (("clean", "clean", "leak"), None),
    ],
)
def test_clean_since_means_clean_in_every_later_release(
    tmp_path: Path, findings: tuple[str, ...], expected: str | None
) -> None:
    releases = ("0.9.5.post2", "0.11.0", "1.9.1")
    lines = [
        make_cell(release, "executor.eval.eval", findings=(finding,))
        for release, finding in zip(releases, findings, strict=True)
    ]
    facts = summary.answer(RUN, loaded(tmp_path, lines[::-1]))
    assert facts.first_clean[0].release == expected


def test_one_unclean_network_makes_a_release_unclean(tmp_path: Path) -> None:
    cells = loaded(
        tmp_path,
        [
            make_cell("1.9.1", "executor.eval.eval", findings=("clean",)),
            make_cell("1.9.1", "executor.eval.eval", "digits", findings=("wrong-gradient",)),
        ],
    )
    facts = summary.answer(RUN, cells)
    assert facts.first_clean[0].release is None
    assert facts.first_clean[0].span is None
    assert facts.safe_modes == ()


def test_a_clean_span_has_its_end_and_later_findings(tmp_path: Path) -> None:
    findings = {"0.9.5.post2": "leak", "0.11.0": "clean", "1.9.1": "wrong-gradient"}
    lines = [
        make_cell(release, "executor.eval.eval", "conv", findings=(finding,)) for release, finding in findings.items()
    ]
    lines += [make_cell(release, "executor.eval.eval", "digits", findings=("clean",)) for release in findings]
    (first,) = summary.answer(RUN, loaded(tmp_path, lines)).first_clean
    assert first.release is None
    assert first.span == summary.CleanSpan(
        release="0.11.0",
        until="0.11.0",
        modes=("executor.eval.eval",),
        shows=("wrong-gradient",),
        networks=("conv",),
        others=("digits",),
    )


def test_leaking_variants_are_named_with_a_clean_release(tmp_path: Path) -> None:
    cells = loaded(
        tmp_path,
        [
            make_cell("1.9.1", "executor.eval.eval", findings=("clean",)),
            make_cell("1.9.1", "executor.eval.eval", findings=("leak",), variant="mkl"),
        ],
    )
    (asked,) = summary.answer(RUN, cells).asked
    assert (asked.clean_from, asked.spoilt_variants, asked.safe) == ("1.9.1", ("mkl",), False)


def test_a_crashed_cell_is_not_clean(tmp_path: Path) -> None:
    cells = loaded(
        tmp_path, [make_cell(mode="executor.eval.eval", findings=("clean",), status="crashed", reason="SIGSEGV")]
    )
    assert summary.answer(RUN, cells).safe_modes == ()


def test_a_run_without_gradients(tmp_path: Path) -> None:
    line = make_cell("1.0.0", "session.run", findings=("clean",), runtime="onnxruntime", asks="prediction")
    page = Page(write(saved(tmp_path, [line])).read_text())
    assert "This run measured no input gradient." in page.words


def test_no_clean_inference_mode(tmp_path: Path) -> None:
    page = Page(write(saved(tmp_path, [make_cell("0.9.5.post2", "executor.eval.default")])).read_text())
    assert (
        "inference-mode gradients are clean in no measured release (1 mode); in the newest release they show leak."
        in page.words
    )
    assert "No gradient mode was clean in every measured cell." in page.words


def test_releases_and_modes_have_the_runs_order(tmp_path: Path) -> None:
    lines = [make_cell(release, mode) for release in ("1.9.1", "0.9.5.post2") for mode in reversed(MODES)]
    (table,) = matrix.tables(RUN, loaded(tmp_path, lines), "mxnet")
    assert table.releases == ("0.9.5.post2", "1.9.1")
    assert [(group.title, [row.mode for row in group.rows]) for group in table.groups] == [
        ("Training-mode gradients", ["executor.train.train"]),
        ("Inference-mode gradients", ["executor.eval.default", "executor.eval.eval"]),
        ("Predictions (controls)", ["executor.predict"]),
    ]


def summarized(summary: str, call: str = "") -> dict[str, Any]:
    """A `run.json` with the summary and the text of the mode "executor.train.train"."""
    run = make_run()
    (facts,) = (facts for facts in run["runtimes"]["mxnet"]["modes"] if facts["name"] == "executor.train.train")
    facts |= {"summary": summary, "call": call}
    return run


def test_the_matrix_and_the_numbers_have_the_summary_of_a_mode_and_its_text_where_the_pointer_rests(
    tmp_path: Path,
) -> None:
    call = "net.forward(is_train=True)\nnet.backward()"
    lines = [make_cell(), make_cell(mode="executor.eval.eval")]
    page = Page(write(saved(tmp_path, lines, summarized("bound symbol, backward()", call))).read_text())
    modes = [row[0].split() for row in page.table("Mode") if row[0].startswith("executor")]
    assert [["executor.train.train", "bound", "symbol,", "backward()"], ["executor.eval.eval"]] == modes
    assert 2 == page.words.count("executor.train.train bound symbol, backward()")
    assert call in page.attributes("title")


def test_the_one_api_of_a_group_stands_beside_its_heading(tmp_path: Path) -> None:
    run = make_run()
    run["runtimes"]["mxnet"]["apis"] = {"executor.*": "symbolic executor", "gluon.*": "Gluon"}
    modes = ("executor.train.train", "executor.eval.eval", "gluon.eval")
    lines = [make_cell(mode=mode, intent="inference" if "eval" in mode else "training") for mode in modes]
    page = Page(write(saved(tmp_path, lines, run)).read_text())
    headings = [row[0].strip() for row in page.table("Mode")[1:] if len(row) == 1]
    assert ["Training-mode gradients symbolic executor", "Inference-mode gradients", "symbolic executor", "Gluon"] == (
        headings
    )


def square(tmp_path: Path, lines: list[dict[str, Any]]) -> matrix.Square:
    """The square of the one mode and release of these cells."""
    (table,) = matrix.tables(RUN, loaded(tmp_path, lines), "mxnet")
    return table.groups[0].rows[0].squares[0]


def test_a_square_shows_the_worst_finding_over_networks_and_links_to_it(tmp_path: Path) -> None:
    result = square(
        tmp_path,
        [
            make_cell(findings=("clean",)),
            make_cell(network="conv", findings=("state-moved", "leak")),
            make_cell(network="digits", findings=("corrupted", "leak"), contradicts=True),
        ],
    )
    assert (result.kind, result.name, result.letters) == ("finding", "corrupted", ("X", "L", "S"))
    assert result.target == "mxnet@1.9.1/executor.train.train/digits/gradient"
    assert "against" == result.documentation
    assert "leak in 2 of 3 measured cells" in result.title


def test_clean_is_shown_only_without_other_findings(tmp_path: Path) -> None:
    assert square(tmp_path, [make_cell(findings=("clean",))]).letters == ("✓",)
    assert square(tmp_path, [make_cell(findings=("clean",)), make_cell(network="a", findings=("racy",))]).letters == (
        "R",
    )


def test_failures_differ_from_findings_and_share_footnotes(tmp_path: Path) -> None:
    reason = "no CPython 3.7 here"
    lines = [
        unmeasured_cell("unavailable", reason, release="1.2.0"),
        unmeasured_cell("unavailable", reason, release="1.2.0", network="conv"),
        unmeasured_cell("unavailable", reason, release="1.9.1"),
        unmeasured_cell("not-in-release", release="0.11.0"),
        make_cell("0.9.5.post2"),
    ]
    (table,) = matrix.tables(RUN, loaded(tmp_path, lines), "mxnet")
    kinds = [(result.kind, result.letters, result.notes) for result in table.groups[0].rows[0].squares]
    assert kinds == [
        ("finding", ("L",), ()),
        ("absent", (number_text.DASH,), ()),
        ("status", ("u",), (1,)),
        ("status", ("u",), (1,)),
    ]
    assert table.notes == (f"unavailable: {reason}",)


def test_a_square_shows_findings_and_failures(tmp_path: Path) -> None:
    result = square(tmp_path, [make_cell(), unmeasured_cell("timed-out", "no answer in 60 s", network="conv")])
    assert (result.kind, result.name, result.notes) == ("finding", "leak", (1,))
    assert "timed-out: 1 of 2 cells" in result.title


def test_variants_have_separate_tables(tmp_path: Path) -> None:
    lines = [make_cell(variant="naive-engine", findings=("clean",)), make_cell()]
    assert [
        (table.variant, table.groups[0].rows[0].squares[0].name)
        for table in matrix.tables(RUN, loaded(tmp_path, lines), "mxnet")
    ] == [
        ("plain", "leak"),
        ("naive-engine", "clean"),
    ]


def test_equal_curves_share_a_drawing_and_controls_are_flat(tmp_path: Path) -> None:
    (panel,) = curves.panels(RUN, [cell for cell in loaded(tmp_path, default_cells()) if cell.curve])
    falling, flat = panel.groups
    assert not falling.flat
    assert [len(members.releases) for members in falling.members] == [3]
    assert falling.change == pytest.approx(-0.6)
    assert falling.first_other_class == 5
    assert flat.flat
    assert [(runtime, asking.mode, asking.control) for runtime, asking in flat.modes] == [
        ("mxnet", "executor.predict", True)
    ]


def test_a_curve_is_drawn_over_its_range_and_leaves_gaps_for_not_a_number() -> None:
    modes = tuple(curves.Asking(name, False, "") for name in ("executor.a.long.name", "executor.train.train"))
    group = curves.CurveGroup((1.0, 0.5, float("nan"), 0.0), (3, 3, 8, 8), 3, (curves.Members("mxnet", modes, ()),), ())
    drawing = str(curves.chart([group], 'falls & "rises"'))
    assert [points.split() for points in re.findall(r'points="([^"]*)"', drawing)] == [
        [f"{curves.LEFT}.0,{curves.TOP}.0", "86.0,63.0"],
        [f"{curves.RIGHT}.0,{curves.BOTTOM}.0"],
    ]
    assert 'aria-label="falls &amp; &#34;rises&#34;"' in drawing
    assert ">executor.a.long.name +1</text>" in drawing


def test_the_curves_numbers_are_in_a_table(page: Page) -> None:
    table = next(table for table in page.tables if table[0][1].startswith("Accuracy before"))
    assert [[word.strip() for word in row[:7]] for row in table[1:]] == [
        ["1", "0.98", "0.38", "0.38", "3", "8", "5"],
        ["2, flat", "0.98", "0.98", "0.98", "3", "3", number_text.DASH],
    ]
    assert table[1][7].strip() == "executor.train.train in 0.9.5.post2, 0.11.0, 1.9.1"


def test_equal_cells_share_a_line_with_separate_anchors(tmp_path: Path) -> None:
    cells = loaded(tmp_path, [make_cell("0.11.0"), make_cell("0.9.5.post2"), make_cell("1.9.1", findings=("clean",))])
    indices = {cell.id: at for at, cell in enumerate(cells)}
    (section,) = sections.sections(RUN, cells, "mxnet", indices)
    leaking, clean = section.lines
    assert [(member.name, member.index) for member in leaking.members] == [("0.9.5.post2", 1), ("0.11.0", 0)]
    assert (leaking.before, leaking.after) == ("0.29985 0.3998", "0.284447 0.379263")
    assert leaking.gradient_error == "1.0e+00 / 0"
    assert leaking.moved == "bn.var 1.0e-01 and 1 more"
    assert leaking.update == "1 update in backward, momentum 0.9, variance biased"
    assert [member.name for member in clean.members] == ["1.9.1"]


def test_tables_have_every_finding_and_number_without_javascript(page: Page) -> None:
    lines = [row for table in page.tables if table[0][0].startswith("Scenario, network") for row in table[1:]]
    leak = next(row for row in lines if row[0].startswith("gradient, seed") and "mode-ignored" in row[1])
    assert [word.strip() for word in leak[2:5]] == ["0.29985 0.3998", "0.284447 0.379263", "1.0e+00 / 0"]
    assert leak[7].split() == ["0.9.5.post2", "0.11.0", "1.9.1"]


def test_every_link_within_the_page_has_a_target(page: Page) -> None:
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = {address[1:] for address in page.attributes("href") if address.startswith("#")}
    assert "mxnet@1.9.1/executor.train.train/seed/gradient" in targets
    assert targets <= set(ids)


def test_unmeasured_cells_have_a_reason_and_a_remedy(page: Page) -> None:
    heads, remedy, row = page.table("Reason")
    assert ["Reason", "Where", "Cells"] == [head.strip() for head in heads]
    assert "unavailable" in remedy[0]
    assert "crosscheck doctor" in remedy[0]
    assert [
        "1.2.0 needs CPython 3.7; this machine has 3.11. Install it.",
        "mxnet 1.2.0: executor.train.train",
        "1",
    ] == [text.strip() for text in row]


def test_unmeasured_cells_are_grouped_by_remedy_and_reason(tmp_path: Path) -> None:
    unwritten = "crosscheck does not write this form: node 'c' has no gradient"
    lines = [
        make_cell(),
        unmeasured_cell("refused", 'gradient/1: Error: node 3 "a" failed', network="conv"),
        unmeasured_cell("refused", 'gradient/first: Error: node 12 "a" failed', release="1.2.0"),
        unmeasured_cell("refused", unwritten),
        unmeasured_cell("crashed", "timed: crashed (killed by SIGSEGV)", network="conv", release="1.2.0"),
        unmeasured_cell("crashed", "timed: crashed (killed by SIGSEGV); layers: crashed (killed by SIGSEGV)"),
        unmeasured_cell("refused", "gradient/1: Error: other", network="conv"),
        unmeasured_cell("refused", "gradient/1: Error: other", network="conv", release="1.2.0"),
        unmeasured_cell("refused", "gradient/1: Error: other", network="conv", release="1.3.0"),
    ]
    cells = loaded(tmp_path, lines)
    groups = [[(reason.text, reason.cells) for reason in remedy.reasons] for remedy in sections.unmeasured(RUN, cells)]
    assert [
        [("timed: crashed (killed by SIGSEGV)", 2)],
        [("gradient/1: Error: other", 3), ('gradient/1: Error: node 3 "a" failed', 2)],
        [(unwritten, 1)],
    ] == groups


def test_the_embedded_data_contain_every_cell(page: Page) -> None:
    data = unpacked(page.embedded)

    def unpack(fields: list[str], places: list[int]) -> dict[str, Any]:
        return dict(zip(fields, (data["values"][place] for place in places), strict=True))

    cells = [unpack(data["fields"], row) for row in data["cells"]]
    expected = default_cells()
    assert [cell["id"] for cell in cells] == [line["id"] for line in expected]
    evidence = [[unpack(data["evidence"], places) for places in cell["evidence"]] for cell in cells]
    assert evidence == [line["evidence"] for line in expected]
    places = [int(place) for place in page.attributes("data-c")]
    assert sorted(places) == [place for place, cell in enumerate(cells) if cell["status"] == "ok"]


def test_texts_of_runtimes_are_escaped(tmp_path: Path) -> None:
    attack = '</script><img src=x onerror="alert(1)"><!-- \' " & {{ 7 * 7 }} \ud800'
    hostile: dict[str, Any] = {
        "release": attack,
        "mode": attack,
        "network": attack,
        "runtime": attack,
        "call": attack,
        "stderr": attack,
        "contract": {"statistics": "undocumented", "says": attack, "link": "javascript:alert(1)"},
        "reproduce": attack,
        "state_changes": {attack: 1.0},
    }
    lines = [
        make_cell(**hostile, findings=("leak",)),
        make_cell(**{**hostile, "variant": attack, "release": "1"}, reason=attack),
        unmeasured_cell("refused", attack, **{**hostile, "release": "2"}),
        curve_cell(FALL, [1] * 21, **{**hostile, "release": "3"}),
    ]
    network = {"title": attack, "short": attack, "file": file_facts(attack)}
    run = make_run(command=["crosscheck", attack], networks={attack: network})
    mode = {"name": attack, "intent": "training", "asks": "gradient", "call": attack, "summary": attack}
    run["runtimes"][attack] = {"title": attack, "link": attack, "releases": [], "modes": [mode], "apis": {"*": attack}}
    html = write(saved(tmp_path, lines, run)).read_text()
    page = Page(html)
    assert [tag for tag, _ in page.tags if tag == "img"] == []
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []
    assert [address for address in page.attributes("href") if not address.startswith(("#", "https://"))] == []
    assert "{{ 7 * 7 }}" in page.words
    assert attack in unpacked(page.embedded)["values"]


def test_the_page_makes_no_request_and_has_a_security_policy(page: Page) -> None:
    (policy,) = [content for content in page.attributes("content") if "default-src" in content]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert page.attributes("src") == []
    assert [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "form")] == []
    assert page.attributes("style") == []


def test_headings_tables_and_landmarks_are_marked_up(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert [tag for tag, _ in page.tags].count("caption") == len(page.tables)
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")


def test_non_finite_numbers_are_read_and_shown(tmp_path: Path) -> None:
    line = make_cell(
        findings=("leak", "corrupted"),
        prediction_after=[["NaN", "-Infinity"]],
        state_changes={"bn.mean": "NaN", "bn.var": 3.0},
        gradient_error={"inference": "Infinity", "training": None},
    )
    (cell,) = loaded(tmp_path, [line])
    assert number_text.before_and_after(cell)[1] == "NaN -Infinity"
    assert number_text.largest_change(cell) == "bn.mean NaN and 1 more"
    assert number_text.gradient_error_text(cell.gradient_error) == f"Infinity / {number_text.DASH}"
    assert unpacked(embedded([cell], {}))["values"].count([["NaN", "-Infinity"]]) == 1


def test_the_page_has_of_each_cell_what_it_has_of_one_alone(tmp_path: Path) -> None:
    lines = [make_cell(id="a", seconds=1.5), make_cell(id="b", stderr="warned"), make_cell(id="c", findings=("clean",))]
    cells = loaded(tmp_path, lines)

    def shown(text: str) -> list[dict[str, Any]]:
        data = unpacked(text)
        rows = [dict(zip(data["fields"], map(data["values"].__getitem__, row), strict=True)) for row in data["cells"]]
        for row in rows:
            row["evidence"] = [[data["values"][place] for place in item] for item in row["evidence"]]
        return rows

    alone = [row for cell in cells for row in shown(embedded([cell], {}))]
    assert alone == shown(embedded(cells, {}))
    assert [("a", 1.5, ""), ("b", lines[1]["seconds"], "warned"), ("c", lines[2]["seconds"], "")] == [
        (row["id"], row["seconds"], row["stderr"]) for row in alone
    ]
    assert alone[0]["findings"] == alone[1]["findings"] != alone[2]["findings"]


def test_large_predictions_show_the_largest_change_and_the_class(tmp_path: Path) -> None:
    before = [[0.1] * 10, [0.05] * 9 + [0.55]]
    after = [[0.1] * 10, [0.75] + [0.05] * 8 + [-0.05]]
    line = make_cell(prediction_before=before, prediction_after=after, top1_before=[0, 9], top1_after=[0, 0])
    (cell,) = loaded(tmp_path, [line])
    assert number_text.before_and_after(cell) == (
        "row 1, class 0: 0.05 (row 1: class 9)",
        "row 1, class 0: 0.75 (row 1: class 0)",
    )


def test_predictions_may_change_their_shape(tmp_path: Path) -> None:
    line = make_cell(prediction_after=[[1.0]], top1_after=[0, 0])
    (cell,) = loaded(tmp_path, [line])
    assert number_text.before_and_after(cell) == ("0.29985 0.3998 (row 0: class 1)", "1 (row 0: class 0)")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.2844466, "0.284447"), (0.3998, "0.3998"), (1.0, "1"), (1e-9, "1e-09"), (float("inf"), "Infinity")],
)
def test_predictions_have_six_significant_digits(value: float, text: str) -> None:
    assert number_text.significant(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (74.2, "74 s"), (725.0, "12 min 5 s"), (7380.0, "2 h 3 min")]
)
def test_durations_have_readable_units(seconds: float, text: str) -> None:
    assert number_text.duration(seconds) == text


def test_consecutive_releases_become_a_span() -> None:
    order = ["0.9", "0.10", "0.11", "0.12", "1.0"]
    members = [(name, "plain") for name in ("0.9", "0.10", "0.11", "1.0")] + [("1.0", "mkl")]
    assert number_text.release_spans(members, order) == "0.9 to 0.11 (3 releases), 1.0, 1.0 +mkl"


def test_every_finding_and_status_has_a_distinct_letter() -> None:
    assert {word.name for word in vocabulary.FINDINGS} == set(Finding)
    assert {word.name for word in vocabulary.STATUSES} == set(Status)
    letters = [word.letter for word in (*vocabulary.FINDINGS, *vocabulary.STATUSES)]
    assert len(set(letters)) == len(letters)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "cells.jsonl, line 2: not strict JSON"),
        ('{"schema": 1, "seconds": NaN}', "NaN is not JSON"),
        ('{"schema": 3}', "reads schema 1 or 2 only"),
        ('{"schema": "1"}', "reads schema 1 or 2 only"),
        (json.dumps(make_cell(seconds="long")), "'long' is not a number"),
        (json.dumps(make_cell(findings=("pretty",))), "'pretty' is not one of clean, leak"),
        ('{"schema": 1, "id": "a"}', "lacks runtime, release"),
    ],
)
def test_invalid_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "cells.jsonl"
    path.write_text(json.dumps(make_cell()) + "\n" + line + "\n")
    with pytest.raises(CrosscheckError, match=re.escape(message)):
        read_cells(path)


def test_unmeasured_fields_are_optional(tmp_path: Path) -> None:
    keys = ("schema", "id", "runtime", "release", "variant", "mode", "intent", "asks", "network", "scenario", "status")
    whole = unmeasured_cell("unavailable", "no wheel")
    path = tmp_path / "cells.jsonl"
    path.write_text(json.dumps({key: whole[key] for key in (*keys, "reason", "findings")}))
    (cell,) = read_cells(path)
    assert (cell.prediction_before, cell.state_changes, cell.stderr) == (None, {}, "")


def test_the_page_stays_small_with_thousands_of_cells(tmp_path: Path) -> None:
    releases = [f"1.{minor}.0" for minor in range(30)]
    lines = [
        make_cell(release, mode, f"network-{number}", prediction_after=[[0.2 + at / 1000, number + 0.25]])
        for at, release in enumerate(releases)
        for mode in MODES
        for number in range(25)
    ]
    page = write(saved(tmp_path, lines))
    assert len(lines) == 3000
    assert page.stat().st_size < 5_000_000


def test_outputs_with_more_axes_are_flattened_per_row(tmp_path: Path) -> None:
    images = [[[[1.0, 2.0], [3.0, 4.0]]], [[[5.0, 6.0], [7.0, 8.0]]]]
    (cell,) = loaded(tmp_path, [make_cell(prediction_before=images, prediction_after=images)])
    assert "1 2 3 4 / 5 6 7 8" == number_text.before_and_after(cell)[0]
