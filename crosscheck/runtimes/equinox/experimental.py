"""Until 0.10: `equinox.experimental.BatchNorm`, whose statistics a callback writes to a cache outside of the model."""

from crosscheck.runtimes.family.graph import AFFINE_OFF
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

TABLE = Modes("experimental.inference.grad", "experimental.train.grad", "experimental", until="0.10.2")
FRESH = Modes("experimental.fresh.inference.grad", "experimental.fresh.train.grad", "experimental", until="0.10.2")
LAST = Modes(kind="experimental", until="0.10.2")

BATCHED = 'jax.vmap(net, axis_name="batch")'
GRADIENT = """\
{compiled}def input_gradient(net, x, cotangent):
    def loss(x):
        return ({called}(x) * cotangent).sum()
    return jax.grad(loss)(x)
"""
COMPILED = "@eqx.filter_jit\n"
PLAIN = GRADIENT.format(compiled=COMPILED, called=BATCHED)
INFERENCE_FLAG = BATCHED.replace("(net,", "(lambda x: net(x, inference=True),")
VJP = f"""\
@eqx.filter_jit
def forward(net, x):
    return jax.vjp({BATCHED}, x)

@eqx.filter_jit
def backward(pull_back, cotangent):
    return pull_back(cotangent)
"""
INFERENCE = "inference = eqx.tree_inference(net, True)\n"


def asking(
    name: str, intent: str, contract: Contract, once: str = PLAIN, modes: Modes = TABLE, default: bool = False
) -> None:
    """`input_gradient`, of a copy in inference mode if the name ends so."""
    copied = name.endswith("inference.grad")
    text = f"{INFERENCE if copied else ''}dx = input_gradient({'inference' if copied else 'net'}, x, cotangent)\n"
    more = AFFINE_OFF if name.startswith("affine-off") else {"norm": {"fresh": True} if modes is FRESH else {}}
    modes.gradient(f"experimental.{name}", intent, contract, text, once=once, default=default, **more)


EAGER = GRADIENT.format(compiled="", called=BATCHED)
CHECKPOINT = GRADIENT.format(compiled=COMPILED, called=f"jax.checkpoint({BATCHED})")
FLAGGED = GRADIENT.format(compiled=COMPILED, called=INFERENCE_FLAG)

asking("inference.grad", "inference", contracts.EXPERIMENTAL_INFERENCE, default=True)
asking("inference-flag.grad", "inference", contracts.EXPERIMENTAL_INFERENCE, once=FLAGGED)
asking("train.grad", "training", contracts.EXPERIMENTAL, default=True)
asking("train.grad.eager", "training", contracts.EXPERIMENTAL, once=EAGER)
asking("train.checkpoint", "training", contracts.EXPERIMENTAL_CHECKPOINTED, once=CHECKPOINT)
TABLE.gradient(
    "experimental.train.vjp",
    "training",
    contracts.EXPERIMENTAL,
    "y, pull_back = forward(net, x)\n---\ndx, = backward(pull_back, cotangent)\n",
    once=VJP,
)
asking("fresh.inference.grad", "inference", contracts.EXPERIMENTAL_INFERENCE, modes=FRESH)
asking("fresh.train.grad", "training", contracts.EXPERIMENTAL, modes=FRESH, default=True)
PLAIN_LAYERS = Modes(
    "experimental.affine-off.inference.grad",
    "experimental.affine-off.train.grad",
    "experimental",
    until="0.10.2",
)
asking("affine-off.inference.grad", "inference", contracts.EXPERIMENTAL_INFERENCE, modes=PLAIN_LAYERS)
asking("affine-off.train.grad", "training", contracts.EXPERIMENTAL, modes=PLAIN_LAYERS)
LAST.prediction(
    "experimental.predict",
    "inference",
    contracts.EXPERIMENTAL_INFERENCE,
    INFERENCE + "y = call(inference, x)\n",
    default=True,
)
LAST.prediction("experimental.train.forward", "training", contracts.EXPERIMENTAL, "y = call(net, x)\n")

EXPERIMENTAL = (*TABLE, *FRESH, *PLAIN_LAYERS, *LAST)
