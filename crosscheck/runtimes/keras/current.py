"""Keras 3: the same model on three backends, each with its own gradient.

A name begins with the backend whose gradient is taken (`tf`, `jax`, `torch`), or with `model` for what models do on
every backend. Its last word says which mode the network is called in: `train`, `eval`, or `unset` where nobody says; or
what the user does with the statistics that come back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crosscheck.runtimes.family.keras import FROZEN, LEFT_OUT
from crosscheck.runtimes.family.keras_texts import CALLS, INTENT, OUTER, TAPE, WEIGHTS, on_batches
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

#: Batch renormalization came back with Keras 3.14.
SINCE, SINCE_RENORMALIZED = "3.0", "3.14"
#: Values that a stateless call returned take the place of the old ones.
ADOPTING = r"^ +variable\.assign\(value\)$"


def on_tensorflow(since: str = SINCE) -> Modes:
    """A collection of modes of the backend."""
    return Modes("tf.tape.eval", "tf.tape.train", since=since, adopting=ADOPTING)


def on_jax(since: str = SINCE) -> Modes:
    """A collection of modes of the backend."""
    return Modes("jax.grad.stateless.eval", "jax.grad.stateless.train.adopted", since=since, adopting=ADOPTING)


def on_torch(since: str = SINCE) -> Modes:
    """A collection of modes of the backend."""
    return Modes("torch.grad.eval", "torch.grad.train", since=since, adopting=ADOPTING)


TENSORFLOW, JAX, TORCH = on_tensorflow(), on_jax(), on_torch()
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.INFERENCE, "unset": contracts.UNSET}
FROZEN_NETWORK: dict[str, Any] = {FROZEN: "network"}
TORCH_GRAD = "x.requires_grad_()\n{}\n---\ndx, = torch.autograd.grad(y, x, cotangent)\n"
JAX_GRAD = "dx = jax.grad(lambda x: ({} * cotangent).sum())(x)\n"


def plain(to: Modes, prefix: str, text: str) -> None:
    """A backend's way to a gradient, for the network called in each mode, frozen, and inside of another."""
    for half, contract in CONTRACT.items():
        call = text.format(f"y = {CALLS[half]}")
        to.gradient(f"{prefix}.{half}", INTENT[half], contract, call, default=True)
    training = text.format(f"y = {CALLS['train']}")
    name = f"{prefix}.trainable-false.train"
    to.gradient(name, "inference", contracts.FROZEN, training, norm=FROZEN_NETWORK, default=True)
    to.gradient(
        f"{prefix}.inside.train",
        "inference",
        contracts.INSIDE,
        text.format("y = outer(x, training=True)"),
        once=OUTER.format(keras="keras"),
        default=True,
    )


VALUES = """\
trainable = [v.value for v in net.trainable_variables]
non_trainable = [v.value for v in net.non_trainable_variables]
"""
STATELESS = "y, updated = net.stateless_call(trainable, non_trainable, x, training={})"
ADOPT = """\
for variable, value in zip(net.non_trainable_variables, updated):
    variable.assign(value)
"""
#: Name -> how the network is called, whether what it returns is adopted, contract.
STATELESS_MODES = (
    ("train.dropped", "train", False, contracts.STATELESS_DROPPED),
    ("train.adopted", "train", True, contracts.STATELESS_ADOPTED),
    ("eval", "eval", True, contracts.STATELESS_INFERENCE),
)


def stateless(
    to: Modes,
    prefix: str,
    text: str,
    once: str = "",
    modes: Sequence[tuple[str, str, bool, Contract]] = STATELESS_MODES,
    **more: Any,
) -> None:
    """The same through `stateless_call`, what it returns dropped or adopted; `{}` stands for the call."""
    for name, half, adopts, contract in modes:
        call = STATELESS.format(half == "train")
        to.gradient(
            f"{prefix}.{name}",
            INTENT[half],
            contract,
            VALUES + text.replace("{}", call) + (ADOPT if adopts else ""),
            once=once.replace("{}", call),
            **more,
        )


STATELESS_JAX = "dx, updated = input_gradient(x, cotangent, trainable, non_trainable)\n"
STATELESS_LOSS = """\
def loss(x, cotangent, trainable, non_trainable):
    {}
    return (y * cotangent).sum(), updated

input_gradient = jax.jit(jax.grad(loss, has_aux=True))
"""

plain(TENSORFLOW, "tf.tape", TAPE)
stateless(TENSORFLOW, "tf.tape.stateless", TAPE, default=True)

for half, contract in (("train", contracts.JAX_CALL), ("eval", contracts.INFERENCE), ("unset", contracts.UNSET)):
    JAX.gradient(f"jax.grad.{half}", INTENT[half], contract, JAX_GRAD.format(CALLS[half]), default=True)
JAX.gradient(
    "jax.grad.trainable-false.train",
    "inference",
    contracts.FROZEN,
    JAX_GRAD.format(CALLS["train"]),
    norm=FROZEN_NETWORK,
    default=True,
)
stateless(JAX, "jax.grad.stateless", STATELESS_JAX, STATELESS_LOSS, default=True)

