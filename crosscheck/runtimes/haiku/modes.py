"""Each way of asking, as Haiku's users write it: a network takes a state and returns a new one.

Layers have long been trained, unless a mode says that they are `fresh`: then their averages are the network's, and they
know of no batch yet. `adopted` or `dropped` is what the user does with the state that comes back.
"""

from crosscheck.runtimes.family.graph import AFFINE_OFF
from crosscheck.runtimes.family.jax import write_onnx
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

#: A call whose state takes the place of the old one.
ADOPTING = r"^.*\bstate = "
TABLE = Modes(inference="eval.grad", training="train.grad.adopted", adopting=ADOPTING)
OF_FRESH = Modes(inference="fresh.eval.grad", training="fresh.train.grad.adopted", adopting=ADOPTING)
FILES = Modes()

TRAIN, EVAL = ", is_training=True", ", is_training=False"
LOCAL = EVAL + ", test_local_stats=True"


def input_gradient(mode: str, compiled: str = "@jax.jit\n", net: str = "net") -> str:
    """Defines the gradient, with the new state as an auxiliary output."""
    return f"""\
{compiled}def input_gradient(params, state, x, cotangent):
    def loss(x):
        y, new_state = {net}.apply(params, state, None, x{mode})
        return (y * cotangent).sum(), new_state
    return jax.grad(loss, has_aux=True)(x)
"""


def asking(
    name: str,
    intent: str,
    contract: Contract,
    once: str,
    table: Modes = TABLE,
    default: bool = False,
) -> None:
    """`input_gradient`; the name says what becomes of the state."""
    state = "state" if "adopted" in name else "new_state"
    norm = {"fresh": True} if table is OF_FRESH else {}
    text = f"dx, {state} = input_gradient(params, state, x, cotangent)\n"
    table.gradient(name, intent, contract, text, once=once, norm=norm, default=default)


asking("eval.grad", "inference", contracts.INFERENCE, input_gradient(EVAL), default=True)
asking("eval.grad.adopted", "inference", contracts.INFERENCE, input_gradient(EVAL))
asking("train.grad.adopted", "training", contracts.ADOPTED, input_gradient(TRAIN), default=True)
asking("train.grad.dropped", "training", contracts.DROPPED, input_gradient(TRAIN), default=True)
asking("train.grad.adopted.eager", "training", contracts.ADOPTED, input_gradient(TRAIN, compiled=""))
asking("local-stats.grad.adopted", "training", contracts.LOCAL, input_gradient(LOCAL), default=True)
TABLE.gradient(
    "train.vjp.adopted",
    "training",
    contracts.ADOPTED,
    "y, pull_back, state = forward(params, state, x)\n---\ndx, = backward(pull_back, cotangent)\n",
    once="""\
@jax.jit
def forward(params, state, x):
    return jax.vjp(lambda x: net.apply(params, state, None, x, is_training=True), x, has_aux=True)

@jax.jit
def backward(pull_back, cotangent):
    return pull_back(cotangent)
""",
)
for library, contract in (("hk", contracts.LIFTED), ("jax", contracts.UNLIFTED)):
    TABLE.gradient(
        f"train.inside.{library}-grad.adopted",
        "training",
        contract,
        "dx, state = input_gradient(params, state, None, x, cotangent)\n",
        once=f"""\
@hk.transform_with_state
def gradient(x, cotangent):
    return {library}.grad(lambda x: (network(x, is_training=True) * cotangent).sum())(x)

input_gradient = jax.jit(gradient.apply)
""",
    )
RECOMPUTING = "recomputing = hk.transform_with_state(lambda x: hk.remat(lambda x: network(x, is_training=True))(x))\n\n"
asking("train.remat.adopted", "training", contracts.REMAT, RECOMPUTING + input_gradient("", net="recomputing"))
DONATING = input_gradient(TRAIN, compiled="@functools.partial(jax.jit, donate_argnums=1)\n")
asking("train.donated.dropped", "training", contracts.DONATED, DONATING)

asking("fresh.eval.grad", "inference", contracts.INFERENCE, input_gradient(EVAL), OF_FRESH)
asking("fresh.train.grad.adopted", "training", contracts.ADOPTED, input_gradient(TRAIN), OF_FRESH, default=True)
asking("fresh.train.grad.dropped", "training", contracts.DROPPED, input_gradient(TRAIN), OF_FRESH)

OF_PLAIN = Modes(inference="affine-off.eval.grad", adopting=ADOPTING)
for name, intent, contract, mode in (
    ("eval.grad", "inference", contracts.INFERENCE, EVAL),
    ("train.grad.adopted", "training", contracts.ADOPTED, TRAIN),
):
    OF_PLAIN.gradient(
        f"affine-off.{name}",
        intent,
        contract,
        f"dx, {'state' if 'adopted' in name else 'new_state'} = input_gradient(params, state, x, cotangent)\n",
        once=input_gradient(mode),
        training="affine-off.train.grad.adopted" if intent == "inference" else None,
        **AFFINE_OFF,
    )
#: Every row a batch of its own, whose statistics are those of all of them.
TABLE.gradient(
    "synced.train.grad.adopted",
    "training",
    contracts.SYNCED,
    "dx, state = input_gradient(params, state, x, cotangent)\n",
    once="""\
@jax.jit
def input_gradient(params, state, x, cotangent):
    def applied(row):
        return net.apply(params, state, None, row[None], is_training=True)
    def loss(x):
        y, new_state = jax.vmap(applied, out_axes=(0, None), axis_name="batch")(x)
        return (y[:, 0] * cotangent).sum(), new_state
    return jax.grad(loss, has_aux=True)(x)
""",
    norm={"synced": True},
)

CALL = "y, {} = apply(params, state, None, x{})\n"
TABLE.prediction("predict", "inference", contracts.INFERENCE, CALL.format("_", EVAL), default=True)
TABLE.prediction("train.forward.adopted", "training", contracts.ADOPTED, CALL.format("state", TRAIN))
TABLE.prediction("train.forward.dropped", "training", contracts.DROPPED, CALL.format("new_state", TRAIN))
TABLE.prediction("local-stats.forward.adopted", "training", contracts.LOCAL, CALL.format("state", LOCAL))
TABLE.prediction(
    "init.state",
    "inference",
    contracts.INITIALISED,
    "_, state = initial(jax.random.PRNGKey(0), x)  # the parameters are those of a checkpoint\n"
    + CALL.format("_", EVAL),
    once="initial = jax.jit(lambda key, x: net.init(key, x, is_training=True))\n",
)

for half, intent in (("eval", "inference"), ("train", "training")):
    mode = TRAIN if half == "train" else EVAL
    forward = f"def forward(x):\n    return net.apply(params, state, None, x{mode})[0]\n\n"
    FILES.export(f"export.onnx.{half}", intent, contracts.ONNX, forward + write_onnx("forward"), file=True)

MODES = (*TABLE, *OF_FRESH, *OF_PLAIN, *FILES)
