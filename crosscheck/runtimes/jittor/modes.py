"""Each way of asking Jittor: by `jt.grad`, by an optimizer, and what users do to a network or around a call.

Names begin with the mode of the module, `train` or `eval`, where that and the call are all there is to say; else with
what is done to the network first, or with what the layers are. The intent is that of the module's mode; whoever puts
the layers alone into evaluation wants the running statistics.
"""

from __future__ import annotations

from crosscheck.runtimes.family.graph import AFFINE_OFF
from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.family.scopes import within
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

MODES = Halves(contracts.EVALUATION, inference="eval.grad", training="train.grad")

LOSS = "loss = (net(x) * cotangent).sum()\n"
GRAD = LOSS + "---\ndx = jt.grad(loss, x)\n"
BACKWARD = "optimizer = nn.SGD([x], lr=0.1)\noptimizer.backward(loss)\ndx = x.opt_grad(optimizer)\n"
NO_GRAD = "with jt.no_grad():\n    y = net(x)\n"
STEP = "optimizer = nn.SGD(net.parameters() + [x], lr=0.0)\noptimizer.step(loss)\ndx = x.opt_grad(optimizer)\n"

for half in HALVES:
    for name, text, contract in (
        ("grad", GRAD, contracts.TRAINING),
        ("retain-graph-false", LOSS + "---\ndx = jt.grad(loss, x, retain_graph=False)\n", contracts.TRAINING),
        ("sync-all", LOSS + "jt.sync_all()\n---\ndx = jt.grad(loss, x)\n", contracts.UPDATE),
        ("eager", within("jt.flag_scope(lazy_execution=0)", GRAD), contracts.EAGER),
        ("vjp", "y, dx = jt.gradfunctional.vjp(net, x, cotangent)\n", contracts.TRAINING),
        ("optimizer-backward", f"{LOSS}---\n{BACKWARD}", contracts.OPTIMIZER),
        ("optimizer-step", f"{LOSS}---\n{STEP}", contracts.OPTIMIZER),
        ("gradient-penalty", GRAD + "jt.grad((dx * dx).sum(), x).sync()\n", contracts.TRAINING),
    ):
        default = HALVES if name in ("grad", "eager", "optimizer-backward") else ()
        MODES.halves("{}." + name, contract, text, default=default, only=[half])

MODES.gradient(
    "forward-train-backward-eval",
    "training",
    contracts.SWITCHED,
    f"net.train()\n{LOSS}net.eval()\n---\ndx = jt.grad(loss, x)\n",
    leaves="eval",
)

EACH = """\
net.train()
for layer in net.modules():
    if isinstance(layer, nn.BatchNorm):
        {}
"""
STOP = "for parameter in layer.parameters():\n            parameter.stop_grad()"
for name, intent, text, contract in (
    ("frozen-eval", "inference", "layer.eval()", contracts.FROZEN),
    ("frozen-is-train", "inference", "layer.is_train = False", contracts.IS_TRAIN),
    ("frozen-stop-grad", "training", STOP, contracts.STOPPED),
):
    MODES.gradient(
        f"{name}.grad",
        intent,
        contract,
        EACH.format(text) + GRAD,
        leaves="train" if intent == "training" else "frozen",
        default=name == "frozen-eval",
    )

for half in HALVES:
    MODES.gradient(
        f"requires-grad-false.{half}",
        HALVES[half],
        contracts.REQUIRES_GRAD if half == "train" else contracts.EVALUATION,
        f"net.requires_grad_(False)\nnet.{half}()\n{GRAD}net.requires_grad_(True)\n",
        leaves=half,
    )
MODES.gradient(
    "deepcopy.train",
    "training",
    contracts.COPIED,
    "twin = copy.deepcopy(net)\ntwin.train()\n" + GRAD.replace("net(x)", "twin(x)"),
)
MODES.gradient(
    "restored.train",
    "training",
    contracts.RESTORED,
    f"""\
net.train()
state = net.state_dict(to="numpy")
{LOSS}---
dx = jt.grad(loss, x).sync()
net.load_state_dict(state)
""",
    leaves="train",
    default=True,
)

for name, norm, contract, half in (
    ("momentum-zero", {"momentum": 0.0}, contracts.MOMENTUM, "train"),
    ("sync-false", {"sync": False}, contracts.SYNC, "train"),
    ("sync-false", {"sync": False}, contracts.EVALUATION, "eval"),
    ("is-train-false", {"is_train": False}, contracts.IS_TRAIN, "train"),
):
    MODES.gradient(f"{name}.{half}", HALVES[half], contract, f"net.{half}()\n{GRAD}", leaves=half, norm=norm)

MODES.halves(
    "affine-off.{}",
    contracts.TRAINING,
    GRAD,
    inference="affine-off.eval",
    **AFFINE_OFF,
)

for half in HALVES:
    MODES.halves("{}.call", contracts.TRAINING, "y = net(x)\n", asks="prediction", default=HALVES, only=[half])
    MODES.halves("{}.no-grad", contracts.NO_GRAD, NO_GRAD, contracts.INFERENCE, asks="prediction", only=[half])

for half in HALVES:
    MODES.export(
        f"save.{half}",
        "inference",
        contracts.SAVED,
        f'net.{half}()\nnet.save("network.pkl")\n---\nnet = Net()\nnet.load("network.pkl")\n',
        leaves=half,
    )
MODES.export(
    "save-state",
    "inference",
    contracts.SAVED,
    """\
jt.save(net.state_dict(), "network.pkl")
---
net = Net()
net.load_state_dict(jt.load("network.pkl"))
""",
    default=True,
)
