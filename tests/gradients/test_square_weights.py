"""A square weight is used either as it is or transposed, never both: some releases of OpenVINO confuse the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from crosscheck.cells import Array
from crosscheck.gradients import differentiate
from tests.gradients.numeric import finite_differences, gradient_of, model_of, predict

W = np.random.default_rng(0).standard_normal((4, 4))
X = np.random.default_rng(1).standard_normal((3, 4))


def ways(model: onnx.ModelProto) -> dict[str, set[bool]]:
    """Initialiser -> whether it is transposed, for every use in a product."""
    stored = {item.name for item in model.graph.initializer}
    used: dict[str, set[bool]] = {}
    for node in model.graph.node:
        flags = {item.name: bool(item.i) for item in node.attribute if item.name.startswith("trans")}
        for name, flag in zip(node.input, ("transA", "transB", ""), strict=False):
            if name in stored and node.op_type in ("Gemm", "MatMul", "Transpose"):
                used.setdefault(name, set()).add(node.op_type == "Transpose" or flags.get(flag, False))
    return used


def gemm(*inputs: str, y: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Gemm", inputs, [y], **attributes)


MODELS: dict[str, list[onnx.NodeProto]] = {
    "dense": [gemm("x", "w")],
    "dense, transposed": [gemm("x", "w", transB=1)],
    "shared, both ways": [gemm("x", "w", y="t", transB=1), gemm("t", "w")],
    "weight on the left": [helper.make_node("Transpose", ["x"], ["t"]), gemm("w", "t", transA=1)],
    "product": [helper.make_node("MatMul", ["x", "w"], ["y"])],
    "product, transposed by a node": [
        helper.make_node("Transpose", ["w"], ["v"]),
        helper.make_node("MatMul", ["x", "v"], ["t"]),
        helper.make_node("MatMul", ["t", "w"], ["y"]),
    ],
}


@pytest.mark.parametrize("what", MODELS)
@pytest.mark.parametrize("opset", [11, 13])
def test_no_square_weight_is_used_both_ways(what: str, opset: int) -> None:
    model = model_of(MODELS[what], {"w": W}, X.shape, opset)
    assert {} == {name: flags for name, flags in ways(differentiate(model)).items() if len(flags) > 1}
    cotangent = np.asarray(np.random.default_rng(2).standard_normal(predict(model, X).shape))
    y, gradient = gradient_of(model, X, cotangent)
    np.testing.assert_allclose(predict(model, X), y, rtol=1e-12)
    np.testing.assert_allclose(finite_differences(model, X, cotangent), gradient, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 5)])
def test_batches_of_square_weights_are_turned_and_others_are_not(shape: Sequence[int]) -> None:
    weight: Array = np.random.default_rng(3).standard_normal(shape)
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight}, X.shape, 13)
    extended = differentiate(model)
    both = {name for name, flags in ways(extended).items() if len(flags) > 1}
    assert (set() if shape == (2, 4, 4) else {"w"}) == both
    assert (2 if shape == (2, 4, 4) else 1) == sum(
        list(item.dims) == list(shape) for item in extended.graph.initializer
    )
