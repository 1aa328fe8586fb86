"""Each way of asking, as Chainer's users write it: by the configuration's `train`, and what else they do about updates.

Names begin with what the configuration's `train` is in the forward pass: `default` (nobody touched it), `train` or
`eval`; else with what is done to the network or to its layers first. The intent is that of the forward pass.
"""

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.family.graph import AFFINE_OFF, indented
from crosscheck.runtimes.family.scopes import within
from crosscheck.runtimes.mode import CUT, Contract, Contracts, Modes

contracts = Contracts(__file__)

TABLE = Modes(inference="eval.grad", training="default.grad")

FORWARD = "y = net(x)\n"
PULL_BACK = "y.grad = cotangent.array\nnet.cleargrads()\ny.backward()\n"
RESULT = "dx = x.grad_var\n"
BACKWARD = FORWARD + CUT + PULL_BACK + RESULT
GRAD = FORWARD + CUT + "dx, = chainer.grad([y], [x], [cotangent])\n"
FORGET = BACKWARD.replace("net(x)", "F.forget(net, x)")
TRAIN, EVAL = 'chainer.using_config("train", True)', 'chainer.using_config("train", False)'
CONFIGURED = {"train": TRAIN, "eval": EVAL}
NO_BACKPROP = 'chainer.using_config("enable_backprop", False)'
INTENT = {"default": "training", "train": "training", "eval": "inference"}

for name, text, default in (
    ("backward", BACKWARD, True),
    (
        "loss-backward",
        "loss = F.sum(net(x) * cotangent)\n" + CUT + "net.cleargrads()\nloss.backward()\n" + RESULT,
        False,
    ),
    ("grad", GRAD, False),
    (
        "double-backprop",
        FORWARD
        + CUT
        + "dx, = chainer.grad([y], [x], [cotangent], enable_double_backprop=True)\n"
        + "chainer.grad([F.sum(dx * dx)], [x])\n",
        False,
    ),
    ("forget", FORGET, True),
):
    contract = contracts.FORGET if name == "forget" else contracts.TRAINING
    TABLE.gradient(f"default.{name}", "training", contract, text, default=default)
    TABLE.gradient(f"train.{name}", "training", contract, within(TRAIN, text))
    TABLE.gradient(
        f"eval.{name}",
        "inference",
        contracts.EVALUATION,
        within(EVAL, text),
        training=f"default.{name}",
        default=name in ("backward", "grad"),
    )

for first, second in (("eval", "train"), ("train", "eval")):
    TABLE.gradient(
        f"{first}-then-{second}.backward",
        INTENT[first],
        contracts.TRAINING if first == "train" else contracts.SWITCHED,
        within(CONFIGURED[first], FORWARD) + CUT + within(CONFIGURED[second], PULL_BACK) + RESULT,
    )

#: Configured in a thread that does not run the network: by the documentation this asks for nothing but the default.
TABLE.gradient(
    "eval-thread.backward",
    "training",
    contracts.OTHER_THREAD,
    within(EVAL + ", ThreadPoolExecutor(1) as worker", "y = worker.submit(net, x).result()\n")
    + CUT
    + within(EVAL + ", ThreadPoolExecutor(1) as worker", "worker.submit(backward, y, cotangent).result()\n")
    + RESULT,
    once="from concurrent.futures import ThreadPoolExecutor\n\ndef backward(y, cotangent):\n"
    + indented(PULL_BACK.splitlines()),
    default=True,
)
TABLE.gradient(
    "eval-global.backward",
    "inference",
    contracts.EVALUATION,
    "chainer.global_config.train = False\n" + BACKWARD + "chainer.global_config.train = True\n",
)

for half in ("train", "eval"):
    without = f"{CONFIGURED[half]}, {NO_BACKPROP}"
    contract = contracts.NO_BACKPROP if half == "train" else contracts.EVALUATION
    TABLE.gradient(f"{half}.no-backprop", INTENT[half], contract, within(without, BACKWARD))
