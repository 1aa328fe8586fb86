"""Gradient tapes over a Keras model: called at once, traced, compiled, recomputed, frozen.

A name begins with the way in which the gradient is taken or with what is done to the layers before; its last word says
which mode the network is called in: `train`, `eval`, or `unset` where nobody says. Calls are made once for a model, as
users define a `tf.function` once.
"""

import os
from typing import Any, Callable, Dict, Optional

import numpy as np

from crosscheck.probe.adapter import Array, Contract, Network
from crosscheck.probe.keras_layers import Layers, Maker, Place, from_keras
from crosscheck.probe.modes import INTENT, Between, Call, Make, Table
from crosscheck.runtimes.tensorflow import contracts

TABLE = Table(inference="tape.eval", training="tape.train", since="2.0", kind="eager")


class Eager:
    """A functional model of `tf.keras`, whose variables are written at once."""

    def __init__(self, tf: Any, network: Network, shares: Optional["Eager"], norm: Dict[str, Any]) -> None:
        self.tf = tf
        self.layers: Layers = shares.layers if shares else {}
        maker = Maker(
            tf.keras, lambda x, pads, value: tf.pad(x, pads, constant_values=value), network, self.layers, norm
        )
        self.net = maker.model(network.graph)
        for layer, values in maker.fresh:
            layer.set_weights(values + layer.get_weights()[len(values) :])
        self.places: Dict[str, Place] = maker.places
        shown = {id(place.variable) for place in self.places.values()}
        self.hidden = [weight for layer in self.layers.values() for weight in layer.weights if id(weight) not in shown]
        self.output_shape = (network.batch,) + tuple(network.graph["outputs"][0]["shape"][1:])
        self.folder = os.path.join(network.scratch, "saved-{}".format(id(self)))
        self.calls: Dict[str, Call] = {}

    def predict(self, x: Any) -> Any:
        """A call in inference mode."""
        return self.net(x, training=False)

    def state(self) -> Dict[str, Array]:
        """All weights, those that no other runtime has, too, the layers' flags, and what the optimizer has counted."""
        found = self.parameters()
        found.update({variable.name: np.array(variable) for variable in self.hidden})
        found["trainable"] = np.array([bool(layer.trainable) for layer in self.layers.values()], np.int64)
        optimizer = getattr(self.net, "optimizer", None)
        if optimizer is not None:
            found["optimizer.iterations"] = np.array(optimizer.iterations)
        return found

    def parameters(self) -> Dict[str, Array]:
        """What `weights` shows: the statistics, too."""
        return {name: from_keras(place.attribute, np.array(place.variable)) for name, place in self.places.items()}


