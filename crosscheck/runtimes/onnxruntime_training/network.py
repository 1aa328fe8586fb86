"""A network in ONNX Runtime's training packages: a module made of its file, or an inference session."""

import json

from crosscheck.runtimes.onnxruntime.modes import OPTIONS
from crosscheck.runtimes.onnxruntime_training.modes import READER
from crosscheck.runtimes.source import Request, Source

SHOWS_LAYERS = True

IMPORTS = """\
import os
import sys
import types

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi._pybind_state import GradientGraphBuilder
"""
TRAINING = """\
# By itself onnxruntime.training imports torch, which its parts that are used here do without.
package = types.ModuleType("onnxruntime.training")
package.__path__ = [os.path.join(os.path.dirname(onnxruntime.__file__), "training")]
sys.modules["onnxruntime.training"] = package
from onnxruntime.training import artifacts, onnxblock
from onnxruntime.training.api import CheckpointState, Module

onnxruntime.set_default_logger_severity(3)
"""
LOSS = '''\
class Loss(onnxblock.Block):
    """The sum of y * cotangent; the network's output is put out, too."""

    def build(self, y, *statistics):
        cotangent = onnxblock.blocks.InputLike(y)("cotangent")
        return [onnxblock.blocks.ReduceSum(keepdims=False)(onnxblock.blocks.Mul()(y, cotangent)), y]
'''
#: The training API differentiates by parameters, not by inputs.
SHIFTED = """\
# The network of x + dx: the training API differentiates by parameters, and dx is one, of zeros.
model = onnx.load("{form}.onnx")
for node in model.graph.node:
    for place, name in enumerate(node.input):
        if name == "{input}":
            node.input[place] = "shifted"
model.graph.node.insert(0, onnx.helper.make_node("Add", ["{input}", "dx"], ["shifted"], name="shift"))
model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros({shape}, np.float32), "dx"))
"""
ARTIFACTS = """\
os.makedirs("artifacts", exist_ok=True)
artifacts.generate_artifacts(
    model,
    requires_grad=["dx"],{frozen}
    loss=Loss(),
    artifact_directory="artifacts",
)
"""
CHECKPOINT = 'state = CheckpointState.load_checkpoint("artifacts/checkpoint")\n'
MODULE = """\
net = Module("artifacts/training_model.onnx", state, "artifacts/eval_model.onnx", session_options=options)
"""


def source(request: Request) -> Source:
    """A module, whose weights are frozen parameters or constants; else a session with one thread."""
    return module(request) if request.kind else READER.source(request, IMPORTS, OPTIONS)


def module(request: Request) -> Source:
    """On the layers of a first network, the parameters are that one's, and what it lacks are constants."""
    frozen = [] if request.kind == "constants" else list(request.weights)
    if request.first is not None:
        shared = {name for node in request.first["nodes"] for name in node["inputs"]}
        frozen = [name for name in frozen if name in shared]
    row = tuple(int(size) for size in request.graph["outputs"][0]["shape"][1:])
    setup = TRAINING + OPTIONS + "\n\n" + LOSS + "\n\n" if request.first is None else ""
    names = f"\n    frozen_params={json.dumps(frozen)}," if request.kind == "module" else ""
    return Source(
        imports=IMPORTS,
        text=setup
        + SHIFTED.format(form=request.form, input=request.input, shape=request.input_shape)
        + ARTIFACTS.format(frozen=names)
        + (CHECKPOINT if request.first is None else "")
        + MODULE
        + f"zeros = np.zeros({(request.batch, *row)}, np.float32)  # the cotangent of who asks for no gradient\n",
        predict="net.eval()\ny = net(x, zeros)[1]\n",
        classify=f"net.eval()\ny = net(x, np.zeros((len(x), {', '.join(map(str, row))}), np.float32))[1]\n",
        tensor="{}",
        array="{}",
        tensors={name: (f'state.parameters["{name}"].data', None) for name in (*frozen, "dx")},
        public=(*frozen, "dx"),
        files={f"{request.form}.onnx": request.form},
    )
