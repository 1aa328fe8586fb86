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

#: Most entries of the windows of a convolution at once: half a gigabyte in float64.
LARGEST = 2**26

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
    windows: Tensor, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Sequence[int]
) -> Tensor:
    """The transpose of `padded_windows`: adds window entries to their positions in x, of these sizes."""
    axes = len(strides)
    positions, kernel = windows.shape[2 : 2 + axes], windows.shape[2 + axes :]
    whole = [size + pads[axis] + pads[axes + axis] for axis, size in enumerate(sizes)]
    padded = numpy.zeros((*windows.shape[:2], *whole), windows.dtype)
    for offset in itertools.product(*map(range, kernel)):
        starts = [entry * step for entry, step in zip(offset, dilations, strict=True)]
        where = [
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, positions, strides, strict=True)
        ]
        padded[(slice(None), slice(None), *where)] += windows[..., *offset]
    inside = [slice(pads[axis], pads[axis] + size) for axis, size in enumerate(sizes)]
    return padded[(slice(None), slice(None), *inside)]


# autograd is slow on strided slices and lacks sliding_window_view: both directions are implemented here.
_windows = primitive(padded_windows)
defvjp(
    _windows,
    lambda answer, x, kernel, strides, dilations, pads, fill: (
        lambda cotangent: _spread_windows(cotangent, x.shape[2:], strides, dilations, pads)
    ),
    argnums=(0,),
)


def _columns(x: Tensor, weight: Tensor, attributes: Attributes, positions: Sequence[int]) -> Tensor:
    """The first windows of x, a row each: (group, N * positions, channels of a group * kernel)."""
    windows = padded_windows(
        x, attributes["kernel_shape"], attributes["strides"], attributes["dilations"], attributes["pads"], 0.0
    )
    windows = windows[(slice(None), slice(None), *map(slice, positions))]
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


def _parts(rows: int, weight: Tensor, attributes: Attributes, positions: Sequence[int]) -> list[slice]:
    """Parts of the input channels of a convolution, so that the windows of each have at most `LARGEST` entries."""
    channels, group = weight.shape[1], attributes["group"]
    entries = rows * math.prod(positions) * weight[0].size
    if group > 1 or entries <= LARGEST:
        return [slice(None)]
    size = max(1, channels * LARGEST // entries)
    return [slice(start, start + size) for start in range(0, channels, size)]


def _correlate(x: Tensor, weight: Tensor, attributes: Attributes, positions: Sequence[int]) -> Tensor:
    """Cross-correlation at the first positions; output channel o of group g sums over that group's input channels."""
    group = attributes["group"]
    made = [
        numpy.matmul(
            _columns(x[:, part], weight[:, part], attributes, positions),
            numpy.swapaxes(_kernels(weight[:, part], group), 1, 2),
        )
        for part in _parts(len(x), weight, attributes, positions)
    ]
    y = made[0] if len(made) == 1 else numpy.sum(made, axis=0)
    y = y.reshape(group, x.shape[0], -1, y.shape[-1])
    return numpy.transpose(y, (1, 0, 3, 2)).reshape(x.shape[0], weight.shape[0], *positions)


def _correlated_from(y: Tensor, weight: Tensor, attributes: Attributes, sizes: Sequence[int]) -> Tensor:
    """The transpose of `_correlate`: from y, (N, out, *positions), to an input (N, in, *sizes)."""
    axes, group, rows, positions = weight.ndim - 2, attributes["group"], len(y), y.shape[2:]
    made = []
    for part in _parts(rows, weight, attributes, positions):
        kernels = weight[:, part]
        columns = numpy.matmul(_in_groups(y, group), _kernels(kernels, group))
        windows = columns.reshape(group, rows, *positions, -1, *weight.shape[2:])
        windows = numpy.moveaxis(windows, (0, 2 + axes), (1, 2))
        windows = windows.reshape(rows, group * kernels.shape[1], *positions, *weight.shape[2:])
        made.append(_spread_windows(windows, sizes, attributes["strides"], attributes["dilations"], attributes["pads"]))
    return made[0] if len(made) == 1 else numpy.concatenate(made, axis=1)


# One step for autograd, which would keep the windows of every layer, nine times a layer's input for 3 x 3. Weights are
# constants.
_correlation = primitive(_correlate)
defvjp(
    _correlation,
    lambda answer, x, weight, attributes, positions: (
        lambda cotangent: _correlated_from(cotangent, weight, attributes, x.shape[2:])
    ),
    argnums=(0,),
)
_transposed_correlation = primitive(_correlated_from)
defvjp(
    _transposed_correlation,
    lambda answer, y, weight, attributes, sizes: (
        lambda cotangent: _correlate(cotangent, weight, attributes, y.shape[2:])
    ),
    argnums=(0,),
)


def _conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axes, pads = weight.ndim - 2, attributes["pads"]
    reach = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], attributes["dilations"], strict=True)]
    positions = [
        (size + before + after - width) // stride + 1
        for size, before, after, width, stride in zip(
            x.shape[2:], pads[:axes], pads[axes:], reach, attributes["strides"], strict=True
        )
    ]
    y = _correlation(x, weight, attributes, positions)
    return y if bias is None else y + np.reshape(bias, (-1, *[1] * axes))


