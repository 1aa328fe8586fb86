"""What has no rule is refused, with the node and the reason; and names and nodes of what is rewritten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import differentiate
from crosscheck.onnx_models.plain import plain
from tests.gradients.numeric import model_of

OPEN: Sequence[int | str | None] = [2, "M"]


def node(op: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, ["y"], name="last", **attributes)


MAXIMUM = helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0)
MEANS = [
    helper.make_node("LayerNormalization", ["x", "w"], ["n", "mean"], name="last"),
    helper.make_node("Mul", ["n", "mean"], ["y"]),
]
#: What -> nodes, constants, shape, opset, type, and the reason.
Refused = tuple[Sequence[onnx.NodeProto], dict[str, Array], Sequence[Any], int, Any, str]
REFUSED: dict[str, Refused] = {
    "a scale that depends on the input": (
        [
            MAXIMUM,
            helper.make_node("QuantizeLinear", ["x", "m"], ["q"], name="last"),
            helper.make_node("DequantizeLinear", ["q", "w"], ["y"]),
        ],
        {"w": np.array(0.5, np.float32)},
        (2, 3),
        17,
        np.float32,
        "takes its scale or zero point from 'm', which depends on the model's input; make it a constant",
    ),
    "quantization to a float": (
        [
            helper.make_node("QuantizeLinear", ["x", "w", "z"], ["q"], name="last"),
            helper.make_node("DequantizeLinear", ["q", "w", "z"], ["y"]),
        ],
        {"w": np.array(0.5, np.float32), "z": np.array(0, ml_dtypes.float8_e4m3fn)},
        (2, 3),
        19,
        np.float32,
        "quantizes to float8_e4m3fn; only integers have a rule",
    ),
    "quantization in blocks": (
        [
            helper.make_node("QuantizeLinear", ["x", "w"], ["q"], name="last", axis=1, block_size=2),
            helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
        ],
        {"w": np.full((2, 2), 0.5, np.float32), "s": np.array(0.5, np.float32)},
        (2, 4),
        21,
        np.float32,
        "quantizes in blocks, for which there is no rule",
    ),
    "a border that depends on the input": (
        [MAXIMUM, node("Pad", "x", "w", "m")],
        {"w": np.array([0, 1, 0, 1])},
        (2, 3),
        13,
        np.float64,
        "takes its pad value from 'm', which depends on the model's input; make it a constant",
    ),
    "a reflection at an unknown place": (
        [node("Pad", "x", "w", mode="reflect")],
        {"w": np.array([0, 1, 0, 1])},
        OPEN,
        13,
        np.float64,
        "has mode 'reflect' on axis 1, of unknown size; export it with a fixed one",
    ),
    "a reflection along an axis that no table has room for": (
        [node("Pad", "x", "w", mode="reflect")],
        {"w": np.array([0, 1, 0, 1])},
        (2, 2**24),
        13,
        np.float64,
        "copies along axis 1, of 16777218 entries; up to 1048576 have a rule",
    ),
    "a diagonal of unknown size": (
        [node("Einsum", "x", equation="ii->i")],
        {},
        ["M", "M"],
        13,
        np.float64,
        "takes a diagonal of 'x' of unknown size; export it with sizes",
    ),
    "capital letters": (
        [node("Einsum", "x", equation="iJ->J")],
        {},
        (2, 3),
        13,
        np.float64,
        "has capital letters in its equation, for which there is no rule; use small ones",
    ),
    "the largest of updates": (
        [node("ScatterElements", "x", "i", "w", reduction="max")],
        {"i": np.array([[0, 1, 0]]), "w": np.ones((1, 3))},
        (2, 3),
        18,
        np.float64,
        "has reduction = 'max', for which there is no rule; export it with another",
    ),
    "updates before opset 11": (
        [node("Scatter", "w", "i", "x")],
        {"i": np.array([[0, 1, 0]]), "w": np.ones((2, 3))},
        (1, 3),
        9,
        np.float64,
        "writes elements that depend on the model's input; export it in opset 11",
    ),
    "the means of a normalization": (
        MEANS,
        {"w": np.ones(3)},
        (2, 3),
        17,
        np.float64,
        "hands 'mean' on to the differentiated output; only its first output has a gradient",
    ),
    "the size of an unpooled image": (
        [node("MaxUnpool", "x", "i", "s", kernel_shape=[2], strides=[2])],
        {"i": np.array([[[1, 2]]]), "s": np.array([1, 1, 5])},
        (1, 1, 2),
        11,
        np.float64,
        "has an output_shape, for which there is no rule; crop or pad behind it instead",
    ),
    "an unknown number of channels": (
        [node("DepthToSpace", "x", blocksize=2, mode="CRD")],
        {},
        (1, "C", 2, 2),
        13,
        np.float64,
        "has an unknown number of channels; export it with a fixed one",
    ),
    "a norm over a last window that is cut": (
        [node("LpPool", "x", kernel_shape=[2], strides=[2], ceil_mode=1)],
        {},
        (1, 1, 5),
        18,
        np.float64,
        "has ceil_mode = 1, for which there is no rule; pad the input instead",
    ),
    "a product of unknown length": (
        [node("CumProd", "x", "a")],
        {"a": np.array(1)},
        OPEN,
        26,
        np.float64,
        "multiplies along axis 1 of unknown size; export it with a fixed one",
    ),
    "a transform of unknown length": (
        [node("DFT", "x", axis=1)],
        {},
        (1, "M", 1),
        17,
        np.float64,
        "transforms axis 1 of unknown size; export it with a fixed one",
    ),
    "a one-sided inverse": (
        [node("DFT", "x", axis=1, inverse=1, onesided=1)],
        {},
        (1, 4, 2),
        17,
        np.float64,
        "is a one-sided inverse, for which there is no rule; export it two-sided",
    ),
    "frames of a complex signal": (
        [node("STFT", "x", "step", "", "n", onesided=0)],
        {"step": np.array(2), "n": np.array(4)},
        (1, 8, 2),
        17,
        np.float64,
        "transforms a complex signal, for which there is no rule; use two of real ones",
    ),
    "cubic samples": (
        [node("GridSample", "x", "g", mode="cubic")],
        {"g": np.zeros((1, 2, 2, 2))},
        (1, 1, 3, 3),
        20,
        np.float64,
        "samples by mode 'cubic', for which there is no rule; export it as linear or nearest",
    ),
    "a sum that may repeat its input": (
        [node("Add", "w", "x")],
        {"w": np.ones((2, 3))},
        OPEN,
        12,
        np.float64,
        "may or may not broadcast axis 1 of 'x'; export it with sizes",
    ),
    "copies of two unknown sizes": (
        [node("Tile", "x", "n")],
        {"n": np.array([2, 3])},
        ["N", "M"],
        13,
        np.float64,
        "repeats a tensor with several unknown sizes; export it with fixed ones",
    ),
    "random drops": (
        [node("Dropout", "x", "r", "t")],
        {"r": np.array(0.5), "t": np.array(True)},
        (2, 3),
        13,
        np.float64,
        "drops at random (training_mode is true); export it in inference form",
    ),
    "a convolution of unknown channels": (
        [node("ConvTranspose", "x", "w")],
        {"w": np.ones((2, 3, 2))},
        (1, 2, "L"),
        13,
        np.float64,
        "gives 'y' of shape (1, 3, ",
    ),
    "an operator that its opset lists as withdrawn": (
        [node("GroupNormalization", "x", "w", "w", num_groups=2)],
        {"w": np.ones(2)},
        (2, 4, 3),
        18,
        np.float64,
        "opset 18 cannot express its gradient (Op registered for GroupNormalization is deprecated",
    ),
    "a body that float64 does not fit": (
        [node("MeanVarianceNormalization", "x", axes=[0])],
        {},
        (2, 3),
        13,
        np.float64,
        "opset 13 cannot express its gradient ([ShapeInferenceError]",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_name_the_node_and_the_reason(what: str) -> None:
    nodes, constants, shape, opset, kind, reason = REFUSED[what]
    model = model_of(nodes, constants, shape, opset, kind)
    with pytest.raises(NetworkError) as told:
        differentiate(model, source="mine.onnx")
    where = "" if reason.startswith("opset") else f"node 'last' ({next(n.op_type for n in nodes if n.name == 'last')}) "
    assert str(told.value).startswith(f"mine.onnx: {where}{reason}")


@pytest.mark.parametrize(("opset", "stride", "pools"), [(9, 1, 1), (9, 2, 3), (10, 1, 1), (10, 2, 1)])
def test_a_strided_slice_is_a_pool_before_opset_10_alone(opset: int, stride: int, pools: int) -> None:
    """One more for each entry of the window, besides the model's own."""
    model = model_of([node("MaxPool", "x", kernel_shape=[2], strides=[stride])], {}, (1, 1, 6), opset)
    made = differentiate(model)
    assert pools == sum(item.op_type == "MaxPool" for item in made.graph.node)


