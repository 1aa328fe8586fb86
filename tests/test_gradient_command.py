"""`crosscheck gradient` on the command line, and `crosscheck.gradient` in Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

import crosscheck
from crosscheck.cli import main
from crosscheck.errors import NetworkError
from crosscheck.networks import load
from crosscheck.oracle import batch_statistics
from crosscheck.oracle import gradient as true_gradient

MODELS = Path(__file__).parents[1] / "models"


def model(nodes: list[onnx.NodeProto], opset: int = 13, inputs: tuple[str, ...] = ("x",)) -> onnx.ModelProto:
    """A model from the inputs, (N, 3) each, to y."""
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, ["N", 3]) for name in inputs],
        [helper.make_tensor_value_info("y", kind, ["N", 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


def relu(opset: int = 13) -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"])], opset)


def test_it_writes_the_gradient_model_and_prints_its_contents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "gradient.onnx"
    assert 0 == main(["gradient", str(MODELS / "digits-plain" / "network.onnx"), "-o", str(target)])
    printed = capsys.readouterr()
    network = load("digits-plain")
    y = network.graph["outputs"][0]["name"]
    for part in (str(target), "opset 9", f"{y}.cotangent", "x.gradient", "(N, 1, 8, 8)", "(N, 10)", "InferenceSession"):
        assert part in printed.out
    assert "" == printed.err
    feeds = {"x": network.x, f"{y}.cotangent": network.cotangent}
    (gradient,) = ReferenceEvaluator(str(target)).run(["x.gradient"], feeds)
    truth = true_gradient(network.graph, network.weights, network.x, network.cotangent)
    np.testing.assert_allclose(truth, np.asarray(gradient), rtol=1e-3, atol=1e-5 * np.abs(truth).max())


def test_training_uses_batch_statistics_and_outputs_updated_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "gradient.onnx"
    assert 0 == main(["gradient", str(MODELS / "seed-batch" / "network.onnx"), "-o", str(target), "--training"])
    network = load("seed-batch")
    (norm,) = network.batch_norms
    assert f"{norm.mean}.running" in capsys.readouterr().out
    extended = ReferenceEvaluator(str(target))
    cotangent = next(name for name in extended.input_names if name.endswith(".cotangent"))
    feeds = {extended.input_names[0]: network.x, cotangent: network.cotangent}
    gradient, mean = extended.run([extended.output_names[1], f"{norm.mean}.running"], feeds)
    truth = true_gradient(network.graph, network.weights, network.x, network.cotangent, training=True)
    np.testing.assert_allclose(truth, np.asarray(gradient), rtol=1e-3, atol=1e-5 * np.abs(truth).max())
    (batch,) = batch_statistics(network.graph, network.weights, network.x).values()
    moved = network.weights[norm.mean] * norm.momentum + batch.mean * (1 - norm.momentum)
    np.testing.assert_allclose(moved, np.asarray(mean), rtol=1e-5)


def test_the_function_takes_a_model_or_a_path(tmp_path: Path) -> None:
    onnx.save(relu(), tmp_path / "relu.onnx")
    for argument in (relu(), tmp_path / "relu.onnx", str(tmp_path / "relu.onnx")):
        extended = crosscheck.gradient(argument)
        assert ["x", "y.cotangent"] == [item.name for item in extended.graph.input]
        assert ["y", "x.gradient"] == [item.name for item in extended.graph.output]
        x, cotangent = np.array([[-1, 0, 2]], np.float32), np.array([[3, 4, 5]], np.float32)
        (gradient,) = ReferenceEvaluator(extended).run(["x.gradient"], {"x": x, "y.cotangent": cotangent})
        assert [[0, 0, 5]] == np.asarray(gradient).tolist()


def test_the_source_model_stays_unchanged() -> None:
    argument = relu()
    before = argument.SerializeToString()
    crosscheck.gradient(argument)
    assert before == argument.SerializeToString()


def test_importing_crosscheck_imports_no_onnx() -> None:
    script = "import sys, crosscheck, crosscheck.cli; sys.exit('onnx' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", script]).returncode


def test_an_unknown_attribute_of_the_package() -> None:
    with pytest.raises(AttributeError, match="gradiant"):
        crosscheck.gradiant  # noqa: B018


@pytest.mark.parametrize(
    ("argument", "near"),
    [
        (None, "check the path"),
        (b"no network at all", "cannot be read as ONNX"),
        (b"", "no ONNX graph"),
        (relu(999), "opset 999"),
        (
            model([helper.make_node("BatchNormalization", ["x"] * 5, ["y"], is_test=0)], 6),
            "cannot convert it to opset 9",
        ),
        (model([helper.make_node("RandomNormal", [], ["y"], shape=[1, 3])], inputs=()), "no input"),
        (model([helper.make_node("TopK", ["x", "k"], ["y", "i"])], inputs=("x",)), "rejects"),
        (
            model([helper.make_node("Det", ["x"], ["d"], name="h7"), helper.make_node("Add", ["x", "d"], ["y"])]),
            "node 'h7' (Det) has no rule",
        ),
        (model([helper.make_node("Mine", ["x"], ["y"], domain="")]), "rejects"),
    ],
    ids=["missing", "text", "empty", "opset-999", "opset-6", "no-input", "broken", "no-rule", "unknown-operator"],
)
def test_usage_errors_are_one_line_with_exit_code_2(
    argument: onnx.ModelProto | bytes | None, near: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "mine.onnx", tmp_path / "gradient.onnx"
    if argument is not None:
        source.write_bytes(argument if isinstance(argument, bytes) else argument.SerializeToString())
    assert 2 == main(["gradient", str(source), "-o", str(target)])
    printed = capsys.readouterr()
    assert near in printed.err
    assert str(source) in printed.err
    assert 1 == printed.err.count("\n")
    assert "" == printed.out
    assert not target.exists()


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["gradient", "relu.onnx"], "-o"),
        (["gradient", "relu.onnx", "-o", "relu.onnx"], "the model itself"),
        (["gradient", "relu.onnx", "-o", "absent/gradient.onnx"], "cannot be written"),
        (["gradient", "relu.onnx", "-o", "."], "cannot be written"),
    ],
    ids=["no-target", "overwrite", "no-folder", "folder"],
)
def test_an_unwritable_target(
    words: list[str], near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(relu(), "relu.onnx")
    assert 2 == main(words)
    printed = capsys.readouterr()
    assert near in printed.err
    assert 1 == printed.err.count("\n")
    assert ["relu.onnx"] == [path.name for path in tmp_path.iterdir()]


def test_a_model_in_memory_is_checked_like_a_file() -> None:
    with pytest.raises(NetworkError, match="no ONNX graph"):
        crosscheck.gradient(onnx.ModelProto())


def two_heads(sizes: tuple[int | str, ...] = ("N", 2, "H", "W")) -> onnx.ModelProto:
    """A pooled head and an integer one, of an image and a number; the image's size is open."""
    value, floats = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    pool: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("Mul", ["x", "t"], ["h"]),
        helper.make_node("MaxPool", ["h"], ["p"], **pool),
        helper.make_node("ReduceMax", ["p"], ["scores"], axes=[2, 3], keepdims=0),
        helper.make_node("ArgMax", ["scores"], ["best"], axis=1),
    ]
    outputs = [value("best", onnx.TensorProto.INT64, [None, 1]), value("scores", floats, [None, 2])]
    graph = helper.make_graph(nodes, "g", [value("x", floats, sizes), value("t", floats, [1])], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def test_ends_and_sizes_are_chosen_by_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "heads.onnx", tmp_path / "gradient.onnx"
    onnx.save(two_heads(), source)
    command = ["gradient", str(source), "-o", str(target)]
    assert 0 == main([*command, "--shape", "x=3,2,4,4", "--output", "scores", "--wrt", "t,x"])
    made = onnx.load(target)
    assert ["x", "t", "scores.cotangent"] == [item.name for item in made.graph.input]
    assert ["scores", "t.gradient", "x.gradient", "best"] == [item.name for item in made.graph.output]
    printed = capsys.readouterr().out
    for name in "tx":
        assert f"{name}.gradient = d sum(scores * scores.cotangent) / d {name}" in printed
    assert "run(['t.gradient', 'x.gradient'], {'x': x, 't': t, 'scores.cotangent': cotangent})" in printed


def test_sizes_that_operators_need_are_chosen_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MaxPool needs them; the batch axis stays open."""
    source, target = tmp_path / "heads.onnx", tmp_path / "gradient.onnx"
    onnx.save(two_heads(), source)
    assert 0 == main(["gradient", str(source), "-o", str(target)])
    said = (
        f"{source}: input 'x' is taken as ?,2,224,224, as operators need sizes that the file leaves open; "
        "--shape x=1,2,224,224 changes them."
    )
    assert said == capsys.readouterr().out.splitlines()[0]
    x = np.random.default_rng(0).standard_normal((3, 2, 224, 224)).astype(np.float32)
    feeds = {"x": x, "t": np.ones(1, np.float32), "scores.cotangent": np.ones((3, 2), np.float32)}
    (gradient,) = ReferenceEvaluator(str(target)).run(["x.gradient"], feeds)
    largest = x.max(axis=(2, 3), keepdims=True)
    np.testing.assert_array_equal((x == largest).astype(np.float32), np.asarray(gradient))


def test_what_stops_the_gradient_beside_open_sizes_is_said_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = two_heads()
    made.graph.node.append(helper.make_node("Det", ["h"], ["d"], name="h7"))
    made.graph.output.insert(0, helper.make_tensor_value_info("d", onnx.TensorProto.FLOAT, [None, 2]))
    onnx.save(made, tmp_path / "heads.onnx")
    assert 2 == main(["gradient", str(tmp_path / "heads.onnx"), "-o", str(tmp_path / "g.onnx")])
    printed = capsys.readouterr().err
    assert "node 'h7' (Det) has no rule for the gradient" in printed
    assert "fixed sizes" not in printed


@pytest.mark.parametrize(
    ("shape", "near"),
    [
        ("x", "--shape takes an input and its sizes, as in x=1,3,224,224"),
        ("x=1,2,0,4", "--shape takes an input and its sizes"),
        ("z=1,2,4,4", "has no input 'z'; give --shape one of x, t"),
        ("x=1,3,4,4", "input 'x' has the size 2 in axis 1; --shape x=1,3,4,4 has 3"),
        ("x=1,2", "input 'x' has 4 axes; --shape x=1,2 has 2"),
    ],
)
def test_a_shape_that_does_not_fit(shape: str, near: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(two_heads(), tmp_path / "heads.onnx")
    assert 2 == main(["gradient", str(tmp_path / "heads.onnx"), "-o", str(tmp_path / "g.onnx"), "--shape", shape])
    printed = capsys.readouterr().err
    assert near in printed
    assert 1 == printed.count("\n")


def test_the_training_form_of_a_model_without_batch_norm_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(relu(), tmp_path / "relu.onnx")
    assert 0 == main(["gradient", str(tmp_path / "relu.onnx"), "-o", str(tmp_path / "g.onnx"), "--training"])
    assert "there is no batch normalization in it" in capsys.readouterr().out
