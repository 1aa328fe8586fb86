# /// script
# requires-python = ">=3.10,<3.11"
# dependencies = ["megengine==1.13.0", "numpy==1.23.5", "opencv-python-headless==4.8.1.78", "setuptools==68.0.0"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "opencv-python ; python_version < '3'"]
# ///
"""MegEngine 1.13.0: recording a module in training mode leaves its running statistics without values."""

import megengine as mge
import numpy as np
from megengine.jit import trace
from megengine.module import BatchNorm1d

net = BatchNorm1d(2)
x = mge.Tensor(np.float32([[0.3, 0.4], [0.5, 0.1]]))


@trace(symbolic=True, record_only=True)
def recorded(x):
    """The forward pass."""
    return net(x)


net.train()
recorded(x)
net.eval()
raised = ""
try:
    net(x).numpy()
except RuntimeError as error:
    raised = str(error).split("\n")[0]
print("a prediction afterwards:", raised or "no error", "| expected: no error")
print("no defect" if not raised else "defect")
