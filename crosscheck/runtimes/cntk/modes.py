"""Each way of asking CNTK: by grad, by forward and backward, of a clone, and with other time constants."""

from __future__ import annotations

import math

from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

#: No mode gives the inference-mode gradient.
MODES = Modes()

LOSS = "seed = C.input_variable(net.shape)\nloss = C.reduce_sum(net * seed)\n"
GRAD = "dx = loss.grad({features: x, seed: cotangent}, wrt=[features])\n"
KEEP = "state, outputs = net.forward({features: x}, [net.output], {net.output})\n"
CLONE = """\
inputs = C.input_variable(features.shape, needs_gradient=True)
twin = net.clone("METHOD", {features: inputs})
seed = C.input_variable(twin.shape)
loss = C.reduce_sum(twin * seed)
dx = loss.grad({inputs: x, seed: cotangent}, wrt=[inputs])
"""
#: What was read back has an input of its own.
READ_BACK = "y = net.eval({net.arguments[0]: x})\n"

MODES.gradient("grad", "training", contracts.GRADIENT, GRAD, once=LOSS, default=True)
MODES.gradient(
    "forward-keep.backward",
    "training",
    contracts.KEPT,
    KEEP + "---\ndx = net.backward(state, {net.output: cotangent}, {features})[features]\n",
    default=True,
)
MODES.gradient("clone-share.grad", "training", contracts.SHARED, CLONE.replace("METHOD", "share"))
MODES.gradient("clone-clone.grad", "training", contracts.COPIED, CLONE.replace("METHOD", "clone"), default=True)
#: Parameters become constants, which the running statistics are anyway: this asks for no other gradient.
MODES.gradient("clone-freeze.grad", "training", contracts.FROZEN, CLONE.replace("METHOD", "freeze"), default=True)
MODES.gradient(
    "blend-infinite.grad",
    "inference",
    contracts.BLEND,
    GRAD,
    once=LOSS,
    training="grad",
    norm={"blend_time_constant": math.inf},
)
MODES.gradient(
    "normalization-infinite.grad",
    "training",
    contracts.NORMALIZATION,
    GRAD,
    once=LOSS,
    norm={"normalization_time_constant": math.inf},
)
MODES.gradient(
    "both-infinite.grad",
    "inference",
    contracts.NORMALIZATION,
    GRAD,
    once=LOSS,
    training="grad",
    norm={"normalization_time_constant": math.inf, "blend_time_constant": math.inf},
    default=True,
)
MODES.gradient(
    "cumulative.grad",
    "training",
    contracts.CUMULATIVE,
    GRAD,
    once=LOSS,
    norm={"normalization_time_constant": -1},
)

MODES.gradient(
    "replaced.grad",
    "training",
    contracts.REPLACED,
    GRAD,
    once=LOSS,
    norm={"normalization_time_constant": 0},
)

MODES.prediction("predict", "inference", contracts.EVALUATION, "y = net.eval({features: x})\n", default=True)
MODES.prediction(
    "forward",
    "inference",
    contracts.EVALUATION,
    "state, outputs = net.forward({features: x}, [net.output])\ny = outputs[net.output]\n",
)
MODES.prediction(
    "forward-keep.forward",
    "inference",
    contracts.KEPT,
    KEEP + "y = outputs[net.output]\n",
    kind="kept",
    default=True,
)

MODES.export(
    "save",
    "inference",
    contracts.SAVED,
    'net.save("network.model")\n---\nnet = C.Function.load("network.model")\n',
    predict=READ_BACK,
    default=True,
)
MODES.export(
    "save-onnx",
    "inference",
    contracts.SAVED,
    """\
net.save("network.onnx", format=C.ModelFormat.ONNX)
---
net = C.Function.load("network.onnx", format=C.ModelFormat.ONNX)
""",
    predict=READ_BACK,
)
