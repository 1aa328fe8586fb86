# /// script
# requires-python = ">=3.11,<3.15"
# dependencies = ["opencv-python-headless==5.0.0.93", "numpy==2.2.6"]
# ///
"""OpenCV 5.0.0.93: `training_mode = 1` is dropped, so the network normalizes by the moving statistics."""

import sys
from pathlib import Path

import cv2
import numpy as np

engine = [getattr(cv2.dnn, name) for name in sys.argv[1:]]  # ENGINE_CLASSIC or ENGINE_NEW, since 5.0
net = cv2.dnn.readNetFromONNX(str(Path(__file__).with_name("defect.onnx")), *engine)
x = np.float32([1, 3]).reshape(2, 1, 1, 1)
net.setInput(x, "x")
y = net.forward("y")
expected = np.maximum((x - 2) / np.sqrt(1 + 0.001), 0)  # of the batch: mean 2, variance 1
moving = np.maximum((x - 0) / np.sqrt(1 + 0.001), 0)
print("output:", *y.ravel(), "| expected:", *expected.ravel(), "| by moving statistics:", *moving.ravel())
print("no defect" if np.allclose(y, expected, rtol=1e-4, atol=1e-4) else "defect")
