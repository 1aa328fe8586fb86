"""`crosscheck reduce`: the smallest case of the toy's misbehaviours, and of a real defect."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from rich.console import Console

from crosscheck import networks
from crosscheck.cells import Finding, Scenario
from crosscheck.errors import CrosscheckError, UsageError
from crosscheck.job import Result
from crosscheck.matrix.plan import planned_cell
from crosscheck.matrix.selection import targets
from crosscheck.matrix.settings import Settings
from crosscheck.reduce import Request, reduce
from crosscheck.reduce.command import Reduced
from crosscheck.reduce.experiment import Answer, Experiment, Trials, judged
from crosscheck.reduce.reporting import Narrator
from crosscheck.reduce.search import Search
from crosscheck.reduce.symptom import Symptom
from crosscheck.reduce.writing import write
from crosscheck.runtimes.catalog import Runtime
from tests.test_cli import crosscheck

Reducing = Callable[..., Reduced]


@pytest.fixture
def shown() -> Console:
    """A console that is no terminal; `shown.file` has what was printed."""
    return Console(file=io.StringIO(), width=160)


@pytest.fixture
def reducing(toy: Runtime, tmp_path: Path, shown: Console) -> Reducing:
    """Reduce a cell of the toy; the result is in `tmp_path / "reduced"`."""

    def reduce_it(cell: str, **options: Any) -> Reduced:
        request = Request(cell, tmp_path / "reduced", **{"run": tmp_path / "run", **options})
        return reduce(shown, request, {"toy": toy})

    return reduce_it


def operators(reduced: Reduced) -> list[str]:
    return [node["op"] for node in reduced.answer.planned.network.graph["nodes"]]


@pytest.mark.parametrize(
    ("cell", "finding", "ops", "most"),
    [
        ("toy@1.7.0/leak-backward/conv/gradient", Finding.LEAK, ["BatchNormalization"], 2),
        ("toy@1.7.0/state-moved/conv/gradient", Finding.STATE_MOVED, None, 2),
        ("toy@1.7.0/corrupted/conv/gradient", Finding.CORRUPTED, ["BatchNormalization"], 2),
        ("toy@1.7.0/mode-ignored/residual/gradient", Finding.MODE_IGNORED, ["BatchNormalization"], 2),
        ("toy@1.7.0/order-dependent/conv/order", Finding.ORDER_DEPENDENT, None, 2),
        ("toy@1.7.0/wrong-gradient/conv-plain/gradient", Finding.WRONG_GRADIENT, None, 2),
        ("toy@1.7.0/input-written/seed-batch/gradient", Finding.INPUT_WRITTEN, ["BatchNormalization"], 2),
    ],
)
def test_the_smallest_case(
    reducing: Reducing, tmp_path: Path, cell: str, finding: Finding, ops: list[str] | None, most: int
) -> None:
    reduced = reducing(cell, finding=finding.value)
    network = reduced.answer.planned.network
    assert finding in reduced.answer.judgement.findings
    assert reduced.ended is None
    assert ops in (None, operators(reduced))
    assert 1 == len(network.graph["nodes"])
    assert network.x.size <= most
    model = onnx.load(tmp_path / "reduced" / "network.onnx")
    onnx.checker.check_model(model, full_check=True)
    with np.load(tmp_path / "reduced" / "inputs.npz") as inputs:
        assert np.array_equal(network.x, inputs["x"])
        assert np.array_equal(network.cotangent, inputs["cotangent"])
    text = (tmp_path / "reduced" / "README.md").read_text()
    assert f"crosscheck reduce {cell}" in text
    assert text.startswith(f"# {finding}: ")
    assert "toylib" in (tmp_path / "reduced" / "smallest.py").read_text()


def test_of_an_order_the_gradient_after_another_mode_is_shown(reducing: Reducing, tmp_path: Path) -> None:
    reducing("toy@1.7.0/order-dependent/seed-batch/order")
    text = (tmp_path / "reduced" / "README.md").read_text()
    shown = [
        text.partition(f"{title}:\n\n")[2].split("\n\n")[0] for title in ("measured", "inference-mode closed form")
    ]
    measured, right = (np.array([float(number) for number in block.strip(" []").split()]) for block in shown)
    assert np.allclose(0.5 * right, measured)


def test_of_a_prediction_the_output_is_shown(reducing: Reducing, tmp_path: Path) -> None:
    reducing("toy@1.7.0/forward-ignored/seed-batch/predict-only")
    text = (tmp_path / "reduced" / "README.md").read_text()
    assert text.index("output, measured:") < text.index("inference-mode closed form:")
    script = (tmp_path / "reduced" / "smallest.py").read_text()
    assert 'print("forward first"' in script
    assert script.partition('print("forward first"')[2].partition("\n")[0].count("| report ") == 1


def test_every_smaller_network_is_shown(reducing: Reducing, shown: Console) -> None:
    reducing("toy@1.7.0/leak-backward/conv/gradient")
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "up to bn1: 2 nodes, 768 numbers in x" in text
    assert "from bn1: 1 node, " in text


def test_a_finding_that_is_not_there(reducing: Reducing) -> None:
    with pytest.raises(UsageError, match="is clean, so there is nothing to reduce"):
        reducing("toy@1.7.0/inference/seed/gradient")
    with pytest.raises(UsageError, match="is leak, not racy, so there is nothing to reduce"):
        reducing("toy@1.7.0/leak-backward/seed/gradient", finding="racy")
    with pytest.raises(UsageError, match="is refused, so there is nothing to reduce"):
        reducing("toy@1.7.0/refused/seed/gradient")
    with pytest.raises(UsageError, match="'leek' is no finding"):
        reducing("toy@1.7.0/leak-backward/seed/gradient", finding="leek")


def test_a_network_of_ones_own(reducing: Reducing, tmp_path: Path) -> None:
    onnx.save(networks.load("conv").model, tmp_path / "mine.onnx")
    name = networks.load(str(tmp_path / "mine.onnx")).name
    reduced = reducing(f"toy@1.7.0/leak-backward/{name}/gradient", network=str(tmp_path / "mine.onnx"))
    assert ["BatchNormalization"] == operators(reduced)
    with pytest.raises(UsageError, match=f"is the network '{name}', the cell is about 'mine'"):
        reducing("toy@1.7.0/leak-backward/mine/gradient", network=str(tmp_path / "mine.onnx"))
    with pytest.raises(UsageError, match=r"'mine' is no network that ships.*--network FILE"):
        reducing("toy@1.7.0/leak-backward/mine/gradient")


def test_what_a_run_has_measured_is_not_measured_again(
    reducing: Reducing, shown: Console, run_toy: Callable[..., Result], tmp_path: Path
) -> None:
    run_toy("toy@1.7.0", modes=["leak-backward", "inference"], networks=["seed"], scenarios=["gradient"])
    cells = (tmp_path / "cells.jsonl").read_bytes()
    reducing("toy@1.7.0/leak-backward/seed/gradient", run=tmp_path)
    assert "2 cells, 2 of them measured already" in shown.file.getvalue()  # type: ignore[attr-defined]
    assert cells == (tmp_path / "cells.jsonl").read_bytes()


def test_the_time_limit_keeps_what_was_reached(reducing: Reducing, tmp_path: Path) -> None:
    reduced = reducing("toy@1.7.0/leak-backward/conv/gradient", minutes=1e-9)
    assert not reduced.interrupted
    assert "the time limit was reached, so it may not be the smallest" in reduced.told[1]
    assert (tmp_path / "reduced" / "network.onnx").exists()
    with pytest.raises(UsageError, match="--time-limit -1 leaves no time"):
        reducing("toy@1.7.0/leak-backward/conv/gradient", minutes=-1)


def test_an_interrupt_keeps_what_was_reached(
    reducing: Reducing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Narrator, what: str, size: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Narrator, "accepts", interrupt)
    reduced = reducing("toy@1.7.0/leak-backward/conv/gradient")
    assert reduced.interrupted
    assert 1 < len(operators(reduced)) < 9
    assert "interrupted, so it may not be the smallest" in (tmp_path / "reduced" / "README.md").read_text()


def test_a_folder_that_cannot_be_written_is_found_before_any_work(reducing: Reducing, tmp_path: Path) -> None:
    (tmp_path / "reduced").write_text("a file")
    with pytest.raises(CrosscheckError, match="Name another folder by -o"):
        reducing("toy@1.7.0/leak-backward/conv/gradient")


def test_the_search_needs_no_runtime() -> None:
    """Any property of a network will do: here, a Relu and at least two channels."""
    tried: list[str] = []

    def two_channels_and_a_relu(network: networks.Network, how: str) -> bool:
        tried.append(how)
        ops = [node["op"] for node in network.graph["nodes"]]
        return "Relu" in ops and network.x.shape[1] >= 2

    search = Search(networks.load("residual"), two_channels_and_a_relu)
    search.run()
    assert ["Relu"] == [node["op"] for node in search.network.graph["nodes"]]
    assert (1, 2, 1, 1) == search.network.x.shape
    assert np.array_equal([1, 2], np.sort(search.network.x, axis=None))
    assert len(tried) < 80


@pytest.fixture
def measured(toy: Runtime) -> Answer:
    """The toy's wrong gradient of `seed-batch`, half as large again as the right one, in one trial."""
    mode = next(mode for mode in toy.modes if mode.name == "wrong-gradient")
    (target,) = targets(["toy@1.7.0"], {"toy": toy}, everything=False)
    planned = planned_cell(target, mode, networks.load("seed-batch"), Scenario.GRADIENT, ("undisturbed",), 1)
    with Experiment(planned, Settings(jobs=1)) as experiment:
        return experiment.ask(planned.network, Trials(("undisturbed",), 1, False, False), Narrator.silent())


