"""Ways around the module's own call: recomputation, compilers, tracers, and what they return."""

from crosscheck.runtimes.family.halves import Halves
from crosscheck.runtimes.family.torch import BACKWARD, GRAD
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

COMPILED = Halves(contracts.EVALUATION, inference="eval.autograd-grad", training="train.autograd-grad")

#: The reentrant kind, the only one until 1.10, refuses `torch.autograd.grad`.
for kind, keyword, since, text in (
    ("default", "", None, BACKWARD),
    ("reentrant", ", use_reentrant=True", "1.11", BACKWARD),
    ("non-reentrant", ", use_reentrant=False", "1.11", GRAD),
):
    COMPILED.halves(
        f"checkpoint.{kind}.{{}}",
        contracts.CHECKPOINT,
        text.replace("net(x.requires_grad_())", f"checkpoint(net, x.requires_grad_(){keyword})"),
        evaluation=contracts.CHECKPOINT_EVALUATION,
        once="from torch.utils.checkpoint import checkpoint\n",
        since=since,
        default=("train",),
    )
for backend in ("eager", "aot_eager", "inductor"):
    COMPILED.halves(
        f"compile-{backend.replace('_', '-')}.{{}}",
        contracts.COMPILE,
        GRAD.replace("net(", "compiled("),
        once=f'compiled = torch.compile(net, backend="{backend}")\n',
        since="2.0",
    )
for name, made, making, contract, since in (
    ("jit-trace", "traced", "torch.jit.trace(net, x)", contracts.TRACE, None),
    ("jit-trace-unchecked", "traced", "torch.jit.trace(net, x, check_trace=False)", contracts.TRACE, None),
    ("jit-script", "scripted", "torch.jit.script(net)", contracts.SCRIPT, "1.2"),
    ("fx", "traced", "symbolic_trace(net)", contracts.FX, "1.8"),
    ("export", "exported", "torch.export.export(net, (x,)).module()", contracts.EXPORT_PROGRAM, "2.1"),
):
    COMPILED.halves(
        name + ".{}",
        contract,
        f"{made} = {making}\n" + GRAD.replace("net(", f"{made}("),
        once="from torch.fx import symbolic_trace\n" if name == "fx" else "",
        since=since,
        default=("train",) if name == "jit-trace" else (),
    )
COMPILED.gradient(
    "jit-freeze.eval",
    "inference",
    contracts.FREEZE,
    "net.eval()\nfrozen = torch.jit.freeze(torch.jit.script(net))\n" + GRAD.replace("net(", "frozen("),
    since="1.7",
    training="jit-script.train",
    leaves="eval",
)
