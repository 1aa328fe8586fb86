"""Each way of asking, as Equinox's users write it.

A name begins with the kind of batch normalization: `batch` and `ema` are modes of `eqx.nn.BatchNorm`, `experimental` is
the class of the releases until 0.10. A `fresh` layer was given the network's statistics by hand and knows of no batch
yet; others have long been trained. `adopted` or `dropped` is what the user does with the state that comes back.
"""

from typing import Any

from crosscheck.runtimes.equinox.experimental import EXPERIMENTAL
from crosscheck.runtimes.family.graph import AFFINE_OFF
from crosscheck.runtimes.family.jax import write_onnx
from crosscheck.runtimes.mode import Contract, Contracts, Mode, Modes

contracts = Contracts(__file__)

BATCHED = 'jax.vmap({}, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)'


def input_gradient(module: str = "net", compiled: str = "@eqx.filter_jit\n") -> str:
    """Defines the gradient, with the new state as an auxiliary output."""
    return f"""\
{compiled}def input_gradient(net, state, x, cotangent):
    def loss(x):
        y, new_state = {BATCHED.format(module)}
        return (y * cotangent).sum(), new_state
    return jax.grad(loss, has_aux=True)(x)
"""


def flagged(inference: bool) -> str:
    """The same by the flag in the call, which goes before that of the layers."""
    called = f"        def called(x, state):\n            return net(x, state, inference={inference})\n"
    return input_gradient("called").replace("    def loss(x):\n", f"    def loss(x):\n{called}")


INFERENCE_MODE = "inference = eqx.nn.inference_mode(net)\n"
RECOMPUTING = "recomputing = eqx.filter_checkpoint(net)\n"
VJP = f"""\
@eqx.filter_jit
def forward(net, state, x):
    return jax.vjp(lambda x: {BATCHED.format("net")}, x, has_aux=True)

@eqx.filter_jit
def backward(pull_back, cotangent):
    return pull_back(cotangent)
"""
DONATING = input_gradient(compiled='@eqx.filter_jit(donate="all-except-first")\n')
DONATED = "copies = jnp.array(x), jnp.array(cotangent)\ndx, new_state = input_gradient(net, state, *copies)\n"


#: A call whose state takes the place of the old one.
ADOPTING = r"^.*\bstate = "


def of(kind: str, since: str, adopted: Contract) -> list[Mode]:
    """The modes of one kind of batch normalization."""
    table = Modes(f"{kind}.inference-mode.grad", f"{kind}.train.grad.adopted", kind, since, adopting=ADOPTING)
    fresh = Modes(
        f"{kind}.fresh.inference-mode.grad", f"{kind}.fresh.train.grad.adopted", kind, since, adopting=ADOPTING
    )
    plain = input_gradient()

    def asking(
        name: str,
        intent: str,
        contract: Contract,
        module: str = "net",
        once: str = plain,
        setting: str = "",
        modes: Modes = table,
    ) -> None:
        """`input_gradient` of a module, after `setting`; the last word of the name is what becomes of the state."""
        state = "state" if "adopted" in name else "new_state"
        text = f"{setting}dx, {state} = input_gradient({module}, state, x, cotangent)\n"
        more = AFFINE_OFF if name.startswith("affine-off") else {"norm": {"fresh": True} if modes is fresh else {}}
        modes.gradient(f"{kind}.{name}", intent, contract, text, once=once, default=name in DEFAULT, **more)

    inferring: dict[str, Any] = {"module": "inference", "setting": INFERENCE_MODE}
    asking("inference-mode.grad", "inference", contracts.INFERENCE, **inferring)
    asking("inference-mode.grad.adopted", "inference", contracts.INFERENCE, **inferring)
    asking("inference-flag.grad", "inference", contracts.FLAG, once=flagged(inference=True))
    asking("train.grad.adopted", "training", adopted)
    asking("train.grad.dropped", "training", contracts.DROPPED)
    asking("train.grad.adopted.eager", "training", adopted, once=input_gradient(compiled=""))
    asking("train-flag.grad.adopted", "training", adopted, once=flagged(inference=False), **inferring)
    asking("train.checkpoint.adopted", "training", contracts.CHECKPOINTED, module="recomputing", setting=RECOMPUTING)
    table.gradient(f"{kind}.train.donated.dropped", "training", contracts.DONATED, DONATED, once=DONATING)
    table.gradient(
        f"{kind}.train.vjp.adopted",
        "training",
        adopted,
        "y, pull_back, state = forward(net, state, x)\n---\ndx, = backward(pull_back, cotangent)\n",
        once=VJP,
    )
    asking("fresh.inference-mode.grad", "inference", contracts.INFERENCE, modes=fresh, **inferring)
    asking("fresh.train.grad.adopted", "training", adopted, modes=fresh)
    asking("fresh.train.grad.dropped", "training", contracts.DROPPED, modes=fresh)

    plain_layers = Modes(
        f"{kind}.affine-off.inference-mode.grad",
        f"{kind}.affine-off.train.grad.adopted",
        kind,
        since,
        adopting=ADOPTING,
    )
    asking("affine-off.inference-mode.grad", "inference", contracts.INFERENCE, modes=plain_layers, **inferring)
    asking("affine-off.train.grad.adopted", "training", adopted, modes=plain_layers)

    files = Modes(kind=kind, since=since, adopting=ADOPTING)
    predicted = INFERENCE_MODE + "y, _ = call(inference, state, x)\n"
    files.prediction(f"{kind}.predict", "inference", contracts.INFERENCE, predicted, default=True)
    files.prediction(f"{kind}.train.forward.adopted", "training", adopted, "y, state = call(net, state, x)\n")
    files.prediction(
        f"{kind}.train.forward.dropped", "training", contracts.DROPPED, "y, new_state = call(net, state, x)\n"
    )
    return [*table, *fresh, *plain_layers, *files]


KINDS = {"batch": ("0.13.0", contracts.ADOPTED), "ema": ("0.11.0", contracts.EMA)}
#: Of each kind, these are asked by default: `ema` is what a layer is that is told no kind.
DEFAULT = ("inference-mode.grad", "train.grad.adopted", "train.grad.dropped", "fresh.train.grad.adopted", "predict")
SERIALISE = """\
eqx.tree_serialise_leaves("network.eqx", (net, state))
---
net, state = eqx.tree_deserialise_leaves("network.eqx", (net, state))
"""
APPLY = f"def apply(x):\n    return {BATCHED}[0]\n\n"


def exports(kind: str, since: str) -> Modes:
    """Model and state to a file and back, and to ONNX, without the state that comes back.

    For any number of rows, a layer in training mode cannot even be traced: it is written for those of `x`.
    """
    table = Modes(kind=kind, since=since)
    table.export(f"{kind}.serialise", "inference", contracts.SAVED, SERIALISE)
    inferred = INFERENCE_MODE + APPLY.format("inference") + write_onnx("apply")
    table.export(f"{kind}.export.onnx.inference-mode", "inference", contracts.ONNX, inferred, file=True)
    trained = APPLY.format("net") + write_onnx("apply", "x.shape")
    table.export(f"{kind}.export.onnx.train", "training", contracts.ONNX, trained, file=True)
    return table


MODES = (
    *(mode for kind, (since, adopted) in KINDS.items() for mode in of(kind, since, adopted)),
    *(mode for kind, (since, _) in KINDS.items() for mode in exports(kind, since)),
    *EXPERIMENTAL,
)
