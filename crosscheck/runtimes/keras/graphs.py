"""Keras 2: functions of the backend, which run the updates that they are given and no others."""

from crosscheck.runtimes.family.keras import FROZEN, LEFT_OUT
from crosscheck.runtimes.family.keras_texts import INTENT, backend_function, called_function, on_batches
from crosscheck.runtimes.mode import Contracts, Modes

contracts = Contracts(__file__)

FUNCTIONS = Modes("k-function.eval", "k-function.train", until="2.3.1")

for name, phase, updates, contract in (
    ("train", 1, "", contracts.BACKEND_FUNCTION),
    ("train.updates", 1, "net.updates", contracts.BACKEND_UPDATES),
    ("eval", 0, "", contracts.BACKEND_INFERENCE),
    ("eval.updates", 0, "net.updates", contracts.BACKEND_UPDATES_EVAL),
    ("trainable-false.train", 1, "", contracts.KERAS_2_FROZEN),
    ("trainable-false.train.updates", 1, "net.updates", contracts.KERAS_2_FROZEN),
):
    frozen = name.startswith("trainable-false")
    text, once = backend_function(phase, updates)
    FUNCTIONS.gradient(
        f"k-function.{name}",
        "training" if phase and not frozen else "inference",
        contract,
        text,
        once=once,
        norm={FROZEN: "network"} if frozen else {},
        default=True,
    )
# Called with `training`, the learning phase fed as the other one.
for half, contract in (("train", contracts.BACKEND_FUNCTION), ("eval", contracts.BACKEND_INFERENCE)):
    text, once = called_function(f"net(net.input, training={half == 'train'})", int(half != "train"))
    FUNCTIONS.gradient(f"k-function.called-{half}", INTENT[half], contract, text, once=once)

PREDICT = "y = net.predict(x)\n"
FUNCTIONS.prediction("session.predict", "inference", contracts.PREDICT, PREDICT, default=True)
#: A learning rate of 0, and a loss that keeps what it is shown.
COMPILE = """\
seen = K.zeros(ones.shape)

def loss(target, y):
    return K.sum(target * keep(seen, y), axis=1)

net.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss)
"""
on_batches(
    FUNCTIONS,
    "session",
    {"test": contracts.EVALUATE, "train": contracts.TRAIN_ON_BATCH, "frozen": contracts.KERAS_2_FROZEN},
    "net.{}(x, ones)\ny = K.get_value(seen)\n",
    once=COMPILE,
    kind="trained",
)
FUNCTIONS.export(
    "export.h5",
    "inference",
    contracts.SAVED,
    'net.save("network.h5")\n---\nnet = keras.models.load_model("network.h5")\n',
    predict=PREDICT,
    default=True,
)

TOLD = Modes(until="2.3.1")
for name, fields in LEFT_OUT.items():
    for ending, phase, updates, contract in (
        ("train", 1, "", contracts.BACKEND_FUNCTION),
        ("train.updates", 1, "net.updates", contracts.BACKEND_UPDATES),
        ("eval", 0, "", contracts.BACKEND_INFERENCE),
    ):
        text, once = backend_function(phase, updates)
        TOLD.gradient(
            f"k-function.{name}.{ending}",
            "training" if phase else "inference",
            contract,
            text,
            once=once,
            inference=f"k-function.{name}.eval",
            training=None if phase else f"k-function.{name}.train",
            **fields,
        )
