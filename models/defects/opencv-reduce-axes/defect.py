# /// script
# requires-python = ">=3.11,<3.15"
# dependencies = ["opencv-python-headless==5.0.0.93", "numpy==2.2.6"]
# ///
"""OpenCV 5.0.0.93: ReduceMean over the rows and the pixels of three rows reads some of them twice and others not."""

import sys
from pathlib import Path

import cv2
import numpy as np

engine = [getattr(cv2.dnn, name) for name in sys.argv[1:]]  # ENGINE_CLASSIC or ENGINE_NEW, since 5.0
net = cv2.dnn.readNetFromONNX(str(Path(__file__).with_name("defect.onnx")), *engine)
x = np.float32([[1, 2], [3, 4], [5, 6]]).reshape(3, 2, 1, 1)
net.setInput(x, "x")
y = net.forward("y")
expected = x.mean((0, 2, 3))
print("output:", *y.ravel(), "| expected:", *expected)
print("no defect" if np.allclose(y.ravel(), expected) else "defect")