def gradient(tf: Any, forward: Callable[[Any], Any], x: Any, cotangent: Any, between: Between) -> Any:
    """d sum(forward(x) * cotangent) / d x, by a tape."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = forward(x)
    between()
    return tape.gradient(y, x, output_gradients=cotangent)


def nothing() -> None:
    """In a traced function nobody can look between forward and backward."""


def call_in(half: str, net: Any) -> Callable[[Any], Any]:
    """The model as a function of its input, in training mode, in inference mode, or without a word about that."""
    if half == "unset":
        return lambda x: net(x)
    return lambda x: net(x, training=half == "train")


CALLS = {"train": "net(x, training=True)", "eval": "net(x, training=False)", "unset": "net(x)"}
CONTRACT = {"train": contracts.TRAINING, "eval": contracts.INFERENCE, "unset": contracts.UNSET}
TAPE = (
    "with tf.GradientTape() as tape:\n    tape.watch(x)\n    y = {}\n"
    "dx = tape.gradient(y, x, output_gradients=cotangent)"
)
TRACED = "{}\ndef input_gradient(x, cotangent):\n    " + TAPE.replace("\n", "\n    ").replace("dx =", "return")


def halves(
    name: str,
    text: str,
    make: Callable[[str], Make],
    training: Contract = contracts.TRAINING,
    inference: Contract = contracts.INFERENCE,
    unset: Contract = contracts.UNSET,
    default: str = "",
    since: Optional[str] = None,
    until: Optional[str] = None,
) -> None:
    """The same way of asking in training mode, in inference mode, and without a word; `default`: which are asked."""
    for half, contract in (("train", training), ("eval", inference), ("unset", unset)):
        TABLE.mode(
            "{}.{}".format(name, half),
            INTENT[half],
            text.format(CALLS[half]),
            contract,
            default=half in default.split(),
            since=since,
            until=until,
        )(make(half))


def at_once(half: str) -> Make:
    """Eager execution."""

    def make(tf: Any, model: Eager) -> Call:
        return lambda x, cotangent, between: gradient(tf, call_in(half, model.net), x, cotangent, between)

    return make


def traced(**keywords: bool) -> Callable[[str], Make]:
    """`tf.function` around forward and backward."""

    def in_half(half: str) -> Make:
        def make(tf: Any, model: Eager) -> Call:
            def input_gradient(x: Any, cotangent: Any) -> Any:
                return gradient(tf, call_in(half, model.net), x, cotangent, nothing)

            function = tf.function(input_gradient, **keywords)
            return lambda x, cotangent, between: function(x, cotangent)

        return make

    return in_half


def traced_forward(half: str) -> Make:
    """`tf.function` around forward alone, the tape outside."""

    def make(tf: Any, model: Eager) -> Call:
        forward = tf.function(call_in(half, model.net))
        return lambda x, cotangent, between: gradient(tf, forward, x, cotangent, between)

    return make


def concrete(half: str) -> Make:
    """The concrete function of one signature, taken out of a `tf.function`; the tape outside."""

    def make(tf: Any, model: Eager) -> Call:
        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            if "concrete" not in model.calls:
                signature = tf.TensorSpec(x.shape, x.dtype)
                model.calls["concrete"] = tf.function(call_in(half, model.net)).get_concrete_function(signature)

            def forward(x: Any) -> Any:
                y = model.calls["concrete"](x)
                return y[0] if isinstance(y, (list, tuple)) else y

            return gradient(tf, forward, x, cotangent, between)

        return ask

    return make


def recomputed(half: str) -> Make:
    """Activations are not kept; backpropagation runs the function again."""

    def make(tf: Any, model: Eager) -> Call:
        forward = tf.recompute_grad(call_in(half, model.net))
        return lambda x, cotangent, between: gradient(tf, forward, x, cotangent, between)

    return make


def jacobian(half: str) -> Make:
    """The Jacobian of the whole network, contracted with the cotangent."""

    def make(tf: Any, model: Eager) -> Call:
        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = call_in(half, model.net)(x)
            between()
            whole = tape.jacobian(y, x)
            return tf.tensordot(cotangent, whole, axes=len(cotangent.shape))

        return ask

    return make


halves("tape", TAPE, at_once, default="train eval unset")
halves("function", TRACED.replace("{}", "@tf.function", 1), traced(), contracts.TRACED_TRAINING, default="train eval")
halves(
    "function-forward",
    TAPE.replace("{}", "tf.function(lambda x: {})(x)"),
    traced_forward,
    contracts.TRACED_TRAINING,
)
halves(
    "jit",
    TRACED.replace("{}", "@tf.function(jit_compile=True)", 1),
    traced(jit_compile=True),
    contracts.TRACED_TRAINING,
    since="2.5",
)
halves(
    "concrete",
    "forward = tf.function(lambda x: {}).get_concrete_function(tf.TensorSpec(x.shape, x.dtype))\n"
    + TAPE.replace("{}", "forward(x)"),
    concrete,
    contracts.TRACED_TRAINING,
)
halves(
    "recompute",
    "forward = tf.recompute_grad(lambda x: {})\n" + TAPE.replace("{}", "forward(x)"),
    recomputed,
    contracts.RECOMPUTE,
    contracts.RECOMPUTE_INFERENCE,
    default="train",
)
halves(
    "jacobian",
    "with tf.GradientTape() as tape:\n    tape.watch(x)\n    y = {}\n"
    "tf.tensordot(cotangent, tape.jacobian(y, x), len(cotangent.shape))",
    jacobian,
)


def freeze(tf: Any, model: Eager) -> None:
    """The whole network."""
    model.net.trainable = False


def freeze_batch_norms(tf: Any, model: Eager) -> None:
    """Its batch normalizations."""
    for layer in model.net.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.trainable = False


FREEZE = "net.trainable = False\n"
FREEZE_LAYERS = (
    "for layer in net.layers:\n    if isinstance(layer, tf.keras.layers.BatchNormalization):\n"
    "        layer.trainable = False\n"
)
for name, text, prepare in (
    ("trainable-false", FREEZE, freeze),
    ("trainable-false-layers", FREEZE_LAYERS, freeze_batch_norms),
):
    for way, code, make in (
        ("", TAPE, at_once),
        ("-function", TRACED.replace("{}", "@tf.function", 1), traced()),
    ):
        TABLE.mode(
            name + way + ".train",
            "inference",
            text + code.format(CALLS["train"]),
            contracts.FROZEN,
            default=not way,
            prepare=prepare,
        )(make("train"))


def traced_then_frozen(tf: Any, model: Eager) -> Call:
    """The function was traced when the network could still be trained; then the network is frozen."""

    def input_gradient(x: Any, cotangent: Any) -> Any:
        return gradient(tf, call_in("train", model.net), x, cotangent, nothing)

    function = tf.function(input_gradient)

    def ask(x: Any, cotangent: Any, between: Between) -> Any:
        function.get_concrete_function(x, cotangent)
        model.net.trainable = False
        return function(x, cotangent)

    return ask


TABLE.mode(
    "function-then-trainable-false.train",
    "inference",
    TRACED.replace("{}", "@tf.function", 1).format(CALLS["train"])
    + "\ninput_gradient.get_concrete_function(x, cotangent)\nnet.trainable = False\ndx = input_gradient(x, cotangent)",
    contracts.TRACED_FROZEN,
)(traced_then_frozen)


def inside(tf: Any, model: Eager) -> Call:
    """A model around the network that calls it in inference mode, itself called in training mode."""
    x = tf.keras.Input(shape=model.net.input_shape[1:])
    outer = tf.keras.Model(x, model.net(x, training=False))
    return lambda x, cotangent, between: gradient(tf, call_in("train", outer), x, cotangent, between)


TABLE.mode(
    "inside.train",
    "inference",
    "x = tf.keras.Input(shape)\nouter = tf.keras.Model(x, net(x, training=False))\n"
    + TAPE.format("outer(x, training=True)"),
    contracts.INSIDE,
    default=True,
)(inside)


#: The last release before TensorFlow took Keras 3 for its Keras.
BEFORE_KERAS_3 = "2.15.1"


def learning_phase(value: int) -> Make:
    """The global learning phase, the network called without a word."""

    def make(tf: Any, model: Eager) -> Call:
        def ask(x: Any, cotangent: Any, between: Between) -> Any:
            tf.keras.backend.set_learning_phase(value)
            dx = gradient(tf, call_in("unset", model.net), x, cotangent, between)
            tf.keras.backend.set_learning_phase(0)
            return dx

        return ask

    return make


for value, half in ((1, "train"), (0, "eval")):
    TABLE.mode(
        "learning-phase.{}".format(half),
        INTENT[half],
        "tf.keras.backend.set_learning_phase({})\n{}\ntf.keras.backend.set_learning_phase(0)".format(
            value, TAPE.format("net(x)")
        ),
        contracts.LEARNING_PHASE,
        until=BEFORE_KERAS_3,
        default=half == "train",
    )(learning_phase(value))
