# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["onnxruntime-training-cpu==1.19.2", "onnx==1.16.2", "protobuf==4.25.8", "numpy==1.23.5"]
# [tool.uv]  # these stand in for what the packages themselves ask for
# override-dependencies = ["numpy==1.23.5", "onnx==1.16.2", "protobuf==4.25.8", "flatbuffers==24.3.25"]
# ///
"""ONNX Runtime training 1.19.2: without `frozen_params` the training-mode input gradient is wrong."""

import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

# By itself onnxruntime.training imports torch, which its parts that are used here do without.
package = types.ModuleType("onnxruntime.training")
package.__path__ = [str(Path(onnxruntime.__file__).with_name("training"))]
sys.modules["onnxruntime.training"] = package
from onnxruntime.training import artifacts, onnxblock  # noqa: E402
from onnxruntime.training.api import CheckpointState, Module  # noqa: E402


class Loss(onnxblock.Block):
    """The sum of y * cotangent."""

    def build(self, y):
        """Add it to the graph."""
        cotangent = onnxblock.blocks.InputLike(y)("cotangent")
        return onnxblock.blocks.ReduceSum(keepdims=False)(onnxblock.blocks.Mul()(y, cotangent))


# The file is a batch normalization of x + dx: gradients are those of parameters, and dx is one, of zeros.
model = onnx.load(Path(__file__).with_name("defect.onnx"))
x, cotangent = np.float32([[1], [2], [4]]), np.float32([[1], [0], [0]])


def gradient(training, frozen):
    """The input gradient of a new module, in training or in eval mode."""
    folder = tempfile.mkdtemp()
    artifacts.generate_artifacts(
        model,
        requires_grad=["dx"],
        frozen_params=frozen,
        loss=Loss(),
        artifact_directory=folder,
    )
    state = CheckpointState.load_checkpoint(f"{folder}/checkpoint")
    net = Module(f"{folder}/training_model.onnx", state, f"{folder}/eval_model.onnx")
    net.train() if training else net.eval()
    net(x, cotangent)
    return np.array(state.parameters["dx"].grad).ravel()


spread = np.sqrt(x.var() + 0.001)
normed = (x - x.mean()) / spread
expected = ((cotangent - cotangent.mean() - normed * (cotangent * normed).mean()) / spread).ravel()
measured = gradient(True, frozen=None)
named = gradient(True, frozen=["scale", "bias", "mean", "variance"])
print("without frozen_params:", *measured, "| expected:", *expected)
print("with frozen_params:   ", *named, "| expected:", *expected)
print("no defect" if np.allclose(measured, expected, rtol=1e-4, atol=1e-6) else "defect")
