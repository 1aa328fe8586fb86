"""Each way of asking, as tinygrad's users write it: by the training flag, eagerly and under TinyJit.

Names begin with the training flag in the forward pass, `train` or `eval`, or with what carries the call out: `jit` is a
`TinyJit` that is called once, `jit-warm` one that is called three times, so that it was run, captured and replayed.
"""

from collections.abc import Callable
from typing import Any

from crosscheck.runtimes.family.graph import AFFINE_OFF, NO_STATISTICS
from crosscheck.runtimes.family.halves import HALVES
from crosscheck.runtimes.family.scopes import within
from crosscheck.runtimes.mode import CUT, Contract, Contracts, Edition, Modes
from crosscheck.runtimes.tinygrad.network import CONTEXT, TRAINING

contracts = Contracts(__file__)

TABLE = Modes(inference="eval.gradient", training="train.gradient")
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.EVALUATION}
#: The last releases in which an input asks for the gradient that `backward` leaves, and that have `Tensor.train()`.
ASKING, OLD = "0.12", "0.13"

LOSS = "loss = (net(x) * cotangent).sum()\n"
GRADIENT = LOSS + CUT + "dx, = loss.gradient(x)\n"
BACKWARD = LOSS + CUT + "loss.backward()\ndx = x.grad\n"
REALIZED = GRADIENT.replace("sum()", "sum().realize()")
OUTPUT_GRADIENT = "y = net(x)\n" + CUT + "dx, = y.gradient(x, gradient=cotangent)\n"


def entered(
    add: Callable[..., None], name: str, intent: str, contract: Contract, half: str, text: str, **more: Any
) -> None:
    """Add a mode, in the release's scope for training if its half is `train`; `more` are fields of `Mode`."""
    asking = text.replace("net(x)", "net(x.requires_grad_())") if "backward()" in text else text
    old = text
    if half == "train":
        asking, old, text = within(TRAINING, asking), within(TRAINING, old), within(CONTEXT, text)
    editions = []
    if asking != old:
        editions.append(Edition(ASKING, asking, more.get("once", "")))
    if old != text:
        editions.append(Edition(OLD, old, more.get("once", "")))
    add(name, intent, contract, text, editions=tuple(editions), **more)


for half in ("train", "eval"):
    for name, text, default in (
        ("gradient", GRADIENT, True),
        ("backward", BACKWARD, True),
        ("output-gradient", OUTPUT_GRADIENT, False),
        ("realized", REALIZED, False),
    ):
        entered(
            TABLE.gradient,
            f"{half}.{name}",
            HALVES[half],
            CONTRACT[half],
            half,
            text,
            training=f"train.{name}" if half == "eval" else None,
            default=default,
        )
TABLE.gradient(
    "old-flag.gradient",
    "training",
    contracts.FLAG,
    "Tensor.training = True\n" + GRADIENT + "Tensor.training = False\n",
)

for half in ("train", "eval"):
    entered(
        TABLE.gradient,
        f"affine-off.{half}",
        HALVES[half],
        CONTRACT[half],
        half,
        GRADIENT,
        inference="affine-off.eval",
        training="affine-off.train" if half == "eval" else None,
        **AFFINE_OFF,
    )
    entered(
        TABLE.gradient,
        f"no-statistics.{half}",
        "training",
        contracts.NO_STATISTICS,
        half,
        GRADIENT,
        inference=None,
        **NO_STATISTICS,
    )

STEP = """\
@TinyJit
def step(x, cotangent):
    dx, = (net(x) * cotangent).sum().gradient(x)
    return dx.realize({})
"""
ALSO = "*get_parameters(net)"
INPUTS = "inputs = x.contiguous().realize(), cotangent.contiguous().realize()\n"
#: A copy, since the next call writes to the same memory.
CALL = "dx = step(*inputs).clone()\n"
CALLS = "for _ in range(3):\n    dx = step(*inputs)\ndx = dx.clone()\n"
for half in ("train", "eval"):
    for name, calls, also in (
        ("jit", CALL, ""),
        ("jit-warm", CALLS, ""),
        ("jit-warm-statistics", CALLS, ALSO),
    ):
        if half == "eval" and also:
            continue
        entered(
            TABLE.gradient,
            f"{name}.{half}",
            HALVES[half],
            contracts.JIT,
            half,
            INPUTS + calls,
            once=STEP.format(also),
        )
CAPTURED = INPUTS + "{}" + CALL
CAPTURE = "for _ in range(3):\n    step(*inputs)\n"
TABLE.gradient(
    "jit-captured-in-train.eval",
    "inference",
    contracts.JIT,
    CAPTURED.format(within(CONTEXT, CAPTURE)),
    once=STEP.format(""),
    editions=(Edition(OLD, CAPTURED.format(within(TRAINING, CAPTURE)), STEP.format("")),),
)

TABLE.prediction("predict", "inference", contracts.EVALUATION, "y = net(x)\n", default=True)
entered(TABLE.prediction, "train.forward", "training", contracts.TRAINING, "train", "y = net(x)\n")
TABLE.export(
    "safetensors",
    "inference",
    contracts.SAVED,
    """\
safe_save(get_state_dict(net), "network.safetensors")
---
net = Net()
load_state_dict(net, safe_load("network.safetensors"), verbose=False)
""",
    default=True,
)

MODES = tuple(TABLE)
