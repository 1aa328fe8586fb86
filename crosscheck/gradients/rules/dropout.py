"""Dropout, in inference form."""

from __future__ import annotations

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, only
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]

RATIO, TRAINING_MODE = 1, 2


def _dropout(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The identity. Raises NetworkError if the third input (since opset 12) enables dropout."""
    if call.has(TRAINING_MODE) and call.constant(TRAINING_MODE, "its training_mode").any():
        ratio = call.constant(RATIO, "its ratio") if call.has(RATIO) else None
        if ratio is None or ratio.any():
            raise call.refusal("drops at random (training_mode is true); export it in inference form")
    return [only(cotangents), *[None] * (len(call.inputs) - 1)]


RULES: dict[str, Rule] = {"Dropout": _dropout}
