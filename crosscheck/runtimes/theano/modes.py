"""Each way of asking Theano: with which batch normalization, and with which updates of the shared statistics.

`features` and `output` of the network's text are the variables of its documented prediction; a mode has variables of
its own, of the same types. Forward and backward are one function.
"""

from __future__ import annotations

from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

MODES = Modes(inference="eval.grad", training="train.updates")

INPUTS = 'inputs = features.type("inputs")\n'
VARIABLES = 'inputs, seed = features.type("inputs"), output.type("seed")\n'
TRAIN = "result, updates = net(inputs, train=True)\n"
EVAL = "result, _ = net(inputs, train=False)\n"
GRADIENT = "dx_of_inputs = T.grad((result * seed).sum(), inputs)\n"
LOP = "dx_of_inputs = T.Lop(result, inputs, seed)\n"
SET = "for statistic, new_value in updates:\n    statistic.default_update = new_value\n"
#: In evaluation the gradient of a linear network does not depend on the inputs.
UNUSED = ', on_unused_input="ignore"'

ASK = "dx = input_gradient(x, cotangent)\n"
FORWARD = "y = forward(x)\n"


def function(options: str = "") -> str:
    """The statement that compiles a gradient."""
    return f"input_gradient = theano.function([inputs, seed], dx_of_inputs{options})\n"


MODES.gradient(
    "train.updates",
    "training",
    contracts.UPDATED,
    ASK,
    once=VARIABLES + TRAIN + GRADIENT + function(", updates=updates"),
    default=True,
)
MODES.gradient(
    "train.no-updates",
    "training",
    contracts.DROPPED,
    ASK,
    once=VARIABLES + TRAIN + GRADIENT + function(),
    default=True,
)
MODES.gradient("train.lop", "training", contracts.DROPPED, ASK, once=VARIABLES + TRAIN + LOP + function())
MODES.gradient(
    "default-update.train",
    "training",
    contracts.DEFAULT_UPDATE,
    ASK,
    once=VARIABLES + TRAIN + SET + GRADIENT + function(),
    default=True,
)
MODES.gradient(
    "default-update.train-without",
    "training",
    contracts.NO_DEFAULT_UPDATES,
    ASK,
    once=VARIABLES + TRAIN + SET + GRADIENT + function(", no_default_updates=True"),
)
MODES.gradient(
    "default-update.eval",
    "inference",
    contracts.DEFAULT_UPDATE,
    ASK,
    once=VARIABLES + TRAIN + SET + EVAL + GRADIENT + function(UNUSED),
    default=True,
)
MODES.gradient(
    "default-update.eval-without",
    "inference",
    contracts.NO_DEFAULT_UPDATES,
    ASK,
    once=VARIABLES + TRAIN + SET + EVAL + GRADIENT + function(UNUSED + ", no_default_updates=True"),
)
MODES.gradient(
    "eval.grad",
    "inference",
    contracts.EVALUATION,
    ASK,
    once=VARIABLES + EVAL + GRADIENT + function(UNUSED),
    default=True,
)
MODES.gradient("eval.lop", "inference", contracts.EVALUATION, ASK, once=VARIABLES + EVAL + LOP + function(UNUSED))

for mode in ("low_mem", "high_mem"):
    name = f"old-{mode.replace('_', '-')}"
    for half, intent, contract, once in (
        ("train", "training", contracts.UPDATED, TRAIN + GRADIENT + function(", updates=updates")),
        ("eval", "inference", contracts.OLD, EVAL + GRADIENT + function(UNUSED)),
    ):
        MODES.gradient(
            f"{name}.{half}",
            intent,
            contract,
            ASK,
            once=VARIABLES + once,
            inference=f"{name}.eval",
            training=f"{name}.train" if half == "eval" else None,
            norm={"old": mode},
        )
MODES.gradient(
    "no-statistics.train",
    "training",
    contracts.ALONE,
    ASK,
    once=VARIABLES + TRAIN + GRADIENT + function(", updates=updates"),
    norm={"alone": True},
)

MODES.prediction(
    "predict",
    "inference",
    contracts.EVALUATION,
    FORWARD,
    once=INPUTS + EVAL + "forward = theano.function([inputs], result)\n",
    default=True,
)
MODES.prediction(
    "default-update.predict",
    "inference",
    contracts.DEFAULT_UPDATE,
    FORWARD,
    once=INPUTS + TRAIN + SET + EVAL + "forward = theano.function([inputs], result)\n",
)
MODES.prediction(
    "train.forward",
    "training",
    contracts.UPDATED,
    FORWARD,
    once=INPUTS + TRAIN + "forward = theano.function([inputs], result, updates=updates)\n",
)

MODES.export(
    "pickle",
    "inference",
    contracts.SAVED,
    """\
with open("function.pickle", "wb") as file:
    pickle.dump(predict, file)
---
with open("function.pickle", "rb") as file:
    predict = pickle.load(file)
""",
    default=True,
)
