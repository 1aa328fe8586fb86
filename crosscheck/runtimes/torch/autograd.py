"""Autograd over a module: each way of asking for a gradient, in training and in evaluation, and the ways in between.

Names begin with the mode of the module, `train` or `eval`, where that and the call are all there is to say; else with
what is done to the network first, or with what the layers are. The intent is that of the module's mode in the forward
pass; whoever puts the layers alone into evaluation mode wants the running statistics.
"""

import copy
from typing import Any, Iterator, Optional

from crosscheck.probe.adapter import Contract
from crosscheck.probe.modes import INTENT, Between, Call, Norm, Table
from crosscheck.runtimes.torch import contracts
from crosscheck.runtimes.torch.networks import switch

TABLE = Table(inference="eval.autograd-grad", training="train.autograd-grad")

GRAD = "dx, = torch.autograd.grad(net(x.requires_grad_()), x, cotangent)"


def backward(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """A scalar loss and `backward`, which leaves gradients on every parameter, too."""
    x.requires_grad_()
    loss = (net(x) * cotangent).sum()
    between()
    loss.backward()
    return x.grad


def backward_inputs(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`backward` for the input alone."""
    x.requires_grad_()
    y = net(x)
    between()
    y.backward(cotangent, inputs=[x])
    return x.grad


def grad(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`torch.autograd.grad`, for the input alone."""
    x.requires_grad_()
    y = net(x)
    between()
    (dx,) = torch.autograd.grad(y, x, cotangent)
    return dx


def double_backward(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The gradient, and the gradient of its square, as a gradient penalty takes it."""
    x.requires_grad_()
    y = net(x)
    between()
    (dx,) = torch.autograd.grad(y, x, cotangent, create_graph=True)
    torch.autograd.grad((dx * dx).sum(), x, allow_unused=True)
    return dx


def jacobian(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The Jacobian of the whole network, contracted with the cotangent."""
    whole = torch.autograd.functional.jacobian(net, x)
    return torch.tensordot(cotangent, whole, dims=cotangent.dim())


def functional_vjp(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`torch.autograd.functional.vjp`."""
    _, dx = torch.autograd.functional.vjp(net, x, cotangent)
    return dx


def checked(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`gradcheck`, then the gradient; in float32 the check is coarse, and only told."""
    x.requires_grad_()
    torch.autograd.gradcheck(net, x, eps=1e-3, atol=1e-2, raise_exception=False, fast_mode=True)
    return grad(torch, net, x, cotangent, between)


def in_mode(half: str, ask: Call) -> Call:
    """`net.train()` or `net.eval()`, then the call."""

    def call(torch: Any, net: Any, *arguments: Any) -> Any:
        return ask(torch, switch(net, half == "train"), *arguments)

    return call


def both_modes(
    name: str,
    text: str,
    ask: Call,
    since: Optional[str] = None,
    default: bool = False,
    training: Contract = contracts.TRAINING,
) -> None:
    """The same call in training and in evaluation mode."""
    for half in ("train", "eval"):
        TABLE.mode(
            "{}.{}".format(half, name),
            INTENT[half],
            "net.{}()\n{}".format(half, text),
            training if half == "train" else contracts.EVALUATION,
            since=since,
            training="train." + name,
            default=default,
        )(in_mode(half, ask))


both_modes(
    "backward",
    "loss = (net(x.requires_grad_()) * cotangent).sum()\nloss.backward()\ndx = x.grad",
    backward,
    default=True,
)
both_modes(
    "backward-inputs", "net(x.requires_grad_()).backward(cotangent, inputs=[x])\ndx = x.grad", backward_inputs, "1.8"
)
both_modes("autograd-grad", GRAD, grad, default=True)
both_modes(
    "double-backward",
    "dx, = torch.autograd.grad(net(x.requires_grad_()), x, cotangent, create_graph=True)\n"
    "torch.autograd.grad((dx * dx).sum(), x, allow_unused=True)",
    double_backward,
)
both_modes(
    "functional-jacobian",
    "jacobian = torch.autograd.functional.jacobian(net, x)\ndx = torch.tensordot(cotangent, jacobian, cotangent.dim())",
    jacobian,
    "1.5",
    training=contracts.JACOBIAN,
)
both_modes(
    "functional-vjp",
    "y, dx = torch.autograd.functional.vjp(net, x, cotangent)",
    functional_vjp,
    "1.5",
    training=contracts.VJP,
)
both_modes(
    "gradcheck",
    "torch.autograd.gradcheck(net, x.requires_grad_(), eps=1e-3, atol=1e-2, raise_exception=False, fast_mode=True)\n"
    + GRAD,
    checked,
    "1.9",
    training=contracts.GRADCHECK,
)


def predict(torch: Any, net: Any, x: Any) -> Any:
    """The documented prediction."""
    with torch.no_grad():
        return net(x)


def inference_mode(torch: Any, net: Any, x: Any) -> Any:
    """The stricter `no_grad`."""
    with torch.inference_mode():
        return net(x)


def forward(torch: Any, net: Any, x: Any) -> Any:
    """Recorded, and no backward."""
    return net(x.requires_grad_())


for half in ("train", "eval"):
    for name, text, ask, since, training in (
        ("no-grad", "with torch.no_grad():\n    y = net(x)", predict, None, contracts.NO_GRAD),
        (
            "inference-mode",
            "with torch.inference_mode():\n    y = net(x)",
            inference_mode,
            "1.9",
            contracts.INFERENCE_MODE,
        ),
        ("forward", "y = net(x.requires_grad_())", forward, None, contracts.TRAINING),
    ):
        TABLE.mode(
            "{}.{}".format(half, name),
            INTENT[half],
            "net.{}()\n{}".format(half, text),
            training if half == "train" else contracts.EVALUATION,
            "prediction",
            since=since,
            default=name == "no-grad" or (name, half) == ("inference-mode", "train"),
        )(in_mode(half, ask))


def switched(first: str, second: str) -> Call:
    """Forward in one mode; the module is in the other one when backward runs."""

    def call(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        switch(net, first == "train")
        x.requires_grad_()
        y = net(x)
        switch(net, second == "train")
        between()
        (dx,) = torch.autograd.grad(y, x, cotangent)
        return dx

    return call


for first, second in (("train", "eval"), ("eval", "train")):
    TABLE.mode(
        "{}-then-{}.autograd-grad".format(first, second),
        INTENT[first],
        "net.{}()\ny = net(x.requires_grad_())\nnet.{}()\ndx, = torch.autograd.grad(y, x, cotangent)".format(
            first, second
        ),
        contracts.TRAINING if first == "train" else contracts.SWITCHED,
    )(switched(first, second))


def batch_norms(torch: Any, net: Any) -> Iterator[Any]:
    """Every batch normalization of a module."""
    return (layer for layer in net.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm))


FROZEN = (
    "net.train()\nfor layer in net.modules():\n    if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):\n"
    "        layer.eval()\n"
)


def frozen(ask: Call) -> Call:
    """The network in training, its batch normalizations in evaluation."""

    def call(torch: Any, net: Any, *arguments: Any) -> Any:
        return ask(torch, switch(net, True, frozen=list(batch_norms(torch, net))), *arguments)

    return call


TABLE.mode(
    "frozen.backward",
    "inference",
    FROZEN + "(net(x.requires_grad_()) * cotangent).sum().backward()\ndx = x.grad",
    contracts.EVALUATION,
)(frozen(backward))
TABLE.mode("frozen.autograd-grad", "inference", FROZEN + GRAD, contracts.EVALUATION, default=True)(frozen(grad))


def without_gradients(ask: Call) -> Call:
    """All parameters are excluded from gradients."""

    def call(torch: Any, net: Any, *arguments: Any) -> Any:
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        return ask(torch, net, *arguments)

    return call


GRADIENTS_OFF = "for parameter in net.parameters():\n    parameter.requires_grad_(False)\n"
for half in ("train", "eval"):
    TABLE.mode(
        "{}.requires-grad-off".format(half),
        INTENT[half],
        GRADIENTS_OFF + "net.{}()\n(net(x.requires_grad_()) * cotangent).sum().backward()\ndx = x.grad".format(half),
        contracts.GRADIENT_SWITCH if half == "train" else contracts.EVALUATION,
        training="train.requires-grad-off",
        default=half == "train",
    )(without_gradients(in_mode(half, backward)))


def untracked(half: str) -> Call:
    """`track_running_stats` switched off on the layers for one gradient, as virtual adversarial training does it."""

    def call(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        for layer in batch_norms(torch, net):
            layer.track_running_stats = False
        switch(net, half == "train")
        dx = grad(torch, net, x, cotangent, between)
        for layer in batch_norms(torch, net):
            layer.track_running_stats = True
        switch(net, False)
        return dx

    return call


UNTRACKED = (
    "batch_norms = [layer for layer in net.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]\n"
    "for layer in batch_norms:\n    layer.track_running_stats = False\nnet.{}()\n{}\n"
    "for layer in batch_norms:\n    layer.track_running_stats = True\nnet.eval()"
)
for half in ("train", "eval"):
    TABLE.mode(
        "untracked.{}".format(half),
        INTENT[half],
        UNTRACKED.format(half, GRAD),
        contracts.UNTRACKED,
        training="untracked.train",
        default=half == "train",
    )(untracked(half))


@TABLE.mode(
    "deepcopy.train",
    "training",
    "import copy\ntwin = copy.deepcopy(net).train()\ndx, = torch.autograd.grad(twin(x.requires_grad_()), x, cotangent)",
    contracts.COPIED,
    default=True,
)
def on_a_copy(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The gradient of a copy, which is thrown away."""
    return grad(torch, copy.deepcopy(net).train(), x, cotangent, between)


def layer_modes(
    name: str,
    text: str,
    norm: Norm,
    training: Contract,
    evaluation: Contract = contracts.EVALUATION,
    default: bool = False,
) -> None:
    """The two plain gradients of a network whose batch normalizations are written otherwise."""
    for half in ("train", "eval"):
        TABLE.mode(
            "{}.{}".format(name, half),
            INTENT[half],
            "{}\nnet.{}()\n{}".format(text, half, GRAD),
            training if half == "train" else evaluation,
            inference=name + ".eval",
            training=name + ".train",
            default=default and half == "train",
            norm=norm,
        )(in_mode(half, grad))


layer_modes(
    "momentum-none", "nn.BatchNorm2d(..., momentum=None)", {"momentum": None}, contracts.CUMULATIVE, default=True
)
layer_modes(
    "momentum-none-counted",
    "nn.BatchNorm2d(..., momentum=None)  # num_batches_tracked is 6, as after six batches",
    {"momentum": None, "counted": 6},
    contracts.CUMULATIVE,
    default=True,
)
layer_modes(
    "momentum-zero", "nn.BatchNorm2d(..., momentum=0.0)", {"momentum": 0.0}, contracts.MOMENTUM_ZERO, default=True
)
layer_modes(
    "functional",
    "F.batch_norm(x, running_mean, running_var, weight, bias, training=self.training)",
    {"functional": "with-statistics"},
    contracts.FUNCTIONAL,
    default=True,
)
layer_modes(
    "functional-no-statistics",
    "F.batch_norm(x, None, None, weight, bias, training=True)  # in training mode",
    {"functional": "without-statistics"},
    contracts.NO_STATISTICS,
)
for half in ("train", "eval"):
    TABLE.mode(
        "no-statistics.{}".format(half),
        "training",
        "nn.BatchNorm2d(..., track_running_stats=False)\nnet.{}()\n{}".format(half, GRAD),
        contracts.NO_STATISTICS,
        inference=None,
        norm={"track_running_stats": False},
    )(in_mode(half, grad))
