"""Each way of asking, as Flax's users write it.

linen: a network is a function of its variables, and `apply` returns the new statistics beside the output; names say
whether the user adopts or drops those. nnx: a network is an object that has its statistics inside and writes them, and
a mode flag in each layer. Functions are compiled by `jit`, as in Flax's guides, unless the name says `eager` or the
mode is about what happens without.
"""

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.family.graph import AFFINE_OFF
from crosscheck.runtimes.family.jax import write_onnx
from crosscheck.runtimes.mode import Contract, Contracts, Edition, Modes

contracts = Contracts(__file__)

LINEN = Modes(
    inference="linen.eval.grad", training="linen.train.grad.adopted", kind="linen", adopting=r"^variables\.update\("
)
NNX = Modes(inference="nnx.eval.grad", training="nnx.train.grad", kind="nnx", adopting=r"^nnx\.update\(net, state\)")

ADOPT = "variables.update(updates)\n"
MUTABLE = """\
def input_gradient(variables, x, cotangent):
    def loss(x):
        y, updates = net.apply(variables, x, train={train}, mutable=["batch_stats"])
        return (y * cotangent).sum(), updates
    return jax.grad(loss, has_aux=True)(x)
"""
APPLY = "dx, updates = input_gradient(variables, x, cotangent)\n"
EVAL_STEP = """\
@jax.jit
def input_gradient(variables, x, cotangent):
    def loss(x):
        return (net.apply(variables, x, train=False) * cotangent).sum()
    return jax.grad(loss)(x)
"""
TRAIN_STEP = "@jax.jit\n" + MUTABLE.format(train=True)

LINEN.gradient(
    "linen.eval.grad",
    "inference",
    contracts.LINEN_INFERENCE,
    "dx = input_gradient(variables, x, cotangent)\n",
    once=EVAL_STEP,
    default=True,
)
LINEN.gradient(
    "linen.train.grad.adopted", "training", contracts.LINEN_ADOPTED, APPLY + ADOPT, once=TRAIN_STEP, default=True
)
LINEN.gradient("linen.train.grad.dropped", "training", contracts.LINEN_DROPPED, APPLY, once=TRAIN_STEP, default=True)
LINEN.gradient(
    "linen.train.grad.adopted.eager",
    "training",
    contracts.LINEN_ADOPTED,
    APPLY + ADOPT,
    once=MUTABLE.format(train=True),
)
LINEN.gradient(
    "linen.eval.mutable.adopted",
    "inference",
    contracts.LINEN_INFERENCE,
    APPLY + ADOPT,
    once="@jax.jit\n" + MUTABLE.format(train=False),
)
LINEN.gradient(
    "linen.frozen.adopted",
    "inference",
    contracts.LINEN_INFERENCE,
    APPLY + ADOPT,
    once=TRAIN_STEP,
    norm={"frozen": True},
)
LINEN.gradient(
    "linen.train.remat.adopted",
    "training",
    contracts.LINEN_REMAT,
    APPLY + ADOPT,
    once="recomputing = nn.remat(Net, static_argnums=2)()\n\n"
    + TRAIN_STEP.replace("net.apply(variables, x, train=True", "recomputing.apply(variables, x, True"),
)
LINEN.gradient(
    "linen.train.immutable",
    "training",
    contracts.LINEN_IMMUTABLE,
    """\
def loss(x):
    return (net.apply(variables, x, train=True) * cotangent).sum()
dx = jax.grad(loss)(x)
""",
)
LINEN.gradient(
    "linen.train.vjp.adopted",
    "training",
    contracts.LINEN_ADOPTED,
    f"y, pull_back, updates = forward(variables, x)\n{ADOPT}---\ndx, = backward(pull_back, cotangent)\n",
    once="""\
@jax.jit
def forward(variables, x):
    return jax.vjp(lambda x: net.apply(variables, x, train=True, mutable=["batch_stats"]), x, has_aux=True)

@jax.jit
def backward(pull_back, cotangent):
    return pull_back(cotangent)
""",
)
LINEN.gradient(
    "linen.train.lifted.adopted",
    "training",
    contracts.LINEN_ADOPTED,
    APPLY + ADOPT,
    once="""\
def pulled_back(net, x, cotangent):
    y, pull_back = nn.vjp(lambda net, x: net(x, train=True), net, x)
    return pull_back(cotangent)[1]

@jax.jit
def input_gradient(variables, x, cotangent):
    return net.apply(variables, x, cotangent, method=pulled_back, mutable=["batch_stats"])
""",
)
LINEN.gradient(
    "linen.train.donated.dropped",
    "training",
    contracts.LINEN_DONATED,
    'dx, updates = input_gradient(variables["batch_stats"], variables["params"], x, cotangent)\n',
    once="""\
@functools.partial(jax.jit, donate_argnums=0)
def input_gradient(batch_stats, params, x, cotangent):
    def loss(x):
        variables = {"params": params, "batch_stats": batch_stats}
        y, updates = net.apply(variables, x, train=True, mutable=["batch_stats"])
        return (y * cotangent).sum(), updates["batch_stats"]
    return jax.grad(loss, has_aux=True)(x)
""",
)
LINEN.gradient(
    "linen.bind.eval",
    "inference",
    contracts.LINEN_BOUND,
    """\
bound = net.bind(variables)
dx = jax.grad(lambda x: (bound(x, train=False) * cotangent).sum())(x)
""",
)
LINEN.gradient(
    "linen.bind.train.adopted",
    "training",
    contracts.LINEN_BOUND,
    """\
bound = net.bind(variables, mutable=["batch_stats"])
dx = jax.grad(lambda x: (bound(x, train=True) * cotangent).sum())(x)
variables.update(bound.variables)
""",
)
LINEN.prediction("linen.predict", "inference", contracts.LINEN_INFERENCE, "y = apply(variables, x, train=False)\n")
FORWARD = """\
@jax.jit
def forward(variables, x):
    return net.apply(variables, x, train=True, mutable=["batch_stats"])
"""
LINEN.prediction(
    "linen.train.forward.adopted",
    "training",
    contracts.LINEN_ADOPTED,
    "y, updates = forward(variables, x)\n" + ADOPT,
    once=FORWARD,
)
LINEN.prediction(
    "linen.train.forward.dropped",
    "training",
    contracts.LINEN_DROPPED,
    "y, updates = forward(variables, x)\n",
    once=FORWARD,
)

