"""The same call on a module in training mode, and on one in evaluation mode."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from crosscheck.runtimes.mode import Contract, Contracts, Modes

contracts = Contracts(__file__)

__all__ = ["HALVES", "Halves"]

#: What `train()` and `eval()` intend.
HALVES = {"train": "training", "eval": "inference"}


class Halves(Modes):
    """Modes that mostly come in two halves."""

    def __init__(self) -> None:
        super().__init__(inference="eval.autograd-grad", training="train.autograd-grad")

    def halves(
        self,
        name: str,
        training: Contract,
        text: str,
        evaluation: Contract = contracts.EVALUATION,
        asks: str = "gradient",
        before: str = "",
        default: Collection[str] = (),
        **more: Any,
    ) -> None:
        """Add two modes: `{}` in the name is "train" or "eval"; after `before` comes `net.train()` or `net.eval()`.

        default: which of them are part of the default matrix. more: fields of both.
        """
        add = self.gradient if asks == "gradient" else self.prediction
        for half, intent in HALVES.items():
            contract = training if half == "train" else evaluation
            fields = {"leaves": half, "default": half in default, **more}
            if asks == "gradient" and intent == "inference":
                fields["training"] = name.format("train")
            add(name.format(half), intent, contract, f"{before}net.{half}()\n{text}", **fields)
