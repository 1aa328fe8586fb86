"""A Keras model's own methods: a call, `predict`, `evaluate`, and training with a learning rate of 0."""

from typing import Any

import numpy as np

from crosscheck.probe.modes import INTENT, Call, Make, Table
from crosscheck.runtimes.tensorflow import contracts
from crosscheck.runtimes.tensorflow.eager import CALLS, CONTRACT, Eager, call_in
from crosscheck.runtimes.tensorflow.eager import TABLE as EAGER

TABLE = Table(inference=EAGER.inference, training=EAGER.training, since="2.0", kind="eager")


def forward(half: str) -> Make:
    """A call, and no gradient."""
    return lambda tf, model: call_in(half, model.net)


for half in ("train", "eval", "unset"):
    TABLE.mode(
        "call." + half,
        INTENT[half],
        "y = " + CALLS[half],
        CONTRACT[half],
        "prediction",
        default=half == "eval",
    )(forward(half))


@TABLE.mode("predict", "inference", "net.predict(x)", contracts.PREDICT, "prediction", default=True)
def predict(tf: Any, model: Eager) -> Call:
    """Batches of 32, in a function of its own."""
    return lambda x: model.net.predict(np.array(x), verbose=0)


@TABLE.mode("predict-on-batch", "inference", "net.predict_on_batch(x)", contracts.PREDICT, "prediction")
def predict_on_batch(tf: Any, model: Eager) -> Call:
    """One batch."""
    return lambda x: model.net.predict_on_batch(np.array(x))


def seen_by_the_loss(tf: Any, model: Eager, run_eagerly: bool = False) -> Any:
    """Compile the network with a learning rate of 0 and a loss that keeps what it was shown."""
    seen = tf.Variable(tf.zeros(model.output_shape))

    def loss(target: Any, y: Any) -> Any:
        seen.assign(y)
        return tf.reduce_sum(target * y)

    model.net.compile(optimizer=tf.keras.optimizers.SGD(0.0), loss=loss, run_eagerly=run_eagerly)
    return seen


COMPILE = (
    "seen = tf.Variable(tf.zeros(shape))\n"
    "def loss(target, y):\n    seen.assign(y)\n    return tf.reduce_sum(target * y)\n"
    "net.compile(tf.keras.optimizers.SGD(0.0), loss{})\n"
)


def by_method(method: str, run_eagerly: bool = False) -> Make:
    """A method of the model that takes targets, here ones."""

    def make(tf: Any, model: Eager) -> Call:
        seen = seen_by_the_loss(tf, model, run_eagerly)
        keywords = {"evaluate": {"verbose": 0}, "fit": {"verbose": 0, "shuffle": False}}.get(method, {})

        def ask(x: Any) -> Any:
            getattr(model.net, method)(np.array(x), np.ones(model.output_shape, np.float32), **keywords)
            return np.array(seen)

        return ask

    return make


for name, method, eagerly, intent, contract in (
    ("evaluate", "evaluate", False, "inference", contracts.EVALUATE),
    ("test-on-batch", "test_on_batch", False, "inference", contracts.EVALUATE),
    ("train-on-batch.learning-rate-0", "train_on_batch", False, "training", contracts.TRAIN_ON_BATCH),
    ("train-on-batch.learning-rate-0.eager", "train_on_batch", True, "training", contracts.TRAIN_ON_BATCH),
    ("fit.learning-rate-0", "fit", False, "training", contracts.TRAIN_ON_BATCH),
):
    TABLE.mode(
        name,
        intent,
        COMPILE.format(", run_eagerly=True" if eagerly else "") + "net.{}(x, ones)".format(method),
        contract,
        "prediction",
        default=name in ("evaluate", "train-on-batch.learning-rate-0"),
    )(by_method(method, eagerly))
