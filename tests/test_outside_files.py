"""Makes of files that exporters write and that look odd: how they are loaded, lowered and differentiated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops import op_average_pool, op_conv, op_conv_transpose, op_max_pool

import crosscheck
from crosscheck.cells import Array, Asks, Finding, Observation, Scenario, Status
from crosscheck.cli import main
from crosscheck.errors import NetworkError
from crosscheck.job import Job, run
from crosscheck.judge import judge
from crosscheck.judge.evaluator import evaluate
from crosscheck.judge.file_reference import FileTruth
from crosscheck.matrix.plan import Wanted, expand
from crosscheck.matrix.selection import targets
from crosscheck.networks import FileOptions, Network, load
from crosscheck.oracle import predict
from crosscheck.runtimes.catalog import catalog
from tests.conftest import SilentProgress, read_cells
from tests.synthetic import STAYS, Runtime, subject

node = helper.make_node
Load = Callable[..., Network]


def floats(name: str, shape: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, Array] | None = None,
    opset: int = 16,
    ir: int = 8,
) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def numbers(*shape: int) -> Array:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Loads a model from the file mine.onnx."""

    def load_it(made: onnx.ModelProto, **options: Any) -> Network:
        onnx.save(made, tmp_path / "mine.onnx")
        return load(str(tmp_path / "mine.onnx"), FileOptions(**options))

    return load_it


def file_of(network: Network) -> Network:
    file = network.as_it_is
    assert file is not None
    return file


# Sizes


def test_sizes_of_minus_one_are_open(loaded: Load) -> None:
    """As older exporters of Paddle write them."""
    network = loaded(
        model(
            [node("Conv", ["x", "w"], ["y"])],
            [floats("x", [-1, 3, -1, 6])],
            [floats("y", [-1, 2, -1, 6])],
            {"w": numbers(2, 3, 1, 1)},
        )
    )
    assert (4, 3, 224, 6) == network.x.shape


def test_an_empty_constant_for_an_input_that_is_left_out_does_not_contradict_sizes(loaded: Load) -> None:
    """As newer exporters of Paddle write the region and the scales of a Resize."""
    empty = {name: np.zeros(0, np.float32) for name in ("roi", "scales")}
    nodes = [node("Resize", ["x", "roi", "scales", "sizes"], ["r"]), node("Conv", ["r", "w"], ["y"])]
    weights = {**empty, "sizes": np.array([4, 3, 8, 8]), "w": numbers(2, 3, 1, 1)}
    network = loaded(model(nodes, [floats("x", ["N", 3, "H", "W"])], [floats("y", ["N", 2, 8, 8])], weights))
    assert (4, 3, 224, 224) == network.x.shape


def test_of_sizes_that_fit_a_usual_one_goes_before_the_smallest(loaded: Load) -> None:
    """A line of text: what is left of its height has to be one."""
    nodes = [
        node("MaxPool", ["x"], ["p"], kernel_shape=[48, 2], strides=[48, 2]),
        node("Reshape", ["p", "shape"], ["r"]),
        node("MatMul", ["r", "w"], ["y"]),
    ]
    made = model(
        nodes,
        [floats("x", ["N", 1, "H", "W"])],
        [floats("y", ["N", None, 2])],
        {"shape": np.array([0, 24, -1]), "w": numbers(1, 2)},
    )
    assert (4, 1, 48, 48) == loaded(made).x.shape


def test_a_window_has_to_fit_into_the_input(loaded: Load) -> None:
    """A spectrum by a convolution with strides: shape inference finds one window from 7 samples on."""
    nodes = [node("Unsqueeze", ["x", "one"], ["u"]), node("Conv", ["u", "w"], ["y"], strides=[4])]
    weights = {"one": np.array([1]), "w": numbers(2, 1, 300)}
    made = model(nodes, [floats("x", ["N", "T"])], [floats("y", ["N", 2, None])], weights)
    assert (4, 300) == loaded(made, batch=4).x.shape


