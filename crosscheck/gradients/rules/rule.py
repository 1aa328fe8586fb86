"""The type of a rule, and shared steps: sums over broadcast axes, and reshapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crosscheck.gradients.call import Call
from crosscheck.gradients.writer import Writer
from crosscheck.onnx_models.facts import Shape

__all__ = ["Cotangents", "Gradients", "Rule", "as_input", "chained", "only", "summed", "unbroadcast"]

#: ReduceSum takes its axes as an input since this opset.
AXES_COMPUTED = 13

Cotangents = Sequence[str | None]
Gradients = list[str | None]
Rule = Callable[[Writer, Call, Cotangents], Gradients]


def only(cotangents: Cotangents) -> str:
    """The cotangent of an operator's first output, for operators with one output."""
    cotangent = cotangents[0]
    assert cotangent is not None
    return cotangent


def chained(slope: Callable[[Writer, Call], str]) -> Rule:
    """The rule of an elementwise operator with one input: cotangent * slope."""

    def rule(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
        return [writer.node("Mul", only(cotangents), slope(writer, call))]

    return rule


def unbroadcast(writer: Writer, call: Call, gradient: str, index: int) -> str:
    """Sum `gradient`, of the first output's shape, over the axes along which the i-th input was broadcast.

    Raises NetworkError if unknown sizes leave the axes ambiguous.
    """
    output = call.facts.shape(call.outputs[0])
    if output is None:
        raise call.refusal("has an output whose rank is unknown; export the model with shapes")
    return summed(writer, call, gradient, output, index, call.shape(index))


def summed(writer: Writer, call: Call, gradient: str, shape: Shape, index: int, wanted: Shape) -> str:
    """Sum `gradient`, whose first axes are `shape`, to the axes `wanted`, which broadcast to `shape` as in NumPy.

    index: of the input that messages name. Raises NetworkError if unknown sizes leave the axes ambiguous.
    """
    missing = len(shape) - len(wanted)
    axes = list(range(missing))
    for axis, (size, broadcast) in enumerate(zip(wanted, shape[missing:], strict=True)):
        if size == broadcast and size is not None:
            continue
        if size != 1:
            if len(wanted) == call.rank(index) and writer.opset >= AXES_COMPUTED:
                return _summed_like(writer, gradient, call.inputs[index], missing)
            raise call.refusal(f"may or may not broadcast axis {axis} of {call.inputs[index]!r}; export it with sizes")
        axes.append(missing + axis)
    if not axes:
        return gradient
    total = writer.reduce("ReduceSum", gradient, axes)
    return writer.squeeze(total, list(range(missing))) if missing else total


def _summed_like(writer: Writer, gradient: str, x: str, missing: int) -> str:
    """Sum over the axes along which x was broadcast, determined from its shape at run time."""
    shape, gradient_shape = writer.node("Shape", x), writer.node("Shape", gradient)
    if missing:
        shape = writer.node("Concat", writer.integers([1] * missing), shape, axis=0)
    differ = writer.node("Not", writer.node("Equal", shape, gradient_shape))
    axes = writer.reshape(writer.node("NonZero", differ), [-1])
    total = writer.node("ReduceSum", gradient, axes, noop_with_empty_axes=1)
    return writer.reshape_like(total, x)


def as_input(writer: Writer, call: Call, gradient: str, index: int = 0) -> str:
    """Reshape `gradient`, which has as many elements as the i-th input, to that input's shape."""
    shape = call.facts.shape(call.inputs[index])
    # Some runtimes need a static shape; an axis of size 0 would mean "keep the size" in Reshape.
    if shape is not None and 0 not in shape and sum(not isinstance(size, int) for size in shape) <= 1:
        return writer.reshape(gradient, [size if isinstance(size, int) else -1 for size in shape])
    return writer.reshape_like(gradient, call.inputs[index])