TRAIN, EVAL = "net.train()\n", "net.eval()\n"


def argument(call: str = "net(x)", jit: str = "@nnx.jit\n") -> str:
    """`nnx.grad` with the module as an argument."""
    return f"""\
{jit}def input_gradient(net, x, cotangent):
    def loss(net, x):
        return ({call} * cotangent).sum()
    return nnx.grad(loss, argnums=1)(net, x)
"""


def asking(
    name: str,
    intent: str,
    contract: Contract,
    setting: str,
    leaves: str,
    module: str = "net",
    once: str = argument(),
    default: bool = False,
    since: str | None = None,
) -> None:
    """`input_gradient` of a module, after `setting`."""
    text = f"{setting}dx = input_gradient({module}, x, cotangent)\n"
    NNX.gradient(name, intent, contract, text, once=once, leaves=leaves, default=default, since=since)


FROZEN = TRAIN + "net.set_attributes(nnx.BatchNorm, use_running_average=True)\n"
COPY = "copy = nnx.clone(net)\ncopy.train()\n"
RECOMPUTING = argument("forward(net, x)").replace("@nnx.jit", "forward = nnx.remat(lambda net, x: net(x))\n\n@nnx.jit")
TRAINING_VIEW = "view = nnx.view(net, use_running_average=False)\n"
INFERENCE_VIEW = TRAIN + "view = nnx.view(net, use_running_average=True)\n"
TRAINED, EVALUATED = argument("net(x, use_running_average=False)"), argument("net(x, use_running_average=True)")

