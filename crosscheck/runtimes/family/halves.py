"""Modules with a training mode and an evaluation mode: the same call on one in either."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from crosscheck.runtimes.mode import CUT, Contract, Modes

__all__ = ["HALVES", "Halves"]

#: What `train()` and `eval()` intend.
HALVES = {"train": "training", "eval": "inference"}


class Halves(Modes):
    """Modes that mostly come in two halves.

    evaluation: what is documented of modules in evaluation mode. plain: the arguments of `Modes`.
    """

    def __init__(self, evaluation: Contract, **plain: Any) -> None:
        super().__init__(**plain)
        self.evaluation = evaluation

    def halves(
        self,
        name: str,
        training: Contract,
        text: str,
        evaluation: Contract | None = None,
        asks: str = "gradient",
        before: str = "",
        default: Collection[str] = (),
        only: Iterable[str] = HALVES,
        paired: bool = True,
        **more: Any,
    ) -> None:
        """Add two modes: `{}` in the name is "train" or "eval"; after `before` comes `net.train()` or `net.eval()`.

        default: which of them are part of the default matrix. only: which to add, in this order. paired: whether
        `order` executes the one in training before the one in evaluation, else what the API's modes do. more: fields of
        both.
        """
        for half in only:
            contract = training if half == "train" else evaluation or self.evaluation
            fields = {"leaves": half, "default": half in default, **more}
            if asks == "gradient" and half == "eval" and paired:
                fields["training"] = name.format("train")
            add = {"gradient": self.gradient, "prediction": self.prediction, "export": self.export}[asks]
            add(name.format(half), HALVES[half], contract, f"{before}net.{half}()\n{text}", **fields)

    def switched(self, name: str, training: Contract, switched: Contract, text: str, **more: Any) -> None:
        """Add two gradients of a module that is switched before the backward pass: "train-then-eval", and back.

        training, switched: what is documented of a forward pass in training, and of one in evaluation. text: with a
        line `---`. more: fields of both.
        """
        for first, second in (("train", "eval"), ("eval", "train")):
            self.gradient(
                f"{first}-then-{second}.{name}",
                HALVES[first],
                training if first == "train" else switched,
                f"net.{first}()\n" + text.replace(CUT, f"net.{second}()\n{CUT}"),
                **{"leaves": second, **more},
            )
