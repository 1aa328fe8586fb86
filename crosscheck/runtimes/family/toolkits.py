"""Toolkits: one call in each state in which they find their user's network."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from crosscheck import probe
from crosscheck.runtimes.answer import COMPLETENESS, OTHER, SCORE
from crosscheck.runtimes.family import keras
from crosscheck.runtimes.family.torch import FROZEN, MODULES
from crosscheck.runtimes.mode import CUT, Contract, Edition, Modes

__all__ = [
    "KERAS",
    "KERAS_LAYER",
    "KERAS_TARGET",
    "MXNET",
    "STATES",
    "TENSORFLOW_TARGET",
    "VISION",
    "State",
    "Toolkit",
]


class State(NamedTuple):
    """A state of a network.

    lines: what puts it there. leaves: what they put the flags into. intent: what a gradient then is. norm: what the
    batch normalizations are told when the network is made.
    """

    lines: str
    leaves: str
    intent: str
    norm: Mapping[str, Any] = MappingProxyType({})


#: Of a torch module: as its constructor leaves it, which is training; in evaluation; with batch normalizations frozen;
#: and in evaluation, with gradients on the parameters that are not to be lost.
STATES = {
    "train": State("net.train()\n", "train", "training"),
    "eval": State("net.eval()\n", "eval", "inference"),
    "frozen": State(FROZEN, "frozen", "inference"),
    "gradients": State("net.eval()\n(net(x) * cotangent).sum().backward()\n", "eval", "inference"),
}
#: Of a Keras model, which has no mode but that of a call: as it is, and with its batch normalizations not trainable.
KERAS = {
    "eval": State("", "", "inference"),
    "frozen": State("", "", "inference", {keras.FROZEN: "layers"}),
}
#: Of MXNet, which has no mode flags either: outside of `autograd.record` a network predicts. Gradients on parameters
#: are lost in the next backward pass, unless `grad_req` is "add".
MXNET = {
    "eval": State("", "", "inference"),
    "gradients": State(
        """\
net.collect_params().setattr("grad_req", "add")
with autograd.record(train_mode=False):
    loss = mx.nd.sum(net(x) * cotangent)
loss.backward(train_mode=False)
""",
        "",
        "inference",
    ),
}
#: The classes that are asked for, one a row: numbers of torch, of numpy, of TensorFlow.
TARGET = "target = cotangent.argmax(1)\n"
KERAS_TARGET = "target = cotangent.numpy().argmax(1)\n"
TENSORFLOW_TARGET = "target = tf.argmax(cotangent, axis=1)\n"
#: The last convolution, which class activation maps are asked of.
LAYER = "layer = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)][-1]\n"
KERAS_LAYER = "layer = [layer for layer in net.layers if isinstance(layer, layers.Conv2D)][-1]\n"
#: The lines that make torchvision importable.
VISION = Path(probe.__file__).with_name("vision.py").read_text(encoding="utf-8").partition("import torch\n\n")[2]


class Toolkit(Modes):
    """Collects the modes of a toolkit: `<state>.<call>`.

    plain: the call whose answers are plain gradients, for comparison; None for none. evaluates: whether that call gives
    the gradient in evaluation whatever the state, so that `order` has none in training. once: the toolkit's imports.
    states: by name; a torch module's, if not said. target: the line that sets `target`. layer: the line that sets
    `layer`. kind: as in `Mode`; of torch, activations as modules, which toolkits put hooks on.
    """

    def __init__(
        self,
        plain: str | None = None,
        once: str = "",
        states: Mapping[str, State] = STATES,
        target: str = TARGET,
        layer: str = LAYER,
        kind: str = MODULES,
        evaluates: bool = False,
    ) -> None:
        inference = None if plain is None else f"eval.{plain}"
        training = None if plain is None or evaluates or "train" not in states else f"train.{plain}"
        super().__init__(inference=inference, training=training, kind=kind)
        self.once, self.states, self.target, self.layer = once, states, target, layer

    def call(
        self,
        name: str,
        contract: Contract,
        text: str,
        answers: str,
        once: str = "",
        before: str = "",
        states: Iterable[str] | None = None,
        default: Collection[str] = ("train", "eval"),
        evaluates: bool = False,
        trains: bool = False,
        older: Mapping[str, tuple[str, str]] = MappingProxyType({}),
        **more: Any,
    ) -> None:
        """Add a call that sets `dx`, in each state; the text may use `target`, and `layer`, the last convolution.

        The user's part gets the lines that set those of them that the call's texts name.

        answers: as in `Mode`. once: what a user writes once, beside the toolkit's imports. before: what is the user's
        own before the call, in the given state: a seed. states: their names; all, if not said. default: the states of
        the default matrix. evaluates, trains: whether the call by itself puts the network into evaluation, or training
        mode, so that its author wants that gradient. older: last release -> the text and `once` of releases up to it,
        the oldest first.
        """
        for state in self.states if states is None else states:
            lines, leaves, intent, norm = self.states[state]
            plain = {} if answers == SCORE else {"inference": None, "training": None}
            # Layers that were made to infer do so in a call that trains, too.
            wanted = "inference" if evaluates or norm else "training" if trains else intent
            # Batch statistics that depend on the baselines, too, have no completeness.
            known = OTHER if wanted == "training" and answers.startswith(COMPLETENESS) else answers
            self.gradient(
                f"{state}.{name}",
                wanted,
                contract,
                lines + self.asked(before + text) + before + CUT + text,
                **{
                    "once": self.once + once,
                    "editions": tuple(
                        Edition(until, lines + self.asked(before + other) + before + CUT + other, first)
                        for until, (other, first) in older.items()
                    ),
                    "leaves": leaves,
                    "starts": state,
                    "answers": known,
                    "default": state in default,
                    "norm": dict(norm),
                    **plain,
                    **more,
                },
            )

    def asked(self, text: str) -> str:
        """The lines that set what a text names."""
        used = set(re.findall(r"\w+", text))
        return "".join(line for name, line in {"target": self.target, "layer": self.layer}.items() if name in used)
