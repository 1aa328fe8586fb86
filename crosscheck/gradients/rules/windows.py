"""Window geometry of convolutions and pools, and its transpose (scatter-add)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crosscheck.gradients.call import Call
from crosscheck.gradients.writer import Writer

__all__ = ["Windows", "apart", "spread", "together", "windows_of"]

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """One number per spatial axis in each field.

    sizes: of the input. positions: number of windows, the size of the output. kernel: entries of a window.
    strides: from one window to the next. dilations: from one entry to the next. begin: entries of the first window
    before the input.
    """

    sizes: Sizes
    positions: Sizes
    kernel: Sizes
    strides: Sizes
    dilations: Sizes
    begin: Sizes

    @property
    def reach(self) -> Sizes:
        """The extent of a window, first to last entry inclusive."""
        return tuple((size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations, strict=True))

    @property
    def end(self) -> Sizes:
        """Entries of the last window beyond the input; negative if it ends before."""
        return tuple(
            (count - 1) * stride + reach - begin - size
            for count, stride, reach, begin, size in zip(
                self.positions, self.strides, self.reach, self.begin, self.sizes, strict=True
            )
        )


def windows_of(call: Call, kernel: Sequence[int], sizes: Sizes, positions: Sizes) -> Windows:
    """The windows of a node, from its strides, dilations, and pads or auto_pad.

    sizes: of the windowed side, positions: of the other; for a ConvTranspose these are its output's and its input's.
    """
    axes = len(kernel)
    strides = tuple(call.get("strides", (1,) * axes))
    dilations = tuple(call.get("dilations", (1,) * axes))
    windows = Windows(sizes, positions, tuple(kernel), strides, dilations, tuple(call.get("pads", (0,) * axes))[:axes])
    auto = call.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        return windows
    flush = Windows(sizes, positions, tuple(kernel), strides, dilations, (0,) * axes)
    if auto == "VALID":
        return flush
    # Pads complete the last window; for an odd total, UPPER puts the larger half at the end.
    total = [max(0, missing) for missing in flush.end]
    begin = tuple(width // 2 if auto == "SAME_UPPER" else width - width // 2 for width in total)
    return Windows(sizes, positions, tuple(kernel), strides, dilations, begin)


def spread(writer: Writer, cotangent: str, weight: str, windows: Windows, group: int = 1) -> str:
    """Adds each weighted window entry to its position in the input: a transposed convolution.

    cotangent: (N, outputs, *positions). weight: (outputs, inputs / group, *kernel). Returns (N, inputs, *sizes).
    """
    return writer.node(
        "ConvTranspose",
        cotangent,
        weight,
        kernel_shape=windows.kernel,
        strides=windows.strides,
        dilations=windows.dilations,
        pads=[*windows.begin, *(max(0, width) for width in windows.end)],
        output_padding=[max(0, -width) for width in windows.end],
        group=group,
    )


def apart(writer: Writer, x: str, sizes: Sizes) -> str:
    """(N, channels, *sizes) as (N * channels, 1, *sizes), so that one small kernel serves all channels."""
    return writer.reshape(x, [-1, 1, *sizes])


def together(writer: Writer, x: str, channels: int, sizes: Sizes) -> str:
    """(N * channels, 1, *sizes) as (N, channels, *sizes)."""
    return writer.reshape(x, [-1, channels, *sizes])
