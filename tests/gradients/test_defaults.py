"""An attribute that a node leaves out has the value that the ONNX specification gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from crosscheck.cells import Array
from crosscheck.gradients import differentiate
from tests.gradients.layers import STAND_INS
from tests.gradients.numeric import Erf, Gelu, Pad, Softmax, model_of

Case = tuple[str, dict[str, Any], tuple[int, ...], Sequence[Array | None], int]


def drawn(*shape: int, seed: int = 1) -> Array:
    return np.asarray(np.random.default_rng(seed).uniform(0.5, 1.5, shape))


def integers(*values: int) -> Array:
    return np.array(values)


NORM = [drawn(3, seed=seed) for seed in range(4)]
WEIGHT = drawn(3, 3, 2, 2)
CASES: list[Case] = [
    ("AveragePool", {"strides": [1, 1], "pads": [0] * 4, "auto_pad": "NOTSET", "count_include_pad": 0, "ceil_mode": 0},
     (2, 3, 4, 4), (), 15),
    ("BatchNormalization", {"epsilon": 1e-5, "momentum": 0.9}, (2, 3, 4), NORM, 13),
    ("BatchNormalization", {"epsilon": 1e-5, "momentum": 0.9, "training_mode": 0}, (2, 3, 4), NORM, 15),
    ("Celu", {"alpha": 1.0}, (2, 3), (), 28),
    ("Conv", {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": 1, "auto_pad": "NOTSET"},
     (2, 3, 4, 4), (WEIGHT,), 15),
    ("ConvTranspose",
     {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": 1, "output_padding": [0, 0]},
     (2, 3, 4, 4), (WEIGHT,), 15),
    ("CumSum", {"exclusive": 0, "reverse": 0}, (2, 3), (integers(1)[0],), 14),
    ("DepthToSpace", {"mode": "DCR"}, (1, 8, 2, 2), (), 13),
    ("Elu", {"alpha": 1.0}, (2, 3), (), 13),
    ("Flatten", {"axis": 1}, (2, 3, 4), (), 13),
    ("Gather", {"axis": 0}, (3, 4), (integers(1, 2),), 16),
    ("GatherElements", {"axis": 0}, (3, 4), (integers(1, 2, 0, 1)[None],), 16),
    ("GatherND", {"batch_dims": 0}, (3, 4), (np.array([[1, 2], [0, 3]]),), 16),
    ("Gemm", {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}, (2, 3), (drawn(3, 4), drawn(4)), 13),
    ("GridSample", {"mode": "linear", "padding_mode": "zeros", "align_corners": 0},
     (1, 2, 3, 3), (drawn(1, 2, 2, 2) - 1,), 20),
    ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}, (2, 3), (), 13),
    ("InstanceNormalization", {"epsilon": 1e-5}, (2, 3, 4), NORM[:2], 13),
    ("LRN", {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}, (2, 3, 4), (), 13),
    ("LayerNormalization", {"axis": -1, "epsilon": 1e-5}, (2, 4, 3), NORM[:2], 17),
    ("LeakyRelu", {"alpha": 0.01}, (2, 3), (), 16),
    ("LogSoftmax", {"axis": -1}, (2, 3, 4), (), 13),
    ("LpNormalization", {"axis": -1, "p": 2}, (2, 3, 4), (), 13),
    ("MaxPool", {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "auto_pad": "NOTSET", "ceil_mode": 0},
     (2, 3, 4, 4), (), 15),
    ("Mod", {"fmod": 0}, (2, 3), (drawn(3) / 3,), 13),
    ("Pad", {"mode": "constant"}, (2, 3), (integers(0, 1, 1, 0),), 13),
    ("ReduceSumSquare", {"keepdims": 1, "noop_with_empty_axes": 0}, (2, 3), (), 18),
    ("ReduceMean", {"keepdims": 1, "noop_with_empty_axes": 0}, (2, 3), (), 18),
    ("ReduceSum", {"keepdims": 1, "noop_with_empty_axes": 0}, (2, 3), (), 13),
    ("Resize",
     {"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"},
     (1, 1, 4, 4), (None, np.array([1, 1, 0.6, 1.5], np.float32)), 13),
    ("ScatterElements", {"axis": 0, "reduction": "none"}, (3, 4), (integers(1, 2, 0, 1)[None], drawn(1, 4)), 16),
    ("ScatterND", {"reduction": "none"}, (3, 4), (np.array([[1], [0]]), drawn(2, 4)), 16),
    ("Selu", {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}, (2, 3), (), 13),
    ("Shrink", {"bias": 0.0, "lambd": 0.5}, (2, 3), (), 13),
    ("Softmax", {"axis": -1}, (2, 3, 4), (), 13),
    ("Softmax", {"axis": 1}, (2, 3, 4), (), 11),
    ("Swish", {"alpha": 1.0}, (2, 3), (), 24),
    ("ThresholdedRelu", {"alpha": 1.0}, (2, 3), (), 13),
    ("TopK", {"axis": -1, "largest": 1, "sorted": 1}, (2, 4), (integers(2),), 13),
    ("Transpose", {"perm": [2, 1, 0]}, (2, 3, 4), (), 13),
    ("Trilu", {"upper": 1}, (3, 4), (), 14),
]  # fmt: skip
#: What every node of an operator has to have.
NEEDED: dict[str, dict[str, Any]] = {
    "AveragePool": {"kernel_shape": [2, 2]},
    "DepthToSpace": {"blocksize": 2},
    "LRN": {"size": 3},
    "MaxPool": {"kernel_shape": [2, 2]},
}


def gradient(op: str, constants: Sequence[Array | None], x: Array, opset: int, attributes: dict[str, Any]) -> Array:
    stored = {f"c{place}": value for place, value in enumerate(constants) if value is not None}
    inputs = ["x", *(f"c{place}" if value is not None else "" for place, value in enumerate(constants))]
    outputs = ["y", "places"] if op == "TopK" else ["y"]
    node = helper.make_node(op, inputs, outputs, **NEEDED.get(op, {}), **attributes)
    made = differentiate(model_of([node], stored, x.shape, opset))
    shape = [size.dim_value for size in made.graph.output[0].type.tensor_type.shape.dim]
    evaluator = ReferenceEvaluator(made, new_ops=[*STAND_INS, Erf, Gelu, Pad, Softmax])
    found: Any = evaluator.run(["x.gradient"], {"x": x, "y.cotangent": drawn(*shape, seed=9)})
    return np.asarray(found[0])


@pytest.mark.parametrize(("op", "defaults", "shape", "constants", "opset"), CASES)
def test_gradients_without_attributes_are_those_with_their_defaults(
    op: str, defaults: dict[str, Any], shape: tuple[int, ...], constants: Sequence[Array | None], opset: int
) -> None:
    x = drawn(*shape, seed=7) * np.where(drawn(*shape, seed=8) > 1, 1, -1)
    whole = gradient(op, constants, x, opset, defaults)
    assert whole.any()
    np.testing.assert_array_equal(whole, gradient(op, constants, x, opset, {}))
    schema = onnx.defs.get_schema(op, opset, "")
    for name in defaults:  # and the defaults are the specification's, where it writes them down
        default = schema.attributes[name].default_value
        if default.type != onnx.AttributeProto.UNDEFINED:
            value = helper.get_attribute_value(default)
            told = value.decode() if isinstance(value, bytes) else value
            assert defaults[name] == pytest.approx(told) if isinstance(told, float) else defaults[name] == told
        missing = {key: value for key, value in defaults.items() if key != name}
        np.testing.assert_array_equal(whole, gradient(op, constants, x, opset, missing))