asking("nnx.eval.grad", "inference", contracts.NNX_INFERENCE, EVAL, "eval", default=True)
asking("nnx.train.grad", "training", contracts.NNX_TRAINING, TRAIN, "train", default=True)
asking("nnx.train.grad.eager", "training", contracts.NNX_TRAINING, TRAIN, "train", once=argument(jit=""))
asking("nnx.train.remat", "training", contracts.NNX_REMAT, TRAIN, "train", once=RECOMPUTING)
asking("nnx.train.frozen", "inference", contracts.NNX_INFERENCE, FROZEN, "frozen")
asking("nnx.train.clone", "training", contracts.NNX_COPY, COPY, "", "copy")
asking("nnx.train.view", "training", contracts.NNX_VIEW_TRAINING, TRAINING_VIEW, "", "view", since="0.12")
asking("nnx.eval.view", "inference", contracts.NNX_VIEW_INFERENCE, INFERENCE_VIEW, "train", "view", since="0.12")
asking("nnx.call.train", "training", contracts.NNX_TRAINING, EVAL, "eval", once=TRAINED)
asking("nnx.call.eval", "inference", contracts.NNX_INFERENCE, TRAIN, "train", once=EVALUATED)

CLOSURE = "dx = nnx.grad(lambda x: (net(x) * cotangent).sum())(x)\n"
NNX.gradient("nnx.eval.closure", "inference", contracts.NNX_INFERENCE, EVAL + CLOSURE, leaves="eval")
NNX.gradient("nnx.train.closure", "training", contracts.NNX_CLOSURE, TRAIN + CLOSURE, leaves="train")
NNX.gradient(
    "nnx.train.jax-grad",
    "training",
    contracts.NNX_JAX,
    TRAIN + "dx = jax.grad(lambda net, x: (net(x) * cotangent).sum(), argnums=1)(net, x)\n",
    leaves="train",
)
NNX.gradient(
    "nnx.train.jax-vjp",
    "training",
    contracts.NNX_JAX,
    TRAIN + "y, pull_back = jax.vjp(lambda net, x: net(x), net, x)\n---\n_, dx = pull_back(cotangent)\n",
    leaves="train",
)
NNX.gradient(
    "nnx.train.vjp",
    "training",
    contracts.NNX_TRAINING,
    TRAIN
    + "y, pull_back = nnx.vjp(lambda net, x: net(x), net, x, graph_updates=False)\n---\n_, dx = pull_back(cotangent)\n",
    leaves="train",
    since="0.12",
)
SPLIT = """\
@functools.partial(jax.jit, static_argnums=0)
def input_gradient(graphdef, state, x, cotangent):
    def loss(x):
        net = nnx.merge(graphdef, state, copy=True)
        y = net(x)
        return (y * cotangent).sum(), nnx.state(net)
    return jax.grad(loss, has_aux=True)(x)
"""
#: Until 0.11 `merge` always copied, and had no such argument.
COPIED = SPLIT.replace(", copy=True", "")
PURE = TRAIN + "graphdef, state = nnx.split(net)\ndx, state = input_gradient(graphdef, state, x, cotangent)\n"
UPDATE = "nnx.update(net, state)\n"
NNX.gradient(
    "nnx.train.split.adopted",
    "training",
    contracts.NNX_FUNCTIONAL,
    PURE + UPDATE,
    once=SPLIT,
    leaves="train",
    editions=(Edition("0.11", PURE + UPDATE, COPIED),),
)
NNX.gradient(
    "nnx.train.split.dropped",
    "training",
    contracts.NNX_JAX,
    PURE,
    once=SPLIT,
    leaves="train",
    editions=(Edition("0.11", PURE, COPIED),),
)
CALL = "y = call(net, x)\n"
NNX.prediction("nnx.predict", "inference", contracts.NNX_INFERENCE, EVAL + CALL, leaves="eval")
NNX.prediction("nnx.train.forward", "training", contracts.NNX_TRAINING, TRAIN + CALL, leaves="train")
NNX.prediction("nnx.train.forward.clone", "training", contracts.NNX_COPY, COPY + "y = call(copy, x)\n")