def with_gradients(answer: Answer, factors: Sequence[float]) -> Answer:
    """The answer of trials whose first gradients are these multiples of the measured one."""
    (row,) = answer.observations
    gradient = row.arrays["gradient/first"]
    rows = [
        replace(row, arrays={**row.arrays, "gradient/first": (gradient * factor).astype(np.float32)})
        for factor in factors
    ]
    return judged(replace(answer, observations=rows))


def test_a_case_that_is_right_in_some_trials_is_none_if_the_cell_is_wrong_in_all(measured: Answer) -> None:
    """What memory that nobody wrote decides can be right by chance."""
    right = 2 / 3
    always = Symptom.of(with_gradients(measured, [1, 2, 0, 3]), Finding.WRONG_GRADIENT)
    assert always.always
    assert always.shown_by(with_gradients(measured, [0, 2, 2, 0]))
    assert not always.shown_by(with_gradients(measured, [1, 2, right, 3]))
    now_and_then = Symptom.of(with_gradients(measured, [1, right, right, right]), Finding.WRONG_GRADIENT)
    assert not now_and_then.always
    assert now_and_then.shown_by(with_gradients(measured, [1, 2, right, 3]))


def test_whether_an_answer_is_finite_does_not_matter_where_trials_differ(measured: Answer) -> None:
    nan = float("nan")
    differing = Symptom.of(with_gradients(measured, [1, 2, 3, 4]), Finding.WRONG_GRADIENT)
    assert differing.shown_by(with_gradients(measured, [nan, 1, 2, 3]))
    agreeing = Symptom.of(with_gradients(measured, [1, 1]), Finding.WRONG_GRADIENT)
    assert not agreeing.shown_by(with_gradients(measured, [nan, nan]))


