# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["mxnet==1.7.0.post2", "numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""MXNet 1.7.0.post2: a training-mode gradient makes the next inference-mode one of another batch norm wrong."""

import sys

import mxnet as mx
import numpy as np
from mxnet import autograd

channels = int(sys.argv[1]) if len(sys.argv) > 1 else 1
ones, zeros = mx.nd.ones((channels,)), mx.nd.zeros((channels,))


def gradient(training):
    """The input gradient of a new batch normalization; forward and backward run in one mode."""
    x = mx.nd.ones((1, channels, 1, 1))
    x.attach_grad()
    with autograd.record(train_mode=training):
        y = mx.nd.BatchNorm(x, ones, zeros, zeros.copy(), ones.copy(), eps=0.001, fix_gamma=False)
    y.backward(x * 9, train_mode=training)
    return x.grad.asnumpy().ravel()


expected = 9 / np.sqrt(1.001)
gradient(True)
measured = gradient(False)
print("inference-mode input gradient after a training-mode one:", *measured, "| expected:", expected)
print("no defect" if np.allclose(measured, expected, rtol=1e-4) else "defect")
