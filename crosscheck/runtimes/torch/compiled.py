"""Ways around the module's own call: recomputation, compilers, tracers, and what they return."""

import importlib
from typing import Any, Callable, Optional

from crosscheck.probe.adapter import Contract
from crosscheck.probe.modes import INTENT, Between, Call, Table
from crosscheck.runtimes.torch import contracts
from crosscheck.runtimes.torch.autograd import backward, grad, in_mode

TABLE = Table(inference="eval.autograd-grad", training="train.autograd-grad")


def checkpoint(ask: Call, **keywords: bool) -> Call:
    """The module's activations are not kept; backward computes them again."""

    def call(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        utils = importlib.import_module("torch.utils.checkpoint")

        def recomputed(given: Any) -> Any:
            return utils.checkpoint(net, given, **keywords)

        return ask(torch, recomputed, x, cotangent, between)

    return call


#: The reentrant kind, the only one until 1.10, refuses `torch.autograd.grad`.
for name, keyword, since, ask, code in (
    ("default", "", None, backward, "({} * cotangent).sum().backward()\ndx = x.grad"),
    ("reentrant", ", use_reentrant=True", "1.11", backward, "({} * cotangent).sum().backward()\ndx = x.grad"),
    ("non-reentrant", ", use_reentrant=False", "1.11", grad, "dx, = torch.autograd.grad({}, x, cotangent)"),
):
    keywords = {"use_reentrant": name == "reentrant"} if keyword else {}
    for half in ("train", "eval"):
        TABLE.mode(
            "checkpoint.{}.{}".format(name, half),
            INTENT[half],
            "from torch.utils.checkpoint import checkpoint\nnet.{}()\n{}".format(
                half, code.format("checkpoint(net, x.requires_grad_(){})".format(keyword))
            ),
            contracts.CHECKPOINT if half == "train" else contracts.CHECKPOINT_EVALUATION,
            since=since,
            training="checkpoint.{}.train".format(name),
            default=half == "train",
        )(in_mode(half, checkpoint(ask, **keywords)))


def made(make: Callable[..., Any]) -> Call:
    """Make something callable of the module, and take its gradient."""

    def call(torch: Any, net: Any, x: Any, cotangent: Any, between: Between) -> Any:
        return grad(torch, make(torch, net, x), x, cotangent, between)

    return call


def made_modes(
    name: str,
    text: str,
    make: Callable[..., Any],
    contract: Contract,
    since: Optional[str] = None,
    default: bool = False,
    imports: str = "",
) -> None:
    """The gradient of what is made of a module in training, and of one in evaluation."""
    for half in ("train", "eval"):
        TABLE.mode(
            "{}.{}".format(name, half),
            INTENT[half],
            "{}net.{}()\nmade = {}\ndx, = torch.autograd.grad(made(x.requires_grad_()), x, cotangent)".format(
                imports, half, text
            ),
            contract if half == "train" else contracts.EVALUATION,
            since=since,
            training=name + ".train",
            default=default and half == "train",
        )(in_mode(half, made(make)))


for backend in ("eager", "aot_eager", "inductor"):
    made_modes(
        "compile-" + backend.replace("_", "-"),
        'torch.compile(net, backend="{}")'.format(backend),
        lambda torch, net, x, backend=backend: torch.compile(net, backend=backend),
        contracts.COMPILE,
        since="2.0",
    )
made_modes(
    "jit-trace", "torch.jit.trace(net, x)", lambda torch, net, x: torch.jit.trace(net, x), contracts.TRACE, default=True
)
made_modes(
    "jit-trace-unchecked",
    "torch.jit.trace(net, x, check_trace=False)",
    lambda torch, net, x: torch.jit.trace(net, x, check_trace=False),
    contracts.TRACE,
)
made_modes(
    "jit-script", "torch.jit.script(net)", lambda torch, net, x: torch.jit.script(net), contracts.SCRIPT, since="1.2"
)
made_modes(
    "fx",
    "symbolic_trace(net)",
    lambda torch, net, x: traced(net),
    contracts.FX,
    since="1.8",
    imports="from torch.fx import symbolic_trace\n",
)
made_modes(
    "export",
    "torch.export.export(net, (x,)).module()",
    lambda torch, net, x: torch.export.export(net, (x,)).module(),
    contracts.EXPORT_PROGRAM,
    since="2.1",
)
TABLE.mode(
    "jit-freeze.eval",
    "inference",
    "net.eval()\nmade = torch.jit.freeze(torch.jit.script(net))\n"
    "dx, = torch.autograd.grad(made(x.requires_grad_()), x, cotangent)",
    contracts.FREEZE,
    since="1.7",
    training="jit-script.train",
)(in_mode("eval", made(lambda torch, net, x: torch.jit.freeze(torch.jit.script(net)))))


def traced(net: Any) -> Any:
    """`torch.fx`, which has to be imported by itself."""
    return importlib.import_module("torch.fx").symbolic_trace(net)
