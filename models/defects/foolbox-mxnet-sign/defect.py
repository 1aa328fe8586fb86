# /// script
# requires-python = ">=3.9,<3.10"
# dependencies = [
#     "foolbox==2.4.0", "mxnet==1.9.1", "numpy==1.23.5", "scipy==1.10.1", "requests==2.32.3", "graphviz==0.8.4",
#     "GitPython==3.1.44", "setuptools==75.3.2",
# ]
# [tool.uv]  # these stand in for what the packages themselves ask for
# override-dependencies = ["numpy==1.23.5", "requests==2.32.3", "graphviz==0.8.4"]
# ///
"""foolbox 2.4.0: the gradient of `MXNetModel` has the wrong sign."""

import foolbox
import mxnet as mx
import numpy as np

symbol = mx.sym.FullyConnected(mx.sym.Variable("x"), num_hidden=2, no_bias=True, name="dense")
weight = np.float32([[1, 2], [3, -1]])
model = foolbox.models.MXNetModel(
    mx.sym.Variable("x"),
    symbol,
    args={"dense_weight": mx.nd.array(weight)},
    ctx=mx.cpu(),
    num_classes=2,
    bounds=(-9, 9),
)
rows, labels = np.float32([[1, 1]]), np.array([0])
measured = model.gradient(rows, labels)
scores = np.exp(rows @ weight.T)
expected = (scores / scores.sum() - np.eye(2)[labels]) @ weight
print("gradient of the cross-entropy:", *measured.ravel(), "| expected:", *expected.ravel())
print("no defect" if np.allclose(measured, expected, rtol=1e-4) else "defect")
