"""Keras models in a graph: functions of the backend, which run the updates that they are given and no others."""

from crosscheck.runtimes.family.keras import FROZEN
from crosscheck.runtimes.family.keras_texts import INTENT, backend_function, called_function, inside, on_batches
from crosscheck.runtimes.mode import Contracts, Modes
from crosscheck.runtimes.tensorflow.graphs import LAST
from crosscheck.runtimes.tensorflow.layers import BLOCK

contracts = Contracts(__file__)

SESSIONS = Modes(inference="k-function.eval", training="k-function.train", kind="session", until=LAST)
UPDATES = "net.get_updates_for(net.inputs)"

for name, phase, updates, contract in (
    ("train", 1, "", contracts.BACKEND_FUNCTION),
    ("train.updates", 1, UPDATES, contracts.BACKEND_UPDATES),
    ("eval", 0, "", contracts.BACKEND_INFERENCE),
    ("eval.updates", 0, UPDATES, contracts.BACKEND_INFERENCE),
    ("trainable-false.train", 1, "", contracts.KERAS_FROZEN),
    ("trainable-false.train.updates", 1, UPDATES, contracts.KERAS_FROZEN),
    ("unset", None, "", contracts.BACKEND_UNSET),
):
    frozen = name.startswith("trainable-false")
    text, once = backend_function(phase, updates, BLOCK)
    SESSIONS.gradient(
        f"k-function.{name}",
        "training" if phase == 1 else "inference",  # freezing is not inference before TensorFlow 2
        contract,
        text,
        once=once,
        norm={FROZEN: "network"} if frozen else {},
        default=name in ("train", "train.updates", "eval"),
    )
# Called with `training`, the learning phase fed as the other one.
for half, contract in (("train", contracts.BACKEND_FUNCTION), ("eval", contracts.BACKEND_INFERENCE)):
    training = half == "train"
    text, once = called_function(f"net(net.input, training={training})", int(not training), block=BLOCK)
    SESSIONS.gradient(f"k-function.called-{half}", INTENT[half], contract, text, once=once, since="1.15")
# The learning phase made a number before the layers are called.
for half, phase in (("train", 1), ("eval", 0)):
    before = f"K.set_learning_phase({phase})\n"
    text, once = called_function("net(net.input)", None, before, BLOCK)
    name = f"k-function.set-learning-phase.{half}"
    SESSIONS.gradient(name, INTENT[half], contracts.LEARNING_PHASE, text, once=once)

SESSIONS.prediction("keras-session.predict", "inference", contracts.PREDICT, inside(BLOCK, "y = net.predict(x)\n"))
#: A learning rate of 0, and a loss that keeps what it is shown.
COMPILE = """\
seen = tf.Variable(tf.zeros(ones.shape), trainable=False)
session.run(seen.initializer)

def loss(target, y):
    with tf.control_dependencies([tf.assign(seen, y)]):
        return tf.reduce_sum(target * y, 1)

net.compile(optimizer=tf.keras.optimizers.SGD(0.0), loss=loss)
"""
on_batches(
    SESSIONS,
    "keras-session",
    {"test": contracts.EVALUATE, "train": contracts.TRAIN_ON_BATCH, "frozen": contracts.KERAS_FROZEN},
    inside(BLOCK, "net.{}(x, ones)\ny = session.run(seen)\n"),
    default=["train"],
    frozen="training",  # freezing is not inference before TensorFlow 2
    once=inside(BLOCK, COMPILE),
    kind="trained-session",
)
