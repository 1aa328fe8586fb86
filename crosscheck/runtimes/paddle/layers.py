"""Dynamic graphs: each way of asking a `Layer` for a gradient, in training and in evaluation, and the ways between.

Names begin with the mode of the network, `train` or `eval`, where that and the call are all there is to say; else with
what the layers are told, or with what the network is made into first. The intent is that of the forward pass.
"""

from __future__ import annotations

from typing import Any

from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

LAYERS = Modes(inference="eval.grad", training="train.grad", since="2.0.0")
EXPORTS = Modes(since="2.0.0")

INTENT = {"train": "training", "eval": "inference"}
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
    for half in ("train", "eval"):
        words: dict[str, Any] = {"training": f"train.{name}"} if half == "eval" else {}
        LAYERS.gradient(
            f"{half}.{name}",
            INTENT[half],
            contract if half == "train" else contracts.EVALUATION,
            f"net.{half}()\n{text}",
            once=once,
            default=name in ("backward", "grad"),
            **words,
        )

for first, second in (("train", "eval"), ("eval", "train")):
    LAYERS.gradient(
        f"{first}-then-{second}.grad",
        INTENT[first],
        contracts.TRAINING if first == "train" else contracts.SWITCHED,
        f"net.{first}()\n{INPUT}y = net(x)\nnet.{second}()\n---\ndx, = paddle.grad(y, x, cotangent)\n",
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
    for half in ("train", "eval"):
        inference = None if intent["eval"] == "training" else f"{name}.eval"
        LAYERS.gradient(
            f"{name}.{half}",
            intent[half],
            contract[half],
            f"net.{half}()\n{GRAD}",
            norm=norm,
            inference=inference,
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
told("old-layer", {"trainable_statistics": False}, CONTRACT, INTENT, default=False)

for name, keyword in (("to-static", ""), ("to-static-full-graph", ", full_graph=True")):
    compiled = f"fast = paddle.jit.to_static(net.forward{keyword})\n" + BACKWARD.replace("net(x)", "fast(x)")
    for half in ("train", "eval"):
        words = {"training": f"{name}.train"} if half == "eval" else {}
        LAYERS.gradient(
            f"{name}.{half}",
            INTENT[half],
            contracts.TO_STATIC if half == "train" else contracts.EVALUATION,
            f"net.{half}()\n{compiled}",
            # In evaluation the whole graph is a program that leaves no gradient.
            inference="eval.grad" if keyword else f"{name}.eval",
            **words,
        )

NO_GRAD = "with paddle.no_grad():\n    y = net(x)\n"
for half in ("train", "eval"):
    LAYERS.prediction(
        f"{half}.no-grad",
        INTENT[half],
        contracts.NO_GRAD if half == "train" else contracts.EVALUATION,
        f"net.{half}()\n{NO_GRAD}",
        default=True,
    )
    LAYERS.prediction(f"{half}.forward", INTENT[half], CONTRACT[half], f"net.{half}()\n{INPUT}y = net(x)\n")
LAYERS.prediction(
    "batch-stats.eval.no-grad",
    "training",
    contracts.MINI_BATCH,
    "net.eval()\n" + NO_GRAD,
    norm={"use_global_stats": False},
)

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
for half in ("eval", "train"):
    EXPORTS.export(
        f"export.jit-save.{half}",
        INTENT[half],
        contracts.JIT_SAVED,
        f"net.{half}()\n{SPEC}{SAVE}",
        default=half == "eval",
    )
    EXPORTS.export(
        f"export.onnx.{half}",
        INTENT[half],
        contracts.ONNX,
        f'net.{half}()\n{SPEC}paddle.onnx.export(net, "network", input_spec=[spec], opset_version=13)\n',
        file=True,
    )
