"""The same network with fewer rows, channels, pixels or digits.

Channels and pixels are cut consistently: what is removed from a tensor is removed from everything computed with it, in
parameters, probe input and cotangent. All functions return None where the graph does not allow the cut; the oracle
evaluates every result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from crosscheck import oracle
from crosscheck.cells import Array
from crosscheck.networks.graph import Node
from crosscheck.networks.network import Network
from crosscheck.subnetworks.parts import built, data_inputs, short, values

__all__ = ["differentiable", "with_channels", "with_digits", "with_integers", "with_pixels", "with_rows"]

#: What is kept of a tensor: the indices along each axis but the first.
Kept = tuple[tuple[int, ...], ...]

#: Operators whose output has one channel for each channel of their (first) input.
CHANNELWISE = ("Add", "AveragePool", "BatchNormalization", "GlobalAveragePool", "MaxPool", "Relu", "Softmax")
#: Operators of each entry by itself.
ENTRYWISE = (
    *("Clip", "Div", "Elu", "Erf", "HardSigmoid", "LeakyRelu", "Mul", "Sigmoid", "Softplus", "Sqrt", "Sub", "Tanh"),
)
#: The largest magnitude of a weight after `with_integers`.
LARGEST = 9
#: A float32 rounding or two, relative to the largest entry of the probe input.
NUDGE = 1e-6
#: A gradient that changes by more of its largest entry when its input is nudged has a kink there.
KINK = 1e-3


class _CannotBeCut(Exception):
    """The graph does not allow this cut."""


def with_rows(network: Network, rows: Sequence[int]) -> Network | None:
    """The network with these rows of probe input and cotangent; None for no rows."""
    if not rows:
        return None
    chosen = list(rows)
    return built(
        network,
        f"{network.name}:rows-{_listed(chosen)}",
        f"{network.title}, {len(chosen)} of {len(network.x)} rows",
        x=network.x[chosen],
        cotangent=network.cotangent[chosen],
    )


def with_channels(network: Network, tensor: str, kept: Sequence[int]) -> Network | None:
    """The network with these channels (indices along axis 1) of a tensor: the network's input or a node's output.

    Layers that depend on a removed channel lose it, too: the kernels of a convolution, the columns of a dense layer,
    the statistics of a batch normalization, the other branch of an Add; a Concat loses a branch without channels. None
    if input or output would have no channels left.
    """
    channels = _Channels(network)
    every = channels.of[tensor]
    removed = {channels.root(channel) for index, channel in enumerate(every) if index not in set(kept)}
    x = network.graph["inputs"][0]["name"]
    first = tuple(index for index, channel in enumerate(channels.of[x]) if channels.root(channel) not in removed)
    start: Kept = (first, *(tuple(range(size)) for size in network.x.shape[2:]))
    return _cut(
        network,
        start,
        lambda name: tuple(n for n, channel in enumerate(channels.of[name]) if channels.root(channel) not in removed),
        f"{tensor}-channels-{_listed(list(kept))}",
        f"{len(kept)} of {len(every)} channels of {tensor}",
    )


def with_pixels(network: Network, kept: Sequence[range]) -> Network | None:
    """The network whose probe input is cropped to these ranges, one for each spatial axis.

    Outputs of windows lose what lies outside; a dense layer after Flatten keeps the columns of the entries that stay.
    None if the input has no such axes, a window does not fit any more, or branches no longer have one size.
    """
    if not kept or len(kept) != network.x.ndim - 2 or not all(kept):
        return None
    shapes = {tensor: value.shape for tensor, value in values(network).items()}
    return _cut(
        network,
        (tuple(range(network.x.shape[1])), *map(tuple, kept)),
        lambda name: tuple(range(shapes[name][1])),
        "pixels-" + "x".join(_listed(list(axis)) for axis in kept),
        f"cropped to {'x'.join(str(len(axis)) for axis in kept)}",
    )


def with_digits(network: Network, digits: int) -> Network:
    """The network with weights, probe input and cotangent rounded to so many significant decimal digits."""

    def rounded(array: Array) -> Array:
        texts = [f"{number:.{digits - 1}e}" for number in array.ravel().tolist()]
        return np.array(texts, np.float64).astype(np.float32).reshape(array.shape)

    return built(
        network,
        f"{network.name}:digits-{digits}",
        f"{network.title}, {digits} significant digits",
        weights={name: rounded(value) for name, value in network.weights.items()},
        x=rounded(network.x),
        cotangent=rounded(network.cotangent),
    )


def with_integers(network: Network, new_norms: bool = False) -> Network:
    """The network with small integers alone.

    Entries of the probe input become their rank from 1 on, so that they stay distinct and in order; each parameter and
    the cotangent is scaled to at most 9 in magnitude, with nothing that was not zero rounded to zero; variances stay
    positive. With `new_norms`, batch normalizations are as before any training: scale 1, bias 0, mean 0, variance 1.
    """

    def scaled(array: Array) -> Array:
        most = float(np.abs(array).max(initial=0.0))
        if most == 0 or not np.isfinite(most):
            return array
        steps = np.rint(array / most * LARGEST)
        return np.where((steps == 0) & (array != 0), np.sign(array), steps).astype(np.float32)

    weights = {name: scaled(value) for name, value in network.weights.items()}
    if new_norms:
        for norm in network.batch_norms:
            for name, value in ((norm.scale, 1), (norm.bias, 0), (norm.mean, 0), (norm.variance, 1)):
                weights[name] = np.full_like(weights[name], value)
    ranks = np.unique(network.x, return_inverse=True)[1].reshape(network.x.shape) + 1
    return built(
        network,
        f"{network.name}:integers",
        f"{network.title}, in small integers",
        weights=weights,
        x=ranks.astype(np.float32),
        cotangent=scaled(network.cotangent),
    )


def differentiable(network: Network) -> bool:
    """Whether both modes' input gradients are continuous at the probe input.

    At a kink (equal largest entries of a pooling window, a zero before a Relu) runtimes may rightly differ. Nudges the
    probe input by some float32 roundings, in two random directions, and compares the oracle's gradients.
    """
    directions = np.random.default_rng(0).choice([-1.0, 1.0], (2, *network.x.shape))
    scale = NUDGE * float(np.abs(network.x).max(initial=0.0))
    x = np.asarray(network.x, np.float64)
    for training in (False, True):
        with np.errstate(all="ignore"):
            at, *beside = (
                oracle.gradient(network.graph, network.weights, place, network.cotangent, training)
                for place in (x, *(x + scale * direction for direction in directions))
            )
        tolerance = KINK * np.abs(at).max()
        if not all(np.abs(other - at).max() <= tolerance or np.abs(other).max() < KINK**2 for other in beside):
            return False
    return True


class _Channels:
    """Which channels of a network's tensors can only be removed together. `of`: tensor -> its channels, as labels."""

    def __init__(self, network: Network) -> None:
        self._parents: list[int] = []
        self.of: dict[str, list[int]] = {}
        shapes = {tensor: value.shape for tensor, value in values(network).items()}
        x = network.graph["inputs"][0]["name"]
        self.of[x] = self._new(shapes[x][1])
        for node in network.graph["nodes"]:
            inputs = [self.of[tensor] for tensor in data_inputs(network, node)]
            self.of[node["outputs"][0]] = self._through(node, inputs, shapes)

    def root(self, channel: int) -> int:
        """The label of a channel's group."""
        while self._parents[channel] != channel:
            channel = self._parents[channel]
        return channel

    def _new(self, count: int) -> list[int]:
        start = len(self._parents)
        self._parents += range(start, start + count)
        return list(range(start, start + count))

    def _join(self, channels: Sequence[int]) -> None:
        for one, other in pairwise(channels):
            self._parents[self.root(other)] = self.root(one)

    def _through(self, node: Node, inputs: list[list[int]], shapes: Mapping[str, tuple[int, ...]]) -> list[int]:
        output = shapes[node["outputs"][0]]
        if node["op"] in CHANNELWISE + ENTRYWISE or (node["op"] == "Concat" and node["attributes"]["axis"] != 1):
            if len(set(map(len, inputs))) > 1:  # one channel is broadcast to all
                self._join([channel for channels in inputs for channel in channels])
                return max(inputs, key=len)
            for together in zip(*inputs, strict=True):
                self._join(together)
            return inputs[0]
        if node["op"] == "Concat":
            return [channel for channels in inputs for channel in channels]
        if node["op"] == "Flatten":
            return [channel for channel in inputs[0] for _ in range(output[1] // len(inputs[0]))]
        made = self._new(output[1])
        group = node["attributes"].get("group", 1)
        if group > 1:  # a group of a convolution is removed as a whole
            for members in zip(np.split(np.array(inputs[0]), group), np.split(np.array(made), group), strict=True):
                self._join(np.concatenate(members).tolist())
        return made


def _cut(
    network: Network, start: Kept, channels: Callable[[str], tuple[int, ...]], name: str, what: str
) -> Network | None:
    """The network of which only `start` of the input is kept, and `channels(tensor)` of each later tensor."""
    x = network.graph["inputs"][0]["name"]
    shapes = {tensor: value.shape for tensor, value in values(network).items()}
    kept: dict[str, Kept] = {x: start}
    weights: dict[str, Array] = {}
    nodes: list[Node] = []
    try:
        for node in network.graph["nodes"]:
            inputs = [tensor for tensor in data_inputs(network, node) if kept[tensor][0]]
            produced = node["op"] not in ("Conv", "Gemm") or channels(node["outputs"][0])
            if not inputs or not produced:
                kept[node["outputs"][0]] = ((),)
                continue
            nodes.append(_smaller(network, node, inputs, kept, channels, shapes, weights))
        output = kept[network.graph["outputs"][0]["name"]]
    except _CannotBeCut:
        return None
    if not start[0] or not all(output):
        return None
    return built(
        network,
        f"{network.name}:{short(name)}",
        f"{network.title}, {what}",
        nodes=nodes,
        weights=weights,
        x=_part(network.x, start),
        cotangent=_part(network.cotangent, output),
    )


def _smaller(
    network: Network,
    node: Node,
    inputs: list[str],
    kept: dict[str, Kept],
    channels: Callable[[str], tuple[int, ...]],
    shapes: Mapping[str, tuple[int, ...]],
    weights: dict[str, Array],
) -> Node:
    """The node with its parameters cut; adds its output to `kept`, and its parameters to `weights`."""
    op, attributes, output = node["op"], dict(node["attributes"]), node["outputs"][0]
    data = kept[inputs[0]]
    parameters = [tensor for tensor in node["inputs"] if tensor in network.weights]
    cuts: list[tuple[tuple[int, ...], ...]] = []
    if op == "Concat":
        kept[output] = _joined(data_inputs(network, node), kept, shapes, attributes["axis"] - 1)
    elif op == "Flatten":
        size = int(np.prod(shapes[inputs[0]][2:]))
        inside = np.arange(size).reshape(shapes[inputs[0]][2:])[np.ix_(*data[1:])].ravel()
        kept[output] = (tuple(channel * size + int(place) for channel in data[0] for place in inside),)
    elif op == "Gemm":
        kept[output] = (channels(output),)
        cuts = [(kept[output][0], data[0]), (kept[output][0],)]
    elif op == "GlobalAveragePool":
        kept[output] = (data[0], *(tuple(range(1)) for _ in data[1:]))
    elif op in ("Conv", "AveragePool", "MaxPool"):
        out = channels(output) if op == "Conv" else data[0]
        kept[output] = (out, *_windows(attributes, data[1:], shapes[output][2:]))
        if op == "Conv":
            cuts = _kernels(network.weights[parameters[0]], attributes, out, data[0])
    elif op in CHANNELWISE + ENTRYWISE:
        if any(kept[tensor] != data for tensor in data_inputs(network, node)):
            raise _CannotBeCut
        kept[output] = data
        cuts = [
            (data[0],) if op == "BatchNormalization" else _spread(network.weights[name], data) for name in parameters
        ]
    else:
        raise _CannotBeCut
    for tensor, cut in zip(parameters, cuts, strict=False):
        smaller = network.weights[tensor][np.ix_(*cut)] if all(cut) else None
        # Two layers that share a parameter can be cut in the same way only.
        if smaller is None or (tensor in weights and not np.array_equal(weights[tensor], smaller)):
            raise _CannotBeCut
        weights[tensor] = smaller
    return Node(op=op, name=node["name"], inputs=[*inputs, *parameters], outputs=[output], attributes=attributes)


def _spread(constant: Array, data: Kept) -> tuple[tuple[int, ...], ...]:
    """What is kept of a constant that broadcasts to a tensor of which `data` is kept."""
    sizes = constant.shape[1:]
    return ((0,), *((0,) if size == 1 else here for size, here in zip(sizes, data, strict=True)))


def _joined(parts: Sequence[str], kept: Mapping[str, Kept], shapes: Mapping[str, tuple[int, ...]], axis: int) -> Kept:
    """What is kept of a Concat along `axis` (0: channels); its parts agree in the others, except empty ones."""
    left = [kept[tensor] for tensor in parts if kept[tensor][0]]
    if any(part[:axis] + part[axis + 1 :] != left[0][:axis] + left[0][axis + 1 :] for part in left):
        raise _CannotBeCut
    indices: list[int] = []
    start = 0
    for tensor in parts:
        indices += [start + index for index in kept[tensor][axis]] if kept[tensor][0] else []
        start += shapes[tensor][1 + axis]
    return (*left[0][:axis], tuple(indices), *left[0][axis + 1 :])


def _windows(
    attributes: Mapping[str, Any], data: Sequence[Sequence[int]], sizes: Sequence[int]
) -> list[tuple[int, ...]]:
    """The positions of a window's outputs that are kept, for each spatial axis; `sizes` are those before the cut."""
    axes = len(data)
    kept = []
    for axis, (inside, size) in enumerate(zip(data, sizes, strict=True)):
        stride, pads = attributes["strides"][axis], attributes["pads"][axis] + attributes["pads"][axes + axis]
        reach = (attributes["kernel_shape"][axis] - 1) * attributes.get("dilations", [1] * axes)[axis] + 1
        count = (len(inside) + pads - reach) // stride + 1
        if len(inside) + pads < reach or count > size:
            raise _CannotBeCut
        first = min(inside[0] // stride, size - count)
        kept.append(tuple(range(first, first + count)))
    return kept


def _kernels(
    weight: Array, attributes: dict[str, Any], out: tuple[int, ...], into: tuple[int, ...]
) -> list[tuple[tuple[int, ...], ...]]:
    """The cuts of a convolution's weight and bias; lowers `group` to the number of groups that are left."""
    group, width = attributes["group"], weight.shape[1]
    if group > 1:
        attributes["group"] = len({channel // width for channel in into})
        into = tuple(range(width))
    return [(out, into, *(tuple(range(size)) for size in weight.shape[2:])), (out,)]


def _part(array: Array, kept: Kept) -> Array:
    """What is kept of an array with rows."""
    return array[np.ix_(range(len(array)), *kept)]


def _listed(indices: Sequence[int]) -> str:
    """Indices as ranges: `0..2_5`."""
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return short("_".join(str(low) if low == high else f"{low}..{high}" for low, high in ranges))
