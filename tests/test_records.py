"""Records: what is stored is read back, older files are upgraded, and the schema of a line is strict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosscheck.cells import Finding, Status
from crosscheck.cli import main
from crosscheck.records.conversion import plain
from crosscheck.records.schema import validate
from crosscheck.records.versions import CELL_SCHEMA, Cells, cell_of
from tests.test_report import curve_cell, make_cell, make_run

#: What a line of version 1 had at least, and a part of what it could have.
OLD: dict[str, Any] = {
    "schema": 1,
    "id": "mxnet@1.9.1/executor.train.train/seed/gradient",
    "runtime": "mxnet",
    "release": "1.9.1",
    "variant": "plain",
    "mode": "executor.train.train",
    "intent": "training",
    "asks": "gradient",
    "network": "seed",
    "scenario": "gradient",
    "status": "ok",
    "findings": ["leak"],
    "contract": None,
    "trials": None,
    "prediction_before": [[0.29985, 0.3998]],
    "prediction_after": [["NaN", "-Infinity"]],
    "update": {"when": "backward", "count": 1, "momentum": 0.9, "variance": "biased"},
    "environment": {"python": "3.11.7", "packages": {}, "variables": {}},
}
EXPORTED = {
    "network": "conv.from.here.0",
    "file": "files/conv.onnx",
    "opset": 15,
    "foreign": [],
    "refusal": None,
    "importer_error": 0.0,
    "trips": [
        {
            "cell": "torch@2.0.0/export/conv/export",
            "error": 0.5,
            "file_error": "Infinity",
            "fault": "exporter",
            "side": "exporter",
            "first_layer": {"node": "n1", "op": "Conv", "tensor": "t1", "error": 0.5},
        }
    ],
}
CAUSE = {
    "finding": "leak",
    "node": "n1",
    "op": "Conv",
    "attributes": {"group": 2},
    "by": "asking parts",
    "first": False,
    "again": {"network": "seed", "findings": ["leak"]},
}


def old_run(folder: Path, **fields: Any) -> Path:
    folder.mkdir()
    (folder / "cells.jsonl").write_text(json.dumps({**OLD, **fields}) + "\n")
    run = make_run()
    for facts in run["environments"].values():
        del facts["packages"]
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_a_line_of_version_1_is_upgraded() -> None:
    cell = cell_of(OLD)
    assert (Status.OK, (Finding.LEAK,), (), 0.0, None) == (
        cell.status,
        cell.findings,
        cell.trials,
        cell.seconds,
        cell.curve,
    )
    assert ("undocumented", "", "") == cell.contract
    assert cell.update is not None
    assert (True, None, 0.9) == (cell.update.taken_apart, cell.update.convention, cell.update.momentum)
    assert cell.prediction_after is not None
    assert ["nan", "-inf"] == [str(value) for value in cell.prediction_after[0]]


@pytest.mark.parametrize("update", ["momentum", 0.9, [1], True])
def test_a_line_of_version_1_with_an_update_that_is_none_is_refused(update: object) -> None:
    with pytest.raises(ValueError, match="update"):
        cell_of({**OLD, "update": update})


def test_an_old_run_opens_in_report_diff_and_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, older = old_run(tmp_path / "old"), old_run(tmp_path / "older", findings=["clean"])
    assert 0 == main(["report", str(old), "--against", str(older)])
    assert OLD["id"] in (old / "report.html").read_text()
    assert 1 == main(["diff", str(old), str(older)])
    assert 0 == main(["explain", OLD["id"], "--out", str(old)])
    assert "leak" in capsys.readouterr().out


def whole() -> dict[str, Any]:
    """A valid line that has every part."""
    line = curve_cell(
        [0.98, 0.5],
        [3, 8],
        exported=EXPORTED,
        cause=CAUSE,
        gradient=[[0.5, "NaN"]],
        closed_forms={"inference": [[0.5, 0.0]], "training": [[0.0, 0.0]]},
        tensors={"bn.mean": {"before": [0.0], "after": None}},
        first_layer=EXPORTED["trips"][0]["first_layer"],  # type: ignore[index]
        omitted={"tensors": 2},
    )
    line["curve"]["flips"] = [{"index": 0, "before": 1, "after": 2, "image": [[0.5]]}]
    line["gradient_error"] = {"inference": 0.5, "training": "Infinity"}
    line["later"] = {"gradient_again": line["gradient_error"], "inference_gradient": None}
    fields: dict[str, Any] = json.loads(json.dumps({"schema": CELL_SCHEMA, **plain(cell_of(line))}))
    return fields


def test_a_line_is_read_as_it_was_written() -> None:
    line = whole()
    validate(line)
    assert line == {"schema": CELL_SCHEMA, **plain(cell_of(line))}


def test_lines_that_agree_in_what_the_judge_says_share_it_and_differ_in_the_rest() -> None:
    line = whole()
    others = [
        {**line, "id": "another", "seconds": 7.5, "stderr": "warned", "cause": None},
        {**line, "tensors": {}},
        {**line, "environment": {**line["environment"], "python": "3.6.15"}},
        {**line, "default_call": not line["default_call"]},
    ]
    cells = Cells()
    read = [cells.cell_of(one) for one in (line, *others)]
    assert [line, *others] == [{"schema": CELL_SCHEMA, **plain(cell)} for cell in read]
    assert [True, False, True, True] == [cell.evidence is read[0].evidence for cell in read[1:]]
    assert [True, True, False, True] == [cell.environment is read[0].environment for cell in read[1:]]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda line: line.update(schema=1), "schema"),
        (lambda line: line.update(id=""), "id"),
        (lambda line: line.update(intent="both"), "intent"),
        (lambda line: line.update(status="fine"), "status"),
        (lambda line: line.update(findings=["leak", "leak"]), "findings"),
        (lambda line: line.update(findings=["clean", "leak"]), "findings"),
        (lambda line: line.update(status="timed-out"), "findings|evidence"),
        (lambda line: line["evidence"][0].update(value="large"), "evidence/0/value"),
        (lambda line: line["evidence"][0].update(what=""), "evidence/0/what"),
        (lambda line: line["evidence"][0].pop("detail"), "evidence/0"),
        (lambda line: line["contract"].update(statistics="maybe"), "contract/statistics"),
        (lambda line: line["trials"][0].update(count=0), "trials/0/count"),
        (lambda line: line["trials"][0]["statuses"].update(ok=0), "trials/0/statuses/ok"),
        (lambda line: line["trials"][0]["outcomes"][0].update(more=1), "trials/0/outcomes/0"),
        (lambda line: line.update(prediction_before=[["0.5"]]), "prediction_before/0/0"),
        (lambda line: line.update(top1_before=[-1]), "top1_before/0"),
        (lambda line: line.update(gradient=[[None]]), "gradient/0/0"),
        (lambda line: line["closed_forms"].pop("training"), "closed_forms"),
        (lambda line: line["later"].update(gradient_again=1.0), "later/gradient_again"),
        (lambda line: line["state_changes"].update(mean="moved"), "state_changes/mean"),
        (lambda line: line["tensors"]["bn.mean"].update(before=None), "tensors/bn.mean/before"),
        (lambda line: line["update"].update(count=-1), "update/count"),
        (lambda line: line["update"].update(variance="some"), "update/variance"),
        (lambda line: line.update(public_view="shown"), "public_view"),
        (lambda line: line["curve"].update(accuracy=[]), "curve/accuracy"),
        (lambda line: line["curve"].update(accuracy=["NaN"]), "curve/accuracy/0"),
        (lambda line: line["curve"].update(accuracy=[1.5]), "curve/accuracy/0"),
        (lambda line: line["curve"].update(top1=[1] * 22), "curve/top1"),
        (lambda line: line["curve"]["flips"][0].update(image=0.5), "curve/flips/0/image"),
        (lambda line: line["first_layer"].update(error=None), "first_layer/error"),
        (lambda line: line["cause"].update(first=1), "cause/first"),
        (lambda line: line["cause"]["again"].update(findings=["odd"]), "cause/again/findings/0"),
        (lambda line: line["omitted"].update(tensors=0), "omitted/tensors"),
        (lambda line: line.update(seconds=-1), "seconds"),
        (lambda line: line["environment"].update(packages=[]), "environment/packages"),
        (lambda line: line["exported"].update(opset="15"), "exported/opset"),
        (lambda line: line["exported"]["trips"][0].update(fault="nobody"), "exported/trips/0/fault"),
        (lambda line: line.update(reproduce=""), "reproduce"),
        (lambda line: line.pop("stderr"), "the line"),
        (lambda line: line.update(rank=1), "the line"),
    ],
)
def test_the_schema_of_a_line_is_strict(change: Callable[[dict[str, Any]], Any], where: str) -> None:
    line = whole()
    change(line)
    with pytest.raises(ValueError, match=f": ({where}): "):
        validate(line)


def test_a_line_without_findings_is_refused() -> None:
    line = make_cell()
    del line["findings"]
    with pytest.raises(ValueError, match="lacks findings"):
        cell_of(line)
