"""Each way of asking Theano: with which batch normalization, and with which updates of the shared statistics.

`features` and `output` of the network's text are the variables of its documented prediction; a mode has variables of
its own, of the same types. Forward and backward are one function.
"""

from __future__ import annotations

from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

MODES = Modes(inference="eval.grad", training="train.updates")

IMAGE = 'image = features.type("image")\n'
VARIABLES = 'image, seed = features.type("image"), output.type("seed")\n'
TRAIN = "result, updates = net(image, train=True)\n"
EVAL = "result, _ = net(image, train=False)\n"
GRADIENT = "dx_of_image = T.grad((result * seed).sum(), image)\n"
LOP = "dx_of_image = T.Lop(result, image, seed)\n"
SET = "for statistic, new_value in updates:\n    statistic.default_update = new_value\n"
#: In evaluation the gradient of a linear network does not depend on the image.
UNUSED = ', on_unused_input="ignore"'

ASK = "dx = input_gradient(x, cotangent)\n"
FORWARD = "y = forward(x)\n"


def function(options: str = "") -> str:
    """The statement that compiles a gradient."""
    return f"input_gradient = theano.function([image, seed], dx_of_image{options})\n"


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

MODES.prediction(
    "predict",
    "inference",
    contracts.EVALUATION,
    FORWARD,
    once=IMAGE + EVAL + "forward = theano.function([image], result)\n",
    default=True,
)
MODES.prediction(
    "default-update.predict",
    "inference",
    contracts.DEFAULT_UPDATE,
    FORWARD,
    once=IMAGE + TRAIN + SET + EVAL + "forward = theano.function([image], result)\n",
)
MODES.prediction(
    "train.forward",
    "training",
    contracts.UPDATED,
    FORWARD,
    once=IMAGE + TRAIN + "forward = theano.function([image], result, updates=updates)\n",
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
