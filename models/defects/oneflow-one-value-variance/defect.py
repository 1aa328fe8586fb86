# /// script
# requires-python = ">=3.10,<3.11"
# dependencies = [
#     "oneflow==0.9.0", "numpy==1.23.5", "protobuf==3.20.3", "nvidia-cublas-cu11==11.10.3.66",
#     "nvidia-cudnn-cu11==8.5.0.96",
# ]
# ///
"""OneFlow 0.9.0: a training-mode forward pass on one value per channel makes the running variance NaN."""

import numpy as np
import oneflow as flow

net = flow.nn.BatchNorm1d(2, eps=0.001)
x = flow.tensor(np.float32([[0.3, 0.4]]))
before = net.eval()(x).detach().numpy().ravel()
net.train()(x)
after = net.eval()(x).detach().numpy().ravel()
variance = net.running_var.numpy()
print("running variance:", *variance, "| expected: finite")
print("prediction:", *before, "and then:", *after)
print("no defect" if np.isfinite(variance).all() else "defect")
