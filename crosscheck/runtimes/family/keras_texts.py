"""What users of several Kerases write alike: calls and methods of a model, tapes, functions of the backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from textwrap import indent
from typing import Any

from crosscheck.runtimes.family.keras import FROZEN
from crosscheck.runtimes.mode import Contract, Modes

__all__ = [
    "CALLS",
    "INTENT",
    "LOOKS",
    "OUTER",
    "TAPE",
    "WEIGHTS",
    "backend_function",
    "called_function",
    "inside",
    "on_batches",
    "taped",
]

#: The last word of a mode's name -> how the model is called, and what for.
CALLS = {"train": "net(x, training=True)", "eval": "net(x, training=False)", "unset": "net(x)"}
INTENT = {"train": "training", "eval": "inference", "unset": "inference"}
TAPE = """\
with tf.GradientTape() as tape:
    tape.watch(x)
    {}
---
dx = tape.gradient(y, x, output_gradients=cotangent)
"""
#: A model around the network, which it calls in inference mode.
OUTER = """\
inputs = {keras}.Input(net.input_shape[1:])
outer = {keras}.Model(inputs, net(inputs, training=False))
"""
#: The weights alone, into a clone of the model.
WEIGHTS = """\
net.save_weights("network.weights.h5")
---
net = {keras}.models.clone_model(net)
net.load_weights("network.weights.h5")
"""
#: What a call may leave on a TensorFlow Keras model: the learning phase, where there is one, and of each layer itself,
#: its flag, its public attributes and its activation.
LOOKS = """\
def look():
    K = tf.keras.backend
    seen = {f"learning phase {K.learning_phase()}"} if hasattr(K, "learning_phase") else set()
    for layer in net.layers:
        seen.add(f"{layer.name}: {type(layer).__name__} at {id(layer):#x}, trainable={layer.trainable}")
        seen |= {f"{layer.name}.{key}" for key in vars(layer) if not key.startswith("_")}
        seen |= {f"{layer.name}.activation: {layer.activation}"} if hasattr(layer, "activation") else set()
    return seen
"""


def taped(call: str) -> str:
    """The gradient of a call by a tape."""
    return TAPE.format(f"y = {call}")


def inside(block: str, text: str) -> str:
    """The text in a `with` block, if there is one."""
    return block + indent(text, "    ") if block else text


def backend_function(phase: int | None, updates: str = "", block: str = "") -> tuple[str, str]:
    """The text and its first part: the gradient as a function of the backend.

    phase: what is fed as learning phase, if anything is. updates: which updates the function runs. block: a `with`.
    """
    return inside(block, _run(phase)), inside(block, _function("net.output", phase is not None, updates))


def called_function(call: str, phase: int | None, before: str = "", block: str = "") -> tuple[str, str]:
    """The same of another call of the model, after `before`."""
    return inside(block, _run(phase)), inside(
        block, f"{before}outputs = {call}\n{_function('outputs', phase is not None)}"
    )


def on_batches(
    to: Modes,
    api: str,
    contracts: Mapping[str, Contract],
    text: str,
    default: Collection[str] = ("test", "train", "frozen"),
    frozen: str = "inference",
    **more: Any,
) -> None:
    """Predictions by the methods of a compiled model for one batch, with a learning rate of 0.

    contracts: of the model when it is tested, trained and, if that is asked, trained though it is frozen. text: with
    `{}` for the method. frozen: the intent of training a frozen model. more: fields of all.
    """
    intents = {"test": "inference", "train": "training", "frozen": frozen}
    for what, contract in contracts.items():
        name = "test-on-batch" if what == "test" else "train-on-batch.learning-rate-0"
        to.prediction(
            f"{api}.trainable-false.{name}" if what == "frozen" else f"{api}.{name}",
            intents[what],
            contract,
            text.format("test_on_batch" if what == "test" else "train_on_batch"),
            norm={FROZEN: "network"} if what == "frozen" else {},
            default=what in default,
            **more,
        )


def _function(outputs: str, fed: bool, updates: str = "") -> str:
    inputs = "net.input, cotangents" + (", K.learning_phase()" if fed else "")
    return (
        f"gradient, = K.gradients(K.sum({outputs} * cotangents), [net.input])\n"
        f"function = K.function([{inputs}], [gradient]{updates and f', updates={updates}'})\n"
    )


def _run(phase: int | None) -> str:
    return f"dx, = function([x, cotangent{'' if phase is None else f', {phase}'}])\n"
