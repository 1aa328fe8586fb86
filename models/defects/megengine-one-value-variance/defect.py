# /// script
# requires-python = ">=3.10,<3.11"
# dependencies = ["megengine==1.13.0", "numpy==1.23.5", "opencv-python-headless==4.8.1.78", "setuptools==68.0.0"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "opencv-python ; python_version < '3'"]
# ///
"""MegEngine 1.13.0: a training-mode forward pass on one value per channel makes the running variance NaN."""

import megengine as mge
import numpy as np
from megengine.module import BatchNorm1d

net = BatchNorm1d(2, eps=0.001)
x = mge.Tensor(np.float32([[0.3, 0.4]]))
net.eval()
before = net(x).numpy().ravel()
net.train()
net(x)
net.eval()
after = net(x).numpy().ravel()
variance = net.running_var.numpy().ravel()
print("running variance:", *variance, "| expected: finite")
print("prediction:", *before, "and then:", *after)
print("no defect" if np.isfinite(variance).all() else "defect")
