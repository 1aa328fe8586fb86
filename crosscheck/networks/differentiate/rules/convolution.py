"""Convolutions and transposed convolutions; each is the gradient of the other."""

from __future__ import annotations

import dataclasses

import numpy as np

from crosscheck.networks.differentiate.call import Call
from crosscheck.networks.differentiate.rules.rule import Cotangents, Gradients, Rule, only
from crosscheck.networks.differentiate.rules.windows import Windows, spread, windows_of
from crosscheck.networks.differentiate.writer import Writer
from crosscheck.networks.graph import Array

__all__ = ["RULES"]


def _conv(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The transposed convolution with the same weight.

    With stride 1 that is a convolution with the weight's entries in reverse order and its two channel axes exchanged,
    which most runtimes execute several times as fast. With groups and strides, zeros are inserted into the cotangent
    before that convolution: grouped transposed convolutions are missing or wrong in several runtimes.
    """
    cotangent = only(cotangents)
    call.only_first("its weight or bias")
    kernel, group = call.sizes(1)[2:], int(call.get("group", 1))
    windows = windows_of(call, kernel, call.sizes(0, 2), call.output_sizes(2))
    weight = call.facts.value(call.inputs[1])
    rest: Gradients = [None] * (len(call.inputs) - 1)
    stepped = any(stride > 1 for stride in windows.strides)
    reaches = (*windows.reach, *windows.reach)
    # Pads of the backward convolution, with more zeros after the last window, which may end before the input.
    pads = [reach - 1 - pad for reach, pad in zip(reaches, (*windows.begin, *windows.end), strict=True)]
    if weight is None or min(pads) < 0 or (stepped and group == 1):
        return [spread(writer, cotangent, call.inputs[1], windows, group), *rest]
    if stepped:
        cotangent = _set_apart(writer, cotangent, windows)
    y = writer.node(
        "Conv",
        cotangent,
        writer.constant(_reversed(weight, group)),
        kernel_shape=kernel,
        dilations=windows.dilations,
        pads=pads,
        group=group,
    )
    return [y, *rest]


def _transposed(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The convolution with the same weight."""
    cotangent = only(cotangents)
    call.only_first("its weight or bias")
    windows = _transposed_windows(call)
    # Output entries beyond the last window are the bias alone.
    covered = [size + min(0, end) for size, end in zip(windows.sizes, windows.end, strict=True)]
    if any(-end >= stride for end, stride in zip(windows.end, windows.strides, strict=True)):
        cotangent = writer.slice(cotangent, [0] * len(covered), covered, list(range(2, 2 + len(covered))))
    y = writer.node(
        "Conv",
        cotangent,
        call.inputs[1],
        kernel_shape=windows.kernel,
        strides=windows.strides,
        dilations=windows.dilations,
        pads=[*windows.begin, *(max(0, end) for end in windows.end)],
        group=int(call.get("group", 1)),
    )
    return [y, *[None] * (len(call.inputs) - 1)]


def _transposed_windows(call: Call) -> Windows:
    """The windows in the output of a ConvTranspose, one per position of its input."""
    windows = windows_of(call, call.sizes(1)[2:], call.output_sizes(2), call.sizes(0, 2))
    if "output_shape" not in call.attributes:
        return windows
    # The specification derives pads from the output's shape; the larger half is first, except for SAME_UPPER.
    extra = call.get("output_padding", (0,) * len(windows.kernel))
    flush = dataclasses.replace(windows, begin=(0,) * len(windows.kernel))
    total = [max(0, end + more) for end, more in zip(flush.end, extra, strict=True)]
    upper = call.get("auto_pad", "NOTSET") == "SAME_UPPER"
    return dataclasses.replace(flush, begin=tuple(width // 2 if upper else width - width // 2 for width in total))


def _set_apart(writer: Writer, cotangent: str, windows: Windows) -> str:
    """Insert stride - 1 zeros between neighbours: (N, channels, *positions) -> (.., (positions - 1) * stride + 1)."""
    axes = len(windows.kernel)
    single = writer.unsqueeze(cotangent, [3 + 2 * axis for axis in range(axes)])
    behind = [0, 0] + [width for stride in windows.strides for width in (0, stride - 1)]
    wide = writer.pad(single, [0] * (2 + 2 * axes) + behind)
    full = [count * stride for count, stride in zip(windows.positions, windows.strides, strict=True)]
    joined = writer.reshape(wide, [0, 0, *full])
    ends = [size - stride + 1 for size, stride in zip(full, windows.strides, strict=True)]
    return writer.slice(joined, [0] * axes, ends, list(range(2, 2 + axes)))


def _reversed(weight: Array, group: int) -> Array:
    """(outputs, inputs / group, *kernel) -> (inputs, outputs / group, *kernel), every kernel in reverse order."""
    kernel = weight.shape[2:]
    grouped = weight.reshape(group, weight.shape[0] // group, weight.shape[1], *kernel)
    swapped = np.swapaxes(grouped, 1, 2).reshape(-1, weight.shape[0] // group, *kernel)
    return np.flip(swapped, tuple(range(2, weight.ndim)))


RULES: dict[str, Rule] = {"Conv": _conv, "ConvTranspose": _transposed}
