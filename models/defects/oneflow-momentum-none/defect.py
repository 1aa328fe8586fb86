# /// script
# requires-python = ">=3.10,<3.11"
# dependencies = [
#     "oneflow==0.9.0", "numpy==1.23.5", "protobuf==3.20.3", "nvidia-cublas-cu11==11.10.3.66",
#     "nvidia-cudnn-cu11==8.5.0.96",
# ]
# ///
"""OneFlow 0.9.0: `momentum=None`, which is documented, is refused by every forward pass."""

import numpy as np
import oneflow as flow

net = flow.nn.BatchNorm1d(2, momentum=None)
raised = []
for half in ("train", "eval"):
    try:
        getattr(net, half)()(flow.tensor(np.float32([[0.3, 0.4], [0.5, 0.1]])))
    except TypeError:
        raised.append(half)
print("a TypeError in:", *raised, "| expected: none, and a cumulative average")
print("no defect" if not raised else "defect")
