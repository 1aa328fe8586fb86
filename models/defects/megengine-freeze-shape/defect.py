# /// script
# requires-python = ">=3.10,<3.11"
# dependencies = ["megengine==1.13.0", "numpy==1.23.5", "opencv-python-headless==4.8.1.78", "setuptools==68.0.0"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "opencv-python ; python_version < '3'"]
# ///
"""MegEngine 1.13.0: `BatchNorm1d` with `freeze=True` puts out another shape."""

import megengine as mge
import numpy as np
from megengine.module import BatchNorm1d

x = mge.Tensor(np.float32([[0.3, 0.4], [0.5, 0.1], [-0.2, 0.7]]))
net = BatchNorm1d(2, freeze=True)
y = net(x)
print("shape of the output:", *y.shape, "| expected:", *x.shape)
print("no defect" if tuple(y.shape) == tuple(x.shape) else "defect")
