# /// script
# requires-python = ">=3.10,<3.11"
# dependencies = ["megengine==1.13.0", "numpy==1.23.5", "opencv-python-headless==4.8.1.78", "setuptools==68.0.0"]
# [tool.uv]  # these stand in for what the package itself asks for
# override-dependencies = ["numpy==1.23.5", "opencv-python ; python_version < '3'"]
# ///
"""MegEngine 1.13.0: `F.batch_norm` does not update running statistics with one axis."""

import megengine as mge
import numpy as np
from megengine.functional import batch_norm

x = mge.Tensor(np.float32([[0.3, 0.4], [0.5, 0.1]]))
means = []
for shape in ((1, 2, 1, 1), (2,)):
    mean, variance = mge.Tensor(np.zeros(shape, np.float32)), mge.Tensor(np.ones(shape, np.float32))
    batch_norm(x, mean, variance, training=True)
    means.append(mean.numpy().ravel())
print("running mean of shape (1, 2, 1, 1) and (2,):", *means, "| expected: the same")
print("no defect" if np.allclose(*means) else "defect")
