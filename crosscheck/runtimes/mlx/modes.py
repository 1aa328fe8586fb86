"""Each way of asking, as MLX's users write it: transformations of functions, over a module in training or evaluation.

Names begin with the module's mode in the forward pass, `train` or `eval`, or with what is done to the module first;
`compiled` ones go on with what the compiler is told of the module's state.
"""

from crosscheck.runtimes.family.graph import AFFINE_OFF, NO_STATISTICS
from crosscheck.runtimes.family.halves import HALVES, Halves
from crosscheck.runtimes.mode import Contracts

contracts = Contracts(__file__)

TABLE = Halves(contracts.EVALUATION, inference="eval.grad", training="train.grad")

LOSS = "def loss(x):\n    return (net(x) * cotangent).sum()\n"
GRAD = LOSS + "dx = mx.grad(loss)(x)\n"
RECOMPUTED = LOSS.replace("net(x)", "recomputing(x)") + "dx = mx.grad(loss)(x)\n"
PARAMETERS = """\
def loss(parameters, x):
    net.update(parameters)
    return (net(x) * cotangent).sum()
y, (gradients, dx) = mx.value_and_grad(loss, argnums=(0, 1))(net.trainable_parameters(), x)
"""

for half in HALVES:
    for name, text, contract, default in (
        ("grad", GRAD, contracts.TRAINING, HALVES),
        ("value-and-grad", LOSS + "y, dx = mx.value_and_grad(loss)(x)\n", contracts.TRAINING, ()),
        ("value-and-grad-parameters", PARAMETERS, contracts.TRAINING, ["train"]),
        ("vjp", "(y,), (dx,) = mx.vjp(net, [x], [cotangent])\n", contracts.TRAINING, ()),
        ("checkpoint", "recomputing = nn.utils.checkpoint(net)\n" + RECOMPUTED, contracts.CHECKPOINT, ()),
        ("core-checkpoint", "recomputing = mx.checkpoint(net)\n" + RECOMPUTED, contracts.CHECKPOINT, ["train"]),
    ):
        TABLE.halves("{}." + name, contract, text, default=default, only=[half], paired=False)

FROZEN = """\
net.train()
for layer in net.leaf_modules().values():
    if isinstance(layer, nn.BatchNorm):
        layer.eval()
"""
TABLE.gradient("frozen.grad", "inference", contracts.EVALUATION, FROZEN + GRAD, default=True, leaves="frozen")
TABLE.gradient(
    "freeze.grad", "training", contracts.FROZEN, "net.train()\nnet.freeze()\n" + GRAD, default=True, leaves="train"
)

TABLE.halves(
    "affine-off.{}",
    contracts.TRAINING,
    GRAD,
    inference="affine-off.eval",
    **AFFINE_OFF,
)
for half in HALVES:
    TABLE.gradient(
        f"no-statistics.{half}",
        "training",
        contracts.NO_STATISTICS,
        f"net.{half}()\n{GRAD}net.eval()\n",
        inference=None,
        **NO_STATISTICS,
    )

STATE = "state = [net.state]\n\n"
FUNCTION = "def input_gradient(x, cotangent):\n    return mx.grad(lambda x: (net(x) * cotangent).sum())(x)\n"
WHOLE = STATE + "@functools.partial(mx.compile, inputs=state, outputs=state)\n" + FUNCTION
ASK = "dx = input_gradient(x, cotangent)\n"

# None of these is a default: every trial has the machine's compiler run anew.
for half in HALVES:
    for name, once, contract in (
        ("stateless", "@mx.compile\n" + FUNCTION, contracts.PURE),
        ("inputs", WHOLE.replace(", outputs=state", ""), contracts.PURE),
        ("outputs", WHOLE.replace(", inputs=state", ""), contracts.CAPTURED),
        ("state", WHOLE, contracts.CAPTURED),
    ):
        TABLE.halves(f"compiled-{name}.{{}}", contract, ASK, once=once, only=[half], paired=False)
TABLE.gradient(
    "compiled-state.train-then-eval",
    "inference",
    contracts.CAPTURED_MODE,
    f"net.train()\nmx.eval(input_gradient(x, cotangent), state)\nnet.eval()\n{ASK}",
    once=WHOLE,
    leaves="eval",
)

TABLE.prediction("predict", "inference", contracts.EVALUATION, "net.eval()\ny = net(x)\n", default=True, leaves="eval")
TABLE.prediction("train.forward", "training", contracts.TRAINING, "net.train()\ny = net(x)\n", leaves="train")
TABLE.export(
    "save-weights",
    "inference",
    contracts.SAVED,
    """\
net.save_weights("network.safetensors")
---
net = Net()
net.load_weights("network.safetensors")
""",
    default=True,
)
TABLE.halves(
    "export-function.{}",
    contracts.EXPORTED,
    'mx.export_function("network.mlxfn", net, x)\n---\nnet = mx.import_function("network.mlxfn")\n',
    contracts.EXPORTED,
    asks="export",
    predict="y, = net(x)\n",
)

MODES = tuple(TABLE)
