"""onnx-ad, an independent reverse mode for ONNX, on the shipped networks in inference form."""

from __future__ import annotations

import numpy as np
import onnx_ad
import pytest
from onnx.reference import ReferenceEvaluator

from crosscheck.gradients import differentiate
from crosscheck.networks import load, names
from crosscheck.networks.forms import write
from tests.gradients.layers import STAND_INS
from tests.gradients.test_layers import run

#: An opset that both accept.
OPSET = 18


@pytest.mark.parametrize("name", names())
def test_onnx_ad_computes_the_same_gradient(name: str) -> None:
    """It refuses open axes: the batch is that of the probe input. Its seeds have a last axis, of one direction."""
    network = load(name)
    model = write(network, OPSET)
    for item in (model.graph.input[0], model.graph.output[0]):
        item.type.tensor_type.shape.dim[0].dim_value = len(network.x)
    y = model.graph.output[0].name
    theirs = onnx_ad.reverse(model, layout="onnx")
    seed, answer = f"adj_{y}", "adj_x"
    feeds = {"x": network.x, seed: network.cotangent[..., None]}
    # It reads the indices of MaxPool, which the tests' own MaxPool does not give.
    stand_ins = [item for item in STAND_INS if item.__name__ != "MaxPool"]
    (adjoint,) = ReferenceEvaluator(theirs, new_ops=stand_ins).run([answer], feeds)
    expected = np.asarray(adjoint)[..., 0]
    gradient = run(differentiate(model), **{"x": network.x, f"{y}.cotangent": network.cotangent})[1]
    assert expected.shape == gradient.shape
    assert np.allclose(expected, gradient, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(expected).max())))
