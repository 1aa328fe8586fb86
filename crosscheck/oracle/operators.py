"""The graph's operators in float64 NumPy, differentiable by the `autograd` package.

Formulas are those of the ONNX operator specification. Each function takes the node's attributes and its inputs, in the
order in which the graph lists them; x is (N, channels, *spatial) or (N, features).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import autograd.numpy as np  # type: ignore[import-untyped]
import numpy
from autograd.extend import defvjp, primitive  # type: ignore[import-untyped]
from autograd.tracer import getval  # type: ignore[import-untyped]

__all__ = ["OPERATORS", "batch_mean_and_variance", "by_batch", "normalize", "padded_windows", "renormalize"]

Attributes = Mapping[str, Any]
Tensor = Any  # a NumPy array, or autograd's box around one


def padded_windows(
    x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Sequence[int], fill: float
) -> Tensor:
    """Every complete window of x: (N, channels, *positions, *kernel). Borders are `pads` wide, filled with `fill`."""
    axes = len(kernel)
    padded = numpy.pad(
        x, [(0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)], mode="constant", constant_values=fill
    )
    reach = [(width - 1) * step + 1 for width, step in zip(kernel, dilations, strict=True)]
    view: Tensor = numpy.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + axes)))
    steps = [slice(None, None, step) for step in (*strides, *dilations)]
    return view[(slice(None), slice(None), *steps)]


def _spread_windows(
    cotangent: Tensor, x: Tensor, strides: Sequence[int], dilations: Sequence[int], pads: Sequence[int]
) -> Tensor:
    """The transpose of `padded_windows`: adds each window entry to its position in x (scatter-add)."""
    axes = len(strides)
    positions, kernel = cotangent.shape[2 : 2 + axes], cotangent.shape[2 + axes :]
    sizes = [size + pads[axis] + pads[axes + axis] for axis, size in enumerate(x.shape[2:])]
    padded = numpy.zeros((*x.shape[:2], *sizes), cotangent.dtype)
    for offset in itertools.product(*map(range, kernel)):
        starts = [entry * step for entry, step in zip(offset, dilations, strict=True)]
        where = [
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, positions, strides, strict=True)
        ]
        padded[(slice(None), slice(None), *where)] += cotangent[..., *offset]
    inside = [slice(pads[axis], pads[axis] + size) for axis, size in enumerate(x.shape[2:])]
    return padded[(slice(None), slice(None), *inside)]


# autograd is slow on strided slices and lacks sliding_window_view: both directions are implemented here.
_windows = primitive(padded_windows)
defvjp(
    _windows,
    lambda answer, x, kernel, strides, dilations, pads, fill: (
        lambda cotangent: _spread_windows(cotangent, x, strides, dilations, pads)
    ),
    argnums=(0,),
)


def _columns(x: Tensor, weight: Tensor, attributes: Attributes) -> Tensor:
    """Every window of x as a row: (group, N * positions, channels of a group * kernel)."""
    windows = padded_windows(
        x, attributes["kernel_shape"], attributes["strides"], attributes["dilations"], attributes["pads"], 0.0
    )
    axes, group = weight.ndim - 2, attributes["group"]
    grouped = windows.reshape(windows.shape[0], group, -1, *windows.shape[2:])
    # (group, N, positions..., channels of a group, kernel...)
    return numpy.moveaxis(grouped, (1, 2), (0, 2 + axes)).reshape(group, -1, weight[0].size)


def _kernels(weight: Tensor, group: int) -> Tensor:
    """(group, out / group, channels of a group * kernel)."""
    return weight.reshape(group, weight.shape[0] // group, -1)


def _in_groups(y: Tensor, group: int) -> Tensor:
    """An output (N, out, *positions) as (group, N * positions, out / group)."""
    grouped = y.reshape(y.shape[0], group, y.shape[1] // group, -1)
    return numpy.transpose(grouped, (1, 0, 3, 2)).reshape(group, -1, y.shape[1] // group)


def _correlate(x: Tensor, weight: Tensor, attributes: Attributes) -> Tensor:
    """Cross-correlation; output channel o of group g sums over that group's input channels."""
    axes, group = weight.ndim - 2, attributes["group"]
    reach = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], attributes["dilations"], strict=True)]
    pads = attributes["pads"]
    positions = [
        (size + before + after - width) // stride + 1
        for size, before, after, width, stride in zip(
            x.shape[2:], pads[:axes], pads[axes:], reach, attributes["strides"], strict=True
        )
    ]
    y = numpy.matmul(_columns(x, weight, attributes), numpy.swapaxes(_kernels(weight, group), 1, 2))
    y = y.reshape(group, x.shape[0], -1, y.shape[-1])
    return numpy.transpose(y, (1, 0, 3, 2)).reshape(x.shape[0], weight.shape[0], *positions)


