"""The layers of the ONNX specification in NumPy, differentiable by autograd.

Each function takes the node's attributes and inputs. Some replace operators of onnx's
reference evaluator that do not follow the specification (in onnx 1.23):

    AveragePool          half of ceil_mode's padding at the end is added at the beginning, which shifts windows
    BatchNormalization   in opsets 9 to 13 statistics are updated before they are used
    ConvTranspose        raises for groups of several channels, and for output_shape without pads
    GlobalMaxPool        reduces the wrong axes unless there are four
    LRN                  uses the number of rows as that of channels; raises unless there are four axes
    MaxPool              SAME_LOWER loses a position; stride 1 with uneven pads raises or is wrong
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

import autograd.numpy as anp  # type: ignore[import-untyped]
import numpy as np
import onnx
from onnx.reference.op_run import OpRun

from crosscheck.cells import Array

__all__ = ["FORMULAS", "STAND_INS", "attributes_of"]

Attributes = Mapping[str, Any]
Tensor = Any  # a NumPy array, or autograd's box around one


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes, text decoded."""
    values = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in values.items()}


class Geometry:
    """Windows along one axis. places: input index of each window entry, (positions, entries). begin, end: pads."""

    def __init__(self, attributes: Attributes, axis: int, axes: int, size: int, width: int) -> None:
        stride = attributes.get("strides", [1] * axes)[axis]
        step = attributes.get("dilations", [1] * axes)[axis]
        pads, auto = attributes.get("pads", [0] * 2 * axes), attributes.get("auto_pad", "NOTSET")
        reach = (width - 1) * step + 1
        begin, end = (pads[axis], pads[axes + axis]) if auto == "NOTSET" else (0, 0)
        if auto.startswith("SAME"):
            count = math.ceil(size / stride)
            total = max(0, (count - 1) * stride + reach - size)
            begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
            end = total - begin
        elif attributes.get("ceil_mode", 0):
            count = math.ceil((size + begin + end - reach) / stride) + 1
            if (count - 1) * stride >= size + begin:
                count -= 1  # windows must start before the end
        else:
            count = (size + begin + end - reach) // stride + 1
        self.begin, self.end = begin, end
        self.places = np.arange(count)[:, None] * stride - begin + np.arange(width) * step


def windows(attributes: Attributes, x: Tensor, kernel: Sequence[int], fill: float) -> tuple[Tensor, list[Geometry]]:
    """Every window of x, (N, channels, *positions, *kernel), with `fill` outside x."""
    axes, sizes = len(kernel), x.shape[2:]
    along = [Geometry(attributes, axis, axes, sizes[axis], kernel[axis]) for axis in range(axes)]
    indices, inside = [], np.ones((), bool)
    for axis, geometry in enumerate(along):
        shape = [1] * 2 * axes
        shape[axis], shape[axes + axis] = geometry.places.shape
        places = geometry.places.reshape(shape)
        indices.append(np.clip(places, 0, sizes[axis] - 1))
        inside = inside & (places >= 0) & (places < sizes[axis])
    return anp.where(inside, x[(slice(None), slice(None), *indices)], fill), along


def conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    group, kernel, (rows, channels) = attributes.get("group", 1), weight.shape[2:], x.shape[:2]
    parts, along = windows(attributes, x, kernel, 0.0)
    positions = [len(geometry.places) for geometry in along]
    parts = anp.reshape(parts, (rows, group, channels // group, math.prod(positions), -1))
    kernels = anp.reshape(weight, (group, -1, channels // group, math.prod(kernel)))
    y = anp.reshape(anp.einsum("ngcpk,gock->ngop", parts, kernels), (rows, -1, *positions))
    return y if bias is None else y + anp.reshape(bias, (-1, *[1] * len(kernel)))


def conv_transpose(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    group, kernel, sizes = attributes.get("group", 1), weight.shape[2:], x.shape[2:]
    axes, auto = len(kernel), attributes.get("auto_pad", "NOTSET")
    strides, dilations, extra = (
        attributes.get(name, [default] * axes)
        for name, default in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    spreads = []
    for axis in range(axes):
        full = strides[axis] * (sizes[axis] - 1) + extra[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        pads = attributes.get("pads", [0] * 2 * axes)
        begin, size = pads[axis], full - pads[axis] - pads[axes + axis]
        if "output_shape" in attributes or auto.startswith("SAME"):
            size = attributes["output_shape"][axis] if "output_shape" in attributes else sizes[axis] * strides[axis]
            total = max(0, full - size)
            begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
        where = np.arange(sizes[axis])[:, None] * strides[axis] - begin + np.arange(kernel[axis]) * dilations[axis]
        spreads.append((np.arange(size)[:, None, None] == where).astype(float))
    a, b, c = string.ascii_lowercase[:axes], string.ascii_lowercase[5 : 5 + axes], string.ascii_uppercase[:axes]
    single = [f"{C}{p}{k}" for p, k, C in zip(a, b, c, strict=True)]
    x = anp.reshape(x, (x.shape[0], group, -1, *sizes))
    weight = anp.reshape(weight, (group, -1, *weight.shape[1:]))
    y = anp.einsum(f"xyz{a},yzw{b},{','.join(single)}->xyw{c}", x, weight, *spreads)
    y = anp.reshape(y, (y.shape[0], -1, *y.shape[3:]))
    return y if bias is None else y + anp.reshape(bias, (-1, *[1] * axes))


def max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    kernel = attributes["kernel_shape"]
    parts, _ = windows(attributes, x, kernel, -np.inf)
    return anp.max(parts, axis=tuple(range(-len(kernel), 0)))


def average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    kernel = attributes["kernel_shape"]
    parts, along = windows(attributes, x, kernel, 0.0)
    counts: Array = np.ones(())
    for size, geometry in zip(x.shape[2:], along, strict=True):
        first, last = 0, size
        if attributes.get("count_include_pad", 0):
            first, last = -geometry.begin, size + geometry.end
        counts = counts[..., None] * ((geometry.places >= first) & (geometry.places < last)).sum(axis=1)
    return anp.sum(parts, axis=tuple(range(-len(kernel), 0))) / counts


def normal(x: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    centred = x - anp.mean(x, axis=axes, keepdims=True)
    return centred / anp.sqrt(anp.mean(centred**2, axis=axes, keepdims=True) + epsilon)


def channelwise(values: Tensor, x: Tensor) -> Tensor:
    return anp.reshape(values, (1, -1, *[1] * (x.ndim - 2)))


def batch_norm(
    attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    epsilon = attributes.get("epsilon", 1e-5)
    if attributes.get("training_mode", 0):
        y = normal(x, (0, *range(2, x.ndim)), epsilon)
    else:
        y = (x - channelwise(mean, x)) / anp.sqrt(channelwise(variance, x) + epsilon)
    return y * channelwise(scale, x) + channelwise(bias, x)


def instance_norm(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    y = normal(x, tuple(range(2, x.ndim)), attributes.get("epsilon", 1e-5))
    return y * channelwise(scale, x) + channelwise(bias, x)


def layer_norm(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor = 0.0) -> Tensor:
    axes = tuple(range(attributes.get("axis", -1) % x.ndim, x.ndim))
    return normal(x, axes, attributes.get("epsilon", 1e-5)) * scale + bias


def local_response(attributes: Attributes, x: Tensor) -> Tensor:
    size, channels = attributes["size"], x.shape[1]
    total = []
    for channel in range(channels):
        first, last = max(0, channel - (size - 1) // 2), min(channels - 1, channel + math.ceil((size - 1) / 2))
        total.append(anp.sum(x[:, first : last + 1] ** 2, axis=1))
    base = attributes.get("bias", 1.0) + attributes.get("alpha", 1e-4) / size * anp.stack(total, axis=1)
    return x / base ** attributes.get("beta", 0.75)


FORMULAS: dict[str, Any] = {
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "GlobalAveragePool": lambda attributes, x: anp.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True),
    "GlobalMaxPool": lambda attributes, x: anp.max(x, axis=tuple(range(2, x.ndim)), keepdims=True),
    "InstanceNormalization": instance_norm,
    "LRN": local_response,
    "LayerNormalization": layer_norm,
    "MaxPool": max_pool,
}


class StandIn(OpRun):
    """Executes a node by its formula."""

    op_domain = ""

    def run(self, *inputs: Any, **_: Any) -> tuple[Array, ...]:
        attributes = attributes_of(self.onnx_node)
        y = np.asarray(FORMULAS[self.onnx_node.op_type](attributes, *inputs)).astype(inputs[0].dtype)
        if not attributes.get("training_mode", 0):
            return (y,)
        x, keep = inputs[0], attributes.get("momentum", 0.9)
        others = (0, *range(2, x.ndim))
        new = (x.mean(axis=others), x.var(axis=others))
        return (y, *(old * keep + value * (1 - keep) for old, value in zip(inputs[3:], new, strict=True)))

    def _run(self, *inputs: Any, **_: Any) -> tuple[Array, ...]:
        raise AssertionError("run does it all")


STAND_INS: list[type[OpRun]] = [
    type(name, (StandIn,), {})
    for name in ("AveragePool", "BatchNormalization", "ConvTranspose", "GlobalMaxPool", "LRN", "MaxPool")
]