def choose(*sizes: int) -> list[onnx.NodeProto]:
    """Mean of x, by a branch that the number s takes; each branch folds x into rows of a size of its own."""

    def branch(size: int) -> onnx.GraphProto:
        nodes = [
            node("Reshape", ["x", "shape"], ["r"]),
            node("ReduceMean", ["r"], ["m"], axes=[1], keepdims=0),
            node("Tanh", ["m"], ["t"]),
        ]
        shape = numpy_helper.from_array(np.array([0, size, -1]), "shape")
        return helper.make_graph(nodes, "branch", [], [floats("t", [None, None])], [shape])

    first, second = map(branch, sizes)
    return [node("Equal", ["s", "one"], ["c"]), node("If", ["c"], ["y"], then_branch=first, else_branch=second)]


def test_sizes_that_only_a_branch_needs_are_found_by_evaluation(loaded: Load) -> None:
    """And the input is known although only branches read it. The branches' outputs have no rank in the file."""
    s = helper.make_tensor_value_info("s", TensorProto.INT64, [])
    made = model(choose(9, 9), [floats("x", ["N", "T"]), s], [floats("y", [None, None])], {"one": np.array(1)})
    file = file_of(loaded(made))
    assert ((4, 9), (4, 1)) == (file.x.shape, file.cotangent.shape)


