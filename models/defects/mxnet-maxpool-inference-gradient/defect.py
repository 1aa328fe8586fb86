# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["mxnet==1.9.1", "numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""MXNet 1.9.1: the inference-mode input gradient of a maximum pool does not go to the largest entry."""

import mxnet as mx
from mxnet import autograd

x = mx.nd.array([[[[1, 2], [3, 4]]]])
cotangent = mx.nd.ones((1, 1, 1, 1))


def gradient(training):
    """The input gradient; forward and backward run in one mode."""
    x.attach_grad()
    with autograd.record(train_mode=training):
        y = mx.nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    y.backward(cotangent, train_mode=training)
    return x.grad.asnumpy().ravel().tolist()


expected = [0, 0, 0, 1]
inference = gradient(False)
print("inference mode:", *inference, "| expected:", *expected)
print("training mode: ", *gradient(True), "| expected:", *expected)
print("no defect" if inference == expected else "defect")
