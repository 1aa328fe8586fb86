"""Dynamic graphs before 2.0, as `fluid.dygraph` has them: a `Layer` under a guard, with tensors made by `to_variable`.

There `eval()` of any layer also switches off, for the whole process, that operations are recorded, and `train()` on.
"""

from __future__ import annotations

from typing import Any

from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.mode import Contract, Contracts

contracts = Contracts(__file__)

FLUID = Halves(
    contracts.FLUID_EVALUATION,
    inference="fluid.set-global-stats.grad",
    training="fluid.train.grad",
    kind="fluid",
    until="1.8.5",
)

INPUT = "x.stop_gradient = False\n"
GRAD = INPUT + "y = net(x)\n---\ndx, = fluid.dygraph.grad([y], [x], [cotangent])\n"
BACKWARD = INPUT + "loss = fluid.layers.reduce_sum(net(x) * cotangent)\n---\nloss.backward()\ndx = x.gradient()\n"
DOUBLE = (
    INPUT + "y = net(x)\n---\ndx, = fluid.dygraph.grad([y], [x], [cotangent], create_graph=True)\n"
    "fluid.dygraph.grad([dx * dx], [x], allow_unused=True)\n"
)
NO_GRAD = "with fluid.dygraph.no_grad():\n    y = net(x)\n"

for name, text in (("backward", BACKWARD), ("grad", GRAD), ("double-grad", DOUBLE)):
    default = HALVES if name != "double-grad" else ()
    FLUID.halves(f"fluid.{{}}.{name}", contracts.FLUID_TRAINING, text, default=default)

FLUID.gradient(
    "fluid.train-then-eval.grad",
    "training",
    contracts.FLUID_TRAINING,
    f"net.train()\n{INPUT}y = net(x)\nnet.eval()\n---\ndx, = fluid.dygraph.grad([y], [x], [cotangent])\n",
)
EACH = """\
net.train()
for layer in net.sublayers():
    if isinstance(layer, fluid.dygraph.BatchNorm):
        {}
"""
FROZEN = EACH.format("layer.training = False  # its eval() would stop the record")
GLOBAL = EACH.format("layer._use_global_stats = True")
FLUID.gradient("fluid.frozen.grad", "inference", contracts.FLUID_EVALUATION, FROZEN + GRAD)
FLUID.gradient("fluid.set-global-stats.grad", "inference", contracts.FLUID_GLOBAL, GLOBAL + GRAD, default=True)
FLUID.gradient(
    "fluid.set-global-stats.then-eval",
    "inference",
    contracts.FLUID_GLOBAL,
    f"{GLOBAL}{GRAD}net.eval()\n",
    default=True,
)

for half in HALVES:
    FLUID.halves("fluid.{}.no-grad", contracts.FLUID_NO_GRAD, NO_GRAD, asks="prediction", default=HALVES, only=[half])
    FLUID.halves("fluid.{}.forward", contracts.FLUID_TRAINING, f"{INPUT}y = net(x)\n", asks="prediction", only=[half])


def told(name: str, norm: dict[str, bool], intent: dict[str, str], train: Contract, evaluation: Contract) -> None:
    """The plain gradient in training and prediction in evaluation, of batch normalizations that are told more."""
    words: dict[str, Any] = {"norm": norm, "default": name == "global-stats"}
    words["batch_prediction"] = intent["eval"] == "training"
    FLUID.gradient(f"fluid.{name}.train", intent["train"], train, "net.train()\n" + GRAD, **words)
    FLUID.prediction(f"fluid.{name}.eval", intent["eval"], evaluation, "net.eval()\n" + NO_GRAD, **words)


INFERENCE = {"train": "inference", "eval": "inference"}
TRAINING = {"train": "training", "eval": "training"}
told("global-stats", {"use_global_stats": True}, INFERENCE, contracts.FLUID_GLOBAL, contracts.FLUID_EVALUATION)
# By the documentation a dynamic graph does not heed is_test.
told("is-test", {"is_test": True}, HALVES, contracts.FLUID_IS_TEST, contracts.FLUID_EVALUATION)
told(
    "trainable-statistics",
    {"trainable_statistics": True},
    TRAINING,
    contracts.FLUID_TRAINING,
    contracts.FLUID_TRAINABLE,
)

FLUID.halves(
    "fluid.traced.{}",
    contracts.FLUID_TRACED,
    "y, traced = fluid.dygraph.TracedLayer.trace(net, [x])\ny, = traced([x])\n",
    contracts.FLUID_TRACED,
    asks="prediction",
    kind="fluid.traced",
)

FLUID.export(
    "export.save-dygraph",
    "inference",
    contracts.FLUID_SAVED,
    """\
fluid.save_dygraph(net.state_dict(), "network")
---
net = Net()
parameters, _ = fluid.load_dygraph("network")
net.set_dict(parameters)
""",
    default=True,
)