def _correlation_of_x(cotangent: Tensor, x: Tensor, weight: Tensor, attributes: Attributes) -> Tensor:
    """The cotangent of x."""
    axes, group = weight.ndim - 2, attributes["group"]
    columns = numpy.matmul(_in_groups(cotangent, group), _kernels(weight, group))
    windows = columns.reshape(group, x.shape[0], *cotangent.shape[2:], -1, *weight.shape[2:])
    windows = numpy.moveaxis(windows, (0, 2 + axes), (1, 2))
    windows = windows.reshape(*x.shape[:2], *cotangent.shape[2:], *weight.shape[2:])
    return _spread_windows(windows, x, attributes["strides"], attributes["dilations"], attributes["pads"])


def _correlation_of_weight(cotangent: Tensor, x: Tensor, weight: Tensor, attributes: Attributes) -> Tensor:
    """The cotangent of the weight."""
    by_group = numpy.swapaxes(_in_groups(cotangent, attributes["group"]), 1, 2)
    return numpy.matmul(by_group, _columns(x, weight, attributes)).reshape(weight.shape)


# One step for autograd, which would keep the windows of every layer, nine times a layer's input for 3 x 3.
_correlation = primitive(_correlate)
defvjp(
    _correlation,
    lambda answer, x, weight, attributes: lambda cotangent: _correlation_of_x(cotangent, x, weight, attributes),
    lambda answer, x, weight, attributes: lambda cotangent: _correlation_of_weight(cotangent, x, weight, attributes),
    argnums=(0, 1),
)


def _conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    y = _correlation(x, weight, attributes)
    return y if bias is None else y + np.reshape(bias, (-1, *[1] * (weight.ndim - 2)))


def _max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    """Pads are never the largest. Several largest entries of a window share the gradient equally."""
    kernel = attributes["kernel_shape"]
    windows = _windows(x, kernel, attributes["strides"], [1] * len(kernel), attributes["pads"], -numpy.inf)
    return np.max(windows, axis=tuple(range(-len(kernel), 0)))


def _average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    kernel, strides, pads = attributes["kernel_shape"], attributes["strides"], attributes["pads"]
    over = tuple(range(-len(kernel), 0))
    total = np.sum(_windows(x, kernel, strides, [1] * len(kernel), pads, 0.0), axis=over)
    if attributes["count_include_pad"]:
        return total / numpy.prod(kernel)
    inside = padded_windows(numpy.ones((1, 1, *x.shape[2:])), kernel, strides, [1] * len(kernel), pads, 0.0)
    return total / inside.sum(axis=over)


def _softmax(attributes: Attributes, x: Tensor) -> Tensor:
    powers = np.exp(x - np.max(x, axis=attributes["axis"], keepdims=True))
    return powers / np.sum(powers, axis=attributes["axis"], keepdims=True)


def _erf(x: Any) -> Any:
    """The error function, entry by entry."""
    return numpy.vectorize(math.erf, otypes=[float])(x)


_error_function = primitive(_erf)
defvjp(_error_function, lambda answer, x: lambda cotangent: cotangent * 2 / math.sqrt(math.pi) * np.exp(-(x**2)))


def _clip(attributes: Attributes, x: Tensor) -> Tensor:
    return np.minimum(np.maximum(x, attributes["min"]), attributes["max"])


