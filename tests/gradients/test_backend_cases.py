"""The ONNX project's node tests, through the gradient pass: equal outputs, and gradients equal to finite differences.

Includes all cases of opset 9 or later with a float32 or float64 input and first output, and operators with rules,
except those listed below with the reason.
"""

from __future__ import annotations

import fnmatch
import functools
import warnings

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.test_case import TestCase as BackendCase
from onnx.backend.test.loader import load_model_tests

from crosscheck.cells import Array
from crosscheck.errors import NetworkError
from crosscheck.gradients import GRADIENT_OPSET, differentiate
from crosscheck.gradients.rules import INDIFFERENT, RULES
from tests.gradients.numeric import evaluator, finite_differences

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)

#: Names of excluded cases -> reason.
EXCLUDED = {
    "test_gather_elements_*": "GatherElements is refused before opset 16, which has no scatter-add",
    **dict.fromkeys(
        ("test_training_dropout", "test_training_dropout_mask", "test_training_dropout_default*"),
        "random dropout is refused",
    ),
    "test_gathernd_example_float32": "GatherND is refused before opset 16, too",
    "test_acosh_example": "a shift leaves the domain",
    "test_onehot_*": "the only input of floats is the depth",
    "test_maxunpool_export_with_output_shape": "output_shape is refused",
    "test_scatter_elements_with_reduction_m*": "reductions other than add are refused",
    "test_scatternd_m*": "reductions other than add are refused",
    "test_bernoulli*_expanded": "the output is random",
    "test_resize_*_antialias": "antialias = 1 is refused",
    "test_resize_downsample_scales_*_align_corners": "the evaluator divides by 4 * 0.6 - 1 where the "
    "specification has length_resized - 1, which is 2 - 1",
}
#: Functions expanded into more nodes are slow, and consist of operators tested by other cases.
MOST_NODES = 12
#: Larger tensors have elements within a step of a tie.
MOST_ELEMENTS = 10_000
#: Operators with a rule but without a case; those of Cast test narrow types, fed as protobufs, quantized
#: numbers and Trilu's are integers, and onnx's evaluator has no Scatter.
WITHOUT_CASES = {
    "Cast",
    "CastLike",
    "DequantizeLinear",
    "GatherElements",
    "GatherND",
    "OneHot",
    "QuantizeLinear",
    "Scatter",
    "Trilu",
    "Unique",
}
SEVERAL = "several operators"
#: Operator -> indices of its inputs that are scales.
SCALES = {"Resize": 2, "Upsample": 1}


def impossible(case: BackendCase) -> str | None:
    """Why a case has no gradient here, or None."""
    assert case.model is not None
    assert case.data_sets is not None
    graph = case.model.graph
    versions = [item.version for item in case.model.opset_import if item.domain == ""]
    inputs, outputs = case.data_sets[0]
    if not versions or versions[0] < GRADIENT_OPSET:
        return "an opset below the first supported one"
    if not all(isinstance(item, (np.ndarray, np.generic)) for item in inputs):
        return "inputs that are not arrays"
    if all(item.type.tensor_type.elem_type not in FLOATS for item in graph.input):
        return "no input of float32 or float64"
    if any(node.op_type == "Unique" for node in graph.node):
        return "equal elements, which a shift tells apart"
    if any(node.op_type == "DequantizeLinear" for node in graph.node):
        return "a scale, which has no float64"
    if not isinstance(outputs[0], np.ndarray) or graph.output[0].type.tensor_type.elem_type not in FLOATS:
        return "no first output of float32 or float64"
    if any(node.domain or node.op_type not in (*RULES, *INDIFFERENT) for node in graph.node):
        return "an operator without a rule"
    if len(graph.node) > MOST_NODES:
        return "many nodes"
    if not np.isfinite(outputs[0]).all():
        return "an output that is not finite"
    if not 0 < with_one_input(case)[1].size <= MOST_ELEMENTS:
        return "no elements, or too many"
    return None


@functools.cache
def every_case() -> list[BackendCase]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases divide by zero on purpose
        return load_model_tests(kind="node")


@functools.cache
def possible() -> dict[str, list[BackendCase]]:
    """Operator -> its cases; cases with several nodes (mostly expanded functions) share one key."""
    cases_of: dict[str, list[BackendCase]] = {}
    for case in every_case():
        assert case.model is not None
        nodes = case.model.graph.node
        if impossible(case) is None:
            cases_of.setdefault(nodes[0].op_type if len(nodes) == 1 else SEVERAL, []).append(case)
    return cases_of


