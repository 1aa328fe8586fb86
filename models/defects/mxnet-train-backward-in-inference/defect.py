# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["mxnet==1.9.1", "numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""MXNet 1.9.1: `backward(train_mode=False)` after a training-mode forward gives the gradient of neither mode."""

import mxnet as mx
import numpy as np

rows = np.float32([[1], [2]])
x = mx.nd.array(rows)
gamma, beta = mx.nd.ones((1,)), mx.nd.zeros((1,))
mean, variance = mx.nd.zeros((1,)), mx.nd.ones((1,))
x.attach_grad()
with mx.autograd.record():
    y = mx.nd.relu(mx.nd.BatchNorm(x, gamma, beta, mean, variance, eps=0.001, momentum=0.9, fix_gamma=False))
y.backward(train_mode=False)
measured = x.grad.asnumpy()

batch = np.sqrt(rows.var() + 0.001)
normalized = (rows - rows.mean()) / batch
passed = np.float32(normalized > 0)
training = (passed - passed.mean() - normalized * (passed * normalized).mean()) / batch
inference = np.float32(rows > 0) / np.sqrt(1.001)
print("output:", *y.asnumpy().ravel(), "| expected:", *np.maximum(normalized, 0).ravel())
print("input gradient:", *measured.ravel())
print("expected: in training mode", *training.ravel(), "or in inference mode", *inference.ravel())
print("moving mean:", *mean.asnumpy(), "| one update:", 0.1 * rows.mean())
right = any(np.allclose(measured, gradient, atol=1e-4) for gradient in (training, inference))
print("no defect" if right else "defect")
