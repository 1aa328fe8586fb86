# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["mxnet==1.9.1", "numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""MXNet 1.9.1: `asnumpy` of a moving mean does not wait for the call that changes it."""

import mxnet as mx
import numpy as np

images = np.random.RandomState(0).randn(8, 3, 128, 128).astype(np.float32)
# A convolution that takes longer than the calls that follow: the batch normalization waits for it.
wide = mx.sym.Convolution(mx.sym.Variable("x"), num_filter=64, kernel=(5, 5), no_bias=True, name="wide")
network = mx.sym.BatchNorm(wide, fix_gamma=False, eps=0.001, momentum=0.9, name="bn")

executor = network.simple_bind(mx.cpu(), x=images.shape)
executor.arg_dict["x"][:] = images
executor.arg_dict["wide_weight"][:] = np.random.RandomState(1).randn(64, 3, 5, 5)
executor.arg_dict["bn_gamma"][:] = 1
executor.aux_dict["bn_moving_var"][:] = 1
cotangent = mx.nd.ones(executor.forward(is_train=False)[0].shape)
mx.nd.waitall()
executor.forward(is_train=True)
executor.backward([cotangent])
measured = executor.aux_dict["bn_moving_mean"].asnumpy()
mx.nd.waitall()
expected = executor.aux_dict["bn_moving_mean"].asnumpy()
print("largest moving mean, read at once:", np.abs(measured).max(), "| expected:", np.abs(expected).max())
print("no defect" if np.array_equal(measured, expected) else "defect")
