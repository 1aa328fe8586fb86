"""Normalizations: batch (moving or batch statistics), instance, layer and local response."""

from __future__ import annotations

import numpy as np

from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, as_input, only, unbroadcast
from crosscheck.gradients.rules.statistics import (
    along_channels,
    epsilon_of,
    moments,
    per_channel,
    reduced_axes,
    uses_batch,
    widen_type,
    widened,
)
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]


def _batch_norm(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """By the batch's statistics, or by moving ones: dx = dy * scale / sqrt(variance + epsilon)."""
    cotangent = _of_first(call, cotangents)
    if uses_batch(call):
        return _by_batch(writer, call, cotangent)
    gradients: Gradients = [None] * 5
    scale, variance = call.inputs[1], call.inputs[4]
    numbers = [call.facts.value(scale), call.facts.value(variance)]
    if call.wanted[0] and numbers[0] is not None and numbers[1] is not None:
        with np.errstate(all="ignore"):  # a variance may be wrong
            factor = numbers[0].astype(np.float64) / np.sqrt(numbers[1].astype(np.float64) + epsilon_of(call))
        slope = writer.constant(factor.reshape(per_channel(call)).astype(call.dtype(0)))
        gradients[0] = writer.node("Mul", cotangent, slope)
        if not any(call.wanted[1:]):
            return gradients
    return [known or gradient for known, gradient in zip(gradients, _by_moving(writer, call, cotangent), strict=True)]


def _by_moving(writer: Writer, call: Call, cotangent: str) -> Gradients:
    """The gradients by all five inputs of y = (x - mean) * r * scale + bias, where r = 1 / sqrt(variance + epsilon)."""
    widen_type(writer, call)
    x, scale, _, mean, variance = (widened(writer, call, index) for index in range(5))
    cotangent = writer.cast(cotangent, writer.dtype) if call.dtype(0) != writer.dtype else cotangent
    root = writer.node("Reciprocal", writer.node("Sqrt", writer.plus(variance, epsilon_of(call))))
    slope = writer.node("Mul", scale, root)
    gradients: Gradients = [None] * 5
    if call.wanted[0]:
        gradients[0] = writer.node("Mul", cotangent, along_channels(writer, call, slope))
    if call.wanted[2] or call.wanted[3]:
        total = _over_channels(writer, call, cotangent)
        gradients[2] = total
        gradients[3] = writer.node("Neg", writer.node("Mul", total, slope))
    if call.wanted[1] or call.wanted[4]:
        centred = writer.node("Sub", x, along_channels(writer, call, mean))
        total = writer.node("Mul", _over_channels(writer, call, writer.node("Mul", cotangent, centred)), root)
        gradients[1] = total
        curve = writer.node("Mul", writer.times(slope, -0.5), root)
        gradients[4] = writer.node("Mul", total, curve)
    return _narrowed(writer, call, gradients)


def _by_batch(writer: Writer, call: Call, cotangent: str) -> Gradients:
    """Through the batch's own statistics; nothing depends on the moving ones."""
    widen_type(writer, call)
    cotangent = writer.cast(cotangent, writer.dtype) if call.dtype(0) != writer.dtype else cotangent
    x, scale = widened(writer, call, 0), widened(writer, call, 1)
    gradients: Gradients = [None] * 5
    if call.wanted[0]:
        scaled = writer.node("Mul", cotangent, along_channels(writer, call, scale))
        gradients[0] = _through_moments(writer, x, scaled, reduced_axes(call), epsilon_of(call))
    if call.wanted[1]:
        normal = _normal(writer, x, reduced_axes(call), epsilon_of(call))
        gradients[1] = _over_channels(writer, call, writer.node("Mul", cotangent, normal))
    if call.wanted[2]:
        gradients[2] = _over_channels(writer, call, cotangent)
    return _narrowed(writer, call, gradients)


def _over_channels(writer: Writer, call: Call, x: str) -> str:
    """The sum over all axes but the channels': (channels,)."""
    axes = reduced_axes(call)
    total = writer.reduce("ReduceSum", x, axes) if axes else x
    return writer.reshape(total, [-1])


def _narrowed(writer: Writer, call: Call, gradients: Gradients) -> Gradients:
    """Gradients in the types of their inputs."""
    return [
        writer.cast(gradient, call.dtype(index)) if gradient and call.dtype(index) != writer.dtype else gradient
        for index, gradient in enumerate(gradients)
    ]


def _instance_norm(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    return _normalized(writer, call, only(cotangents), list(range(2, call.rank(0))), per_channel(call))


def _layer_norm(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Computed in the input's type; `stash_type` would reduce a float64 layer's statistics to float32."""
    axes = list(range(int(call.get("axis", -1)) % call.rank(0), call.rank(0)))
    return _normalized(writer, call, _of_first(call, cotangents), axes, None)


def _normalized(writer: Writer, call: Call, cotangent: str, axes: list[int], shape: list[int] | None) -> Gradients:
    """The gradients of y = n * scale + bias, where n is x normalized over `axes`.

    shape: that the parameters are reshaped to; None where they broadcast as they are.
    """
    x, scale = call.inputs[:2]
    gradients: Gradients = [None] * len(call.inputs)
    if call.wanted[0]:
        broadcast = scale if shape is None else writer.reshape(scale, shape)
        scaled = writer.node("Mul", cotangent, broadcast)
        gradients[0] = _through_moments(writer, x, scaled, axes, epsilon_of(call))
    normal = _normal(writer, x, axes, epsilon_of(call)) if call.wanted[1] else ""
    for index in range(1, len(call.inputs)):
        if call.wanted[index]:
            product = writer.node("Mul", cotangent, normal) if index == 1 else cotangent
            summed = (
                unbroadcast(writer, call, product, index) if shape is None else _over_channels(writer, call, product)
            )
            gradients[index] = summed
    return gradients


def _local_response(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Where y = x * D^-beta, and D = bias + alpha / size * (the sum of x^2 over channels nearby, W as a matrix).

    dx = dy * D^-beta - 2 * alpha * beta / size * x * W^T (dy * x * D^(-beta - 1)).
    """
    size, beta = int(call.get("size", 0)), float(call.get("beta", 0.75))
    share = float(call.get("alpha", 1e-4)) / size
    channels = call.sizes(0, 1)[0]
    where = np.arange(channels)
    before, after = (size - 1) // 2, size // 2
    near = (where >= where[:, None] - before) & (where <= where[:, None] + after)
    window = near.astype(call.dtype(0))
    x, cotangent = (writer.reshape(name, [0, channels, -1]) for name in (call.inputs[0], only(cotangents)))
    total = writer.node("MatMul", writer.constant(window), writer.node("Mul", x, x))
    base = writer.node("Mul", total, writer.constant(share))
    base = writer.node("Add", base, writer.constant(float(call.get("bias", 1.0))))
    direct = writer.node("Mul", cotangent, writer.node("Pow", base, writer.constant(-beta)))
    spread = writer.node("MatMul", writer.constant(window.T), writer.node("Div", writer.node("Mul", direct, x), base))
    through = writer.node("Mul", writer.node("Mul", x, spread), writer.constant(2 * beta * share))
    return [as_input(writer, call, writer.node("Sub", direct, through))]


def _through_moments(writer: Writer, x: str, cotangent: str, axes: list[int], epsilon: float) -> str:
    """Propagate a cotangent through n = (x - mean) * r with r = 1 / sqrt(variance + epsilon).

    Both statistics are x's own over `axes`. With g the cotangent of n, the gradient is
    r * (g - mean(g) - n * mean(g * n)): the formulas of Ioffe and Szegedy 2015, section 3, combined.
    """
    _, centred, _, inverse = moments(writer, x, axes, epsilon)
    normal = writer.node("Mul", centred, inverse)
    along = writer.node("Mul", normal, writer.reduce("ReduceMean", writer.node("Mul", cotangent, normal), axes))
    rest = writer.node("Sub", cotangent, writer.reduce("ReduceMean", cotangent, axes))
    return writer.node("Mul", inverse, writer.node("Sub", rest, along))


def _normal(writer: Writer, x: str, axes: list[int], epsilon: float) -> str:
    """(x - mean) / sqrt(variance + epsilon)."""
    _, centred, _, inverse = moments(writer, x, axes, epsilon)
    return writer.node("Mul", centred, inverse)


def _of_first(call: Call, cotangents: Cotangents) -> str:
    """The cotangent of the first output. Raises NetworkError if another output has one."""
    for name, other in list(zip(call.outputs, cotangents, strict=True))[1:]:
        if other is not None:
            raise call.refusal(f"hands {name!r} on to the differentiated output; only its first output has a gradient")
    return only(cotangents)


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response,
    "LayerNormalization": _layer_norm,
}
