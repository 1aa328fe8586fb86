# /// script
# requires-python = ">=3.11,<3.15"
# dependencies = ["opencv-python-headless==4.14.0.94", "numpy==2.2.6"]
# ///
"""OpenCV 4.14.0.94: AveragePool does not count pads, although `count_include_pad` is 1."""

import sys
from pathlib import Path

import cv2
import numpy as np

engine = [getattr(cv2.dnn, name) for name in sys.argv[1:]]  # ENGINE_CLASSIC or ENGINE_NEW, since 5.0
net = cv2.dnn.readNetFromONNX(str(Path(__file__).with_name("defect.onnx")), *engine)
net.setInput(np.ones((1, 1, 1, 1), np.float32), "x")
y = net.forward("y")
print("output:", *y.ravel(), "| expected:", 1 / 9, "| without pads: 1.0")
print("no defect" if np.allclose(y, 1 / 9) else "defect")
