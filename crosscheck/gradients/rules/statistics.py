"""The statistics of a batch, and the moving statistics that training leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx

from crosscheck.gradients.call import Call
from crosscheck.gradients.writer import Writer

__all__ = [
    "UPDATED",
    "Updates",
    "along_channels",
    "batch_statistics",
    "epsilon_of",
    "moments",
    "per_channel",
    "reduced_axes",
    "uses_batch",
    "widen_type",
    "widened",
]

#: Since this opset an attribute selects the batch's own statistics; before, the number of outputs did.
TRAINING_BY_ATTRIBUTE = 14
#: How the description of an updated statistic begins.
UPDATED = "the moving statistic "
#: Outputs of the earlier training form: y, running mean and variance, saved mean and variance.
SAVED = 3


class Updates:
    """The updated moving statistics of all layers, in the order of execution.

    Nodes with the same scale, bias, mean and variance are one layer that runs several times; each run updates what the
    one before left. An exporter that stores equal tensors once may give several layers the same statistics; a tensor
    that is a mean here and a bias or variance there shows it, and such layers are updated one by one.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self.outputs: list[onnx.ValueInfoProto] = []
        layers = [call for call in calls if call.training and call.node.op_type == "BatchNormalization"]
        roles = {(name, role) for call in layers for role, name in enumerate(call.inputs[1:])}
        uses = Counter(name for name, _ in roles)
        self._layers = {call.index: self._names(call, uses) for call in layers}
        self._runs = Counter(self._layers.values())
        self._done: Counter[tuple[str, ...]] = Counter()
        self._latest: dict[tuple[tuple[str, ...], int], str] = {}

    def old(self, call: Call, index: int) -> str:
        """What a statistic, the i-th input, is before this run."""
        return self._latest.get((self._layers[call.index], index), call.inputs[index])

    def is_last(self, call: Call) -> bool:
        """Whether this run is the layer's last."""
        layer = self._layers[call.index]
        return self._done[layer] + 1 == self._runs[layer]

    def add(self, call: Call, index: int, new: str) -> None:
        """Record a statistic after this run: an output of the model if the run is the last."""
        self._latest[self._layers[call.index], index] = new
        if self.is_last(call):
            kind = onnx.helper.np_dtype_to_tensor_dtype(call.dtype(index))
            times = self._runs[self._layers[call.index]]
            count = f"{times} updates, the last" if times > 1 else "an update"
            text = f"{UPDATED}{call.inputs[index]} after {count} by node {call.title}"
            self.outputs.append(onnx.helper.make_tensor_value_info(new, kind, [call.sizes(1)[0]], text))

    def finish(self, call: Call) -> None:
        """Count this run."""
        self._done[self._layers[call.index]] += 1

    @staticmethod
    def _names(call: Call, uses: Counter[str]) -> tuple[str, ...]:
        """What tells a layer from others. uses: as how many of a layer's inputs each tensor is used."""
        names = tuple(call.inputs[1:])
        merged = any(uses[name] > 1 for name in names)
        return (*names, str(call.index)) if merged else names


def batch_statistics(writer: Writer, call: Call, updates: Updates) -> None:
    """Write a BatchNormalization with the batch's own statistics; the would-be updates, (channels,), are outputs.

    Statistics and updates are ONNX's: population variance, running = old * momentum + batch's * (1 - momentum). A node
    already in training form keeps the names of its outputs, and its updates are of its inputs. Computes in the widest
    of the input types, at least float32, which the specification asks for.
    """
    if any(call.outputs[SAVED:]):
        raise call.refusal("outputs the statistics saved for the gradient; export it with three outputs or one")
    widen_type(writer, call)
    momentum = float(call.get("momentum", 0.9))
    x, scale, bias = (widened(writer, call, index) for index in range(3))
    mean, centred, variance, inverse = moments(writer, x, reduced_axes(call), epsilon_of(call))
    scaled = writer.node("Mul", writer.node("Mul", centred, inverse), along_channels(writer, call, scale))
    y = writer.node("Add", scaled, along_channels(writer, call, bias))
    _write_as(writer, y, call.outputs[0], call.dtype(0), "batch_norm")
    for index, new in ((3, mean), (4, variance)):
        named = call.outputs[index - 2] if index - 2 < len(call.outputs) else ""
        old = call.inputs[index] if named else updates.old(call, index)
        kept = writer.node("Mul", _as_type(writer, old, call.dtype(index)), writer.constant(momentum))
        total = writer.node("Add", kept, writer.node("Mul", writer.reshape(new, [-1]), writer.constant(1 - momentum)))
        base = f"{call.inputs[index]}.running"
        name = named or writer.fresh(base if updates.is_last(call) else f"{base}.{call.node.name or call.index}")
        _write_as(writer, total, name, call.dtype(index), "running")
        if not named:
            updates.add(call, index, name)
    updates.finish(call)


def moments(writer: Writer, x: str, axes: list[int], epsilon: float) -> tuple[str, str, str, str]:
    """The mean over `axes`, x - mean, population variance and 1 / sqrt(variance + epsilon); axes stay, of size one.

    Operators of the forward pass are reused.
    """
    mean = writer.reduce("ReduceMean", x, axes)
    centred = writer.node("Sub", x, mean)
    variance = writer.reduce("ReduceMean", writer.node("Mul", centred, centred), axes)
    spread = writer.node("Sqrt", writer.node("Add", variance, writer.constant(epsilon)))
    return mean, centred, variance, writer.node("Reciprocal", spread)


def uses_batch(call: Call) -> bool:
    """Whether a batch normalization uses the batch's own statistics."""
    if call.facts.opset >= TRAINING_BY_ATTRIBUTE:
        return call.training or bool(call.get("training_mode", 0))
    return call.training or any(call.outputs[1:])


def epsilon_of(call: Call) -> float:
    """The number that is added to the variance."""
    return float(call.get("epsilon", 1e-5))


def reduced_axes(call: Call) -> list[int]:
    """All axes but the channels'."""
    return [axis for axis in range(call.rank(0)) if axis != 1]


def per_channel(call: Call) -> list[int]:
    """The shape that broadcasts a (channels,) tensor over the input."""
    return [-1 if axis == 1 else 1 for axis in range(call.rank(0))]


def along_channels(writer: Writer, call: Call, values: str) -> str:
    """A (channels,) tensor in the shape that broadcasts over the input."""
    return writer.reshape(values, per_channel(call))


def widen_type(writer: Writer, call: Call) -> None:
    """Compute from here on in the widest type of a batch normalization's inputs, at least float32."""
    types = {call.dtype(index) for index in range(5)}
    writer.dtype = np.dtype(np.float64 if np.dtype(np.float64) in types else np.float32)


def widened(writer: Writer, call: Call, index: int) -> str:
    """The i-th input in the type that is computed in."""
    return _as_type(writer, call.inputs[index], call.dtype(index))


def _as_type(writer: Writer, x: str, dtype: np.dtype[np.generic]) -> str:
    return x if dtype == writer.dtype else writer.cast(x, writer.dtype)


def _write_as(writer: Writer, x: str, name: str, dtype: np.dtype[np.generic], title: str) -> None:
    """Give a computed tensor a name of the model and its type."""
    node = onnx.helper.make_node("Identity", [x], [name], name=writer.fresh(title))
    if dtype != writer.dtype:
        node.op_type = "Cast"
        node.attribute.append(onnx.helper.make_attribute("to", onnx.helper.np_dtype_to_tensor_dtype(dtype)))
    writer.nodes.append(node)
