"""Operators of real classifiers: what they become in the plain graph, in the oracle, and in every opset's form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from crosscheck import oracle
from crosscheck.cells import Array
from crosscheck.networks import FORMS, Network, load
from crosscheck.networks.forms import Form, build_model, no_form
from crosscheck.networks.graph import OPERATORS
from crosscheck.onnx_models.double_precision import in_float64
from crosscheck.subnetworks.smaller import with_channels

#: Newer than the first opsets with every operator here, and with the last change to any.
OPSET = 20

#: Name -> nodes (operator, inputs, outputs, attributes), from `x` to `y`; and constants.
Case = tuple[Sequence[tuple[str, str, str, dict[str, Any]]], dict[str, Any]]


def numbers(*shape: int, seed: int = 3) -> Array:
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def single(op: str, attributes: dict[str, Any] | None = None, **constants: Any) -> Case:
    return [(op, " ".join(["x", *constants]), "y", attributes or {})], constants


#: All take (N, 4, 5, 6).
IMAGES: dict[str, Case] = {
    "sigmoid": single("Sigmoid"),
    "tanh": single("Tanh"),
    "softplus": single("Softplus"),
    "erf": single("Erf"),
    "elu": single("Elu", {"alpha": 0.7}),
    "leaky relu": single("LeakyRelu", {"alpha": 0.3}),
    "hard sigmoid": single("HardSigmoid"),
    "hard swish": single("HardSwish"),
    "mish": single("Mish"),
    "gelu": single("Gelu"),
    "neg": single("Neg"),
    "relu6": single("Clip", low=np.float32(0), high=np.float32(1)),
    "clip from below": single("Clip", low=np.float32(-0.5)),
    "clip at zero": single("Clip", low=np.float32(0)),
    "prelu": single("PRelu", slope=numbers(4, 1, 1)),
    "square": single("Pow", exponent=np.float32(2)),
    "a constant is added": single("Add", c=numbers(4, 1, 1)),
    "a constant is subtracted": single("Sub", c=numbers(6)),
    "a constant of one number": single("Mul", c=np.float32(-1.5)),
    "divided by a constant": single("Div", c=numbers(1, 4, 5, 6)),
    "from a constant": ([("Sub", "c x", "y", {})], {"c": numbers(4, 1, 1)}),
    "a constant on the left": ([("Mul", "c x", "y", {})], {"c": numbers(4, 1, 1)}),
    "gated by a channel": (
        [("GlobalAveragePool", "x", "m", {}), ("Sigmoid", "m", "s", {}), ("Mul", "x s", "y", {})],
        {},
    ),
    "between branches": ([("Sigmoid", "x", "a", {}), ("Div", "x a", "b", {}), ("Sub", "b x", "y", {})], {}),
    "root": ([("Sigmoid", "x", "a", {}), ("Pow", "a half", "y", {})], {"half": np.float32(0.5)}),
    "transpose": single("Transpose", {"perm": [0, 2, 3, 1]}),
    "channel shuffle": (
        [
            ("Reshape", "x five", "a", {}),
            ("Transpose", "a", "b", {"perm": [0, 2, 1, 3, 4]}),
            ("Reshape", "b four", "y", {}),
        ],
        {"five": integers(0, 2, 2, 5, 6), "four": integers(-1, 4, 5, 6)},
    ),
    "unsqueeze and squeeze": (
        [("Unsqueeze", "x two", "a", {}), ("Sigmoid", "a", "b", {}), ("Squeeze", "b two", "y", {})],
        {"two": integers(2)},
    ),
    "flattened by a shape": single("Reshape", shape=integers(0, -1)),
    "mean of the image": single("ReduceMean", {"keepdims": 0}, axes=integers(2, 3)),
    "mean of the channels": single("ReduceMean", {"keepdims": 1}, axes=integers(1)),
    "mean without an axis": single("ReduceMean", {"keepdims": 0}, axes=integers(-1)),
    "slice": single("Slice", a=integers(1), b=integers(10), c=integers(3)),
    "slice with a step": single("Slice", a=integers(0), b=integers(5), c=integers(2), d=integers(2)),
    "slice of two axes": single("Slice", a=integers(1, 0), b=integers(4, 3), c=integers(2, 1)),
    "split": (
        [("Split", "x widths", "a b", {"axis": 1}), ("Concat", "b a", "y", {"axis": 1})],
        {"widths": integers(1, 3)},
    ),
    "pad": single("Pad", pads=integers(0, 0, 1, 0, 0, 0, 0, 2), value=np.float32(0.5)),
    "pad of an axis": single("Pad", pads=integers(1, 1), value=np.float32(0), axes=integers(-1)),
    "softmax over channels": single("Softmax", {"axis": 1}),
    "instance normalization": single("InstanceNormalization", {"epsilon": 0.01}, scale=numbers(4), bias=numbers(4)),
    "layer normalization": single("LayerNormalization", {"epsilon": 0.01}, scale=numbers(6), bias=numbers(6)),
    "layer normalization of an image": single("LayerNormalization", {"axis": 1}, scale=numbers(4, 5, 6)),
    "matrix": single("MatMul", weight=numbers(6, 3)),
    "attention": (
        [("Transpose", "x", "t", {"perm": [0, 1, 3, 2]}), ("MatMul", "x t", "a", {}), ("Softmax", "a", "y", {})],
        {},
    ),
    "maximum pool with ceil_mode": single("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
    "mean pool with ceil_mode": single(
        "AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 0, 1, 0]}
    ),
    "global maximum": single("GlobalMaxPool"),
    "sum of three": ([("Sigmoid", "x", "a", {}), ("Tanh", "x", "b", {}), ("Sum", "x a b", "y", {})], {}),
    "sum of one": ([("Sum", "x", "a", {}), ("Tanh", "a", "y", {})], {}),
    "at least a constant": single("Max", c=numbers(4, 1, 1)),
    "at most a constant": single("Min", c=numbers(6)),
    "leaky relu by a maximum": ([("Mul", "x c", "a", {}), ("Max", "a x", "y", {})], {"c": np.float32(0.2)}),
    "minimum of two": ([("Tanh", "x", "a", {}), ("Min", "a x", "y", {})], {}),
    "sum of the channels": single("ReduceSum", {"keepdims": 1}, axes=integers(1)),
    "sum without the axes": single("ReduceSum", {"keepdims": 0}, axes=integers(-1, 1)),
    "sum of the image without the axes": single("ReduceSum", {"keepdims": 0}, axes=integers(2, 3)),
    "length of the channels": single("ReduceL2", {"keepdims": 1}, axes=integers(1)),
    "largest of the image": single("ReduceMax", {"keepdims": 0}, axes=integers(2, 3)),
    "scaled to length one": (
        [
            ("ReduceL2", "x axes", "l", {"keepdims": 1}),
            ("Clip", "l least", "c", {}),
            ("Shape", "x", "s", {}),
            ("Expand", "c s", "e", {}),
            ("Div", "x e", "y", {}),
        ],
        {"axes": integers(-1), "least": np.float32(1e-12)},
    ),
    "cast to float32": ([("Cast", "x", "a", {"to": TensorProto.FLOAT}), ("Tanh", "a", "y", {})], {}),
    "a constant for each row of the batch": single("Add", c=np.repeat(numbers(1, 4, 5, 6), 4, axis=0)),
    "a shape with the number of rows": single("Reshape", shape=integers(4, -1, 6)),
    "one of an axis": single("Gather", {"axis": 1}, index=np.int64(-1)),
    "entries of an axis": single("Gather", {"axis": 2}, indices=integers(1, 2, 4, 4, 0)),
    "every second entry": single("Gather", {"axis": -1}, indices=integers(1, 3, 5)),
    "a table of entries": single("Gather", {"axis": 3}, indices=integers(0, 1, 2, 5, 4, 3).reshape(2, 3)),
    "transposed convolution": single(
        "ConvTranspose", {"strides": [2, 1], "pads": [1, 1, 1, 1]}, weight=numbers(4, 3, 3, 3), bias=numbers(3)
    ),
    "uneven transposed convolution": single(
        "ConvTranspose",
        {"strides": [2, 3], "pads": [1, 0, 0, 2], "output_padding": [1, 0]},
        weight=numbers(4, 2, 3, 4),
        bias=numbers(2),
    ),
    "dilated transposed convolution": single("ConvTranspose", {"dilations": [2, 2]}, weight=numbers(4, 2, 2, 3)),
    "grouped transposed convolution": single(
        "ConvTranspose", {"group": 2, "strides": [2, 2], "output_padding": [1, 1]}, weight=numbers(4, 2, 2, 3)
    ),
    "transposed convolution to a shape": single(
        "ConvTranspose", {"strides": [2, 2], "output_shape": [10, 12]}, weight=numbers(4, 2, 3, 3)
    ),
    "local response normalization": single("LRN", {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 1.5}),
    "selu": single("Selu"),
    "repeated": single(
        "Resize",
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        roi=numbers(0),
        scales=np.array([1, 1, 2, 3], np.float32),
    ),
    "repeated around centres": single(
        "Resize", {"axes": [2, 3]}, roi=numbers(0), none=numbers(0), sizes=integers(5, 12)
    ),
    "interpolated": single("Resize", {"mode": "linear"}, roi=numbers(0), scales=np.array([1, 1, 2, 1.5], np.float32)),
    "interpolated between corners": single(
        "Resize",
        {"mode": "linear", "coordinate_transformation_mode": "align_corners", "axes": [2, 3]},
        roi=numbers(0),
        none=numbers(0),
        sizes=integers(10, 3),
    ),
}

#: Cases that onnx's reference evaluator does not take, as others of the same answer: it lacks groups and output shapes.
EQUIVALENT: dict[str, Case] = {
    "grouped transposed convolution": (
        [
            ("Split", "x", "a b", {"axis": 1, "num_outputs": 2}),
            ("ConvTranspose", "a first", "c", {"strides": [2, 2], "output_padding": [1, 1]}),
            ("ConvTranspose", "b second", "d", {"strides": [2, 2], "output_padding": [1, 1]}),
            ("Concat", "c d", "y", {"axis": 1}),
        ],
        {"first": numbers(4, 2, 2, 3)[:2], "second": numbers(4, 2, 2, 3)[2:]},
    ),
    "transposed convolution to a shape": single(
        "ConvTranspose", {"strides": [2, 2], "pads": [1, 1, 0, 0]}, weight=numbers(4, 2, 3, 3)
    ),
}


def model(case: Case) -> onnx.ModelProto:
    nodes, constants = case
    graph = helper.make_graph(
        [
            helper.make_node(op, inputs.split(), outputs.split(), name=f"n{number}", **attributes)
            for number, (op, inputs, outputs, attributes) in enumerate(nodes)
        ],
        "case",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 5, 6])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    made.graph.output[0].CopyFrom(onnx.shape_inference.infer_shapes(made).graph.output[0])
    return made


@pytest.fixture
def lowered(tmp_path: Path, request: pytest.FixtureRequest) -> Network:
    onnx.save(model(IMAGES[request.param]), tmp_path / "case.onnx")
    network = load(str(tmp_path / "case.onnx"))
    assert network.file is None, network.own and network.own.said
    return network


def evaluated(made: onnx.ModelProto, x: Array) -> Array:
    """The first output in float64."""
    values: Any = ReferenceEvaluator(in_float64(made)).run(None, {made.graph.input[0].name: x.astype(np.float64)})
    return np.asarray(values[0])


every = pytest.mark.parametrize("lowered", sorted(IMAGES), indirect=True)


@every
def test_the_oracle_computes_what_the_file_says(lowered: Network, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["lowered"]
    expected = evaluated(model(EQUIVALENT.get(name, IMAGES[name])), lowered.x)
    answer = oracle.predict(lowered.graph, lowered.weights, lowered.x)
    np.testing.assert_allclose(answer, expected, rtol=1e-6, atol=1e-7)


@every
def test_the_gradient_is_the_slope_of_the_prediction(lowered: Network) -> None:
    direction = np.random.default_rng(5).standard_normal(lowered.x.shape)
    step = 1e-6 * direction
    above, below = (oracle.predict(lowered.graph, lowered.weights, lowered.x + moved) for moved in (step, -step))
    slope = np.sum((above - below) * lowered.cotangent) / 2e-6
    gradient = oracle.gradient(lowered.graph, lowered.weights, lowered.x, lowered.cotangent)
    np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-5, atol=1e-7)


def test_a_transposed_convolution_may_be_padded_beyond_its_stride(tmp_path: Path) -> None:
    """Its output has more windows than its input has positions; onnx's evaluator has no answer."""
    attributes = {"dilations": [2, 2], "output_padding": [1, 1]}
    onnx.save(model(single("ConvTranspose", attributes, weight=numbers(4, 2, 2, 3))), tmp_path / "case.onnx")
    test_the_gradient_is_the_slope_of_the_prediction(load(str(tmp_path / "case.onnx")))


