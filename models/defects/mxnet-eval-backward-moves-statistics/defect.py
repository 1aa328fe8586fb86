# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["mxnet==0.9.5.post2", "numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""MXNet 0.9.5.post2: `backward()` after an inference-mode forward replaces the moving statistics by garbage."""

import mxnet as mx
import numpy as np

symbol = mx.sym.BatchNorm(mx.sym.Variable("x"), name="bn", eps=0.001, momentum=0.9, fix_gamma=False)
moving = {"bn_moving_mean": mx.nd.array([0]), "bn_moving_var": mx.nd.array([1])}
gradients = mx.nd.zeros((1, 1))
net = symbol.bind(
    mx.cpu(),
    {"x": mx.nd.array([[1]]), "bn_gamma": mx.nd.ones((1,)), "bn_beta": mx.nd.zeros((1,))},
    args_grad={"x": gradients},
    grad_req={"x": "write"},
    aux_states=moving,
)


def show(when):
    """Predict, and show the prediction and the moving statistics."""
    y = net.forward(is_train=False)[0].asnumpy().item()
    values = [moving[name].asnumpy().item() for name in ("bn_moving_mean", "bn_moving_var")]
    print(when + ": prediction", y, "| moving mean and variance:", *values)
    return [y, *values]


before = show("before")
net.forward(is_train=False)
net.backward([mx.nd.array([[9]])])
print("input gradient:", gradients.asnumpy().item(), "| expected:", 9 / np.sqrt(1.001))
after = show("after")
print("no defect" if np.allclose(before, after) else "defect")
