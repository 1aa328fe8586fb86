# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["mxnet==1.9.1", "numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""MXNet 1.9.1: a prediction that follows a gradient at once makes the gradient one of inference mode."""

import mxnet as mx
import numpy as np

images = np.random.RandomState(0).randn(8, 3, 128, 128).astype(np.float32)
# A convolution that takes longer than the calls that follow: the batch normalization waits for it.
wide = mx.sym.Convolution(mx.sym.Variable("x"), num_filter=64, kernel=(5, 5), no_bias=True, name="wide")
network = mx.sym.BatchNorm(wide, fix_gamma=False, eps=0.001, momentum=0.9, name="bn")


def measured(waits):
    """The largest input gradient and moving mean after one training-mode gradient and a prediction."""
    executor = network.simple_bind(mx.cpu(), x=images.shape)
    executor.arg_dict["x"][:] = images
    executor.arg_dict["wide_weight"][:] = np.random.RandomState(1).randn(64, 3, 5, 5)
    executor.arg_dict["bn_gamma"][:] = 1
    executor.aux_dict["bn_moving_var"][:] = 1
    cotangent = mx.nd.ones(executor.forward(is_train=False)[0].shape)
    mx.nd.waitall()
    executor.forward(is_train=True)
    executor.backward([cotangent])
    if waits:
        mx.nd.waitall()
    executor.forward(is_train=False)[0].asnumpy()
    arrays = executor.grad_dict["x"], executor.aux_dict["bn_moving_mean"]
    mx.nd.waitall()
    return [float(np.abs(array.asnumpy()).max()) for array in arrays]


expected, at_once = measured(waits=True), measured(waits=False)
print("largest input gradient and moving mean:", *at_once, "| expected:", *expected)
print("no defect" if np.allclose(expected, at_once, rtol=0.01, atol=1e-5) else "defect")
