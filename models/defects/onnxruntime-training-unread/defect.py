# /// script
# requires-python = ">=3.11"
# dependencies = ["onnxruntime==1.32.0", "numpy==2.2.6"]
# ///
"""ONNX Runtime 1.32.0: unread updated statistics overwrite scale and bias where the initialisers are equal."""

from pathlib import Path

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.log_severity_level = 3
file = str(Path(__file__).with_name("defect.onnx"))
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
x = np.float32([[1], [3]])
expected = (x - 2) / np.sqrt(1 + 0.001)  # of the batch: mean 2, variance 1; scale 1, bias 0
outputs = [session.run(["y"], {"x": x})[0] for _ in range(3)]
for number, y in enumerate(outputs, 1):
    print(f"run {number}:", *y.ravel(), "| expected:", *expected.ravel())
print("no defect" if np.allclose(outputs, expected, rtol=1e-4) else "defect")
