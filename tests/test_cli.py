"""The command line: arguments, messages, exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from crosscheck.cli import main


def crosscheck(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Carry out a command in this process, which has imported what another would import first."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd or "."), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["run", "mxnett"], "mxnet"),
        (["run", "mxnet@1.9.x"], "1.9.1"),
        (["run", "mxnet@1.9.1", "--mode", "executor.trian*"], "executor.train"),
        (["run", "mxnet@1.9.1", "--network", "sead"], "seed"),
        (["run", "mxnet@1.9.1", "--network", "absent.onnx"], "absent.onnx"),
        (["run", "mxnet@1.9.1", "--scenario", "twentie"], "twenty"),
        (["run", "onnx@newest", "--scenario", "twenty", "--network", "seed"], "nothing is left"),
        (["run", "--trials", "0"], "--trials"),
        (["run", "--time-limit", "0"], "--time-limit"),
        (["run", "--time-limit", "nan"], "--time-limit"),
        (["run", "--memory-limit", "inf"], "--memory-limit"),
        (["run", "onnx@newest", "--batch", "0"], "--batch"),
        (["run", "onnx@newest", "--shape", "x=1,-3"], "--shape"),
        (
            ["run", "onnx@newest", "--network", "seed", "--shape", "x=1,2"],
            "--shape is about network files, and none is named",
        ),
        (["run", "--jobs", "many"], "--jobs"),
        (["gradient", "model.onnx", "-o", "gradient.onnx", "--cotangent", "1"], "--cotangent"),
        (["run", "onnx@newest", "--budget", "soon"], "--budget"),
        (["list", "modes", "mxnett"], "mxnet"),
        (["list", "modes", "toolkit"], "Did you mean toolkits"),
        (["list", "networks", "captum"], "`crosscheck list networks`"),
        (["list", "modes", "captum@0.9.0"], "runtimes without a release: captum"),
        (["list", "runtimes", "--text"], "--text is about modes"),
        (["run", "mxnet@.."], "names no release"),
        (["lst"], "list"),
        (["explain", "nothing"], "cells.jsonl"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_usage_errors_are_one_line_with_exit_code_2(words: list[str], near: str, tmp_path: Path) -> None:
    done = crosscheck(*words, cwd=tmp_path)
    assert 2 == done.returncode
    assert near in done.stderr
    assert 1 == done.stderr.count("\n")
    assert "" == done.stdout
    assert not list(tmp_path.iterdir())


def test_a_users_network(tmp_path: Path) -> None:
    """A user's `.onnx` file runs like the networks that ship."""
    models = Path(__file__).parents[1] / "models"
    (tmp_path / "mine.onnx").write_bytes((models / "conv" / "network.onnx").read_bytes())
    done = crosscheck("run", "onnx@newest", "--network", "mine.onnx", "--mode", "opset-15", cwd=tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
    (line,) = (tmp_path / "crosscheck-out" / "cells.jsonl").read_text().splitlines()
    cell = json.loads(line)
    assert ("ok", ["clean"]) == (cell["status"], cell["findings"])
    assert "--network mine.onnx" in cell["reproduce"]
    written = crosscheck("script", cell["id"], "--network", "mine.onnx", cwd=tmp_path)
    assert (0, "") == (written.returncode, written.stderr)
    assert written.stdout.startswith("# /// script")
    assert 0 == crosscheck("explain", cell["id"], cwd=tmp_path).returncode


def test_a_refused_file_leaves_the_others_to_be_measured(tmp_path: Path) -> None:
    models = Path(__file__).parents[1] / "models"
    (tmp_path / "mine.onnx").write_bytes((models / "seed" / "network.onnx").read_bytes())
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    words = ["run", "onnx@newest", "--mode", "opset-15", "--network", "broken.onnx", "--network"]
    done = crosscheck(*words, "mine.onnx", cwd=tmp_path)
    assert (4, "") == (done.returncode, done.stderr)
    assert 1 == len((tmp_path / "crosscheck-out" / "cells.jsonl").read_text().splitlines())
    assert [True] == [
        line.startswith("left out: broken.onnx: cannot be read as ONNX")
        for line in done.stdout.splitlines()
        if "broken" in line
    ]
    alone = crosscheck(*words, "absent.onnx", "--out", "nothing", cwd=tmp_path)
    assert (2, "") == (alone.returncode, alone.stdout)
    assert ["broken.onnx", "absent.onnx"] == [
        line.removeprefix("crosscheck: ").partition(":")[0] for line in alone.stderr.splitlines()
    ]
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("command", ["run", "gradient"])
def test_a_part_of_a_file_that_is_missing_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "net-symbol.json").write_text("{}")
    words = ["run", "onnx@newest", "--network", "net-symbol.json"]
    done = crosscheck(
        *(words if command == "run" else ["gradient", "net-symbol.json", "-o", "gradient.onnx"]), cwd=tmp_path
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert (
        "crosscheck: net-symbol.json: net-0000.params is missing beside it; an MXNet network needs both.\n"
    ) == done.stderr


@pytest.mark.parametrize(
    ("what", "shows"),
    [
        ("runtimes", ["mxnet", "onnx", "onnxruntime"]),
        ("releases", ["mxnet@0.9.5.post2", "mxnet@1.9.1", "onnxruntime@0.3.0"]),
        ("modes", ["executor.train.eval", "gluon.eval.eval", "opset-15-training"]),
        ("networks", ["seed-batch", "digits-plain", "inception"]),
        ("scenarios", ["gradient", "ascent", "sibling"]),
    ],
)
def test_list(what: str, shows: list[str]) -> None:
    done = crosscheck("list", what)
    assert (0, "") == (done.returncode, done.stderr)
    for name in shows:
        assert name in done.stdout.replace("\n", "")


def test_toolkits_are_listed_by_one_word_with_what_they_ask() -> None:
    done = crosscheck("list", "runtimes", "toolkits")
    assert (0, "") == (done.returncode, done.stderr)
    rows = {row.split()[0]: row.split() for row in done.stdout.splitlines()}
    assert ("torch", "mxnet") == (rows["captum"][5], rows["foolbox-mxnet"][5])
    assert "torch" not in rows


def test_the_list_of_modes_has_their_summaries_and_by_text_what_they_execute() -> None:
    summary, line = "forward in training mode, net.eval() before the gradient", "y = net(x.requires_grad_())"
    listed, texts = crosscheck("list", "modes", "torch"), crosscheck("list", "modes", "torch", "--text")
    assert (0, "", 0, "") == (listed.returncode, listed.stderr, texts.returncode, texts.stderr)
    row = next(row for row in listed.stdout.splitlines() if "train-then-eval" in row)
    assert "forward in training mode" in row
    assert line not in listed.stdout
    start = texts.stdout.index(f"torch: train-then-eval.autograd-grad  {summary}, torch.autograd.grad\n")
    assert f"    net.train()\n    {line}\n    net.eval()\n" in texts.stdout[start:]


def test_doctor_lists_missing_requirements_and_remedies() -> None:
    done = crosscheck("doctor")
    assert done.returncode in (0, 4)
    assert "uv" in done.stdout
    assert (done.returncode == 4) == ("missing" in done.stdout)


def test_version() -> None:
    command = [sys.executable, "-c", "import sys; from crosscheck.cli import main; sys.exit(main())", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("crosscheck ")
