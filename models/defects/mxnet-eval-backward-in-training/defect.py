# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["mxnet==1.9.1", "numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""MXNet 1.9.1: `backward()` runs in training mode after a forward pass in inference mode."""

import mxnet as mx
import numpy as np

symbol = mx.sym.BatchNorm(mx.sym.Variable("x"), name="bn", eps=0.001, momentum=0.9, fix_gamma=False)
rows = np.float32([[1], [2], [4]])
cotangent = np.float32([[1], [0], [0]])
gradients = mx.nd.zeros(rows.shape)
moving = {"bn_moving_mean": mx.nd.array([1]), "bn_moving_var": mx.nd.array([4])}
net = symbol.bind(
    mx.cpu(),
    {"x": mx.nd.array(rows), "bn_gamma": mx.nd.ones((1,)), "bn_beta": mx.nd.zeros((1,))},
    args_grad={"x": gradients},
    grad_req={"x": "write"},
    aux_states=moving,
)
net.forward(is_train=False)
net.backward([mx.nd.array(cotangent)])
measured = gradients.asnumpy()
expected = cotangent / np.sqrt(4.001)
print("prediction:", *net.outputs[0].asnumpy().ravel(), "| expected:", *((rows - 1) / np.sqrt(4.001)).ravel())
print("input gradient:", *measured.ravel(), "| expected:", *expected.ravel())
print("no defect" if np.allclose(measured, expected, rtol=1e-4) else "defect")