plain(TORCH, "torch.grad", TORCH_GRAD)
stateless(TORCH, "torch.grad.stateless", TORCH_GRAD, default=True)
# The torch module's own mode, and nothing said to Keras.
for half in ("train", "eval"):
    TORCH.gradient(
        f"torch.grad.module-{half}",
        INTENT[half],
        contracts.TORCH_MODULE,
        f"net.{half}()\n" + TORCH_GRAD.format("y = net(x)"),
        default=half == "train",
    )

#: Without a gradient of its own, on every backend.
EVERY = on_tensorflow()
for half, contract in CONTRACT.items():
    EVERY.prediction(f"model.call.{half}", INTENT[half], contract, f"y = {CALLS[half]}\n", default=half == "eval")
#: The models' methods are given numpy's arrays.
NUMBERS = "keras.ops.convert_to_numpy(x)"
PREDICT = f"y = net.predict({NUMBERS}, verbose=0)\n"
EVERY.prediction("model.predict", "inference", contracts.PREDICT, PREDICT, default=True)
EVERY.prediction("model.predict-on-batch", "inference", contracts.PREDICT, f"y = net.predict_on_batch({NUMBERS})\n")
#: A learning rate of 0, and a metric that keeps what it is shown.
COMPILE = """\
class Seen(keras.metrics.Metric):
    def __init__(self):
        super().__init__(name="seen")
        self.output = self.add_variable(ones.shape, "zeros", name="output")

    def update_state(self, target, y, sample_weight=None):
        self.output.assign(y)

    def result(self):
        return keras.ops.sum(self.output)

def loss(target, y):
    return keras.ops.sum(target * y)

seen = Seen()
net.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss, metrics=[seen])
"""
on_batches(
    EVERY,
    "model",
    {"test": contracts.EVALUATE, "train": contracts.TRAIN_ON_BATCH},
    f"net.{{}}({NUMBERS}, ones)\ny = keras.ops.convert_to_numpy(seen.output)\n",
    once=COMPILE,
    kind="trained",
)
SAVE = 'net.save("network.keras")\n---\nnet = keras.saving.load_model("network.keras")\n'
EVERY.export("export.keras", "inference", contracts.SAVED, SAVE, default=True)
EVERY.export("export.weights", "inference", contracts.SAVED, WEIGHTS.format(keras="keras"))

RENORMALIZED: dict[str, Any] = {"norm": {"renorm": True}, "renormalized": True}
TENSORFLOW_RENORMALIZED, JAX_RENORMALIZED, TORCH_RENORMALIZED = (
    make(SINCE_RENORMALIZED) for make in (on_tensorflow, on_jax, on_torch)
)
for to, prefix, text in (
    (TENSORFLOW_RENORMALIZED, "tf.tape.renorm.", TAPE),
    (TORCH_RENORMALIZED, "torch.grad.renorm.", TORCH_GRAD),
):
    for half, contract in (("train", contracts.RENORM), ("eval", contracts.RENORM_INFERENCE)):
        to.gradient(
            prefix + half,
            INTENT[half],
            contract,
            text.format(f"y = {CALLS[half]}"),
            inference=prefix + "eval",
            training=None if half == "train" else prefix + "train",
            **RENORMALIZED,
        )
stateless(
    JAX_RENORMALIZED,
    "jax.grad.stateless.renorm",
    STATELESS_JAX,
    STATELESS_LOSS,
    modes=(
        ("train.adopted", "train", True, contracts.RENORM),
        ("eval", "eval", True, contracts.RENORM_INFERENCE),
    ),
    inference="jax.grad.stateless.renorm.eval",
    **RENORMALIZED,
)

TENSORFLOW_TOLD, JAX_TOLD, TORCH_TOLD = on_tensorflow(), on_jax(), on_torch()
#: Setting -> fields, contract in training.
SETTINGS: Mapping[str, tuple[Mapping[str, Any], Contract]] = {
    **{name: (fields, contracts.TRAINING) for name, fields in LEFT_OUT.items()},
    "synchronized": ({"norm": {"synchronized": True}}, contracts.SYNCHRONIZED),
    "momentum-1": ({"norm": {"momentum": 1.0}}, contracts.MOMENTUM_1),
}
for name, (fields, contract) in SETTINGS.items():
    for to, prefix, text, training in (
        (TENSORFLOW_TOLD, "tf.tape", TAPE, "train"),
        (JAX_TOLD, "jax.grad.stateless", STATELESS_JAX, "train.adopted"),
        (TORCH_TOLD, "torch.grad", TORCH_GRAD, "train"),
    ):
        if name == "synchronized" and to is not TENSORFLOW_TOLD:
            continue
        for half in ("train", "eval"):
            stateless_jax = to is JAX_TOLD
            call = STATELESS.format(half == "train") if stateless_jax else f"y = {CALLS[half]}"
            to.gradient(
                f"{prefix}.{name}.{training if half == 'train' else 'eval'}",
                INTENT[half],
                contract if half == "train" else contracts.INFERENCE,
                VALUES + text + ADOPT if stateless_jax else text.format(call),
                once=STATELESS_LOSS.replace("{}", call) if stateless_jax else "",
                inference=f"{prefix}.{name}.eval",
                training=None if half == "train" else f"{prefix}.{name}.{training}",
                **fields,
            )