def test_where_trials_differ_the_wrong_numbers_are_shown(measured: Answer, toy: Runtime, tmp_path: Path) -> None:
    differing = with_gradients(measured, [2 / 3, 1, 2 / 3])
    write(tmp_path, differing, Symptom.of(differing, Finding.WRONG_GRADIENT), "crosscheck reduce", [], {"toy": toy})
    text = (tmp_path / "README.md").read_text()
    assert text.index("measured in 1 of 3 trials:") < text.index("measured in 2 of 3 trials:")
    wrong = measured.observations[0].arrays["gradient/first"].ravel()[0]
    assert f"| report {wrong:.6g} " in (tmp_path / "smallest.py").read_text()


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["mxnet@1.9.1"], "RUNTIME@RELEASE/MODE/NETWORK/SCENARIO"),
        (["mxnett@1.9.1/gluon.eval.eval/conv/gradient"], "mxnet"),
        (["mxnet@1.9/gluon.eval.eval/conv/gradient"], "mxnet@1.9.1"),
        (["mxnet@1.9.1/gluon.eval.evil/conv/gradient"], "gluon.eval.eval"),
        (["mxnet@1.9.1/gluon.eval.eval/canv/gradient"], "conv"),
        (["mxnet@1.9.1/gluon.eval.eval/conv/gradiant"], "gradient"),
        (["mxnet@1.9.1/gluon.*/conv/gradient"], "is not one cell"),
        (["mxnet@1.9.1/gluon.eval.eval/conv/twenty"], "nothing is left"),
        (["mxnet@1.9.1/gluon.eval.eval/x/gradient", "--network", "x.onnx"], "x.onnx"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words: list[str], near: str, tmp_path: Path) -> None:
    done = crosscheck("reduce", *words, cwd=tmp_path)
    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert near in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_wrong_gradient_of_max_pooling_in_mxnet(tmp_path: Path) -> None:
    """MXNet 1.9.1 computes an inference-mode gradient of max pooling from memory that nobody wrote."""
    done = crosscheck("reduce", "mxnet@1.9.1/gluon.eval.eval/conv-plain/gradient", cwd=tmp_path)
    assert (0, "") == (done.returncode, done.stderr)
    folder = tmp_path / "crosscheck-reduced"
    model = onnx.load(folder / "network.onnx")
    assert ["MaxPool"] == [node.op_type for node in model.graph.node]
    with np.load(folder / "inputs.npz") as inputs:
        assert inputs["x"].size <= 16
    assert "wrong-gradient" in (folder / "README.md").read_text()
    program = (folder / "smallest.py").read_text().partition("# ///\n# Apache")[2]
    assert len(program.splitlines()) <= 40
    compile(program.partition("\n")[2], "smallest.py", "exec")
