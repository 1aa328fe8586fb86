# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["mnn==3.6.1", "numpy==1.26.4"]
# ///
"""MNN 3.6.1: the converter drops `training_mode = 1`, so the network normalizes by the moving statistics."""

import tempfile
from pathlib import Path

import _tools  # MNN's converter; the command `mnnconvert` calls it, too
import numpy as np
from MNN import expr, nn

file = str(Path(__file__).with_name("defect.onnx"))
converted = str(Path(tempfile.mkdtemp()) / "defect.mnn")
words = ["mnnconvert", "-f", "ONNX", "--modelFile", file, "--MNNModel", converted, "--bizCode", "defect"]
_tools.mnnconvert(words)
x = np.float32([[1], [3]])
net = nn.load_module_from_file(converted, ["x"], ["y"])
y = net.onForward([expr.const(x, [2, 1], expr.NCHW)])[0]
y = np.array(expr.convert(y, expr.NCHW).read())
expected = (x - 2) / np.sqrt(1 + 0.001)  # of the batch: mean 2, variance 1
moving = (x - 0) / np.sqrt(1 + 0.001)
print("output:", *y.ravel(), "| expected:", *expected.ravel(), "| by moving statistics:", *moving.ravel())
print("no defect" if np.allclose(y, expected, rtol=1e-4) else "defect")
