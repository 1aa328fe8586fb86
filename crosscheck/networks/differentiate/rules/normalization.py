"""Normalizations: by moving statistics, by the batch's, by an instance's, by a layer's."""

from __future__ import annotations

import onnx

from crosscheck.networks.differentiate.call import Call
from crosscheck.networks.differentiate.rules.rule import Cotangents, Gradients, Rule
from crosscheck.networks.differentiate.writer import Writer

__all__ = ["RULES", "batch_statistics"]


def batch_statistics(writer: Writer, call: Call) -> list[onnx.ValueInfoProto]:
    """Write a BatchNormalization with the batch's own statistics; the would-be updates, (channels,), are outputs.

    Statistics and updates are ONNX's: population variance, running = old * momentum + batch's * (1 - momentum).
    """
    x, scale, bias, mean, variance = call.inputs
    momentum = float(call.get("momentum", 0.9))
    ours, inverse = _moments(writer, call, x)
    centred = writer.node("Sub", x, ours)
    normal = writer.node("Mul", centred, inverse)
    shape = _per_channel(call)
    scaled = writer.node("Mul", normal, writer.reshape(scale, shape))
    y = writer.node("Add", scaled, writer.reshape(bias, shape))
    writer.nodes.append(onnx.helper.make_node("Identity", [y], call.outputs[:1], name=writer.fresh("batch_norm")))
    population = writer.reduce("ReduceMean", writer.node("Mul", centred, centred), _reduced(call))
    updates = []
    for old, new in ((mean, ours), (variance, population)):
        kept = writer.node("Mul", old, writer.constant(momentum))
        added = writer.node("Mul", writer.reshape(new, [-1]), writer.constant(1 - momentum))
        name = f"{old}.running"
        writer.nodes.append(onnx.helper.make_node("Add", [kept, added], [name], name=writer.fresh("running")))
        kind = onnx.helper.np_dtype_to_tensor_dtype(call.dtype(0))
        updates.append(onnx.helper.make_tensor_value_info(name, kind, [call.sizes(1)[0]]))
    return updates


def _batch_norm(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    raise NotImplementedError


def _reduced(call: Call) -> list[int]:
    """All axes but the channels'."""
    return [axis for axis in range(call.rank(0)) if axis != 1]


def _per_channel(call: Call) -> list[int]:
    """The shape under which a tensor of one number a channel broadcasts over the input."""
    return [-1 if axis == 1 else 1 for axis in range(call.rank(0))]


def _moments(writer: Writer, call: Call, x: str) -> tuple[str, str]:
    """The batch's mean, and 1 / sqrt(population variance + epsilon), with axes of size one."""
    mean = writer.reduce("ReduceMean", x, _reduced(call))
    centred = writer.node("Sub", x, mean)
    variance = writer.reduce("ReduceMean", writer.node("Mul", centred, centred), _reduced(call))
    epsilon = writer.constant(float(call.get("epsilon", 1e-5)))
    return mean, writer.node("Reciprocal", writer.node("Sqrt", writer.node("Add", variance, epsilon)))


RULES: dict[str, Rule] = {"BatchNormalization": _batch_norm}
