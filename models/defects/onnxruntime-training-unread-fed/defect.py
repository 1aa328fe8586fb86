# /// script
# requires-python = ">=3.11"
# dependencies = ["onnxruntime==1.32.0", "numpy==2.2.6"]
# ///
"""ONNX Runtime 1.32.0: `run` overwrites the caller's arrays if updated statistics are not read."""

from pathlib import Path

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.log_severity_level = 3
file = str(Path(__file__).with_name("defect.onnx"))
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
x, mean, variance = np.float32([[1], [3]]), np.float32([0]), np.float32([1])
(y,) = session.run(["y"], {"x": x, "mean": mean, "variance": variance})
print("output:", *y.ravel(), "| expected:", *((x - 2) / np.sqrt(1.001)).ravel())
print("the caller's mean and variance after the run:", *mean, *variance, "| expected:", 0.0, 1.0)
print("no defect" if (mean[0], variance[0]) == (0, 1) else "defect")
