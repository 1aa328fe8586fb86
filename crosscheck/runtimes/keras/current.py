"""Keras 3: the same model on three backends, each with its own gradient.

A name begins with the backend whose gradient is taken (`tf`, `jax`, `torch`), or with `model` for what models do on
every backend. Its last word says which mode the network is called in: `train`, `eval`, or `unset` where nobody says; or
what the user does with the statistics that come back.
"""

import os
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from crosscheck.probe.adapter import Array, Contract, Network
from crosscheck.probe.keras_layers import Layers, Maker, Place, from_keras
from crosscheck.probe.modes import INTENT, PLAIN, Between, Call, Make, Norm, Table
from crosscheck.runtimes.keras import contracts

SINCE = "3.0"
TENSORFLOW = Table("tf.tape.eval", "tf.tape.train", since=SINCE)
JAX = Table("jax.grad.stateless.eval", "jax.grad.stateless.train.adopted", since=SINCE)
TORCH = Table("torch.grad.eval", "torch.grad.train", since=SINCE)
#: Modes without a gradient, which every backend has.
EVERY = Table("tf.tape.eval", "tf.tape.train", since=SINCE)


class Functional:
    """A functional model of Keras 3."""

    def __init__(self, keras: Any, network: Network, shares: Optional["Functional"], norm: Norm) -> None:
        self.keras = keras
        self.layers: Layers = shares.layers if shares else {}
        maker = Maker(
            keras, lambda x, pads, value: keras.ops.pad(x, pads, constant_values=value), network, self.layers, norm
        )
        self.net = maker.model(network.graph)
        for layer, values in maker.fresh:
            layer.set_weights(values + layer.get_weights()[len(values) :])
        self.places: Dict[str, Place] = maker.places
        shown = {id(place.variable) for place in self.places.values()}
        self.hidden = [weight for layer in self.layers.values() for weight in layer.weights if id(weight) not in shown]
        self.output_shape = (network.batch,) + tuple(network.graph["outputs"][0]["shape"][1:])
        self.calls: Dict[str, Call] = {}

    def predict(self, x: Any) -> Any:
        """A call in inference mode."""
        return self.net(x, training=False)

    def state(self) -> Dict[str, Array]:
        """All weights, those that no other runtime has, too, the layers' flags, and what the optimizer has counted."""
        found = self.parameters()
        found.update({weight.path: self.keras.ops.convert_to_numpy(weight) for weight in self.hidden})
        found["trainable"] = np.array([bool(layer.trainable) for layer in self.layers.values()], np.int64)
        optimizer = getattr(self.net, "optimizer", None)
        if optimizer is not None:
            found["optimizer.iterations"] = self.keras.ops.convert_to_numpy(optimizer.iterations)
        return found

    def parameters(self) -> Dict[str, Array]:
        """What `weights` shows: the statistics, too."""
        numbers = self.keras.ops.convert_to_numpy
        return {name: from_keras(place.attribute, numbers(place.variable)) for name, place in self.places.items()}

    def values(self) -> Any:
        """The values of the trainable and of the other variables, as `stateless_call` takes them."""
        return [v.value for v in self.net.trainable_variables], [v.value for v in self.net.non_trainable_variables]

    def adopt(self, values: Any) -> None:
        """Assign what `stateless_call` returned."""
        for variable, value in zip(self.net.non_trainable_variables, values):
            variable.assign(value)


def call_in(half: str, net: Any) -> Callable[[Any], Any]:
    """The model as a function of its input, in training mode, in inference mode, or without a word about that."""
    if half == "unset":
        return lambda x: net(x)
    return lambda x: net(x, training=half == "train")


def freeze(model: Functional) -> None:
    """The whole network."""
    model.net.trainable = False


def outer(model: Functional) -> Any:
    """A model around the network, which it calls in inference mode."""
    x = model.keras.Input(shape=model.net.input_shape[1:])
    return model.keras.Model(x, model.net(x, training=False))


