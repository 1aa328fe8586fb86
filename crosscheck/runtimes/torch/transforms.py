"""Function transforms: `torch.func`, and `functional_call` with buffers that are shared, dropped or adopted."""

import importlib
from typing import Any, Callable, Dict

from crosscheck.probe.modes import INTENT, Between, Table
from crosscheck.runtimes.torch import contracts
from crosscheck.runtimes.torch.autograd import GRAD, in_mode
from crosscheck.runtimes.torch.networks import switch

TABLE = Table(inference="eval.autograd-grad", training="train.autograd-grad")

FUNC = "2.0"
#: The first release with `torch.nn.utils.stateless`, whose `functional_call` moved to `torch.func` in 2.0.
STATELESS = "1.12"


def func_grad(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`torch.func.grad` of the scalar loss."""
    return torch.func.grad(lambda given: (net(given) * cotangent).sum())(x)


def func_vjp(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """`torch.func.vjp`, which takes forward and backward apart."""
    _, pull_back = torch.func.vjp(net, x)
    between()
    (dx,) = pull_back(cotangent)
    return dx


def func_vmap(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """Each row's own gradient, as if it were a batch of one."""

    def loss(row: Any, seed: Any) -> Any:
        return (net(row.unsqueeze(0)).squeeze(0) * seed).sum()

    return torch.func.vmap(torch.func.grad(loss))(x, cotangent)


def func_patched(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The layers are patched as the documentation of `torch.func` has it, for which they lose their statistics."""
    torch.func.replace_all_batch_norm_modules_(net)
    return func_grad(torch, net, x, cotangent, between)


def func_jvp(torch: Any, net: Any, x: Any) -> Any:
    """Forward-mode differentiation."""
    y, _ = torch.func.jvp(net, (x,), (torch.ones_like(x),))
    return y


VMAP = (
    "def loss(row, seed):\n    return (net(row[None])[0] * seed).sum()\n"
    "dx = torch.func.vmap(torch.func.grad(loss))(x, cotangent)"
)
for half in ("train", "eval"):
    contract = contracts.FUNC if half == "train" else contracts.EVALUATION
    for name, text, function in (
        ("grad", "dx = torch.func.grad(lambda x: (net(x) * cotangent).sum())(x)", func_grad),
        ("vjp", "y, pull_back = torch.func.vjp(net, x)\ndx, = pull_back(cotangent)", func_vjp),
        ("vmap-grad", VMAP, func_vmap),
    ):
        TABLE.mode(
            "func.{}.{}".format(name, half),
            INTENT[half],
            "net.{}()\n{}".format(half, text),
            contracts.VMAP if (name, half) == ("vmap-grad", "train") else contract,
            since=FUNC,
            training="func.{}.train".format(name),
            default=name == "grad",
        )(in_mode(half, function))
    TABLE.mode(
        "func.jvp.{}".format(half),
        INTENT[half],
        "net.{}()\ny, dy = torch.func.jvp(net, (x,), (tangent,))".format(half),
        contract,
        "prediction",
        since=FUNC,
    )(in_mode(half, func_jvp))
TABLE.mode(
    "func.patched.train",
    "training",
    "torch.func.replace_all_batch_norm_modules_(net)\nnet.train()\n"
    "dx = torch.func.grad(lambda x: (net(x) * cotangent).sum())(x)",
    contracts.PATCHED,
    since=FUNC,
    inference=None,
)(in_mode("train", func_patched))


def functional_call(torch: Any) -> Callable[..., Any]:
    """The function, in `torch.func` or where it was before."""
    module = torch.func if hasattr(torch, "func") else importlib.import_module("torch.nn.utils.stateless")
    function: Callable[..., Any] = module.functional_call
    return function


def call_with(torch: Any, net: Any, buffers: Dict[str, Any], x: Any, cotangent: Any, between: Between) -> Any:
    """The gradient of the module as a function of its own parameters and the buffers given."""
    tensors = dict(net.named_parameters())
    tensors.update(buffers)
    x.requires_grad_()
    y = functional_call(torch)(net, tensors, (x,))
    between()
    (dx,) = torch.autograd.grad(y, x, cotangent)
    return dx


def shared(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The module's own buffers."""
    return call_with(torch, net, dict(net.named_buffers()), x, cotangent, between)


def copies(net: Any) -> Dict[str, Any]:
    """Copies of the module's buffers."""
    return {name: buffer.clone() for name, buffer in net.named_buffers()}


def dropped(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """Copies, with which the new statistics are thrown away; then evaluation mode again."""
    dx = call_with(torch, net, copies(net), x, cotangent, between)
    switch(net, False)
    return dx


def adopted(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """Copies, which the user then takes over into the module; then evaluation mode again."""
    buffers = copies(net)
    dx = call_with(torch, net, buffers, x, cotangent, between)
    net.load_state_dict(buffers, strict=False)
    switch(net, False)
    return dx


IMPORT = "from torch.func import functional_call  # before 2.0 in torch.nn.utils.stateless\n"
CALL = "tensors = {**dict(net.named_parameters()), **buffers}\n" + GRAD.replace(
    "net(x.requires_grad_())", "functional_call(net, tensors, (x.requires_grad_(),))"
)
COPIES = "buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}\n"
for name, intent, text, contract, function in (
    ("shared", "train", "buffers = dict(net.named_buffers())\nnet.train()\n" + CALL, contracts.FUNCTIONAL_CALL, shared),
    ("dropped", "train", COPIES + "net.train()\n" + CALL + "\nnet.eval()", contracts.FUNCTIONAL_CALL_DROPPED, dropped),
    (
        "adopted",
        "train",
        COPIES + "net.train()\n" + CALL + "\nnet.load_state_dict(buffers, strict=False)\nnet.eval()",
        contracts.FUNCTIONAL_CALL_ADOPTED,
        adopted,
    ),
    ("shared", "eval", "buffers = dict(net.named_buffers())\nnet.eval()\n" + CALL, contracts.EVALUATION, shared),
):
    TABLE.mode(
        "functional-call.{}.{}".format(name, intent),
        INTENT[intent],
        IMPORT + text,
        contract,
        since=STATELESS,
        training="functional-call.shared.train",
        default=intent == "train",
    )(in_mode(intent, function))


def transformed(torch: Any, net: Any, buffers: Dict[str, Any], x: Any, cotangent: Any) -> Any:
    """`torch.func.grad` of the module as a function of all its tensors."""

    def loss(given: Any, tensors: Dict[str, Any]) -> Any:
        return (torch.func.functional_call(net, tensors, (given,)) * cotangent).sum()

    tensors = dict(net.named_parameters())
    tensors.update(buffers)
    return torch.func.grad(loss)(x, tensors)


def transformed_shared(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """The module's own buffers."""
    return transformed(torch, net, dict(net.named_buffers()), x, cotangent)


def transformed_dropped(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
    """Copies, with which the new statistics are thrown away; then evaluation mode again."""
    dx = transformed(torch, net, copies(net), x, cotangent)
    switch(net, False)
    return dx


TRANSFORMED = (
    "tensors = {**dict(net.named_parameters()), **buffers}\n"
    "def loss(x, tensors):\n    return (torch.func.functional_call(net, tensors, (x,)) * cotangent).sum()\n"
    "dx = torch.func.grad(loss)(x, tensors)"
)
for name, text, contract, function in (
    (
        "shared",
        "buffers = dict(net.named_buffers())\nnet.train()\n" + TRANSFORMED,
        contracts.FUNCTIONAL_CALL,
        transformed_shared,
    ),
    (
        "dropped",
        COPIES + "net.train()\n" + TRANSFORMED + "\nnet.eval()",
        contracts.FUNCTIONAL_CALL_DROPPED,
        transformed_dropped,
    ),
):
    TABLE.mode("func.functional-call.{}.train".format(name), "training", text, contract, since=FUNC)(
        in_mode("train", function)
    )
