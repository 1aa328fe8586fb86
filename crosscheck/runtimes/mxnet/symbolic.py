"""The symbolic APIs: `Executor` and `Module`.

Names begin with the API that the model is written in; where forward and backward take a mode each, forward's follows
and then backward's: `executor.train.eval`. The intent is that of the forward pass, whatever backward then does by
default. Frozen layers are always meant for inference.
"""

from typing import Any, Dict

from crosscheck.probe.modes import INTENT, Between, Call, Table
from crosscheck.runtimes.mxnet import contracts, models
from crosscheck.runtimes.mxnet.models import BACKWARD
from crosscheck.runtimes.mxnet.sources import FROZEN

TABLE = Table()


def executor_gradient(is_train: bool, backward: Dict[str, bool]) -> Call:
    """`forward(is_train=...)`, then `backward`, with or without the keyword of the same name."""

    def ask(mx: Any, net: models.Bound, x: Any, cotangent: Any, between: Between) -> Any:
        net.executor.forward(is_train=is_train, **{net.data: x})
        between()
        net.executor.backward([cotangent], **backward)
        return net.executor.grad_dict[net.data]

    return ask


def executor_modes() -> None:
    """Every pair of modes. backward's keyword came with 0.11; before, it always trained."""
    for pair, contract in (
        ("train.default", contracts.TRAINING),
        ("train.train", contracts.TRAINING),
        ("train.eval", contracts.EXECUTOR_MIXED),
        ("eval.default", contracts.EXECUTOR_MIXED),
        ("eval.train", contracts.EXECUTOR_MIXED),
        ("eval.eval", contracts.EXECUTOR_INFERENCE),
    ):
        forward, backward = pair.split(".")
        is_train = BACKWARD[backward]
        keyword = {} if is_train is None else {"is_train": is_train}
        TABLE.mode(
            "executor." + pair,
            INTENT[forward],
            "net.forward(is_train={}, data=x)\nnet.backward([cotangent]{})\nnet.grad_dict['data']".format(
                forward == "train", "".join(", is_train={}".format(value) for value in keyword.values())
            ),
            contract,
            since="0.11.0" if keyword else None,
            inference="executor.eval.eval" if keyword else "executor.eval.default",
            training="executor.train.default" if forward == "eval" else None,
            default=pair in ("train.default", "train.train", "eval.default", "eval.eval"),
        )(executor_gradient(forward == "train", keyword))


executor_modes()

TABLE.mode(
    "executor.global-stats",
    "inference",
    "mx.sym.BatchNorm(..., use_global_stats=True)\nnet.forward(is_train=True, data=x)\nnet.backward([cotangent])",
    contracts.FROZEN,
    inference="executor.eval.default",
    training="executor.train.default",
    default=True,
    norm=FROZEN,
)(executor_gradient(True, {}))


def executor_forward(is_train: bool) -> Call:
    """`forward` alone; its output is a buffer of the executor's, so a user who keeps it takes a copy."""

    def ask(mx: Any, net: models.Bound, x: Any) -> Any:
        return net.executor.forward(is_train=is_train, **{net.data: x})[0].copy()

    return ask


TABLE.mode(
    "executor.predict",
    "inference",
    "net.forward(is_train=False, data=x)[0]",
    contracts.EXECUTOR_PREDICTION,
    "prediction",
    default=True,
)(executor_forward(False))
TABLE.mode(
    "executor.train-forward",
    "training",
    "net.forward(is_train=True, data=x)[0]",
    contracts.EXECUTOR_FORWARD,
    "prediction",
)(executor_forward(True))


@TABLE.mode(
    "executor.save-checkpoint",
    "inference",
    "mx.model.save_checkpoint(prefix, 0, symbol, arguments, auxiliary)\nmx.model.load_checkpoint(prefix, 0)",
    contracts.SAVED,
    "export",
)
def executor_save(mx: Any, net: models.Bound, folder: str) -> models.Bound:
    """Symbol and arrays to files and back."""
    auxiliary = net.executor.aux_dict
    arguments = {name: array for name, array in net.parameters().items() if name not in auxiliary}
    mx.model.save_checkpoint(models.prefix(folder), 0, net.symbol, arguments, auxiliary)
    return models.checkpoint(mx, models.prefix(folder), net.executor.arg_dict[net.data].shape)


def module_gradient(is_train: bool) -> Call:
    """`forward` in one mode; `backward` has no keyword for it."""

    def ask(mx: Any, net: models.Moduled, x: Any, cotangent: Any, between: Between) -> Any:
        net.module.forward(net.batch(x), is_train=is_train)
        between()
        net.module.backward([cotangent])
        return net.entry.get_input_grads()[0]

    return ask


TABLE.mode(
    "module.train",
    "training",
    "net.forward(batch, is_train=True)\nnet.backward([cotangent])\nnet.get_input_grads()[0]",
    contracts.TRAINING,
    inference="module.eval",
    default=True,
)(module_gradient(True))
TABLE.mode(
    "module.eval",
    "inference",
    "net.forward(batch, is_train=False)\nnet.backward([cotangent])\nnet.get_input_grads()[0]",
    contracts.MODULE_INFERENCE,
    inference="module.eval",
    training="module.train",
    default=True,
)(module_gradient(False))


def module_forward(is_train: bool) -> Call:
    """`forward` alone."""

    def ask(mx: Any, net: models.Moduled, x: Any) -> Any:
        net.module.forward(net.batch(x), is_train=is_train)
        return net.module.get_outputs()[0].copy()

    return ask


TABLE.mode(
    "module.predict",
    "inference",
    "net.forward(batch, is_train=False)\nnet.get_outputs()[0]",
    contracts.EXECUTOR_PREDICTION,
    "prediction",
)(module_forward(False))
TABLE.mode(
    "module.train-forward",
    "training",
    "net.forward(batch, is_train=True)\nnet.get_outputs()[0]",
    contracts.MODULE_FORWARD,
    "prediction",
)(module_forward(True))


@TABLE.mode(
    "module.save-checkpoint",
    "inference",
    "net.save_checkpoint(prefix, 0)\nmx.mod.Module.load(prefix, 0)",
    contracts.SAVED,
    "export",
)
def module_save(mx: Any, net: models.Moduled, folder: str) -> models.Moduled:
    """A module to files and back."""
    net.module.save_checkpoint(models.prefix(folder), 0)
    read = mx.mod.Module.load(models.prefix(folder), 0, data_names=[net.data], label_names=[])
    read.bind(net.module.data_shapes, for_training=False)
    return models.Moduled(mx, read, net.data, net.network)