CALLS = {"train": "net(x, training=True)", "eval": "net(x, training=False)", "unset": "net(x)"}
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.INFERENCE, "unset": contracts.UNSET}
FREEZE = "net.trainable = False\n"
OUTER = "x = keras.Input(shape)\nouter = keras.Model(x, net(x, training=False))\n"


def plain_modes(table: Table, prefix: str, code: str, ask: Callable[[Any], Call]) -> None:
    """A backend's way to a gradient, for the network called in each mode, frozen, and inside of another.

    ask: forward -> call.
    """
    for half in ("train", "eval", "unset"):

        def make(model: Functional, half: str = half) -> Call:
            return ask(call_in(half, model.net))

        table.mode(prefix + "." + half, INTENT[half], code.format(CALLS[half]), CONTRACT[half], default=True)(make)
    table.mode(
        prefix + ".trainable-false.train",
        "inference",
        FREEZE + code.format(CALLS["train"]),
        contracts.FROZEN,
        default=True,
        prepare=freeze,
    )(lambda model: ask(call_in("train", model.net)))
    table.mode(
        prefix + ".inside.train",
        "inference",
        OUTER + code.format("outer(x, training=True)"),
        contracts.INSIDE,
        default=True,
    )(lambda model: ask(call_in("train", outer(model))))


STATELESS = "y, updated = net.stateless_call(trainable, non_trainable, x, training={})"
VALUES = (
    "trainable = [v.value for v in net.trainable_variables]\n"
    "non_trainable = [v.value for v in net.non_trainable_variables]\n"
)
ADOPT = "\nfor variable, value in zip(net.non_trainable_variables, updated):\n    variable.assign(value)"
STATELESS_MODES = (
    ("train.dropped", "train", False, contracts.STATELESS_DROPPED),
    ("train.adopted", "train", True, contracts.STATELESS_ADOPTED),
    ("eval", "eval", True, contracts.STATELESS_INFERENCE),
)


def stateless_modes(
    table: Table,
    prefix: str,
    code: str,
    ask: Callable[[Functional, bool], Any],
    modes: Sequence[Tuple[str, str, bool, Contract]] = STATELESS_MODES,
    default: bool = True,
    layers: str = "",
    norm: Norm = PLAIN,
    prepare: Optional[Callable[[Any], None]] = None,
) -> None:
    """The same through `stateless_call`, what it returns dropped or adopted.

    ask: (model, training) -> ((x, cotangent, between) -> (dx, updated values)).
    """
    for name, half, adopts, contract in modes:

        def make(model: Functional, half: str = half, adopts: bool = adopts) -> Call:
            answer = ask(model, half == "train")

            def call(x: Any, cotangent: Any, between: Between) -> Any:
                dx, updated = answer(x, cotangent, between)
                if adopts:
                    model.adopt(updated)
                return dx

            return call

        words = layers + VALUES + code.format(STATELESS.format(half == "train")) + (ADOPT if adopts else "")
        table.mode(prefix + "." + name, INTENT[half], words, contract, default=default, norm=norm, prepare=prepare)(
            make
        )


def tape(forward: Callable[[Any], Any]) -> Call:
    """TensorFlow's gradient tape."""

    def call(x: Any, cotangent: Any, between: Between) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = forward(x)
        between()
        return tape.gradient(y, x, output_gradients=cotangent)

    return call


def stateless_tape(model: Functional, training: bool) -> Any:
    """The tape over `stateless_call`."""

    def answer(x: Any, cotangent: Any, between: Between) -> Any:
        kept = []

        def forward(x: Any) -> Any:
            y, updated = model.net.stateless_call(*model.values(), x, training=training)
            kept.append(updated)
            return y

        return tape(forward)(x, cotangent, between), kept[0]

    return answer


