"""Each way of asking MindSpore: executed at once (PyNative) or compiled (graph), in training and in evaluation.

Names begin with how the network is executed, then with what `set_train` was told. The intent is that of the latter,
unless the layers are told which statistics to use.
"""

from __future__ import annotations

from typing import Any

from crosscheck.runtimes.family.halves import HALVES
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

PLAIN = {"pynative": "grad", "graph": "grad-operation"}
MODES = Modes()


def gradient(way: str, name: str, intent: str, contract: Contract, text: str, **more: Any) -> None:
    """A mode that is executed in one of the two ways, held against that way's plain gradients."""
    words = {"kind": way, "inference": f"{way}.eval.{PLAIN[way]}"}
    if intent == "inference":
        words["training"] = f"{way}.train.{PLAIN[way]}"
    MODES.gradient(f"{way}.{name}", intent, contract, text, **{**words, **more})


CONTRACT = {"train": contracts.TRAINING, "eval": contracts.EVALUATION}
SET = {"train": "net.set_train()\n", "eval": "net.set_train(False)\n"}

LOSS = "def loss(x):\n    return ({} * cotangent).sum()\n\n"
GRAD = LOSS.format("net(x)") + "dx = mindspore.grad(loss)(x)\n"
VALUE = LOSS.format("net(x)") + "value, dx = mindspore.value_and_grad(loss)(x)\n"
VJP = "y, pull_back = ops.vjp(net, x)\n---\ndx, = pull_back(cotangent)\n"
OPERATION = "dx = ops.GradOperation(sens_param=True)(net)(x, cotangent)\n"
FUNCTION = LOSS.format("mindspore.recompute(net, x{})") + "dx = mindspore.grad(loss)(x)\n"
HOOKS = ", use_reentrant=False"
TO_THE_END = HOOKS + ", early_stop=False"
JIT = "@mindspore.jit\n" + GRAD
TO_ONNX = 'mindspore.onnx.export(net, x, file_name="network.onnx")\n'
RECOMPUTE = "net.recompute()\n"

for way, name, text, once, contract in (
    ("pynative", "grad", GRAD, "", contracts.TRAINING),
    ("pynative", "value-and-grad", VALUE, "", contracts.TRAINING),
    ("pynative", "vjp", VJP, "", contracts.TRAINING),
    ("pynative", "grad-operation", OPERATION, "", contracts.TRAINING),
    ("pynative", "recompute", OPERATION, RECOMPUTE, contracts.RECOMPUTE),
    ("pynative", "recompute-function", FUNCTION.format(""), "", contracts.RECOMPUTE_FUNCTION),
    ("pynative", "recompute-hooks", FUNCTION.format(HOOKS), "", contracts.RECOMPUTE_FUNCTION),
    ("pynative", "recompute-hooks-to-the-end", FUNCTION.format(TO_THE_END), "", contracts.RECOMPUTE_FUNCTION),
    ("pynative", "jit", JIT, "", contracts.TRAINING),
    ("graph", "grad-operation", OPERATION, "", contracts.TRAINING),
    ("graph", "recompute", OPERATION, RECOMPUTE, contracts.RECOMPUTE),
):
    for half in ("train", "eval"):
        gradient(
            way,
            f"{half}.{name}",
            HALVES[half],
            contract if half == "train" else contracts.EVALUATION,
            SET[half] + text,
            once=once,
            default=name == PLAIN[way],
        )

FREEZE = """\
net.set_train()
for _, cell in net.cells_and_names():
    if isinstance(cell, (nn.BatchNorm1d, nn.BatchNorm2d)):
        cell.set_train(False)
"""
gradient("pynative", "frozen.grad", "inference", contracts.EVALUATION, FREEZE + GRAD, default=True)
gradient("graph", "frozen.grad-operation", "inference", contracts.EVALUATION, FREEZE + OPERATION)
gradient(
    "pynative",
    "frozen.grad-after-export",
    "inference",
    contracts.ONNX_MODULE,
    FREEZE + TO_ONNX + GRAD,
)
gradient(
    "pynative",
    "train-then-eval.vjp",
    "training",
    contracts.TRAINING,
    SET["train"] + VJP.replace("---\n", SET["eval"] + "---\n"),
)

for told, intent, contract in ((True, "training", contracts.BATCH), (False, "inference", contracts.MOVING)):
    for way, text in (("pynative", GRAD), ("graph", OPERATION)):
        statistics = f"{'batch' if told else 'moving'}-statistics"
        for half in ("train", "eval"):
            gradient(
                way,
                f"{statistics}.{half}",
                intent,
                contract,
                SET[half] + text,
                inference=None if told else f"{way}.{statistics}.eval",
                norm={"use_batch_statistics": told},
                batch_prediction=told,
            )

for name, norm, contract in (
    ("affine-off", {"learned": False}, contracts.TRAINING),
    ("functional", {"functional": True}, contracts.FUNCTION),
):
    for way, text in (("pynative", GRAD), ("graph", OPERATION)):
        for half in ("train", "eval"):
            gradient(
                way,
                f"{name}.{half}",
                HALVES[half],
                contract if half == "train" else contracts.EVALUATION,
                SET[half] + text,
                inference=f"{way}.{name}.eval",
                norm=norm,
            )

for way in ("pynative", "graph"):
    for half in ("train", "eval"):
        MODES.prediction(
            f"{way}.{half}.call",
            HALVES[half],
            CONTRACT[half],
            SET[half] + "y = net(x)\n",
            kind=way,
            default=way == "pynative",
        )

MODES.export(
    "export.checkpoint",
    "inference",
    contracts.SAVED,
    kind="pynative",
    text="""\
mindspore.save_checkpoint(net, "network.ckpt")
---
net = Net()
for parameter in net.get_parameters():
    parameter.set_data(ops.zeros_like(parameter))
mindspore.load_param_into_net(net, mindspore.load_checkpoint("network.ckpt"))
""",
)
MODES.export(
    "export.mindir",
    "inference",
    contracts.ONNX,
    kind="pynative",
    text="""\
net.set_train(False)
mindspore.export(net, x, file_name="network", file_format="MINDIR")
---
net = nn.GraphCell(mindspore.load("network.mindir"))
""",
)
WHOLE = 'mindspore.export(net, x, file_name="network", file_format="ONNX")\n'
for half in ("eval", "train"):
    for name, contract, text in (("onnx", contracts.ONNX, WHOLE), ("onnx-module", contracts.ONNX_MODULE, TO_ONNX)):
        MODES.export(f"export.{name}.{half}", HALVES[half], contract, SET[half] + text, kind="pynative", file=True)
