"""Keras models executed at once: gradient tapes over a call, and the models' own methods.

The last word of a name says which mode the network is called in: `train`, `eval`, or `unset` where nobody says.
"""

from collections.abc import Mapping
from typing import Any

from crosscheck.runtimes.family.keras import FROZEN, LEFT_OUT, VIRTUAL_BATCH
from crosscheck.runtimes.family.keras_texts import CALLS, INTENT, OUTER, taped
from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

#: The last release before TensorFlow took Keras 3 for its Keras.
BEFORE_KERAS_3 = "2.15.1"
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.INFERENCE, "unset": contracts.UNSET}


def eager_modes() -> Modes:
    """A collection of modes of Keras models that are executed at once."""
    return Modes(inference="tape.eval", training="tape.train", kind="eager", since="2.0")


TAPES = eager_modes()


def halves(
    name: str,
    text: str,
    once: str = "",
    training: Contract = contracts.TRAINING,
    inference: Contract = contracts.INFERENCE,
    default: str = "",
    **more: Any,
) -> None:
    """The same way of asking in all three; `{}` stands for the call, `default` says which are asked."""
    for half, contract in (("train", training), ("eval", inference), ("unset", contracts.UNSET)):
        TAPES.gradient(
            f"{name}.{half}",
            INTENT[half],
            contract,
            text.replace("{}", CALLS[half]),
            once=once.replace("{}", CALLS[half]),
            default=half in default.split(),
            **more,
        )


TRACED = """\
@tf.function
def input_gradient(x, cotangent):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = {}
    return tape.gradient(y, x, output_gradients=cotangent)
"""
COMPILED = TRACED.replace("tf.function", "tf.function(jit_compile=True)")
APPLY = "dx = input_gradient(x, cotangent)\n"
FORWARD = taped("forward(x)")
JACOBIAN = """\
with tf.GradientTape() as tape:
    tape.watch(x)
    y = {}
---
dx = tf.tensordot(cotangent, tape.jacobian(y, x), axes=len(cotangent.shape))
"""
TO_TRACED = contracts.TRACED_TRAINING

halves("tape", taped("{}"), default="train eval unset")
halves("function", APPLY, TRACED, TO_TRACED, default="train eval")
halves("function-forward", FORWARD, "forward = tf.function(lambda x: {})\n", TO_TRACED)
halves("jit", APPLY, COMPILED, TO_TRACED, since="2.5")
halves(
    "concrete",
    "forward = function.get_concrete_function(tf.TensorSpec(x.shape, x.dtype))\n" + FORWARD,
    "function = tf.function(lambda x: {})\n",
    TO_TRACED,
)
halves(
    "recompute",
    FORWARD,
    "forward = tf.recompute_grad(lambda x: {})\n",
    contracts.RECOMPUTE,
    contracts.RECOMPUTE_INFERENCE,
    default="train",
)
halves("jacobian", JACOBIAN)

TRAIN_TAPE, TRAIN_TRACED = taped(CALLS["train"]), TRACED.format(CALLS["train"])
for name, frozen in (("trainable-false", "network"), ("trainable-false-layers", "layers")):
    norm = {FROZEN: frozen}
    TAPES.gradient(f"{name}.train", "inference", contracts.FROZEN, TRAIN_TAPE, norm=norm, default=True)
    TAPES.gradient(f"{name}-function.train", "inference", contracts.FROZEN, APPLY, once=TRAIN_TRACED, norm=norm)
TAPES.gradient(
    "function-then-trainable-false.train",
    "inference",
    contracts.TRACED_FROZEN,
    "input_gradient.get_concrete_function(x, cotangent)\nnet.trainable = False\n" + APPLY,
    once=TRAIN_TRACED,
    leaves="frozen",
)
TAPES.gradient(
    "inside.train",
    "inference",
    contracts.INSIDE,
    taped("outer(x, training=True)"),
    once=OUTER.format(keras="tf.keras"),
    default=True,
)
for phase, half in ((1, "train"), (0, "eval")):
    set_phase = "tf.keras.backend.set_learning_phase({})\n"
    TAPES.gradient(
        f"learning-phase.{half}",
        INTENT[half],
        contracts.LEARNING_PHASE,
        set_phase.format(phase) + taped("net(x)") + set_phase.format(0),
        until=BEFORE_KERAS_3,
        default=half == "train",
    )

