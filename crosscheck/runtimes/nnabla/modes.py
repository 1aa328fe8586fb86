"""Each way of asking, as NNabla's users write it: by the argument `batch_stat` of their network.

Names begin with that argument: `default` (not given, which is True), `train` (True) or `eval` (False); else with how
the network or its batch normalizations are written. The intent is that of the argument.
"""

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.family.scopes import within
from crosscheck.runtimes.mode import CUT, Contract, Contracts, Modes

contracts = Contracts(__file__)

TABLE = Modes(inference="eval.grad", training="train.grad")

CALLS = {"default": "net(x)", "train": "net(x, batch_stat=True)", "eval": "net(x, batch_stat=False)"}
INTENT = {"default": "training", "train": "training", "eval": "inference"}
CONTRACT = {"default": contracts.DEFAULT, "train": contracts.TRAINING, "eval": contracts.EVALUATION}

NEEDED = "x.need_grad = True\n"
BUILT = "y = NET\n"
FORWARD = "y.forward()\n"
PULL_BACK = "x.grad.zero()\ny.backward(cotangent.data)\ndx = nn.Variable.from_numpy_array(x.g)\n"
PULLED = PULL_BACK.replace("y.backward(cotangent.data)", "loss.backward()")
BACKWARD = NEEDED + BUILT + FORWARD + CUT + PULL_BACK
GRAD = "dx, = nn.grad([y], [x], [cotangent.data])\n"
PLAIN = NEEDED + BUILT + GRAD + "dx.forward()\n"
RECOMPUTED = BACKWARD.replace(BUILT, within("nn.recompute()", BUILT))


def clearing(text: str) -> str:
    """The same with the buffers cleared that are not needed any more."""
    return text.replace("y.forward()", "y.forward(clear_no_need_grad=True)").replace(
        "cotangent.data)", "cotangent.data, clear_buffer=True)"
    )


def halves(
    name: str,
    text: str,
    contract: Contract | None = None,
    default: tuple[str, ...] = (),
    only: tuple[str, ...] = ("train", "eval"),
    **more: Any,
) -> None:
    """The same call with each `batch_stat`: `NET` in the text. default: which of them the default matrix has."""
    for half in only:
        TABLE.gradient(
            f"{half}.{name}",
            INTENT[half],
            contract if contract and half != "eval" else CONTRACT[half],
            text.replace("NET", CALLS[half]),
            **{"default": half in default, **({"training": f"train.{name}"} if half == "eval" else {}), **more},
        )


halves("backward", BACKWARD, only=("default", "train", "eval"), default=("default", "eval"))
halves("backward-clearing", clearing(BACKWARD), default=("train", "eval"))
halves("backward-unzeroed", BACKWARD.replace("x.grad.zero()\n", ""))
halves(
    "loss-backward",
    NEEDED
    + "loss = F.sum(NET * cotangent)\nloss.forward()\n"
    + CUT
    + "x.grad.zero()\nloss.backward()\ndx = nn.Variable.from_numpy_array(x.g)\n",
)
halves("grad", PLAIN, contracts.GRAD, default=("train", "eval"))
halves("forward-grad", NEEDED + BUILT + FORWARD + CUT + GRAD + "dx.forward()\n", contracts.GRAD, default=("train",))
halves(
    "double-backprop",
    NEEDED + BUILT + GRAD + "second, = nn.grad([F.sum(dx * dx)], [x])\nnn.forward_all([dx, second])\n",
    contracts.GRAD,
    since="1.20.1",
)
halves(
    "auto-forward-backward", NEEDED + within("nn.auto_forward()", BUILT) + CUT + PULL_BACK, default=("train", "eval")
)
halves("auto-forward-grad", NEEDED + within("nn.auto_forward()", BUILT + GRAD), contracts.GRAD)
halves("no-grad-backward", BACKWARD.replace(BUILT, within("nn.no_grad()", BUILT)), contracts.NO_GRAD, since="1.20.1")
halves("recompute-backward", clearing(RECOMPUTED), contracts.RECOMPUTE, default=("train",), since="1.24.0")

#: A graph that is built once and fed anew.
BUILD = "features = nn.Variable(x.shape, need_grad=True)\noutput = NET\n"
FED = "features.d = x.d\noutput.forward()\n"
FED += CUT + "features.grad.zero()\noutput.backward(cotangent.data)\ndx = nn.Variable.from_numpy_array(features.g)\n"
for half in ("train", "eval"):
    TABLE.gradient(
        f"graph.{half}",
        INTENT[half],
        CONTRACT[half],
        FED,
        once=BUILD.replace("NET", CALLS[half].replace("x", "features")),
        training="graph.train" if half == "eval" else None,
    )

TABLE.prediction("train.forward", "training", contracts.TRAINING, BUILT.replace("NET", CALLS["train"]) + FORWARD)
TABLE.prediction(
    "train.no-grad-forward",
    "training",
    contracts.NO_GRAD,
    within("nn.no_grad()", BUILT.replace("NET", CALLS["train"])) + "y.forward(clear_no_need_grad=True)\n",
    since="1.20.1",
    default=True,
)
TABLE.prediction(
    "predict",
    "inference",
    contracts.EVALUATION,
    BUILT.replace("NET", CALLS["eval"]) + "y.forward(clear_buffer=True)\n",
    default=True,
)


def layers(
    name: str, norm: Mapping[str, Any], training: Contract, text: str = PLAIN, default: bool = False, **more: Any
) -> None:
    """The two plain gradients of a network whose batch normalizations are written otherwise; `more`: fields of both."""
    plain = {"inference": f"{name}.eval", "norm": norm, **more}
    train, evaluate = (text.replace("NET", CALLS[half]) for half in ("train", "eval"))
    TABLE.gradient(f"{name}.train", "training", training, train, default=default, training=None, **plain)
    TABLE.gradient(f"{name}.eval", "inference", contracts.EVALUATION, evaluate, training=f"{name}.train", **plain)


layers("fix-parameters", {"fixed": True}, contracts.FIXED, default=True)
layers("affine-off", {"scale": False, "bias": False}, contracts.TRAINING, unit_scale=True, zero_bias=True)
layers("output-stat", {"function": "outputs"}, contracts.TRAINING, BACKWARD)
layers("without-statistics", {"function": "without-statistics"}, contracts.NO_STATISTICS)

TABLE.export(
    "save-parameters",
    "inference",
    contracts.SAVED,
    """\
with nn.parameter_scope("net", parameters):
    nn.save_parameters("parameters.h5")
---
parameters = OrderedDict()
with nn.parameter_scope("net", parameters):
    nn.load_parameters("parameters.h5")
    params = nn.get_parameters(grad_only=False)
original = net
def net(x, batch_stat=True):
    return original(x, batch_stat, parameters)
""",
    default=True,
)

MODES = tuple(TABLE)