TAPE = (
    "with tf.GradientTape() as tape:\n    tape.watch(x)\n    {}\ndx = tape.gradient(y, x, output_gradients=cotangent)"
)
plain_modes(TENSORFLOW, "tf.tape", TAPE.replace("{}", "y = {}"), tape)
stateless_modes(TENSORFLOW, "tf.tape.stateless", TAPE, stateless_tape)


def jax_grad(forward: Callable[[Any], Any]) -> Call:
    """`jax.grad` over a plain call."""

    def call(x: Any, cotangent: Any, between: Between) -> Any:
        import jax

        return jax.grad(lambda x: (forward(x) * cotangent).sum())(x)

    return call


def stateless_grad(model: Functional, training: bool) -> Any:
    """`jax.grad` over `stateless_call`, compiled."""
    import jax

    def loss(x: Any, cotangent: Any, trainable: Any, non_trainable: Any) -> Any:
        y, updated = model.net.stateless_call(trainable, non_trainable, x, training=training)
        return (y * cotangent).sum(), updated

    gradient = jax.jit(jax.grad(loss, has_aux=True))
    return lambda x, cotangent, between: gradient(x, cotangent, *model.values())


JAX_CODE = (
    "def loss(x):\n    {}\n    return (y * cotangent).sum(), updated\ndx, updated = jax.grad(loss, has_aux=True)(x)"
)
for half, contract in (("train", contracts.JAX_CALL), ("eval", contracts.INFERENCE), ("unset", contracts.UNSET)):

    def plain(model: Functional, half: str = half) -> Call:
        """The stateful call inside of the transform."""
        return jax_grad(call_in(half, model.net))

    JAX.mode(
        "jax.grad." + half,
        INTENT[half],
        "dx = jax.grad(lambda x: ({} * cotangent).sum())(x)".format(CALLS[half]),
        contract,
        default=True,
    )(plain)
JAX.mode(
    "jax.grad.trainable-false.train",
    "inference",
    FREEZE + "dx = jax.grad(lambda x: (net(x, training=True) * cotangent).sum())(x)",
    contracts.FROZEN,
    default=True,
    prepare=freeze,
)(lambda model: jax_grad(call_in("train", model.net)))
stateless_modes(JAX, "jax.grad.stateless", JAX_CODE, stateless_grad)


def torch_grad(forward: Callable[[Any], Any]) -> Call:
    """`torch.autograd.grad`."""

    def call(x: Any, cotangent: Any, between: Between) -> Any:
        import torch

        x.requires_grad_()
        y = forward(x)
        between()
        (dx,) = torch.autograd.grad(y, x, cotangent)
        return dx

    return call


def stateless_torch(model: Functional, training: bool) -> Any:
    """`torch.autograd.grad` over `stateless_call`."""

    def answer(x: Any, cotangent: Any, between: Between) -> Any:
        kept = []

        def forward(x: Any) -> Any:
            y, updated = model.net.stateless_call(*model.values(), x, training=training)
            kept.append(updated)
            return y

        return torch_grad(forward)(x, cotangent, between), kept[0]

    return answer


TORCH_CODE = "x.requires_grad_()\n{}\ndx, = torch.autograd.grad(y, x, cotangent)"
plain_modes(TORCH, "torch.grad", TORCH_CODE.replace("{}", "y = {}"), torch_grad)
stateless_modes(TORCH, "torch.grad.stateless", TORCH_CODE, stateless_torch)


def module_mode(half: str) -> Make:
    """The torch module's own mode, and nothing said to Keras."""

    def make(model: Functional) -> Call:
        ask = torch_grad(call_in("unset", model.net))

        def call(*arguments: Any) -> Any:
            model.net.train(half == "train")
            return ask(*arguments)

        return call

    return make


for half in ("train", "eval"):
    TORCH.mode(
        "torch.grad.module-" + half,
        INTENT[half],
        "net.{}()\n".format(half) + TORCH_CODE.format("y = net(x)"),
        contracts.TORCH_MODULE,
        default=half == "train",
    )(module_mode(half))