def _conv_transpose(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Every entry of x adds its multiple of the kernel to the output; group g's channels go to that group's outputs."""
    axes, pads = weight.ndim - 2, attributes["pads"]
    further = zip(
        x.shape[2:],
        attributes["strides"],
        weight.shape[2:],
        attributes["dilations"],
        attributes["output_padding"],
        strict=True,
    )
    sizes = [
        (count - 1) * stride + (width - 1) * apart + 1 + more - pads[axis] - pads[axes + axis]
        for axis, (count, stride, width, apart, more) in enumerate(further)
    ]
    y = _transposed_correlation(x, weight, attributes, sizes)
    return y if bias is None else y + np.reshape(bias, (-1, *[1] * axes))


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


def _local_response_norm(attributes: Attributes, x: Tensor) -> Tensor:
    """x / (bias + alpha / size * sum of squares of the `size` channels around)^beta."""
    size, channels = attributes["size"], x.shape[1]
    squares = np.pad(x**2, [(0, 0), (size // 2, size // 2), *[(0, 0)] * (x.ndim - 2)], mode="constant")
    total = sum(squares[:, first : first + channels] for first in range(size))
    return x / (attributes["bias"] + attributes["alpha"] / size * total) ** attributes["beta"]


def _resize(attributes: Attributes, x: Tensor) -> Tensor:
    """Along one spatial axis after the other, by a matrix of the input's weights in the output's entries."""
    before = x.shape[2:]
    rows, columns = (_weights(attributes, *axis) for axis in zip(before, attributes["scales"], strict=True))
    return np.matmul(rows, np.matmul(x, columns.T))


def _weights(attributes: Attributes, before: int, scale: float) -> Tensor:
    after = math.floor(before * scale)
    place = numpy.arange(after)
    if attributes["mode"] == "nearest":
        return numpy.eye(before)[place // (after // before)]
    if attributes["coordinates"] == "half_pixel":
        where = (place + 0.5) * before / after - 0.5
    else:
        where = place * (before - 1) / max(after - 1, 1)
    where = numpy.clip(where, 0, before - 1)
    return numpy.maximum(0, 1 - numpy.abs(where[:, None] - numpy.arange(before)))


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
    "ConvTranspose": _conv_transpose,
    "Div": lambda attributes, left, right: left / right,
    "Elu": lambda attributes, x: np.maximum(x, 0.0) + attributes["alpha"] * (np.exp(np.minimum(x, 0.0)) - 1),
    "Erf": lambda attributes, x: _error_function(x),
    "Flatten": lambda attributes, x: np.reshape(x, (x.shape[0], -1)),
    "Gemm": lambda attributes, x, weight, bias: np.dot(x, weight.T) + bias,
    "GlobalAveragePool": lambda attributes, x: np.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True),
    "HardSigmoid": lambda attributes, x: np.clip(attributes["alpha"] * x + attributes["beta"], 0.0, 1.0),
    "LRN": _local_response_norm,
    "LeakyRelu": lambda attributes, x: np.maximum(x, 0.0) + attributes["alpha"] * np.minimum(x, 0.0),
    "MatMul": lambda attributes, left, right: np.matmul(left, right),
    "MaxPool": _max_pool,
    "Mul": lambda attributes, left, right: left * right,
    "Pad": _pad,
    "ReduceMean": lambda attributes, x: np.mean(x, axis=tuple(attributes["axes"]), keepdims=True),
    "Relu": lambda attributes, x: np.maximum(x, 0.0),
    "Reshape": lambda attributes, x: np.reshape(x, (x.shape[0], *attributes["shape"])),
    "Resize": _resize,
    "Sigmoid": lambda attributes, x: (np.tanh(x / 2) + 1) / 2,
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": lambda attributes, x: np.logaddexp(x, 0.0),
    "Sqrt": lambda attributes, x: np.sqrt(x),
    "Sub": lambda attributes, left, right: left - right,
    "Tanh": lambda attributes, x: np.tanh(x),
    "Transpose": lambda attributes, x: np.transpose(x, attributes["perm"]),
}
