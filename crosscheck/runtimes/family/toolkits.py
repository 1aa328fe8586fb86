"""Toolkits that ask torch modules: one call in each state in which they find their user's network."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from crosscheck.runtimes.family.torch import FROZEN
from crosscheck.runtimes.mode import CUT, Contract, Modes

__all__ = ["STATES", "VISION", "Toolkit"]


class State(NamedTuple):
    """A state of a network: the lines that put it there, what they put the flags into, and what a gradient then is."""

    lines: str
    leaves: str
    intent: str


#: As its constructor leaves it, which is training; in evaluation; with batch normalizations frozen; and in evaluation,
#: with gradients on the parameters that are not to be lost.
STATES = {
    "train": State("net.train()\n", "train", "training"),
    "eval": State("net.eval()\n", "eval", "inference"),
    "frozen": State(FROZEN, "frozen", "inference"),
    "gradients": State("net.eval()\n(net(x) * cotangent).sum().backward()\n", "eval", "inference"),
}
#: The classes that are asked for, one a row.
TARGET = "target = cotangent.argmax(1)\n"
#: The last convolution, which class activation maps are asked of.
LAYER = "layer = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)][-1]\n"
#: PyPI's torchvision has a C extension for another build of torch. Python code of it can be imported where two of its
#: operators exist.
VISION = """\
if not hasattr(torch.ops.torchvision, "nms"):  # torchvision's import asks for two operators of its C extension
    vision = torch.library.Library("torchvision", "DEF")
    vision.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    vision.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
"""


class Toolkit(Modes):
    """Collects the modes of a toolkit: `<state>.<call>`.

    plain: the call whose answers are plain gradients, for comparison; None for none. once: the toolkit's imports.
    """

    def __init__(self, plain: str | None = None, once: str = "") -> None:
        inference, training = (None, None) if plain is None else (f"eval.{plain}", f"train.{plain}")
        super().__init__(inference=inference, training=training)
        self.once = once

    def call(
        self,
        name: str,
        contract: Contract,
        text: str,
        answers: str,
        once: str = "",
        before: str = "",
        states: Iterable[str] = STATES,
        default: Collection[str] = ("train", "eval"),
        evaluates: bool = False,
        **more: Any,
    ) -> None:
        """Add a call that sets `dx`, in each state; the text may use `target`, and `layer`, the last convolution.

        The user's part gets the lines that set those of them that the call's texts name.

        answers: as in `Mode`. once: what a user writes once, beside the toolkit's imports. before: what is
        the user's own before the call, in the given state: a seed. default: the states of the
        default matrix. evaluates: whether the documentation says that the call puts the network into evaluation mode.
        """
        for state in states:
            lines, leaves, intent = STATES[state]
            used = set(re.findall(r"\w+", before + text))
            asked = "".join(line for name, line in {"target": TARGET, "layer": LAYER}.items() if name in used)
            plain = {} if answers == "score" else {"inference": None, "training": None}
            self.gradient(
                f"{state}.{name}",
                "inference" if evaluates else intent,
                contract,
                lines + asked + before + CUT + text,
                **{
                    "once": self.once + once,
                    "leaves": leaves,
                    "starts": state,
                    "answers": answers,
                    "default": state in default,
                    **plain,
                    **more,
                },
            )
