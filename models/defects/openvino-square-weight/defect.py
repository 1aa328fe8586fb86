# /// script
# requires-python = ">=3.11,<3.15"
# dependencies = ["openvino==2026.4.1", "numpy==2.2.6"]
# ///
"""OpenVINO 2026.4.1: a square weight of two Gemms, one of them with transB, is transposed in both."""

from pathlib import Path

import numpy as np

try:
    from openvino import Core
except ImportError:  # until 2022.1
    from openvino.runtime import Core

w = np.float32([[1, 2], [3, 4]])
x = np.float32([[1, 0]])
core = Core()
model = core.read_model(str(Path(__file__).with_name("defect.onnx")))
net = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
y = net({"x": x})[net.output(0)]
print("output:", *y.ravel(), "| expected: x W^T W =", *(x @ w.T @ w).ravel(), "| x W^T W^T:", *(x @ w.T @ w.T).ravel())
print("no defect" if np.allclose(y, x @ w.T @ w) else "defect")
