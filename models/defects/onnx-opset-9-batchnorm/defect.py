# /// script
# requires-python = ">=3.11"
# dependencies = ["onnx==1.23.2", "numpy==2.2.6"]
# ///
"""onnx 1.23.2: the reference evaluator updates the statistics of opset 9 before it normalizes by them."""

from pathlib import Path

import numpy as np
from onnx.reference import ReferenceEvaluator

x = np.float32([[1]])
(y,) = ReferenceEvaluator(str(Path(__file__).with_name("defect.onnx"))).run(None, {"x": x})
expected = (x - 0) / np.sqrt(1 + 0.001)  # mean 0, variance 1, epsilon 0.001
blended = (x - 0.1) / np.sqrt(0.9 + 0.001)  # statistics moved towards the batch's, 1 and 0, with momentum 0.9
print("prediction:", *y.ravel(), "| expected:", *expected.ravel(), "| by updated statistics:", *blended.ravel())
print("no defect" if np.allclose(y, expected, rtol=1e-4) else "defect")
