# /// script
# requires-python = ">=3.8,<3.9"
# dependencies = ["nnabla==1.28.0", "numpy==1.23.5", "protobuf==3.20.3"]
# ///
"""NNabla 1.28.0: `backward()` adds the gradient to what lay in memory before."""

import nnabla as nn
import numpy as np

found = []
for _ in range(3):
    x = nn.Variable.from_numpy_array(np.float32([[0.3]]))
    x.need_grad = True
    y = x * 2.0
    y.forward()
    y.backward()
    found.append(float(x.g[0, 0]))
    del x, y
print("gradients of new variables:", *found, "| expected:", *[2.0] * 3)
print("no defect" if np.allclose(found, 2) else "defect")
