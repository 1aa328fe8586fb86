"""Each way of asking Chainer: by the configuration's `train`, and by what else users do for or against updates.

Names begin with what the configuration's `train` is in the forward pass: `default` (nobody touched it), `train` or
`eval`; else with what is done to the network or to its layers first. The intent is that of the forward pass.
"""

import copy
import os
import threading
from typing import Any, List

from crosscheck.probe.adapter import Contract
from crosscheck.probe.modes import Between, Call, Norm, Table
from crosscheck.runtimes.chainer import contracts
from crosscheck.runtimes.chainer.networks import Model, array_of

TABLE = Table(inference="eval.grad", training="default.grad")

BACKWARD = "y = net(x)\ny.grad = cotangent\nnet.cleargrads()\ny.backward()\nx.grad"
GRAD = "dx, = chainer.grad([net(x)], [x], [cotangent])"
CONFIGURED = {
    "train": "with chainer.using_config('train', True):\n",
    "eval": "with chainer.using_config('train', False):\n",
}


def indented(code: str) -> str:
    """Code as the body of a `with`."""
    return "\n".join("    " + line for line in code.split("\n"))


def left_on(x: Any) -> Any:
    """The gradient that backward left on `x`."""
    if x.grad is None:
        raise RuntimeError("backward left no gradient on x")
    return x.grad_var


