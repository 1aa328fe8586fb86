"""Autograd over a module: each way of asking for a gradient, in training and in evaluation, and the ways in between."""

from crosscheck.runtimes.family.graph import AFFINE_OFF, NO_STATISTICS
from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.family.torch import BACKWARD, FROZEN, GRAD, PREDICT
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

AUTOGRAD = Halves(contracts.EVALUATION, inference="eval.autograd-grad", training="train.autograd-grad")
BOTH = tuple(HALVES)

AUTOGRAD.halves("{}.backward", contracts.TRAINING, BACKWARD, default=BOTH)
AUTOGRAD.halves(
    "{}.backward-inputs",
    contracts.TRAINING,
    "y = net(x.requires_grad_())\n---\ny.backward(cotangent, inputs=[x])\ndx = x.grad\n",
    since="1.8",
)
AUTOGRAD.halves("{}.autograd-grad", contracts.TRAINING, GRAD, default=BOTH)
#: As a gradient penalty takes the gradient of a gradient.
AUTOGRAD.halves(
    "{}.double-backward",
    contracts.TRAINING,
    GRAD.replace("cotangent)", "cotangent, create_graph=True)")
    + "torch.autograd.grad((dx * dx).sum(), x, allow_unused=True)\n",
)
AUTOGRAD.halves(
    "{}.functional-jacobian",
    contracts.JACOBIAN,
    "jacobian = torch.autograd.functional.jacobian(net, x)\n"
    "dx = torch.tensordot(cotangent, jacobian, dims=cotangent.dim())\n",
    since="1.5",
)
AUTOGRAD.halves(
    "{}.functional-vjp",
    contracts.VJP,
    "y, dx = torch.autograd.functional.vjp(net, x, cotangent)\n",
    since="1.5",
)
#: In float32 the check is coarse, so it only tells.
AUTOGRAD.halves(
    "{}.gradcheck",
    contracts.GRADCHECK,
    "torch.autograd.gradcheck(net, x.requires_grad_(), eps=1e-3, atol=1e-2, raise_exception=False, fast_mode=True)\n"
    + GRAD,
    since="1.9",
)

AUTOGRAD.halves("{}.no-grad", contracts.NO_GRAD, PREDICT, asks="prediction", default=BOTH)
AUTOGRAD.halves(
    "{}.inference-mode",
    contracts.INFERENCE_MODE,
    "with torch.inference_mode():\n    y = net(x)\n",
    asks="prediction",
    default=("train",),
    since="1.9",
)
AUTOGRAD.halves("{}.forward", contracts.TRAINING, "y = net(x.requires_grad_())\n", asks="prediction")

AUTOGRAD.switched("autograd-grad", contracts.TRAINING, contracts.SWITCHED, GRAD)

AUTOGRAD.gradient("frozen.backward", "inference", contracts.EVALUATION, FROZEN + BACKWARD, leaves="frozen")
AUTOGRAD.gradient(
    "frozen.autograd-grad", "inference", contracts.EVALUATION, FROZEN + GRAD, leaves="frozen", default=True
)

AUTOGRAD.halves(
    "{}.requires-grad-off",
    contracts.GRADIENT_SWITCH,
    BACKWARD,
    before="for parameter in net.parameters():\n    parameter.requires_grad_(False)\n",
    default=("train",),
)
#: As virtual adversarial training does it for one gradient.
for half, intent in HALVES.items():
    AUTOGRAD.gradient(
        f"untracked.{half}",
        intent,
        contracts.UNTRACKED,
        f"""\
batch_norms = [layer for layer in net.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
for layer in batch_norms:
    layer.track_running_stats = False
net.{half}()
{GRAD}for layer in batch_norms:
    layer.track_running_stats = True
net.eval()
""",
        leaves=f"{half} eval",
        training="untracked.train" if half == "eval" else None,
        default=half == "train",
    )
AUTOGRAD.gradient(
    "deepcopy.train",
    "training",
    contracts.COPIED,
    "twin = copy.deepcopy(net).train()\n" + GRAD.replace("net(", "twin("),
    once="import copy\n",
    default=True,
)

#: Networks whose batch normalizations are written otherwise.
for name, norm, contract, shown in (
    ("momentum-none", {"momentum": None}, contracts.CUMULATIVE, True),
    ("momentum-none-counted", {"momentum": None, "counted": 6}, contracts.CUMULATIVE, True),
    ("momentum-zero", {"momentum": 0.0}, contracts.MOMENTUM_ZERO, True),
    ("functional", {"functional": "with-statistics"}, contracts.FUNCTIONAL, True),
    ("functional-no-statistics", {"functional": "without-statistics"}, contracts.NO_STATISTICS, False),
):
    AUTOGRAD.halves(
        name + ".{}", contract, GRAD, norm=norm, inference=f"{name}.eval", default=("train",) if shown else ()
    )
AUTOGRAD.gradient(
    "functional-fixed.train",
    "inference",
    contracts.FIXED,
    "net.train()\n" + GRAD,
    norm={"functional": "fixed"},
    inference="functional-fixed.train",
    training=None,
    leaves="train",
)
AUTOGRAD.halves(
    "affine-off.{}",
    contracts.TRAINING,
    GRAD,
    inference="affine-off.eval",
    **AFFINE_OFF,
)
#: Their sizes are those of the state that they load.
AUTOGRAD.halves("lazy.{}", contracts.LAZY, GRAD, norm={"lazy": True}, inference="lazy.eval", since="1.12.1")
AUTOGRAD.halves("sync.{}", contracts.SYNC, GRAD, norm={"sync": True}, inference="sync.eval", since="1.4.0")
AUTOGRAD.halves(
    "channels-last.{}",
    contracts.CHANNELS_LAST,
    "x = x.contiguous(memory_format=torch.channels_last)\n" + GRAD,
    before="net.to(memory_format=torch.channels_last)\n",
    inference="channels-last.eval",
    since="1.4.0",
)
for half in BOTH:
    AUTOGRAD.gradient(
        f"no-statistics.{half}",
        "training",
        contracts.NO_STATISTICS,
        f"net.{half}()\n{GRAD}",
        inference=None,
        leaves=half,
        **NO_STATISTICS,
    )