#: Layers that are told more: name -> norm, and the fields by which the oracle knows of it.
TOLD: dict[str, Mapping[str, Any]] = {
    "affine-off": AFFINE_OFF,
    "exact-variance": {"norm": {"exact": True}},
}
for name, fields in TOLD.items():
    plain = {"inference": f"linen.{name}.eval.grad", "training": None, **fields}
    LINEN.gradient(
        f"linen.{name}.eval.grad",
        "inference",
        contracts.LINEN_INFERENCE,
        "dx = input_gradient(variables, x, cotangent)\n",
        once=EVAL_STEP,
        **plain | {"training": f"linen.{name}.train.grad.adopted"},
    )
    LINEN.gradient(
        f"linen.{name}.train.grad.adopted",
        "training",
        contracts.LINEN_ADOPTED,
        APPLY + ADOPT,
        once=TRAIN_STEP,
        **plain,
    )
    plain = {"inference": f"nnx.{name}.eval.grad", "training": None, **fields}
    ask = "dx = input_gradient(net, x, cotangent)\n"
    NNX.gradient(
        f"nnx.{name}.eval.grad",
        "inference",
        contracts.NNX_INFERENCE,
        EVAL + ask,
        once=argument(),
        leaves="eval",
        **plain | {"training": f"nnx.{name}.train.grad"},
    )
    NNX.gradient(
        f"nnx.{name}.train.grad",
        "training",
        contracts.NNX_TRAINING,
        TRAIN + ask,
        once=argument(),
        leaves="train",
        **plain,
    )
#: Every row a batch of its own, whose statistics are those of all of them.
LINEN.gradient(
    "linen.synced.train.grad.adopted",
    "training",
    contracts.LINEN_SYNCED,
    APPLY + ADOPT,
    once="""\
@jax.jit
def input_gradient(variables, x, cotangent):
    def applied(row):
        return net.apply(variables, row[None], train=True, mutable=["batch_stats"])
    def loss(x):
        y, updates = jax.vmap(applied, out_axes=(0, None), axis_name="batch")(x)
        return (y[:, 0] * cotangent).sum(), updates
    return jax.grad(loss, has_aux=True)(x)
""",
    norm={"synced": True},
)
NNX.gradient(
    "nnx.synced.train.grad",
    "training",
    contracts.NNX_SYNCED,
    TRAIN + "dx = input_gradient(net, x, cotangent)\n",
    once='applied = nnx.vmap(lambda net, row: net(row[None])[0], in_axes=(None, 0), axis_name="batch")\n\n'
    + argument("applied(net, x)"),
    norm={"synced": True},
    leaves="train",
)

LINEN.export(
    "linen.to-bytes",
    "inference",
    contracts.SAVED,
    """\
with open("variables.msgpack", "wb") as file:
    file.write(flax.serialization.to_bytes(variables))
---
zeros = jax.tree_util.tree_map(jnp.zeros_like, variables)
with open("variables.msgpack", "rb") as file:
    variables = flax.serialization.from_bytes(zeros, file.read())
""",
)
NNX.export(
    "nnx.to-bytes",
    "inference",
    contracts.SAVED,
    """\
with open("state.msgpack", "wb") as file:
    file.write(flax.serialization.to_bytes(nnx.to_pure_dict(nnx.state(net))))
---
net = nnx.clone(net)
state = nnx.state(net)
zeros = jax.tree_util.tree_map(jnp.zeros_like, nnx.to_pure_dict(state))
with open("state.msgpack", "rb") as file:
    nnx.replace_by_pure_dict(state, flax.serialization.from_bytes(zeros, file.read()))
nnx.update(net, state)
""",
    since="0.10",
)

for half, contract, applied in (
    ("eval", contracts.ONNX, "net.apply(variables, x, train=False)"),
    ("train", contracts.ONNX_TRAINING, 'net.apply(variables, x, train=True, mutable=["batch_stats"])[0]'),
):
    intent = "training" if half == "train" else "inference"
    function = f"def forward(x):\n    return {applied}\n\n"
    LINEN.export(f"linen.export.onnx.{half}", intent, contract, function + write_onnx("forward"), file=True)
    NNX.export(
        f"nnx.export.onnx.{half}", intent, contract, f"net.{half}()\n" + write_onnx("net"), leaves=half, file=True
    )

MODES = (*LINEN, *NNX)
