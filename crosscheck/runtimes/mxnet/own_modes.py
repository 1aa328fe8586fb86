"""Each way of asking about a user's file as it is: its symbol, bound by an executor and in a Gluon block."""

from crosscheck.runtimes.family.halves import HALVES
from crosscheck.runtimes.mode import Contracts, Modes
from crosscheck.runtimes.mxnet.imperative_modes import AUTOGRAD, record
from crosscheck.runtimes.mxnet.symbolic_modes import executor_forward, executor_gradient

contracts = Contracts(__file__)

__all__ = ["OWN"]

#: The format's name, and what all of its modes have in common.
NATIVE = "mxnet"
EXECUTOR = Modes("own.executor.eval.eval", "own.executor.train.default", kind="executor", since=AUTOGRAD)
BLOCK = Modes("own.gluon.eval.eval", "own.gluon.train.default", kind="symbolblock", since="0.12.0")

EXECUTOR.prediction(
    "own.executor.predict",
    "inference",
    contracts.EXECUTOR_PREDICTION,
    executor_forward(False),
    default=True,
    native=NATIVE,
)
BLOCK.prediction("own.gluon.predict", "inference", contracts.PREDICTION, "y = net(x)\n", default=True, native=NATIVE)
for forward, backward, executed, recorded in (
    ("train", "default", contracts.TRAINING, contracts.TRAINING),
    ("eval", "default", contracts.EXECUTOR_MIXED, contracts.AUTOGRAD_MIXED),
    ("eval", "eval", contracts.EXECUTOR_INFERENCE, contracts.AUTOGRAD_INFERENCE),
):
    EXECUTOR.gradient(
        f"own.executor.{forward}.{backward}",
        HALVES[forward],
        executed,
        executor_gradient(forward, backward),
        default=True,
        native=NATIVE,
    )
    keyword = "" if backward == "default" else ", train_mode=False"
    BLOCK.gradient(
        f"own.gluon.{forward}.{backward}",
        HALVES[forward],
        recorded,
        record(f"autograd.record(train_mode={forward == 'train'})", keyword),
        default=True,
        native=NATIVE,
    )

OWN = (*EXECUTOR, *BLOCK)
