"""`crosscheck inspect`: what it tells of a file."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from crosscheck.cli import main
from tests.test_own_networks import CONV, convolution, layer, model, node, norm


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The text beside the first word of each line; of several lines, the last."""
    lines = capsys.readouterr().out.splitlines()
    return {line[:24].split("  ")[0].strip(): line.partition("  ")[2].strip() for line in lines}


def test_a_file_that_can_be_lowered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = model(convolution(node("HardSwish", "n", "y")), CONV, ["N", 3, 6, 6])
    onnx.save(made, tmp_path / "mine.onnx")
    assert 0 == main(["inspect", str(tmp_path / "mine.onnx"), "--batch", "2"])
    lines = told(capsys)
    assert "opset 15, IR 8, 3 nodes" == lines["file"]
    assert "x: float32 2x3x6x6, differentiated" == lines["input"]
    assert "1 BatchNormalization, 1 Conv, 1 HardSwish" == lines["operators"]
    expected = "epsilon 1e-05, momentum 0.9 by default; moving statistics in opset 15 (training_mode = 0 by default)"
    assert f"{expected}: 1 (4)" == lines["batch norms"]
    assert "as it is, and lowered" == lines["asked"]
    assert "crosscheck writes it" == lines["gradient"]
    assert " not, " not in lines["torch"]
    assert lines["cntk"].startswith("2.7.post2: 0 of ")
    assert "crosscheck does not write HardSigmoid and Mul" in lines["cntk"]
    count, _, why = lines["captum"].partition(" cells of its default modes; ")
    assert count.startswith("0.9.0: 0 of ")
    assert "Captum is asked about classes; a row of this network's output is no vector of them" in why


def test_a_file_that_only_readers_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = model([norm("x", "n", momentum=1.0), node("Sinh", "n", "y")], layer("b", 3), ["N", 3])
    onnx.save(made, tmp_path / "mine.onnx")
    assert 0 == main(["inspect", str(tmp_path / "mine.onnx")])
    lines = told(capsys)
    assert "so that training keeps the old statistics and no leak can be seen" in lines["batch norms"]
    assert lines["torch"].endswith("reads no file, and the network cannot be lowered")
    assert " not, " not in lines["onnxruntime"]


def test_a_file_that_is_none_is_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["inspect", str(tmp_path / "mine.onnx")])
    assert "the file is missing; check the path" in capsys.readouterr().err