def predicted(half: str) -> Make:
    """A call, and no gradient."""
    return lambda model: call_in(half, model.net)


for half in ("train", "eval", "unset"):
    EVERY.mode(
        "model.call." + half,
        INTENT[half],
        "y = " + CALLS[half],
        CONTRACT[half],
        "prediction",
        default=half == "eval",
    )(predicted(half))
EVERY.mode("model.predict", "inference", "net.predict(x)", contracts.PREDICT, "prediction", default=True)(
    lambda model: lambda x: model.net.predict(numbers(model, x), verbose=0)
)
EVERY.mode("model.predict-on-batch", "inference", "net.predict_on_batch(x)", contracts.PREDICT, "prediction")(
    lambda model: lambda x: model.net.predict_on_batch(numbers(model, x))
)


def numbers(model: Functional, x: Any) -> Array:
    """What the model's methods are given: numpy's own arrays."""
    return np.array(model.keras.ops.convert_to_numpy(x))


def by_method(method: str) -> Make:
    """A method that takes targets, here ones, with a learning rate of 0 and a metric that keeps what it was shown."""

    def make(model: Functional) -> Call:
        keras: Any = model.keras

        class Seen(keras.metrics.Metric):  # type: ignore[misc]
            """The network's output."""

            def __init__(self) -> None:
                keras.metrics.Metric.__init__(self, name="seen")
                self.output = self.add_variable(model.output_shape, "zeros", name="output")

            def update_state(self, target: Any, y: Any, sample_weight: Any = None) -> None:
                self.output.assign(y)

            def result(self) -> Any:
                return keras.ops.sum(self.output)

        seen = Seen()
        model.net.compile(
            optimizer=keras.optimizers.SGD(0.0), loss=lambda target, y: keras.ops.sum(target * y), metrics=[seen]
        )

        def ask(x: Any) -> Any:
            getattr(model.net, method)(numbers(model, x), np.ones(model.output_shape, np.float32))
            return keras.ops.convert_to_numpy(seen.output)

        return ask

    return make


METHOD = "net.compile(keras.optimizers.SGD(0.0), loss, metrics=[seen])\nnet.{}(x, ones)"
for name, method, intent, contract in (
    ("test-on-batch", "test_on_batch", "inference", contracts.EVALUATE),
    ("train-on-batch.learning-rate-0", "train_on_batch", "training", contracts.TRAIN_ON_BATCH),
):
    EVERY.mode("model." + name, intent, METHOD.format(method), contract, "prediction", default=True)(by_method(method))


class Read:
    """What was read back: it predicts."""

    def __init__(self, predict: Callable[[Any], Any]) -> None:
        self.predict = predict


def export_mode(name: str, call: str, contract: Contract, default: bool = False) -> Callable[[Make], Make]:
    """An export mode."""
    return EVERY.mode("export." + name, "inference", call, contract, "export", default=default)


@export_mode(
    "keras",
    "net.save('network.keras')\nkeras.saving.load_model('network.keras')(x, training=False)",
    contracts.SAVED,
    default=True,
)
def file(model: Functional) -> Call:
    """The whole model in one file."""

    def export(folder: str) -> Read:
        path = os.path.join(folder, "network.keras")
        model.net.save(path)
        twin = model.keras.saving.load_model(path)
        return Read(lambda x: twin(x, training=False))

    return export


@export_mode(
    "weights", "net.save_weights('network.weights.h5')\ntwin.load_weights('network.weights.h5')", contracts.SAVED
)
def weights(model: Functional) -> Call:
    """The weights alone, into a clone of the model."""

    def export(folder: str) -> Read:
        path = os.path.join(folder, "network.weights.h5")
        model.net.save_weights(path)
        twin = model.keras.models.clone_model(model.net)
        twin.load_weights(path)
        return Read(lambda x: twin(x, training=False))

    return export


TABLES = (TENSORFLOW, JAX, TORCH, EVERY)
