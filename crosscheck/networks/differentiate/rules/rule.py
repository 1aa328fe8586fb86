"""The type of a rule, and what many rules need: sums over the axes along which an input was broadcast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crosscheck.networks.differentiate.call import Call
from crosscheck.networks.differentiate.writer import Writer

__all__ = ["Cotangents", "Gradients", "Rule", "unbroadcast"]

Cotangents = Sequence[str | None]
Gradients = list[str | None]
Rule = Callable[[Writer, Call, Cotangents], Gradients]


def unbroadcast(writer: Writer, call: Call, gradient: str, index: int) -> str:
    """Sum `gradient`, of the output's shape, over the axes along which the i-th input was broadcast.

    Raises NetworkError where the sizes do not tell along which.
    """
    shape = call.shape(index)
    output = call.facts.shape(call.outputs[0])
    if output is None:
        raise call.refusal("has an output whose rank is unknown; export the model with shapes")
    missing = len(output) - len(shape)
    axes = list(range(missing))
    for axis, (size, broadcast) in enumerate(zip(shape, output[missing:], strict=True), missing):
        if size == broadcast and size is not None:
            continue
        if size != 1:
            raise call.refusal(f"may or may not broadcast axis {axis} of {call.inputs[index]!r}; export it with sizes")
        axes.append(axis)
    if not axes:
        return gradient
    summed = writer.reduce("ReduceSum", gradient, axes)
    return writer.squeeze(summed, list(range(missing))) if missing else summed