# Branches


def branch(nodes: Sequence[onnx.NodeProto], output: str) -> onnx.GraphProto:
    return helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None])])


def taken(output: str, nodes: Sequence[onnx.NodeProto], last: str) -> onnx.NodeProto:
    """An If named `choice` whose condition is true."""
    other = branch([helper.make_node("Identity", ["x"], ["other"])], "other")
    return helper.make_node("If", ["yes"], [output], name="choice", then_branch=branch(nodes, last), else_branch=other)


def evaluated(nodes: Sequence[onnx.NodeProto]) -> list[float]:
    """y of the plain model for x = 1, 2."""
    model = plain(model_of(nodes, {"yes": np.array(True)}, [2], 13), "mine.onnx", 9)
    assert "If" not in {item.op_type for item in model.graph.node}
    names = [name for item in model.graph.node for name in item.output]
    assert len(names) == len(set(names))
    (y,) = ReferenceEvaluator(model).run(None, {"x": np.array([1.0, 2.0])})
    return [float(value) for value in y]


def test_branches_of_nodes_with_one_name_do_not_share_tensors() -> None:
    double, square = helper.make_node("Add", ["x", "x"], ["t"]), helper.make_node("Mul", ["x", "x"], ["t"])
    nodes = [taken("a", [double], "t"), taken("b", [square], "t"), node("Sub", "a", "b")]
    assert [1.0, 0.0] == evaluated(nodes)


