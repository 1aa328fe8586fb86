"""Dynamic graphs: each way of asking a `Layer` for a gradient, in training and in evaluation, and the ways between.

Names begin with the mode of the network, `train` or `eval`, where that and the call are all there is to say; else with
what the layers are told, or with what the network is made into first. The intent is that of the forward pass.
"""

from __future__ import annotations

from crosscheck.runtimes.family.graph import AFFINE_OFF
from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.mode import Contract, Contracts

contracts = Contracts(__file__)

LAYERS = Halves(contracts.EVALUATION, inference="eval.grad", training="train.grad", since="2.0.0")
EXPORTS = Halves(contracts.SAVED, since="2.0.0")

CONTRACT = {"train": contracts.TRAINING, "eval": contracts.EVALUATION}

INPUT = "x.stop_gradient = False\n"
GRAD = INPUT + "y = net(x)\n---\ndx, = paddle.grad(y, x, cotangent)\n"
BACKWARD = INPUT + "loss = (net(x) * cotangent).sum()\n---\nloss.backward()\ndx = x.grad\n"
DOUBLE = (
    INPUT + "y = net(x)\n---\ndx, = paddle.grad(y, x, cotangent, create_graph=True)\n"
    "paddle.grad((dx * dx).sum(), x, allow_unused=True)\n"
)
RECOMPUTE = BACKWARD.replace("net(x)", "recompute(net, x)")
HOOKS = BACKWARD.replace("net(x)", "recompute(net, x, use_reentrant=False)")
VJP = "y, dx = paddle.incubate.autograd.vjp(net, x, cotangent)\n"
IMPORT = "from paddle.distributed.fleet.utils import recompute\n"

for name, text, once, contract in (
    ("backward", BACKWARD, "", contracts.TRAINING),
    ("grad", GRAD, "", contracts.TRAINING),
    ("double-grad", DOUBLE, "", contracts.TRAINING),
    ("recompute", RECOMPUTE, IMPORT, contracts.RECOMPUTE),
    ("recompute-hooks", HOOKS, IMPORT, contracts.RECOMPUTE),
    ("vjp", VJP, "", contracts.VJP),
):
    default = HALVES if name in ("backward", "grad") else ()
    LAYERS.halves("{}." + name, contract, text, once=once, default=default)

LAYERS.switched(
    "grad",
    contracts.TRAINING,
    contracts.SWITCHED,
    INPUT + "y = net(x)\n---\ndx, = paddle.grad(y, x, cotangent)\n",
    leaves="",
)

EACH = """\
net.train()
for layer in net.sublayers():
    if isinstance(layer, (nn.BatchNorm1D, nn.BatchNorm2D)):
        {}
"""
LAYERS.gradient("frozen.grad", "inference", contracts.EVALUATION, EACH.format("layer.eval()") + GRAD, default=True)
LAYERS.gradient(
    "set-global-stats.grad", "inference", contracts.GLOBAL, EACH.format("layer._use_global_stats = True") + GRAD
)
LAYERS.gradient(
    "train.parameters-stopped",
    "training",
    contracts.FROZEN_PARAMETERS,
    "for parameter in net.parameters():\n    parameter.stop_gradient = True\nnet.train()\n" + GRAD,
)


def told(
    name: str, norm: dict[str, bool], contract: dict[str, Contract], intent: dict[str, str], default: bool
) -> None:
    """The plain gradient in both modes, of a network whose batch normalizations are told something else."""
    for half in HALVES:
        inference = None if intent["eval"] == "training" else f"{name}.eval"
        LAYERS.gradient(
            f"{name}.{half}",
            intent[half],
            contract[half],
            f"net.{half}()\n{GRAD}",
            norm=norm,
            inference=inference,
            batch_prediction=intent["eval"] == "training",
            default=default,
        )


INFERENCE = {"train": "inference", "eval": "inference"}
TRAINING = {"train": "training", "eval": "training"}
OVER_GLOBAL = {"train": contracts.GLOBAL, "eval": contracts.EVALUATION}
OVER_BATCH = {"train": contracts.MINI_BATCH_TRAINING, "eval": contracts.MINI_BATCH}
OVER_TRAINABLE = {"train": contracts.TRAINING, "eval": contracts.TRAINABLE}
told("global-stats", {"use_global_stats": True}, OVER_GLOBAL, INFERENCE, default=True)
told("batch-stats", {"use_global_stats": False}, OVER_BATCH, TRAINING, default=True)
told("trainable-statistics", {"trainable_statistics": True}, OVER_TRAINABLE, TRAINING, default=False)
told("old-layer", {"trainable_statistics": False}, CONTRACT, HALVES, default=False)

for name, keyword in (("to-static", ""), ("to-static-full-graph", ", full_graph=True")):
    compiled = f"fast = paddle.jit.to_static(net.forward{keyword})\n" + BACKWARD.replace("net(x)", "fast(x)")
    # In evaluation the whole graph is a program that leaves no gradient.
    inference = "eval.grad" if keyword else f"{name}.eval"
    LAYERS.halves(name + ".{}", contracts.TO_STATIC, compiled, inference=inference)

NO_GRAD = "with paddle.no_grad():\n    y = net(x)\n"
for half in HALVES:
    LAYERS.halves("{}.no-grad", contracts.NO_GRAD, NO_GRAD, asks="prediction", default=HALVES, only=[half])
    LAYERS.halves("{}.forward", contracts.TRAINING, f"{INPUT}y = net(x)\n", asks="prediction", only=[half])
LAYERS.prediction(
    "batch-stats.eval.no-grad",
    "training",
    contracts.MINI_BATCH,
    "net.eval()\n" + NO_GRAD,
    norm={"use_global_stats": False},
    batch_prediction=True,
)
LAYERS.halves(
    "affine-off.{}",
    contracts.TRAINING,
    GRAD,
    inference="affine-off.eval",
    **AFFINE_OFF,
)
LAYERS.halves("sync.{}", contracts.SYNC, GRAD, inference="sync.eval", norm={"sync": True})

EXPORTS.export(
    "export.state-dict",
    "inference",
    contracts.SAVED,
    """\
paddle.save(net.state_dict(), "network.pdparams")
---
net = Net()
net.set_state_dict(paddle.load("network.pdparams"))
""",
    default=True,
)
SPEC = 'spec = paddle.static.InputSpec([None] + x.shape[1:], "float32")\n'
SAVE = 'paddle.jit.save(net, "network", input_spec=[spec])\n---\nnet = paddle.jit.load("network")\n'
ONNX = 'paddle.onnx.export(net, "network", input_spec=[spec], opset_version=13)\n'
for half in ("eval", "train"):
    for name, contract, text in (("jit-save", contracts.JIT_SAVED, SAVE), ("onnx", contracts.ONNX, ONNX)):
        EXPORTS.halves(
            f"export.{name}.{{}}",
            contract,
            SPEC + text,
            contract,
            asks="export",
            default=["eval"] if name == "jit-save" else (),
            only=[half],
            file=name == "onnx",
        )