TABLE.prediction("default.forward", "training", contracts.TRAINING, FORWARD)
for half in ("train", "eval"):
    without = f"{CONFIGURED[half]}, {NO_BACKPROP}"
    contract = contracts.NO_BACKPROP if half == "train" else contracts.EVALUATION
    TABLE.prediction(f"{half}.no-backprop-forward", INTENT[half], contract, within(without, FORWARD))
TABLE.prediction(
    "predict",
    "inference",
    contracts.EVALUATION,
    within(EVAL + ", chainer.no_backprop_mode()", FORWARD),
    default=True,
)

TABLE.gradient(
    "disable-update.backward", "training", contracts.DISABLED, "net.disable_update()\n" + BACKWARD, default=True
)
for way, contract in (("share", contracts.SHARED_COPY), ("copy", contracts.DEEP_COPY)):
    TABLE.gradient(
        f"copy-{way}.backward",
        "training",
        contract,
        f'twin = net.copy(mode="{way}")\n' + BACKWARD.replace("net", "twin"),
        since="4.0.0",
        default=True,
    )


#: The limits of the corrections that the paper on batch renormalization ends its training with.
CORRECTED: dict[str, Any] = {"renormalized": ("rmax=3", "dmax=5")}


def layers(name: str, norm: Mapping[str, Any], training: Contract, default: bool = False, **more: Any) -> None:
    """The two plain gradients of a network whose batch normalizations are written otherwise; `more`: fields of both."""
    plain = {"inference": f"{name}.eval", "norm": norm, **more}
    TABLE.gradient(f"{name}.default", "training", training, GRAD, default=default, training=None, **plain)
    evaluated = within(EVAL, GRAD)
    TABLE.gradient(f"{name}.eval", "inference", contracts.EVALUATION, evaluated, training=f"{name}.default", **plain)


layers("finetune", {"finetune": True}, contracts.FINE_TUNING)
layers("finetune-counted", {"finetune": True, "counted": 6}, contracts.FINE_TUNING, default=True)
layers("decay-one", {"decay": 1.0}, contracts.DECAY_ONE)
layers("functional-no-statistics", {"function": "batch"}, contracts.NO_STATISTICS)
layers("affine-off", training=contracts.TRAINING, **AFFINE_OFF)
layers("axis", {"axis": True}, contracts.TRAINING, since="5.4.0")
layers("functional-running", {"function": "running"}, contracts.RUNNING)
layers("renorm", {"renormalized": ()}, contracts.RENORMALIZED)
layers("renorm-corrected", CORRECTED, contracts.RENORMALIZED, renormalized=True)
for name, norm in (("functional-running", {"function": "running"}), ("renorm-corrected", CORRECTED)):
    TABLE.gradient(
        f"{name}.forget",
        "training",
        contracts.FORGET,
        FORGET,
        inference=f"{name}.eval",
        norm=norm,
        renormalized=norm is CORRECTED,
    )
TABLE.gradient("functional-fixed.default", "inference", contracts.FIXED, GRAD, norm={"function": "fixed"})
TABLE.gradient("frozen.default", "inference", contracts.EVALUATION, GRAD, norm={"frozen": True}, default=True)
for half in ("default", "eval"):
    TABLE.gradient(
        f"static-graph.{half}",
        INTENT[half],
        contracts.STATIC,
        BACKWARD if half == "default" else within(EVAL, BACKWARD),
        since="5.0.0",
        inference="static-graph.eval",
        training=None if half == "default" else "static-graph.default",
        norm={"static": True},
    )
TABLE.export(
    "save-npz",
    "inference",
    contracts.SAVED,
    """\
chainer.serializers.save_npz("network.npz", net)
---
net = Net()
for parameter in net.params():
    parameter.array[...] = 0
chainer.serializers.load_npz("network.npz", net)
""",
    default=True,
)

MODES = tuple(TABLE)
