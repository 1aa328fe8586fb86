"""Convolutions and transposed convolutions; each is the gradient of the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from crosscheck.cells import Array
from crosscheck.gradients.call import Call
from crosscheck.gradients.rules.rule import Cotangents, Gradients, Rule, only
from crosscheck.gradients.rules.windows import Windows, spread, windows_of
from crosscheck.gradients.writer import Writer

__all__ = ["RULES"]


#: The first opset whose Slice takes computed ends.
COMPUTED_ENDS = 10


def _conv(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    cotangent = only(cotangents)
    kernel, group = call.sizes(1)[2:], int(call.get("group", 1))
    gradients: Gradients = [None] * len(call.inputs)
    is_open = not all(isinstance(size, int) for size in call.shape(0)[2:])
    if is_open and writer.opset >= COMPUTED_ENDS and not call.wanted[1]:
        gradients[0] = _by_open_input(writer, call, cotangent, kernel, group)
    else:
        windows = windows_of(call, kernel, call.sizes(0, 2), call.output_sizes(2))
        if call.wanted[0]:
            gradients[0] = _by_input(writer, call, cotangent, windows, group)
        if call.wanted[1]:
            gradients[1] = _by_weight(writer, call.inputs[0], cotangent, windows, (call.sizes(1), group))
    if call.has(2) and call.wanted[2]:
        gradients[2] = _by_bias(writer, call, cotangent)
    return gradients


def _by_input(writer: Writer, call: Call, cotangent: str, windows: Windows, group: int) -> str:
    """The transposed convolution with the same weight.

    With stride 1 that is a convolution with the weight's entries in reverse order and its two channel axes exchanged,
    which most runtimes execute several times as fast. With groups and strides, zeros are inserted into the cotangent
    before that convolution: grouped transposed convolutions are missing or wrong in several runtimes.
    """
    weight = call.facts.value(call.inputs[1])
    stepped = any(stride > 1 for stride in windows.strides)
    reaches = (*windows.reach, *windows.reach)
    # Pads of the backward convolution, with more zeros after the last window, which may end before the input.
    pads = [reach - 1 - pad for reach, pad in zip(reaches, (*windows.begin, *windows.end), strict=True)]
    if weight is None or min(pads) < 0 or (stepped and group == 1):
        return spread(writer, cotangent, call.inputs[1], windows, group)
    if stepped:
        cotangent = _set_apart(writer, cotangent, windows)
    return _backward(writer, cotangent, _reversed(weight, group), windows.dilations, pads, group)


def _by_open_input(writer: Writer, call: Call, cotangent: str, kernel: tuple[int, ...], group: int) -> str:
    """The same for an input of any size; strides make it longer than the input, which is cut off."""
    axes = len(kernel)
    strides, dilations = (tuple(call.get(name, (1,) * axes)) for name in ("strides", "dilations"))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    stepped = any(stride > 1 for stride in strides)
    pads, auto = list(call.get("pads", (0,) * 2 * axes)), call.get("auto_pad", "NOTSET")
    if auto == "VALID":
        pads = [0] * 2 * axes
    elif auto != "NOTSET":
        if stepped:
            call.sizes(0, 2)  # raises: with strides these pads depend on the size
        small, large = [(size - 1) // 2 for size in reach], [size // 2 for size in reach]
        pads = [*small, *large] if auto == "SAME_UPPER" else [*large, *small]
    weight = call.facts.value(call.inputs[1])
    backward = [size - 1 - pad for size, pad in zip(reach * 2, pads, strict=True)]
    if weight is not None and not stepped and min(backward) >= 0:
        return _backward(writer, cotangent, _reversed(weight, group), dilations, backward, group)
    wide = writer.node(
        "ConvTranspose",
        cotangent,
        call.inputs[1],
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=[*pads[:axes], *[0] * axes],
        output_padding=[stride - 1 for stride in strides],
        group=group,
    )
    ends = writer.slice(writer.node("Shape", call.inputs[0]), [2], [2 + axes], [0])
    return writer.node("Slice", wide, writer.integers([0] * axes), ends, writer.integers(list(range(2, 2 + axes))))


def _backward(
    writer: Writer, cotangent: str, weight: Array, dilations: Sequence[int], pads: Sequence[int], group: int
) -> str:
    return writer.node(
        "Conv",
        cotangent,
        writer.constant(weight),
        kernel_shape=weight.shape[2:],
        dilations=dilations,
        pads=pads,
        group=group,
    )


def _by_weight(writer: Writer, x: str, y: str, windows: Windows, kind: tuple[tuple[int, ...], int]) -> str:
    """The correlation of x, (N, inputs, *sizes), with y, (N, outputs, *positions), in the windows of a convolution.

    A convolution over positions whose channels are the rows of the batch: strides and dilations exchange their roles.
    kind: the weight's shape, (outputs, inputs / group, *kernel), and the number of groups.
    """
    (outputs, inputs, *kernel), group = kind
    axes = list(range(3, 3 + len(kernel)))
    x = writer.reshape(x, [-1, group, inputs, *windows.sizes])
    x = writer.reshape(writer.node("Transpose", x, perm=[2, 1, 0, *axes]), [inputs, -1, *windows.sizes])
    y = writer.reshape(y, [-1, group, outputs // group, *windows.positions])
    y = writer.reshape(writer.node("Transpose", y, perm=[1, 2, 0, *axes]), [outputs, -1, *windows.positions])
    total = writer.node(
        "Conv",
        x,
        y,
        kernel_shape=windows.positions,
        strides=windows.dilations,
        dilations=windows.strides,
        pads=[*windows.begin, *(max(0, end) for end in windows.end)],
        group=group,
    )
    spatial = list(range(2, 2 + len(kernel)))
    total = writer.slice(total, [0] * len(kernel), kernel, spatial)
    return writer.node("Transpose", total, perm=[1, 0, *spatial])


def _by_bias(writer: Writer, call: Call, cotangent: str) -> str:
    return writer.reduce("ReduceSum", cotangent, [0, *range(2, call.rank(0))], keepdims=False)


def _transposed(writer: Writer, call: Call, cotangents: Cotangents) -> Gradients:
    """The convolution with the same weight."""
    cotangent, group = only(cotangents), int(call.get("group", 1))
    gradients: Gradients = [None] * len(call.inputs)
    if call.has(2) and call.wanted[2]:
        gradients[2] = _by_bias(writer, call, cotangent)
    windows = _transposed_windows(call)
    if call.wanted[1]:
        gradients[1] = _by_weight(writer, cotangent, call.inputs[0], windows, (call.sizes(1), group))
    if not call.wanted[0]:
        return gradients
    # Output entries beyond the last window are the bias alone.
    covered = [size + min(0, end) for size, end in zip(windows.sizes, windows.end, strict=True)]
    if any(-end >= stride for end, stride in zip(windows.end, windows.strides, strict=True)):
        cotangent = writer.slice(cotangent, [0] * len(covered), covered, list(range(2, 2 + len(covered))))
    gradients[0] = writer.node(
        "Conv",
        cotangent,
        call.inputs[1],
        kernel_shape=windows.kernel,
        strides=windows.strides,
        dilations=windows.dilations,
        pads=[*windows.begin, *(max(0, end) for end in windows.end)],
        group=group,
    )
    return gradients


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
