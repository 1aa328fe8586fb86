"""Each way of asking the symbolic APIs, `Executor` and `Module`.

Where forward and backward take a mode each, the name has forward's and then backward's: `executor.train.eval`.
The intent is that of the forward pass, whatever backward then does by default. Frozen layers are always meant for
inference.
"""

from typing import Any

from crosscheck.runtimes.family.halves import HALVES
from crosscheck.runtimes.mode import Contracts, Modes
from crosscheck.runtimes.mxnet.operators import DEPRECATED
from crosscheck.runtimes.mxnet.symbols import EXECUTED

contracts = Contracts(__file__)

__all__ = [
    "BOUND",
    "EXECUTOR",
    "FIXED_GAMMA",
    "FROZEN",
    "LAST_AXIS",
    "MODULE",
    "OUTPUT_MEAN_VAR",
    "executor_forward",
    "executor_gradient",
]

EXECUTOR = Modes(inference="executor.eval.eval", training="executor.train.default", kind="executor")
MODULE = Modes(inference="module.eval", training="module.train", kind="module")

#: Layers that use the moving statistics in every mode.
FROZEN = {"use_global_stats": True}
#: Layers that nobody tells fix_gamma, which is True then: the scale is taken for 1.
FIXED_GAMMA: dict[str, Any] = {"norm": {"fix_gamma": None}, "unit_scale": True}
#: Layers that also put out the mean and the inverse standard deviation by which they normalize.
OUTPUT_MEAN_VAR = {"output_mean_var": True}
#: Layers over the last axis.
LAST_AXIS = {"axis": -1}
#: Binds a symbol that was read, for predictions.
BOUND = """\
inputs = mx.nd.zeros(x.shape)
net = sym.bind(mx.cpu(), dict(arg_params, data=inputs), grad_req="null", aux_states=aux_params)
"""


def executor_gradient(forward: str, backward: str = "default") -> str:
    """`forward`, then `backward`, with or without the keyword of the same name."""
    keyword = "" if backward == "default" else f", is_train={backward == 'train'}"
    return f"""\
inputs[:] = x
net.forward(is_train={forward == "train"})
---
net.backward([cotangent]{keyword})
dx = input_grad
"""


def executor_forward(is_train: bool) -> str:
    """`forward` alone; its output is a buffer of the executor's, so a user who keeps it takes a copy."""
    return f"inputs[:] = x\ny = net.forward(is_train={is_train})[0].copy()\n"


def module_gradient(half: str) -> str:
    """`forward` in that mode, and `backward`, which takes none."""
    return f"""\
net.forward(mx.io.DataBatch([x], []), is_train={half == "train"})
---
net.backward([cotangent])
dx = net.get_input_grads()[0]
"""


# backward's keyword came with 0.11; before, it always trained.
for forward, backward, contract in (
    ("train", "default", contracts.TRAINING),
    ("train", "train", contracts.TRAINING),
    ("train", "eval", contracts.EXECUTOR_MIXED),
    ("eval", "default", contracts.EXECUTOR_MIXED),
    ("eval", "train", contracts.EXECUTOR_MIXED),
    ("eval", "eval", contracts.EXECUTOR_INFERENCE),
):
    EXECUTOR.gradient(
        f"executor.{forward}.{backward}",
        HALVES[forward],
        contract,
        executor_gradient(forward, backward),
        since=None if backward == "default" else "0.11.0",
        inference="executor.eval.default" if backward == "default" else "executor.eval.eval",
        default=(forward, backward) not in (("train", "eval"), ("eval", "train")),
    )

EXECUTOR.gradient(
    "executor.global-stats",
    "inference",
    contracts.FROZEN,
    executor_gradient("train"),
    inference="executor.eval.default",
    default=True,
    norm=FROZEN,
)
for forward, backward, contract in (
    ("train", "default", contracts.TRAINING),
    ("eval", "default", contracts.EXECUTOR_MIXED),
    ("eval", "eval", contracts.EXECUTOR_INFERENCE),
):
    ending = f"{forward}.{backward}"
    since = None if backward == "default" else "0.11.0"
    for name, more in (
        ("fix-gamma", FIXED_GAMMA),
        ("output-mean-var", {"norm": OUTPUT_MEAN_VAR}),
        ("axis-last", {"norm": LAST_AXIS, "since": "0.11.0"}),
        ("batch-norm-v1", {"norm": {DEPRECATED: True}, "since": since or "0.10.0"}),
    ):
        EXECUTOR.gradient(
            f"executor.{name}.{ending}",
            HALVES[forward],
            contracts.DEPRECATED if name == "batch-norm-v1" else contract,
            executor_gradient(forward, backward),
            inference=f"executor.{name}.eval.{backward}",
            training=f"executor.{name}.train.default" if forward == "eval" else None,
            default=name == "fix-gamma" and ending == "train.default",
            **({"since": since} | more),
        )
EXECUTOR.gradient(
    "executor.fix-gamma.global-stats",
    "inference",
    contracts.FROZEN,
    executor_gradient("train"),
    inference="executor.fix-gamma.eval.default",
    training="executor.fix-gamma.train.default",
    norm=FROZEN | FIXED_GAMMA["norm"],
    unit_scale=True,
)
EXECUTOR.prediction(
    "executor.fix-gamma.predict",
    "inference",
    contracts.EXECUTOR_PREDICTION,
    executor_forward(False),
    **FIXED_GAMMA,
)
EXECUTOR.prediction(
    "executor.predict", "inference", contracts.EXECUTOR_PREDICTION, executor_forward(False), default=True
)
EXECUTOR.prediction("executor.train-forward", "training", contracts.EXECUTOR_FORWARD, executor_forward(True))
EXECUTOR.export(
    "executor.save-checkpoint",
    "inference",
    contracts.SAVED,
    f"""\
mx.model.save_checkpoint("network", 0, sym, arg_params, aux_params)
---
sym, arg_params, aux_params = mx.model.load_checkpoint("network", 0)
{BOUND}""",
    predict=EXECUTED,
)

for half, contract in (("train", contracts.TRAINING), ("eval", contracts.MODULE_INFERENCE)):
    MODULE.gradient(
        f"module.{half}",
        HALVES[half],
        contract,
        module_gradient(half),
        default=True,
    )
for half, contract in (("train", contracts.TRAINING), ("eval", contracts.MODULE_INFERENCE)):
    MODULE.gradient(
        f"module.fix-gamma.{half}",
        HALVES[half],
        contract,
        module_gradient(half),
        inference="module.fix-gamma.eval",
        training="module.fix-gamma.train" if half == "eval" else None,
        **FIXED_GAMMA,
    )
for name, is_train, contract in (
    ("predict", False, contracts.EXECUTOR_PREDICTION),
    ("train-forward", True, contracts.MODULE_FORWARD),
):
    MODULE.prediction(
        f"module.{name}",
        "training" if is_train else "inference",
        contract,
        f"net.forward(mx.io.DataBatch([x], []), is_train={is_train})\ny = net.get_outputs()[0].copy()\n",
    )
MODULE.export(
    "module.save-checkpoint",
    "inference",
    contracts.SAVED,
    """\
net.save_checkpoint("network", 0)
---
saved = net
net = mx.mod.Module.load("network", 0, data_names=saved.data_names, label_names=[])
net.bind(saved.data_shapes, for_training=False)
""",
)