def backward(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`backward`, which leaves gradients on the parameters, too."""
    y = net(x)
    between()
    y.grad = cotangent.array
    net.cleargrads()
    y.backward()
    return left_on(x)


def loss_backward(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The same from a scalar loss."""
    loss = chainer.functions.sum(net(x) * cotangent)
    between()
    net.cleargrads()
    loss.backward()
    return left_on(x)


def grad(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`chainer.grad`, for the input alone."""
    y = net(x)
    between()
    (dx,) = chainer.grad([y], [x], [cotangent])
    return dx


def double_backprop(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The gradient, and the gradient of its square, as a gradient penalty takes it."""
    y = net(x)
    between()
    (dx,) = chainer.grad([y], [x], [cotangent], enable_double_backprop=True)
    chainer.grad([chainer.functions.sum(dx * dx)], [x])
    return dx


def forget(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`F.forget`, which calls the network again during backward."""
    y = chainer.functions.forget(net, x)
    between()
    y.grad = cotangent.array
    net.cleargrads()
    y.backward()
    return left_on(x)


def configured(train: bool, ask: Call) -> Call:
    """The call under `using_config('train', ...)`."""

    def call(chainer: Any, net: Any, *arguments: Any) -> Any:
        with chainer.using_config("train", train):
            return ask(chainer, net, *arguments)

    return call


for name, text, ask, default in (
    ("backward", BACKWARD, backward, True),
    (
        "loss-backward",
        "loss = F.sum(net(x) * cotangent)\nnet.cleargrads()\nloss.backward()\nx.grad",
        loss_backward,
        False,
    ),
    ("grad", GRAD, grad, False),
    (
        "double-backprop",
        GRAD[:-1] + ", enable_double_backprop=True)\nchainer.grad([F.sum(dx * dx)], [x])",
        double_backprop,
        False,
    ),
    ("forget", "y = F.forget(net, x)\ny.grad = cotangent\nnet.cleargrads()\ny.backward()\nx.grad", forget, True),
):
    training = contracts.FORGET if name == "forget" else contracts.TRAINING
    TABLE.mode("default." + name, "training", text, training, default=default)(ask)
    TABLE.mode("train." + name, "training", CONFIGURED["train"] + indented(text), training)(configured(True, ask))
    TABLE.mode(
        "eval." + name,
        "inference",
        CONFIGURED["eval"] + indented(text),
        contracts.EVALUATION,
        training="default." + name,
        default=name in ("backward", "grad"),
    )(configured(False, ask))


def switched(train: bool) -> Call:
    """Forward under one configuration, backward when that is over and the other one set."""

    def call(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        with chainer.using_config("train", train):
            y = net(x)
        between()
        with chainer.using_config("train", not train):
            y.grad = cotangent.array
            net.cleargrads()
            y.backward()
        return left_on(x)

    return call


for first, second, train in (("eval", "train", False), ("train", "eval", True)):
    TABLE.mode(
        "{}-then-{}.backward".format(first, second),
        "training" if train else "inference",
        CONFIGURED[first]
        + "    y = net(x)\n"
        + CONFIGURED[second]
        + "    y.grad = cotangent\n    net.cleargrads()\n    y.backward()\nx.grad",
        contracts.TRAINING if train else contracts.SWITCHED,
    )(switched(train))


@TABLE.mode(
    "eval-thread.backward",
    "inference",
    "chainer.config.train = False\nthread = threading.Thread(target=gradient)  # x.grad by backward\n"
    "thread.start()\nthread.join()",
    contracts.OTHER_THREAD,
    default=True,
)
def other_thread(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The configuration set here, the gradient taken by a worker thread."""
    found: List[Any] = []
    with chainer.using_config("train", False):
        worker = threading.Thread(target=lambda: found.append(backward(chainer, net, x, cotangent, between)))
        worker.start()
        worker.join()
    return found[0]


@TABLE.mode(
    "eval-global.backward",
    "inference",
    "chainer.global_config.train = False\n" + BACKWARD,
    contracts.EVALUATION,
)
def everywhere(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The configuration of all threads, set back afterwards."""
    chainer.global_config.train = False
    try:
        return backward(chainer, net, x, cotangent, between)
    finally:
        chainer.global_config.train = True


for half in ("train", "eval"):
    TABLE.mode(
        half + ".no-backprop",
        "training" if half == "train" else "inference",
        CONFIGURED[half] + "    with chainer.using_config('enable_backprop', False):\n" + indented(indented(BACKWARD)),
        contracts.NO_BACKPROP if half == "train" else contracts.EVALUATION,
    )(configured(half == "train", lambda chainer, *rest: without_backprop(chainer, backward, *rest)))


def without_backprop(chainer: Any, ask: Call, *arguments: Any) -> Any:
    """The call without a graph."""
    with chainer.using_config("enable_backprop", False):
        return ask(chainer, *arguments)


def forward(chainer: Any, net: Any, x: Any) -> Any:
    """A forward pass, recorded."""
    return net(x)


TABLE.mode("default.forward", "training", "y = net(x)", contracts.TRAINING, "prediction")(forward)
for half in ("train", "eval"):
    TABLE.mode(
        half + ".no-backprop-forward",
        "training" if half == "train" else "inference",
        CONFIGURED[half] + "    with chainer.using_config('enable_backprop', False):\n        y = net(x)",
        contracts.NO_BACKPROP if half == "train" else contracts.EVALUATION,
        "prediction",
    )(configured(half == "train", lambda chainer, *rest: without_backprop(chainer, forward, *rest)))


@TABLE.mode(
    "predict",
    "inference",
    CONFIGURED["eval"] + "    with chainer.no_backprop_mode():\n        y = net(x)",
    contracts.EVALUATION,
    "prediction",
    default=True,
)
def predict(chainer: Any, net: Any, x: Any) -> Any:
    """The documented prediction."""
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        return net(x)


@TABLE.mode(
    "disable-update.backward", "training", "net.disable_update()\n" + BACKWARD, contracts.DISABLED, default=True
)
def disable_update(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The whole network excluded from optimizers' updates."""
    net.disable_update()
    return backward(chainer, net, x, cotangent, between)


def on_a_copy(mode: str) -> Call:
    """The gradient of a copy, which is thrown away."""

    def call(chainer: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        return backward(chainer, net.copy(mode=mode), x, cotangent, between)

    return call


for mode, contract in (("share", contracts.SHARED_COPY), ("copy", contracts.DEEP_COPY)):
    TABLE.mode(
        "copy-{}.backward".format(mode),
        "training",
        "twin = net.copy(mode='{}')\ny = twin(x)\ny.grad = cotangent\ntwin.cleargrads()\ny.backward()\nx.grad".format(
            mode
        ),
        contract,
        since="4.0.0",
        default=True,
    )(on_a_copy(mode))


def layers(name: str, text: str, norm: Norm, training: Contract, default: bool = False) -> None:
    """The two plain gradients of a network whose batch normalizations are written otherwise."""
    for half, ask in (("default", grad), ("eval", configured(False, grad))):
        TABLE.mode(
            "{}.{}".format(name, half),
            "training" if half == "default" else "inference",
            "{}\n{}".format(text, GRAD if half == "default" else CONFIGURED["eval"] + indented(GRAD)),
            training if half == "default" else contracts.EVALUATION,
            inference=name + ".eval",
            training=name + ".default",
            default=default and half == "default",
            norm=norm,
        )(ask)


layers("finetune", "y = batch_norm(x, finetune=True)", {"finetune": True}, contracts.FINE_TUNING)
layers(
    "finetune-counted",
    "y = batch_norm(x, finetune=True)  # its N is 6, as after six batches",
    {"finetune": True, "counted": 6},
    contracts.FINE_TUNING,
    default=True,
)
layers("decay-one", "L.BatchNormalization(..., decay=1.0)", {"decay": 1.0}, contracts.DECAY_ONE)
layers(
    "functional-no-statistics",
    "y = F.batch_normalization(x, gamma, beta, eps=eps)  # in training",
    {"function": "batch"},
    contracts.NO_STATISTICS,
)
TABLE.mode(
    "functional-fixed.default",
    "inference",
    "y = F.fixed_batch_normalization(x, gamma, beta, avg_mean, avg_var, eps=eps)\n" + GRAD,
    contracts.FIXED,
    norm={"function": "fixed"},
)(grad)
TABLE.mode(
    "frozen.default",
    "inference",
    "with chainer.using_config('train', False):\n    y = batch_norm(x)  # in the network's __call__\n" + GRAD,
    contracts.EVALUATION,
    norm={"frozen": True},
    default=True,
)(grad)
for half, ask in (("default", backward), ("eval", configured(False, backward))):
    TABLE.mode(
        "static-graph." + half,
        "training" if half == "default" else "inference",
        "@chainer.static_graph\ndef __call__(self, x): ...\n"
        + (BACKWARD if half == "default" else CONFIGURED["eval"] + indented(BACKWARD)),
        contracts.STATIC,
        since="5.0.0",
        inference="static-graph.eval",
        training="static-graph.default",
        norm={"static": True},
    )(ask)


@TABLE.mode(
    "save-npz",
    "inference",
    "chainer.serializers.save_npz(path, net)\nchainer.serializers.load_npz(path, other)",
    contracts.SAVED,
    "export",
    default=True,
)
def save_npz(chainer: Any, model: Model, folder: str) -> Model:
    """Parameters and persistent values to a file, and back into a copy that had zeros."""
    path = os.path.join(folder, "network.npz")
    chainer.serializers.save_npz(path, model.chain)
    other = copy.deepcopy(model.chain)
    for place in model.places.values():
        array_of(other, place)[...] = 0
    chainer.serializers.load_npz(path, other)
    return Model(other, model.places)