def excluded(case: BackendCase) -> bool:
    return any(fnmatch.fnmatchcase(case.name, pattern) for pattern in EXCLUDED)


def with_one_input(case: BackendCase) -> tuple[onnx.ModelProto, Array]:
    """The model with its first float input, the others as initialisers, and the case's value of that input."""
    assert case.model is not None
    assert case.data_sets is not None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    fed = dict(zip((item.name for item in model.graph.input), case.data_sets[0][0], strict=True))
    x = next(item for item in case.model.graph.input if item.type.tensor_type.elem_type in FLOATS)
    del model.graph.input[:]
    model.graph.input.append(x)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in fed.items() if name != x.name
    )
    return model, fed[x.name]


def in_float64(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with float64 instead of float32."""
    double = onnx.ModelProto()
    double.CopyFrom(model)
    nodes = double.graph.node
    # Scales are always float32.
    single = {name for node in nodes if node.op_type in SCALES for name in node.input[SCALES[node.op_type] :][:1]}
    single |= {name for node in nodes if node.op_type == "LayerNormalization" for name in node.output[1:]}
    for item in (*double.graph.input, *double.graph.output, *double.graph.value_info):
        if item.type.tensor_type.elem_type == TensorProto.FLOAT and item.name not in single:
            item.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in double.graph.initializer:
        if tensor.name not in single:
            tensor.CopyFrom(tensor_in_float64(tensor))
    for node in double.graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
            elif attribute.type == onnx.AttributeProto.TENSOR:
                attribute.t.CopyFrom(tensor_in_float64(attribute.t))
            elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                value = np.array(helper.get_attribute_value(attribute), np.float64)
                attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))
    return double


def tensor_in_float64(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.data_type != TensorProto.FLOAT:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name)


def problem(case: BackendCase) -> str | None:
    """The error of a case's gradient model, or None."""
    assert case.data_sets is not None
    expected = case.data_sets[0][1][0]
    model, x = with_one_input(case)
    try:
        single, double = differentiate(model), differentiate(in_float64(model))
    except NetworkError as refusal:
        return str(refusal)
    x_name, cotangent_name = single.graph.input[0].name, single.graph.input[-1].name
    with np.errstate(all="ignore"):
        y = evaluator(single)({x_name: x, cotangent_name: np.ones_like(expected)})[0]
        if not np.allclose(expected, y, rtol=1e-3, atol=1e-5, equal_nan=True):
            return "another output"
        # Many cases are exactly on a kink or tie; a small shift makes the slope unique.
        random = np.random.default_rng(0)
        near = x + random.uniform(-0.01, 0.01, x.shape)
        cotangent = random.standard_normal(expected.shape)
        direction = np.asarray(random.standard_normal(x.shape))
        gradient = evaluator(double)({x_name: near, cotangent_name: cotangent})[1]
        (truth,) = finite_differences(in_float64(model), near, cotangent, [direction])
        slope = np.sum(gradient * direction)
    if not np.isclose(truth, slope, rtol=1e-4, atol=1e-4, equal_nan=False):
        return f"slope {slope}, by finite differences {truth}"
    return None


def test_cases_with_batch_normalization_are_included() -> None:
    names = {case.name for cases in possible().values() for case in cases if not excluded(case)}
    with_norm = {
        case.name
        for case in every_case()
        if case.model is not None and any(node.op_type == "BatchNormalization" for node in case.model.graph.node)
    }
    assert with_norm
    assert with_norm <= names


def test_hundreds_of_cases_are_included() -> None:
    assert 500 < sum(not excluded(case) for cases in possible().values() for case in cases)


def test_excluded_cases_fail() -> None:
    """Obsolete entries of the list above fail."""
    excused = [case for cases in possible().values() for case in cases if excluded(case)]
    assert [] == [case.name for case in excused if problem(case) is None]
    for pattern in EXCLUDED:
        assert any(fnmatch.fnmatchcase(case.name, pattern) for case in excused)


@pytest.mark.parametrize("operator", [*sorted(set(RULES) - WITHOUT_CASES), SEVERAL])
def test_outputs_and_gradients_match_the_case_and_finite_differences(operator: str) -> None:
    cases = [case for case in possible().get(operator, []) if not excluded(case)]
    assert cases
    assert {} == {case.name: reason for case in cases if (reason := problem(case)) is not None}
