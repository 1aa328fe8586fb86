"""Each way of asking Theano: with which batch normalization, and with which updates of the shared statistics."""

import os
import pickle
from typing import Any, Callable

from crosscheck.probe.modes import Between, Call, Make, Table
from crosscheck.runtimes.theano import contracts
from crosscheck.runtimes.theano.networks import Model

TABLE = Table(inference="eval.grad", training="train.updates")

TRAIN = (
    "y, _, _, new_mean, new_var = bn.batch_normalization_train(x, gamma, beta, running_mean=mean, running_var=var)\n"
)
TEST = "y = bn.batch_normalization_test(x, gamma, beta, mean, var)\n"
DX = "dx = T.grad((y * cotangent).sum(), x)\n"
SET = "mean.default_update, var.default_update = new_mean, new_var\n"


def gradient(
    training: bool, updates: bool = False, default_updates: bool = False, lop: bool = False, **keywords: Any
) -> Make:
    """The gradient's function; `default_updates`: those of training, set on the shared statistics beforehand."""

    def compile_it(theano: Any, model: Model) -> Call:
        x, cotangent = model.input(), model.cotangent()
        y, new = model.output(x, training)
        if default_updates:
            for statistic, value in model.output(x, True)[1]:
                statistic.default_update = value
        dx = theano.tensor.Lop(y, x, cotangent) if lop else theano.tensor.grad((y * cotangent).sum(), x)
        function = theano.function(
            [x, cotangent], dx, updates=new if updates else None, on_unused_input="ignore", **keywords
        )

        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            return function(x, cotangent)  # forward and backward are one function

        return ask

    return compile_it


TABLE.mode(
    "train.updates",
    "training",
    TRAIN + DX + "f = theano.function([x, cotangent], dx, updates=[(mean, new_mean), (var, new_var)])",
    contracts.UPDATED,
    default=True,
)(gradient(True, updates=True))
TABLE.mode(
    "train.no-updates",
    "training",
    TRAIN + DX + "f = theano.function([x, cotangent], dx)",
    contracts.DROPPED,
    default=True,
)(gradient(True))
TABLE.mode(
    "train.lop",
    "training",
    TRAIN + "dx = T.Lop(y, x, cotangent)\nf = theano.function([x, cotangent], dx)",
    contracts.DROPPED,
)(gradient(True, lop=True))
TABLE.mode(
    "default-update.train",
    "training",
    TRAIN + SET + DX + "f = theano.function([x, cotangent], dx)",
    contracts.DEFAULT_UPDATE,
    default=True,
)(gradient(True, default_updates=True))
TABLE.mode(
    "default-update.train-without",
    "training",
    TRAIN + SET + DX + "f = theano.function([x, cotangent], dx, no_default_updates=True)",
    contracts.NO_DEFAULT_UPDATES,
)(gradient(True, default_updates=True, no_default_updates=True))
TABLE.mode(
    "default-update.eval",
    "inference",
    TRAIN + SET + TEST + DX + "f = theano.function([x, cotangent], dx)",
    contracts.DEFAULT_UPDATE,
    default=True,
)(gradient(False, default_updates=True))
TABLE.mode(
    "default-update.eval-without",
    "inference",
    TRAIN + SET + TEST + DX + "f = theano.function([x, cotangent], dx, no_default_updates=True)",
    contracts.NO_DEFAULT_UPDATES,
)(gradient(False, default_updates=True, no_default_updates=True))
TABLE.mode(
    "eval.grad",
    "inference",
    TEST + DX + "f = theano.function([x, cotangent], dx)",
    contracts.EVALUATION,
    default=True,
)(gradient(False))
TABLE.mode(
    "eval.lop",
    "inference",
    TEST + "dx = T.Lop(y, x, cotangent)\nf = theano.function([x, cotangent], dx)",
    contracts.EVALUATION,
)(gradient(False, lop=True))


def forward(training: bool, updates: bool = False, default_updates: bool = False) -> Make:
    """The output's function."""

    def compile_it(theano: Any, model: Model) -> Callable[..., Any]:
        x = model.input()
        y, new = model.output(x, training)
        if default_updates:
            for statistic, value in model.output(x, True)[1]:
                statistic.default_update = value
        function: Callable[..., Any] = theano.function([x], y, updates=new if updates else None)
        return function

    return compile_it


TABLE.mode(
    "predict", "inference", TEST + "f = theano.function([x], y)", contracts.EVALUATION, "prediction", default=True
)(forward(False))
TABLE.mode(
    "default-update.predict",
    "inference",
    TRAIN + SET + TEST + "f = theano.function([x], y)",
    contracts.DEFAULT_UPDATE,
    "prediction",
)(forward(False, default_updates=True))
TABLE.mode(
    "train.forward",
    "training",
    TRAIN + "f = theano.function([x], y, updates=[(mean, new_mean), (var, new_var)])",
    contracts.UPDATED,
    "prediction",
)(forward(True, updates=True))


class Unpickled:
    """A function that was pickled and read back."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.predict = function


@TABLE.mode(
    "pickle", "inference", "pickle.dump(f, file)\nf = pickle.load(file)", contracts.SAVED, "export", default=True
)
def pickled(theano: Any, model: Model) -> Callable[..., Any]:
    """The function for predictions, with the values of its shared variables, to a file and back."""

    def export(folder: str) -> Unpickled:
        path = os.path.join(folder, "function.pickle")
        with open(path, "wb") as file:
            pickle.dump(model.predict, file)
        with open(path, "rb") as file:
            return Unpickled(pickle.load(file))  # noqa: S301 - the file was written a line ago

    return export