def test_a_loop_inside_a_branch_keeps_the_names_of_its_own_inputs() -> None:
    """The loop's body calls its own input as the branch calls a tensor: it doubles what it holds, three times."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Add", ["t", "t"], ["next"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [value("count", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("t", TensorProto.DOUBLE, [2])],
        [value("on", TensorProto.BOOL, []), value("next", TensorProto.DOUBLE, [2])],
    )
    times = helper.make_node("Constant", [], ["times"], value=numpy_helper.from_array(np.array(3)))
    nodes = [
        times,
        helper.make_node("Neg", ["x"], ["t"]),
        helper.make_node("Loop", ["times", "yes", "t"], ["end"], body=body),
        helper.make_node("Add", ["end", "t"], ["sum"]),
    ]
    assert [-9.0, -18.0] == evaluated([taken("y", nodes, "sum")])


# What a gradient is made of


def test_one_product_is_written_once_for_both_gradients() -> None:
    """Two layers of one weight, and a square: of each operator with the same inputs there is one node."""
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["a"]),
        helper.make_node("Mul", ["a", "a"], ["b"]),
        helper.make_node("Exp", ["b"], ["y"]),
    ]
    made = differentiate(model_of(nodes, {}, (2, 3), 15))
    keys = [(item.op_type, *item.input, *(str(part) for part in item.attribute)) for item in made.graph.node]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(("size", "copies"), [(64, 1), (65, 2)])
def test_equal_constants_of_up_to_4096_numbers_are_stored_once(size: int, copies: int) -> None:
    """Two convolutions with one weight, whose gradients take it with its entries in reverse order."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["h"]), helper.make_node("Conv", ["h", "v"], ["y"])]
    weights = {name: np.ones((size, size, 1)) for name in "wv"}
    made = differentiate(model_of(nodes, weights, (1, size, 3), 15))
    written = [
        item for item in made.graph.initializer if item.name not in weights and list(item.dims)[:2] == [size] * 2
    ]
    assert copies == len(written)


def test_tensors_of_a_gradient_have_new_names() -> None:
    nodes = [helper.make_node("Exp", ["x"], ["mul.gradient"]), node("Tanh", "mul.gradient")]
    made = differentiate(model_of(nodes, {}, (2, 3), 15))
    outputs = [name for item in made.graph.node for name in item.output]
    assert len(outputs) == len(set(outputs))
