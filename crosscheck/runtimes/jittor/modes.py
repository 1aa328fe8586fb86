"""Each way of asking Jittor: by `jt.grad`, by an optimizer, and what users do to a network or around a call.

Names begin with the mode of the module, `train` or `eval`, where that and the call are all there is to say; else with
what is done to the network first, or with what the layers are. The intent is that of the module's mode; whoever puts
the layers alone into evaluation wants the running statistics.
"""

import copy
import os
from typing import Any

from crosscheck.probe.modes import INTENT, Between, Call, Table
from crosscheck.runtimes.jittor import contracts
from crosscheck.runtimes.jittor.networks import Model

TABLE = Table(inference="eval.grad", training="train.grad")

GRAD = "dx = jt.grad((net(x) * cotangent).sum(), x)"
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.EVALUATION}


def grad(jt: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`jt.grad`, for the input alone."""
    loss = (net(x) * cotangent).sum()
    between()
    return jt.grad(loss, x)


def released(jt: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`jt.grad` that gives the graph up."""
    loss = (net(x) * cotangent).sum()
    between()
    return jt.grad(loss, x, retain_graph=False)


def synchronized(jt: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`jt.grad` after everything that was asked for before it has been computed."""
    loss = (net(x) * cotangent).sum()
    jt.sync_all()
    between()
    return jt.grad(loss, x)


def eager(jt: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """Forward and backward executed as they are written."""
    with jt.flag_scope(lazy_execution=0):
        return grad(jt, net, x, cotangent, between)


def vjp(jt: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`jt.gradfunctional.vjp`, which does forward and backward."""
    return jt.gradfunctional.vjp(net, x, cotangent)[1]


def backward(jt: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`backward` of an optimizer whose variable the input is."""
    loss = (net(x) * cotangent).sum()
    between()
    optimizer = jt.nn.SGD([x], lr=0.1)
    optimizer.backward(loss)
    return x.opt_grad(optimizer)


def step(jt: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """A step of an optimizer that has the input among the network's parameters, its learning rate zero."""
    loss = (net(x) * cotangent).sum()
    between()
    optimizer = jt.nn.SGD(net.parameters() + [x], lr=0.0)
    optimizer.step(loss)
    return x.opt_grad(optimizer)


def penalty(jt: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The gradient, and the gradient of its square, as a gradient penalty takes it."""
    dx = grad(jt, net, x, cotangent, between)
    jt.grad((dx * dx).sum(), x).sync()
    return dx


def in_mode(half: str, ask: Call) -> Call:
    """`net.train()` or `net.eval()`, then the call."""

    def call(jt: Any, model: Model, *arguments: Any) -> Any:
        model.switch(half == "train")
        return ask(jt, model.net, *arguments)

    return call


for half in ("train", "eval"):
    for name, text, ask, contract, default in (
        ("grad", GRAD, grad, contracts.TRAINING, True),
        (
            "retain-graph-false",
            "dx = jt.grad((net(x) * cotangent).sum(), x, retain_graph=False)",
            released,
            contracts.TRAINING,
            False,
        ),
        (
            "sync-all",
            "y = net(x)\njt.sync_all()\ndx = jt.grad((y * cotangent).sum(), x)",
            synchronized,
            contracts.UPDATE,
            False,
        ),
        ("eager", "with jt.flag_scope(lazy_execution=0):\n    " + GRAD, eager, contracts.EAGER, True),
        ("vjp", "y, dx = jt.gradfunctional.vjp(net, x, cotangent)", vjp, contracts.TRAINING, False),
        (
            "optimizer-backward",
            "optimizer = nn.SGD([x], lr=0.1)\noptimizer.backward((net(x) * cotangent).sum())\n"
            "dx = x.opt_grad(optimizer)",
            backward,
            contracts.OPTIMIZER,
            True,
        ),
        (
            "optimizer-step",
            "optimizer = nn.SGD(net.parameters() + [x], lr=0.0)\noptimizer.step((net(x) * cotangent).sum())\n"
            "dx = x.opt_grad(optimizer)",
            step,
            contracts.OPTIMIZER,
            False,
        ),
        ("gradient-penalty", GRAD + "\njt.grad((dx * dx).sum(), x)", penalty, contracts.TRAINING, False),
    ):
        TABLE.mode(
            "{}.{}".format(half, name),
            INTENT[half],
            "net.{}()\n{}".format(half, text),
            contract if half == "train" else contracts.EVALUATION,
            training="train." + name,
            default=default,
        )(in_mode(half, ask))


@TABLE.mode(
    "forward-train-backward-eval",
    "training",
    "net.train()\ny = net(x)\nnet.eval()\ndx = jt.grad((y * cotangent).sum(), x)",
    contracts.SWITCHED,
)
def switched(jt: Any, model: Model, x: Any, cotangent: Any, between: Between) -> Any:
    """Evaluation set between forward and backward, before anything is computed."""
    model.switch(True)
    loss = (model.net(x) * cotangent).sum()
    model.switch(False)
    between()
    return jt.grad(loss, x)


def frozen(then: Any) -> Call:
    """The network in training, something done to each of its batch normalizations."""

    def call(jt: Any, model: Model, *arguments: Any) -> Any:
        model.switch(True, then)
        return grad(jt, model.net, *arguments)

    return call


def stop_parameters(layer: Any) -> None:
    """`stop_grad` of every parameter of a layer."""
    for parameter in layer.parameters():
        parameter.stop_grad()


def not_train(layer: Any) -> None:
    """The layer's flag, by hand."""
    layer.is_train = False


FROZEN = "net.train()\nfor layer in batch_norms:\n    "
for name, intent, text, contract, then, default in (
    ("frozen-eval", "inference", "layer.eval()", contracts.FROZEN, lambda layer: layer.eval(), True),
    ("frozen-is-train", "inference", "layer.is_train = False", contracts.IS_TRAIN, not_train, False),
    (
        "frozen-stop-grad",
        "training",
        "for p in layer.parameters(): p.stop_grad()",
        contracts.STOPPED,
        stop_parameters,
        False,
    ),
):
    TABLE.mode(name + ".grad", intent, FROZEN + text + "\n" + GRAD, contract, default=default)(frozen(then))


def requires_grad(half: str) -> Call:
    """`requires_grad_(False)` of the module for the call, as users of PyTorch spare parameters their gradients."""

    def call(jt: Any, model: Model, *arguments: Any) -> Any:
        model.net.requires_grad_(False)
        model.switch(half == "train")
        dx = grad(jt, model.net, *arguments)
        model.net.requires_grad_(True)
        return dx

    return call


def on_a_copy(jt: Any, model: Model, *arguments: Any) -> Any:
    """The gradient of a copy, which is thrown away."""
    twin = copy.deepcopy(model.net)
    twin.train()
    return grad(jt, twin, *arguments)


def restored(jt: Any, model: Model, *arguments: Any) -> Any:
    """The network's state written back after the call, which has to be computed by then."""
    model.switch(True)
    state = model.net.state_dict(to="numpy")
    dx = grad(jt, model.net, *arguments).sync()
    model.net.load_state_dict(state)
    return dx


for half in ("train", "eval"):
    TABLE.mode(
        "requires-grad-false." + half,
        INTENT[half],
        "net.requires_grad_(False)\nnet.{}()\n{}\nnet.requires_grad_(True)".format(half, GRAD),
        contracts.REQUIRES_GRAD if half == "train" else contracts.EVALUATION,
    )(requires_grad(half))
TABLE.mode(
    "deepcopy.train",
    "training",
    "twin = copy.deepcopy(net)\ntwin.train()\ndx = jt.grad((twin(x) * cotangent).sum(), x)",
    contracts.COPIED,
)(on_a_copy)
TABLE.mode(
    "restored.train",
    "training",
    'net.train()\nstate = net.state_dict(to="numpy")\n{}.sync()\nnet.load_state_dict(state)'.format(GRAD),
    contracts.RESTORED,
    default=True,
)(restored)


for name, norm, contract, half in (
    ("momentum-zero", {"momentum": 0.0}, contracts.MOMENTUM, "train"),
    ("sync-false", {"sync": False}, contracts.SYNC, "train"),
    ("sync-false", {"sync": False}, contracts.EVALUATION, "eval"),
    ("is-train-false", {"is_train": False}, contracts.IS_TRAIN, "train"),
):
    told = ", ".join("{}={}".format(*item) for item in norm.items())
    TABLE.mode(
        "{}.{}".format(name, half),
        INTENT[half],
        "nn.BatchNorm(..., {})\nnet.{}()\n{}".format(told, half, GRAD),
        contract,
        norm=norm,
    )(in_mode(half, grad))


def forward(jt: Any, net: Any, x: Any) -> Any:
    """The network, called."""
    return net(x)


def without_grad(jt: Any, net: Any, x: Any) -> Any:
    """The network, called without a record for gradients."""
    with jt.no_grad():
        return net(x)


for half in ("train", "eval"):
    TABLE.mode(
        half + ".call",
        INTENT[half],
        "net.{}()\ny = net(x)".format(half),
        CONTRACT[half],
        "prediction",
        default=True,
    )(in_mode(half, forward))
    TABLE.mode(
        half + ".no-grad",
        INTENT[half],
        "net.{}()\nwith jt.no_grad():\n    y = net(x)".format(half),
        contracts.NO_GRAD if half == "train" else contracts.INFERENCE,
        "prediction",
    )(in_mode(half, without_grad))


def saved(half: str) -> Call:
    """`save` of the module, and `load` of another one that has zeros."""

    def call(jt: Any, model: Model, folder: str) -> Model:
        model.switch(half == "train")
        path = os.path.join(folder, "network.pkl")
        model.net.save(path)
        other = model.again()
        other.net.load(path)
        return other

    return call


for half in ("train", "eval"):
    TABLE.mode(
        "save." + half,
        "inference",
        'net.{}()\nnet.save("network.pkl")\nother.load("network.pkl")'.format(half),
        contracts.SAVED,
        "export",
    )(saved(half))


@TABLE.mode(
    "save-state",
    "inference",
    'jt.save(net.state_dict(), "network.pkl")\nother.load_state_dict(jt.load("network.pkl"))',
    contracts.SAVED,
    "export",
    default=True,
)
def save_state(jt: Any, model: Model, folder: str) -> Model:
    """A dictionary of variables to a file, and back into a network that has zeros."""
    path = os.path.join(folder, "network.pkl")
    jt.save(model.net.state_dict(), path)
    other = model.again()
    other.net.load_state_dict(jt.load(path))
    return other