def _slice(attributes: Attributes, x: Tensor) -> Tensor:
    part = slice(attributes["start"], attributes["end"], attributes["step"])
    return x[(slice(None),) * attributes["axis"] + (part,)]


def _pad(attributes: Attributes, x: Tensor) -> Tensor:
    pads = attributes["pads"]
    widths = list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))
    return np.pad(x, widths, mode="constant", constant_values=attributes["value"])


def batch_mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every channel (axis 1) over all other axes."""
    others = (0, *range(2, x.ndim))
    mean = np.mean(x, axis=others)
    return mean, np.mean((x - _a_channel(mean, x)) ** 2, axis=others)


def normalize(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Batch normalization by the given statistics: (x - mean) / √(variance + ε) · scale + bias, channel by channel."""
    spread = np.sqrt(_a_channel(variance, x) + attributes["epsilon"])
    return (x - _a_channel(mean, x)) / spread * _a_channel(scale, x) + _a_channel(bias, x)


def by_batch(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Batch normalization in training mode, which ignores the moving statistics."""
    return normalize(attributes, x, scale, bias, *batch_mean_and_variance(x))


def renormalize(
    attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    """Batch renormalization in training mode (Ioffe 2017, arXiv:1702.03275, section 3).

    The normalized batch is corrected toward the moving statistics: x̂ · r + d, where r is the ratio of the batch's
    standard deviation to the moving one, and d the difference of means divided by the moving standard deviation.
    Both are constants for the gradient.
    """
    batch_mean, batch_variance = batch_mean_and_variance(x)
    spread = np.sqrt(variance + attributes["epsilon"])
    r = np.sqrt(getval(batch_variance) + attributes["epsilon"]) / spread
    d = (getval(batch_mean) - mean) / spread
    return normalize(attributes, x, scale * r, bias + scale * d, batch_mean, batch_variance)


def _a_channel(values: Tensor, x: Tensor) -> Tensor:
    return np.reshape(values, (1, -1, *[1] * (x.ndim - 2)))


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda attributes, left, right: left + right,
    "AveragePool": _average_pool,
    "BatchNormalization": normalize,
    "Clip": _clip,
    "Concat": lambda attributes, *parts: np.concatenate(parts, axis=attributes["axis"]),
    "Conv": _conv,
    "Div": lambda attributes, left, right: left / right,
    "Elu": lambda attributes, x: np.maximum(x, 0.0) + attributes["alpha"] * (np.exp(np.minimum(x, 0.0)) - 1),
    "Erf": lambda attributes, x: _error_function(x),
    "Flatten": lambda attributes, x: np.reshape(x, (x.shape[0], -1)),
    "Gemm": lambda attributes, x, weight, bias: np.dot(x, weight.T) + bias,
    "GlobalAveragePool": lambda attributes, x: np.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True),
    "HardSigmoid": lambda attributes, x: np.clip(attributes["alpha"] * x + attributes["beta"], 0.0, 1.0),
    "LeakyRelu": lambda attributes, x: np.maximum(x, 0.0) + attributes["alpha"] * np.minimum(x, 0.0),
    "MatMul": lambda attributes, left, right: np.matmul(left, right),
    "MaxPool": _max_pool,
    "Mul": lambda attributes, left, right: left * right,
    "Pad": _pad,
    "ReduceMean": lambda attributes, x: np.mean(x, axis=tuple(attributes["axes"]), keepdims=True),
    "Relu": lambda attributes, x: np.maximum(x, 0.0),
    "Reshape": lambda attributes, x: np.reshape(x, (x.shape[0], *attributes["shape"])),
    "Sigmoid": lambda attributes, x: (np.tanh(x / 2) + 1) / 2,
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": lambda attributes, x: np.logaddexp(x, 0.0),
    "Sqrt": lambda attributes, x: np.sqrt(x),
    "Sub": lambda attributes, left, right: left - right,
    "Tanh": lambda attributes, x: np.tanh(x),
    "Transpose": lambda attributes, x: np.transpose(x, attributes["perm"]),
}