def test_a_branch_that_depends_on_a_number_has_its_gradient(tmp_path: Path) -> None:
    s = helper.make_tensor_value_info("s", TensorProto.INT64, [])
    onnx.save(
        model(choose(2, 3), [floats("x", [1, 6]), s], [floats("y", [None, None])], {"one": np.array(1)}),
        tmp_path / "m.onnx",
    )
    made = crosscheck.gradient(tmp_path / "m.onnx")
    x = numbers(1, 6)
    for number, rows in ((1, 2), (0, 3)):
        mean = x.reshape(rows, -1).mean(axis=0)
        expected = np.tile((1 - np.tanh(mean) ** 2) / rows, rows)
        feeds = {"x": x, "s": np.array(number), "y.cotangent": np.ones((1, 6 // rows), np.float32)}
        (gradient,) = ReferenceEvaluator(made).run(["x.gradient"], feeds)
        np.testing.assert_allclose(np.asarray(gradient)[0], expected, rtol=1e-5)


# What a checker or an evaluator does not take


def test_weights_of_ir_3_that_are_no_inputs(loaded: Load) -> None:
    made = model(
        [node("Mul", ["x", "w"], ["y"])], [floats("x", ["N", 3])], [floats("y", ["N", 3])], {"w": numbers(3)}, 7, 3
    )
    network = loaded(made)
    expected = network.x.astype(np.float64) * made_weight(made, "w")
    np.testing.assert_allclose(predict(network.graph, network.weights, network.x), expected, rtol=1e-12)


def made_weight(made: onnx.ModelProto, name: str) -> Array:
    return next(numpy_helper.to_array(item).astype(np.float64) for item in made.graph.initializer if item.name == name)


def foreign(shape: Sequence[int | str]) -> onnx.ModelProto:
    """An operator that onnx does not have."""
    made = model([node("Mine", ["x"], ["y"], domain="mine")], [floats("x", ["N", "T", 3])], [floats("y", shape)])
    made.opset_import.append(helper.make_opsetid("mine", 1))
    return made


def test_with_operators_that_onnx_does_not_have_shapes_are_the_declared_ones(loaded: Load) -> None:
    file = file_of(loaded(foreign(["N", "T", 5])))
    assert ((4, 224, 3), (4, 224, 5)) == (file.x.shape, file.cotangent.shape)


def test_an_undeclared_size_behind_such_an_operator_is_refused(loaded: Load) -> None:
    expected = r"the size of output 'y' is unknown, as onnx has no mine\.Mine; write its shape into the file"
    with pytest.raises(NetworkError, match=expected):
        loaded(foreign(["N", "length"]))


def test_a_wrong_rank_of_an_output_does_not_stop_its_gradient(tmp_path: Path) -> None:
    """A file of torch with an open axis and a squeezed output; runtimes read it with a warning."""
    nodes = [node("MaxPool", ["x"], ["p"], kernel_shape=[2]), node("ReduceMean", ["p"], ["y"], axes=[2], keepdims=0)]
    onnx.save(model(nodes, [floats("x", ["N", 2, "T"])], [floats("y", ["N"])]), tmp_path / "m.onnx")
    made = crosscheck.gradient(tmp_path / "m.onnx", shapes={"x": (1, 2, 4)})
    x = numbers(1, 2, 4)
    pairs = np.stack([x[..., :-1], x[..., 1:]], axis=-1)
    expected = np.zeros_like(x)
    for channel in range(2):
        for start, right in enumerate(pairs[0, channel].argmax(axis=-1)):
            expected[0, channel, start + right] += 1 / 3
    (gradient,) = ReferenceEvaluator(made).run(["x.gradient"], {"x": x, "y.cotangent": np.ones((1, 2), np.float32)})
    np.testing.assert_allclose(np.asarray(gradient), expected, rtol=1e-6)


# Weights that the file computes


def test_standardized_weights_are_constants(loaded: Load) -> None:
    """A convolution of torch whose weights go through a batch normalization in training mode."""
    nodes = [
        node("Reshape", ["w", "rows"], ["flat"]),
        node("BatchNormalization", ["flat", "gain", "zero", "zero", "gain"], ["n", "a", "b"], training_mode=1),
        node("Reshape", ["n", "back"], ["v"]),
        node("Conv", ["x", "v"], ["y"]),
    ]
    w = numbers(4, 3, 1, 2)
    weights = {
        "w": w,
        "rows": np.array([1, 4, -1]),
        "back": np.array([4, 3, 1, 2]),
        "gain": np.array([0.5, 1, 2, 3], np.float32),
        "zero": np.zeros(4, np.float32),
    }
    network = loaded(model(nodes, [floats("x", ["N", 3, 5, 5])], [floats("y", ["N", 4, 5, 4])], weights))
    flat = w.reshape(4, -1).astype(np.float64)
    standard = (flat - flat.mean(axis=1, keepdims=True)) / np.sqrt(flat.var(axis=1, keepdims=True) + 1e-5)
    (conv,) = network.graph["nodes"]
    expected = (standard * weights["gain"][:, np.newaxis]).reshape(w.shape)
    np.testing.assert_allclose(network.weights[conv["inputs"][1]], expected, rtol=1e-5, atol=1e-6)


# Inputs without a gradient


def words() -> onnx.ModelProto:
    """The mean of the rows of a table that integers choose, by a batch normalization and a dense layer."""
    statistics = {"scale": numbers(3), "bias": numbers(3), "mean": numbers(3), "var": np.ones(3, np.float32)}
    nodes = [
        node("Gather", ["table", "tokens"], ["rows"]),
        node("ReduceMean", ["rows"], ["m"], axes=[1], keepdims=0),
        node("BatchNormalization", ["m", *statistics], ["n"]),
        node("MatMul", ["n", "w"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["N", 5])]
    weights = {"table": numbers(7, 3), "w": numbers(3, 2), **statistics}
    return model(nodes, inputs, [floats("y", ["N", 2])], weights)


def test_a_file_of_integers_is_asked_for_predictions_alone(tmp_path: Path) -> None:
    """Also with a further input that its output does not depend on."""
    made = words()
    made.graph.input.append(floats("unused", ["N", 2]))
    onnx.save(made, tmp_path / "mine.onnx")
    progress = SilentProgress()
    run(Job(["onnxruntime@newest"], networks=[str(tmp_path / "mine.onnx")], out=tmp_path / "out"), progress)
    expected = "its inputs are integers: no input gradient, predictions alone. So only runtimes that read ONNX"
    assert 1 == sum(expected in sentence for sentence in progress.notes)
    cells = read_cells(tmp_path / "out").values()
    clean = ["predict-only", ["clean"]]
    assert {"file": clean, "file-training": clean} == {c["mode"]: [c["scenario"], c["findings"]] for c in cells}


def test_a_file_of_integers_has_no_gradient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(words(), tmp_path / "mine.onnx")
    assert 0 == main(["inspect", str(tmp_path / "mine.onnx")])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "input tokens: int64 4x5, held" in lines
    (gradient,) = [line for line in lines if line.startswith("gradient ")]
    assert gradient.endswith(": its inputs are integers: no input gradient.")


def test_an_output_that_depends_on_no_input_is_refused(loaded: Load) -> None:
    made = model([node("Abs", ["x"], ["a"]), node("Neg", ["w"], ["y"])], [floats("x", [2])], [floats("y", [2])])
    made.graph.initializer.append(numpy_helper.from_array(numbers(2), "w"))
    with pytest.raises(NetworkError, match="the output 'y' depends on no input; --output names another"):
        loaded(made)


def test_operators_of_machine_learning_alone_are_refused(loaded: Load) -> None:
    made = model([node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml")], [floats("x", [2, 3])], [floats("y", [2, 3])])
    made.opset_import[0].domain = "ai.onnx.ml"
    made.opset_import[0].version = 1
    with pytest.raises(NetworkError, match=r"has operators of ai\.onnx\.ml alone, none of ONNX's own"):
        loaded(made)


@pytest.mark.parametrize("first", [True, False])
def test_an_output_that_is_a_sequence_is_left_out(loaded: Load, first: bool) -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("SplitToSequence", ["y"], ["s"], axis=1)]
    outputs = [floats("y", ["N", 3]), helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)]
    network = loaded(model(nodes, [floats("x", ["N", 3])], outputs[:: -1 if first else 1]))
    np.testing.assert_array_equal(np.maximum(network.x, 0), predict(network.graph, network.weights, network.x))


# Operators that onnx's evaluator gets wrong


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 4, 5)])
def test_a_global_maximum_is_over_all_spatial_axes(shape: tuple[int, ...]) -> None:
    expected = (2, 3, *[1] * (len(shape) - 2))
    made = model([node("GlobalMaxPool", ["x"], ["y"])], [floats("x", shape)], [floats("y", expected)])
    x = numbers(*shape)
    (y,) = evaluate(made, {"x": x})
    np.testing.assert_array_equal(x.reshape(2, 3, -1).max(axis=2).reshape(expected), y)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_rounds_of_a_loop_are_joined_along_a_new_axis(shape: tuple[int, ...]) -> None:
    """Three rounds, each of which doubles x."""
    body = helper.make_graph(
        [node("Add", ["h", "h"], ["twice"]), node("Identity", ["twice"], ["seen"]), node("Identity", ["c"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            floats("h", shape),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), floats("twice", shape), floats("seen", shape)],
    )
    nodes = [node("Loop", ["three", "", "x"], ["last", "y"], body=body)]
    made = model(nodes, [floats("x", shape)], [floats("y", [3, *shape])])
    made.graph.initializer.append(numpy_helper.from_array(np.array(3), "three"))
    x = numbers(*shape)
    (y,) = evaluate(made, {"x": x})
    np.testing.assert_array_equal(np.stack([2 * x, 4 * x, 8 * x]), y)


@pytest.mark.parametrize("axis", [1, -1, 0])
def test_elements_are_gathered_from_any_number_along_any_axis(axis: int) -> None:
    indices = np.array([[39, 0, -1], [1, 38, 2]] if axis else [[0, 1, -1], [1, 0, 1]])
    made = model([node("GatherElements", ["x", "i"], ["y"], axis=axis)], [floats("x", [2, 40])], [floats("y", [2, 3])])
    made.graph.initializer.append(numpy_helper.from_array(indices, "i"))
    x = numbers(2, 40)
    (y,) = evaluate(made, {"x": x})
    expected = [[x[r, i] if axis else x[i, c] for c, i in enumerate(row)] for r, row in enumerate(indices.tolist())]
    np.testing.assert_array_equal(expected, y)


def test_what_is_made_as_float32_is_widened(loaded: Load) -> None:
    """A constant of zeros without a value, and a window."""
    nodes = [
        node("ConstantOfShape", ["shape"], ["zeros"]),
        node("HannWindow", ["size"], ["window"], periodic=0),
        node("Sinh", ["x"], ["s"]),
        node("Concat", ["s", "zeros", "window"], ["y"], axis=0),
    ]
    weights = {"shape": np.array([2]), "size": np.array(5)}
    network = loaded(model(nodes, [floats("x", [3])], [floats("y", [10])], weights, opset=17))
    expected = [*np.sinh(network.x.astype(np.float64)), 0, 0, 0, 0.5, 1, 0.5, 0]
    np.testing.assert_allclose(FileTruth(network).answer(Asks.PREDICTION, training=False), expected, atol=1e-12)
    np.testing.assert_allclose(
        FileTruth(network).answer(Asks.GRADIENT, training=False),
        network.cotangent[:3] * np.cosh(network.x.astype(np.float64)),
        rtol=1e-12,
    )


POOLS: list[tuple[str, dict[str, Any]]] = [
    ("MaxPool", {"pads": [1, 0, 0, 1], "strides": [2, 1]}),
    ("MaxPool", {"auto_pad": "VALID", "strides": [2, 2]}),
    ("MaxPool", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("MaxPool", {"ceil_mode": 1, "strides": [2, 2]}),
    ("MaxPool", {"dilations": [2, 1]}),
    ("MaxPool", {"dilations": [2, 2]}),
    ("AveragePool", {"pads": [1, 0, 0, 1], "strides": [2, 1]}),
    ("AveragePool", {"pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
]


@pytest.mark.parametrize(("op", "attributes"), POOLS)
@pytest.mark.parametrize("opset", [12, 19])
def test_pools_are_those_of_onnx(op: str, attributes: dict[str, Any], opset: int) -> None:
    """Which its own evaluator takes minutes for, in a network of pictures."""
    made = model(
        [node(op, ["x"], ["y"], kernel_shape=[3, 2], **attributes)],
        [floats("x", [2, 3, 8, 7])],
        [floats("y", [2, 3, None, None])],
        opset=opset,
    )
    x = numbers(2, 3, 8, 7)
    (y,) = evaluate(made, {"x": x})
    (expected,) = ReferenceEvaluator(made).run(None, {"x": x})
    np.testing.assert_allclose(y, np.asarray(expected), rtol=1e-6, atol=1e-6)


WINDOWS: list[tuple[str, dict[str, Any]]] = [
    ("Conv", {}),
    ("Conv", {"auto_pad": "VALID", "strides": [2, 1]}),
    ("Conv", {"pads": [1, 0, 0, 2], "dilations": [2, 1], "group": 2}),
    ("ConvTranspose", {}),
    ("ConvTranspose", {"auto_pad": "VALID", "strides": [2, 1]}),
    ("ConvTranspose", {"pads": [1, 0, 0, 2], "output_padding": [1, 0], "strides": [2, 1]}),
    ("MaxPool", {"dilations": [1, 1], "kernel_shape": [3, 2]}),
    ("MaxPool", {"auto_pad": "VALID", "kernel_shape": [3, 2], "pads": [0, 0, 0, 0]}),
    ("AveragePool", {"kernel_shape": [3, 2]}),
]


@pytest.mark.parametrize(("op", "attributes"), WINDOWS)
def test_windows_with_explicit_pads_are_not_left_to_onnx(
    op: str, attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose operators take minutes for a picture."""
    pooling = "kernel_shape" in attributes
    made = model(
        [node(op, ["x"] if pooling else ["x", "w"], ["y"], **attributes)],
        [floats("x", [2, 4, 8, 7]), *([] if pooling else [floats("w", [4, 4 // attributes.get("group", 1), 3, 2])])],
        [floats("y", [2, 4, None, None])],
    )
    feeds = {
        item.name: numbers(*(axis.dim_value for axis in item.type.tensor_type.shape.dim)) for item in made.graph.input
    }
    (expected,) = ReferenceEvaluator(made).run(None, feeds)

    def left(*_: object, **__: object) -> None:
        raise AssertionError("onnx's operator is asked")

    for operator in (
        op_conv.Conv,
        op_conv_transpose.ConvTranspose,
        op_max_pool.MaxPool,
        op_average_pool.AveragePool_19,
    ):
        monkeypatch.setattr(operator, "_run", left)
    (y,) = evaluate(made, feeds)
    np.testing.assert_allclose(y, np.asarray(expected), rtol=1e-5, atol=1e-5)


def test_a_transposed_convolution_with_an_output_shape_has_no_answer_rather_than_that_without_one() -> None:
    """onnx's operator refuses it where `auto_pad` is absent."""
    made = model(
        [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_shape=[10, 10])],
        [floats("x", [2, 4, 5, 6]), floats("w", [4, 3, 3, 3])],
        [floats("y", [2, 3, 10, 10])],
    )
    with pytest.raises(ValueError, match="output_shape"):
        evaluate(made, {"x": numbers(2, 4, 5, 6), "w": numbers(4, 3, 3, 3)})


@pytest.mark.parametrize(("size", "recorded"), [(100, True), (800, False)])
def test_layers_with_millions_of_numbers_are_not_recorded(loaded: Load, size: int, recorded: bool) -> None:
    """A few weights can have layers a thousand times as large."""
    nodes = [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["y"])]
    inputs, outputs = [floats("x", [1, 3, size, size])], [floats("y", [1, 8, 1, 1])]
    network = loaded(model(nodes, inputs, outputs, {"w": numbers(8, 3, 1, 1)}))
    wanted = Wanted(modes=["file"], networks=[network.name])
    (cell,) = expand(targets(["onnxruntime@newest"], catalog(), everything=False), [network], wanted)
    assert recorded == ("layers" in {trial.reading for trial in cell.trials})
    assert network.own is not None
    assert recorded == (not any("5.1 million numbers, which are not recorded" in text for text in network.own.said))


def test_the_error_function_is_evaluated_in_float64(loaded: Load) -> None:
    """Of networks with Gelu, as onnx's evaluator rounds it to float32."""
    nodes = [node("Sinh", ["x"], ["s"]), node("Erf", ["s"], ["y"])]
    network = loaded(model(nodes, [floats("x", [2, 3])], [floats("y", [2, 3])]))
    x, truth = network.x.astype(np.float64), FileTruth(network)
    expected = [[math.erf(math.sinh(value)) for value in row] for row in x]
    np.testing.assert_allclose(truth.answer(Asks.PREDICTION, training=False), expected, rtol=1e-14)
    slope = 2 / math.sqrt(math.pi) * np.exp(-(np.sinh(x) ** 2)) * np.cosh(x)
    np.testing.assert_allclose(truth.answer(Asks.GRADIENT, training=False), network.cotangent * slope, rtol=1e-12)


@pytest.mark.parametrize("asks", [Asks.PREDICTION, Asks.GRADIENT])
def test_a_file_without_batch_normalizations_has_one_answer_and_rounding_in_both_modes(
    loaded: Load, asks: Asks
) -> None:
    truth = FileTruth(loaded(model([node("Sinh", ["x"], ["y"])], [floats("x", [2, 3])], [floats("y", [2, 3])])))
    assert truth.answer(asks, training=False) is truth.answer(asks, training=True)
    assert 0 < truth.rounding(asks, training=False) == truth.rounding(asks, training=True)


@pytest.mark.parametrize("level", [1, 1e6])
def test_a_gradient_below_the_rounding_of_predictions_is_known(loaded: Load, level: float) -> None:
    """Of a saturated network, whose predictions do not move by a step, or by their rounding alone."""
    nodes = [node("Sinh", ["x"], ["s"]), node("Mul", ["s", "tiny"], ["m"]), node("Add", ["m", "one"], ["y"])]
    weights = {"tiny": np.array([1e-30 if level == 1 else 1e-12], np.float32), "one": np.array([level], np.float32)}
    truth = FileTruth(loaded(model(nodes, [floats("x", [2, 3])], [floats("y", [2, 3])], weights)))
    expected = truth.network.cotangent * np.float64(weights["tiny"]) * np.cosh(truth.network.x.astype(np.float64))
    assert truth.known(Asks.GRADIENT)
    np.testing.assert_allclose(truth.answer(Asks.GRADIENT, training=False), expected, rtol=1e-12)


@pytest.mark.parametrize(("momentum", "seen"), [(0.9, True), (1.0, False)])
def test_a_leak_can_be_seen_in_a_file_whose_statistics_may_move(loaded: Load, momentum: float, seen: bool) -> None:
    weights = {name: np.full(3, number, np.float32) for name, number in zip("abmv", (1, 0, 0.5, 2), strict=True)}
    nodes = [node("BatchNormalization", ["x", *"abmv"], ["y"], momentum=momentum)]
    file = file_of(loaded(model(nodes, [floats("x", ["N", 3])], [floats("y", ["N", 3])], weights)))
    truth = FileTruth(file)
    y, dx = (truth.answer(asks, training=False).astype(np.float32) for asks in (Asks.PREDICTION, Asks.GRADIENT))
    arrays = {"prediction/before": y, "gradient/first": dx, "prediction/after": y}
    row = Observation("undisturbed", Status.OK, None, (), arrays, 0.01, 0.01, 0)
    verdict = judge(*subject(Runtime, file.name, Scenario.GRADIENT, STAYS), file, truth, [row])
    assert ((Finding.CLEAN,) if seen else ()) == verdict.findings
    assert seen or "keeps its old statistics (momentum 1)" in str(verdict.undecided)
