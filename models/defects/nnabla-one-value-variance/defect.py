# /// script
# requires-python = ">=3.10,<3.11"
# dependencies = ["nnabla==1.39.0", "numpy==1.23.5", "protobuf==3.20.3"]
# ///
"""NNabla 1.39.0: a forward pass on one value per channel makes the running variance NaN."""

import nnabla as nn
import nnabla.parametric_functions as functions
import numpy as np

start = {"mean": np.zeros((1, 2)), "var": np.ones((1, 2))}
told = {"eps": 0.001, "name": "norm", "param_init": start}
x = nn.Variable.from_numpy_array(np.float32([[0.3, 0.4]]))
before = functions.batch_normalization(x, batch_stat=False, **told)
before.forward()
functions.batch_normalization(x, batch_stat=True, **told).forward()
after = functions.batch_normalization(x, batch_stat=False, **told)
after.forward()
variance = nn.get_parameters(grad_only=False)["norm/bn/var"].d.ravel()
print("running variance:", *variance, "| expected: finite")
print("prediction:", *before.d.ravel(), "and then:", *after.d.ravel())
print("no defect" if np.isfinite(variance).all() else "defect")