METHODS = eager_modes()
for half, call in CALLS.items():
    METHODS.prediction(f"call.{half}", INTENT[half], CONTRACT[half], f"y = {call}\n", default=half == "eval")
METHODS.prediction("predict", "inference", contracts.PREDICT, "y = net.predict(x.numpy(), verbose=0)\n", default=True)
METHODS.prediction("predict-on-batch", "inference", contracts.PREDICT, "y = net.predict_on_batch(x.numpy())\n")

#: A learning rate of 0, and a loss that keeps what it is shown.
COMPILE = """\
seen = tf.Variable(tf.zeros(ones.shape))

def loss(target, y):
    seen.assign(y)
    return tf.reduce_sum(target * y)

net.compile(optimizer=tf.keras.optimizers.SGD(0.0), loss=loss{})
"""
for name, call, intent, contract in (
    ("evaluate", "evaluate(x.numpy(), ones, verbose=0)", "inference", contracts.EVALUATE),
    ("test-on-batch", "test_on_batch(x.numpy(), ones)", "inference", contracts.EVALUATE),
    ("train-on-batch.learning-rate-0", "train_on_batch(x.numpy(), ones)", "training", contracts.TRAIN_ON_BATCH),
    ("train-on-batch.learning-rate-0.eager", "train_on_batch(x.numpy(), ones)", "training", contracts.TRAIN_ON_BATCH),
    ("fit.learning-rate-0", "fit(x.numpy(), ones, shuffle=False, verbose=0)", "training", contracts.TRAIN_ON_BATCH),
):
    METHODS.prediction(
        name,
        intent,
        contract,
        f"net.{call}\ny = seen.numpy()\n",
        once=COMPILE.format(", run_eagerly=True" if name.endswith(".eager") else ""),
        kind="trained",
        default=name in ("evaluate", "train-on-batch.learning-rate-0"),
    )

TOLD = eager_modes()
#: Setting -> fields, contract in training. Keras 3 has neither `fused` nor `virtual_batch_size`.
SETTINGS: Mapping[str, tuple[Mapping[str, Any], Contract]] = {
    **{name: (fields, contracts.TRAINING) for name, fields in LEFT_OUT.items()},
    "fused-false": ({"norm": {"fused": False}, "until": BEFORE_KERAS_3}, contracts.TRAINING),
    "virtual-batch": ({"norm": VIRTUAL_BATCH, "until": BEFORE_KERAS_3}, contracts.VIRTUAL_BATCH),
    "synchronized": ({"norm": {"synchronized": True}, "since": BEFORE_KERAS_3}, contracts.SYNCHRONIZED),
    "momentum-0": ({"norm": {"momentum": 0.0}}, contracts.TRAINING),
    "momentum-1": ({"norm": {"momentum": 1.0}}, contracts.MOMENTUM_1),
}
for name, (fields, contract) in SETTINGS.items():
    for half in ("train", "eval"):
        TOLD.gradient(
            f"tape-{name}.{half}",
            INTENT[half],
            contract if half == "train" else contracts.INFERENCE,
            taped(CALLS[half]),
            inference=f"tape-{name}.eval",
            training=None if half == "train" else f"tape-{name}.train",
            **fields,
        )

RENORMALIZED = eager_modes()
for name, text, once in (("tape", taped("{}"), ""), ("function", APPLY, TRACED)):
    for half, contract in (("train", contracts.RENORM), ("eval", contracts.RENORM_INFERENCE)):
        RENORMALIZED.gradient(
            f"{name}-renorm.{half}",
            INTENT[half],
            contract,
            text.replace("{}", CALLS[half]),
            once=once.replace("{}", CALLS[half]),
            inference=f"{name}-renorm.eval",
            training=None if half == "train" else f"{name}-renorm.train",
            norm={"renorm": True},
            renormalized=True,
        )