@every
def test_every_opset_has_the_same_network(lowered: Network) -> None:
    expected = oracle.predict(lowered.graph, lowered.weights, lowered.x)
    for form in (form for form in FORMS.values() if form == Form(form.opset)):
        if no_form(lowered.graph, form.opset) is None:
            made = build_model(lowered.graph, lowered.weights, form)
            if all(node["attributes"].get("group", 1) == 1 for node in lowered.graph["nodes"]):  # see EQUIVALENT
                np.testing.assert_allclose(evaluated(made, lowered.x), expected, rtol=1e-6, atol=1e-7)


@every
def test_nodes_have_the_attributes_of_the_vocabulary(lowered: Network) -> None:
    for node in lowered.graph["nodes"]:
        assert sorted(OPERATORS[node["op"]]) == sorted(node["attributes"])


def test_softmax_of_old_opsets_runs_over_all_axes_from_its_own(tmp_path: Path) -> None:
    made = model(single("Softmax", {"axis": 1}))
    made.opset_import[0].version = 11
    made.ir_version = 6
    onnx.save(made, tmp_path / "case.onnx")
    network = load(str(tmp_path / "case.onnx"))
    expected = np.exp(network.x.astype(np.float64))
    expected /= expected.sum(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(oracle.predict(network.graph, network.weights, network.x), expected, rtol=1e-6)


@every
def test_fewer_channels_of_the_input_are_a_network_or_none(lowered: Network) -> None:
    part = with_channels(lowered, lowered.graph["inputs"][0]["name"], [0, 1, 2])
    if part is not None:
        assert (4, 3, 5, 6) == part.x.shape
        assert oracle.predict(part.graph, part.weights, part.x).shape == part.cotangent.shape


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (([("Sum", "x c", "y", {})], {"c": numbers(4, 1, 1)}), "constant 'c' where only computed tensors"),
        (
            ([("GlobalAveragePool", "x", "m", {}), ("Sum", "x m", "y", {})], {}),
            "Sum (node 'n1') adds tensors of different shapes",
        ),
        (([("Max", "x", "y", {})], {}), "Max (node 'n0') takes other inputs"),
        (
            ([("GlobalAveragePool", "x", "m", {}), ("Min", "x m", "y", {})], {}),
            "Min (node 'n1') takes tensors of the shapes",
        ),
        (single("ReduceMax", {"keepdims": 1}, axes=integers(1)), "ReduceMax (node 'n0') runs over the axes [1] of 4"),
        (single("Cast", {"to": TensorProto.DOUBLE}), "Cast (node 'n0') converts to double"),
        (
            (
                [("ReduceSum", "x axes", "s", {}), ("Expand", "s shape", "y", {})],
                {"axes": integers(1), "shape": integers(4, 4, 5, 6)},
            ),
            "Expand (node 'n1') repeats a tensor",
        ),
    ],
    ids=["sum-constant", "sum-shapes", "max-of-one", "min-shapes", "max-of-channels", "double", "expand"],
)
def test_what_composed_operators_do_not_have_is_named(case: Case, reason: str, tmp_path: Path) -> None:
    onnx.save(model(case), tmp_path / "case.onnx")
    own = load(str(tmp_path / "case.onnx")).own
    assert own is not None
    assert reason in own.said[-1]


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (
            ([("Concat", "c x", "y", {"axis": 1})], {"c": numbers(4, 1, 5, 6)}),
            "takes the constant 'c' where only computed tensors are supported",
        ),
        (single("LRN", {"size": 2}), "has an even size; only odd ones are supported"),
        (
            single("Resize", {"axes": [2, 3]}, roi=numbers(0), none=numbers(0), sizes=integers(7, 6)),
            "takes the nearest entries otherwise than by repeating each a whole number of times",
        ),
        (
            single(
                "Resize",
                {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
                roi=numbers(0),
                scales=np.array([1, 1, 2, 2], np.float32),
            ),
            "interpolates with asymmetric coordinates; only half_pixel and align_corners are supported",
        ),
        (
            single("Resize", {"mode": "cubic"}, roi=numbers(0), scales=np.array([1, 1, 2, 2], np.float32)),
            "has the mode cubic; only nearest and linear are supported",
        ),
    ],
)
def test_what_is_not_lowered_is_said(tmp_path: Path, case: Case, reason: str) -> None:
    onnx.save(model(case), tmp_path / "case.onnx")
    network = load(str(tmp_path / "case.onnx"))
    assert network.own is not None
    assert reason in network.own.said[-1]


def test_an_operator_that_an_opset_lacks_is_named() -> None:
    graph: Any = {"nodes": [{"op": "Erf", "attributes": {}}]}
    assert (None, "Erf came with opset 9") == (no_form(graph, 9), no_form(graph, 8))
