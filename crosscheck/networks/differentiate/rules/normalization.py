"""Normalizations: batch (moving or batch statistics), instance, layer and local response."""

from __future__ import annotations

import numpy as np
import onnx

from crosscheck.networks.differentiate.call import Call
from crosscheck.networks.differentiate.rules.rule import Cotangents, Gradients, Rule, as_input, only
from crosscheck.networks.differentiate.writer import Writer

__all__ = ["RULES", "batch_statistics"]

#: Since this opset an attribute selects the batch's own statistics; before, the number of outputs did.
TRAINING_BY_ATTRIBUTE = 14
#: Outputs of the earlier training form: y, running mean and variance, saved mean and variance.
SAVED = 3


def batch_statistics(writer: Writer, call: Call) -> list[onnx.ValueInfoProto]:
    """Write a BatchNormalization with the batch's own statistics; the would-be updates, (channels,), are outputs.

    Statistics and updates are ONNX's: population variance, running = old * momentum + batch's * (1 - momentum). A node
    already in training form keeps the names of its outputs.
    """
    if any(call.outputs[SAVED:]):
        raise call.refusal("outputs the statistics saved for the gradient; export it with three outputs or one")
    scale, bias, old_mean, old_variance = call.inputs[1:]
    momentum = float(np.float32(call.get("momentum", 0.9)))
    mean, centred, variance, inverse = _moments(writer, call, _reduced(call))
    scaled = writer.node("Mul", writer.node("Mul", centred, inverse), _broadcast(writer, call, scale))
    y = writer.node("Add", scaled, _broadcast(writer, call, bias))
    writer.nodes.append(onnx.helper.make_node("Identity", [y], call.outputs[:1], name=writer.fresh("batch_norm")))
    updates = []
    for index, old, new in ((1, old_mean, mean), (2, old_variance, variance)):
        kept = writer.node("Mul", old, writer.constant(momentum))
        added = writer.node("Mul", writer.reshape(new, [-1]), writer.constant(1 - momentum))
        named = call.outputs[index] if index < len(call.outputs) else ""
        name = named or writer.fresh(f"{old}.running")
        writer.nodes.append(onnx.helper.make_node("Add", [kept, added], [name], name=writer.fresh("running")))
        kind = onnx.helper.np_dtype_to_tensor_dtype(call.dtype(0))
        if not named:
            updates.append(onnx.helper.make_tensor_value_info(name, kind, [call.sizes(1)[0]]))
    return updates


def _batch_norm(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """By moving statistics: dx = dy * scale / sqrt(variance + epsilon). By the batch's: `_through_moments`."""
    cotangent = _of_first(call, cotangents)
    call.only_first("a parameter or statistic")
    scale, variance = call.inputs[1], call.inputs[4]
    if _by_batch(call):
        scaled = writer.node("Mul", cotangent, _broadcast(writer, call, scale))
        return [_through_moments(writer, call, scaled, _reduced(call)), None, None, None, None]
    numbers = [call.facts.value(scale), call.facts.value(variance)]
    if numbers[0] is not None and numbers[1] is not None:
        factor = numbers[0].astype(np.float64) / np.sqrt(numbers[1].astype(np.float64) + _epsilon(call))
        slope = writer.constant(factor.reshape(_per_channel(call)).astype(call.dtype(0)))
    else:
        spread = writer.node("Sqrt", writer.node("Add", variance, writer.constant(_epsilon(call))))
        slope = _broadcast(writer, call, writer.node("Div", scale, spread))
    return [writer.node("Mul", cotangent, slope), None, None, None, None]


def _instance_norm(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    call.only_first("a parameter")
    scaled = writer.node("Mul", only(cotangents), _broadcast(writer, call, call.inputs[1]))
    return [_through_moments(writer, call, scaled, list(range(2, call.rank(0)))), None, None]


def _layer_norm(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """Computed in the input's type; `stash_type` would reduce a float64 layer's statistics to float32."""
    cotangent = _of_first(call, cotangents)
    call.only_first("a parameter")
    axes = list(range(int(call.get("axis", -1)) % call.rank(0), call.rank(0)))
    scaled = writer.node("Mul", cotangent, call.inputs[1])
    return [_through_moments(writer, call, scaled, axes), *[None] * (len(call.inputs) - 1)]


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


def _moments(writer: Writer, call: Call, axes: list[int]) -> tuple[str, str, str, str]:
    """The mean over `axes`, x - mean, population variance and 1 / sqrt(variance + epsilon); axes stay, of size one.

    Operators of the forward pass are reused.
    """
    mean = writer.reduce("ReduceMean", call.inputs[0], axes)
    centred = writer.node("Sub", call.inputs[0], mean)
    variance = writer.reduce("ReduceMean", writer.node("Mul", centred, centred), axes)
    spread = writer.node("Sqrt", writer.node("Add", variance, writer.constant(_epsilon(call))))
    return mean, centred, variance, writer.node("Reciprocal", spread)


def _through_moments(writer: Writer, call: Call, cotangent: str, axes: list[int]) -> str:
    """Propagate a cotangent through n = (x - mean) * r with r = 1 / sqrt(variance + epsilon).

    Both statistics are x's own over `axes`. With g the cotangent of n, the gradient is
    r * (g - mean(g) - n * mean(g * n)): the formulas of Ioffe and Szegedy 2015, section 3, combined.
    """
    _, centred, _, inverse = _moments(writer, call, axes)
    normal = writer.node("Mul", centred, inverse)
    along = writer.node("Mul", normal, writer.reduce("ReduceMean", writer.node("Mul", cotangent, normal), axes))
    rest = writer.node("Sub", cotangent, writer.reduce("ReduceMean", cotangent, axes))
    return writer.node("Mul", inverse, writer.node("Sub", rest, along))


def _by_batch(call: Call) -> bool:
    if call.facts.opset >= TRAINING_BY_ATTRIBUTE:
        return call.training or bool(call.get("training_mode", 0))
    return call.training or any(call.outputs[1:])


def _of_first(call: Call, cotangents: Cotangents) -> str:
    """The cotangent of the first output. Raises NetworkError if another output has one."""
    for name, other in list(zip(call.outputs, cotangents, strict=True))[1:]:
        if other is not None:
            raise call.refusal(f"hands {name!r} on to the differentiated output; only its first output has a gradient")
    return only(cotangents)


def _epsilon(call: Call) -> float:
    """The attribute; attributes are float32, the default included."""
    return float(np.float32(call.get("epsilon", 1e-5)))


def _reduced(call: Call) -> list[int]:
    """All axes but the channels'."""
    return [axis for axis in range(call.rank(0)) if axis != 1]


def _per_channel(call: Call) -> list[int]:
    """The shape that broadcasts a (channels,) tensor over the input."""
    return [-1 if axis == 1 else 1 for axis in range(call.rank(0))]


def _broadcast(writer: Writer, call: Call, values: str) -> str:
    return writer.reshape(values, _per_channel(call))


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response,
    "LayerNormalization": _layer_norm,
}
