"""Makes small PNGs of a picture and of its gradient, a saliency map, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from crosscheck.cells import Array

__all__ = ["PERCENTILE", "Saliency", "Shot", "are_pictures", "picture", "saliency"]

#: The longest edge of an image in the page, in pixels: larger ones are reduced by a whole number.
LONGEST = 160
#: The percentile of a map that is white, with all larger numbers: a few pixels of most gradients exceed all others.
PERCENTILE = 99
#: Shades of grey, black and white included. So few keep the page small.
SHADES = 16
#: The mean difference of two maps, of 255, that cannot be seen; and the relative difference of their largest entries,
#: on which no shade depends, that counts as none.
UNSEEN = 1.0
SCALE = 0.02


@dataclass(frozen=True)
class Shot:
    """An image in the page: its data URI, its size in pixels, and its text for readers who do not see it."""

    uri: str
    width: int
    height: int
    text: str


@dataclass(frozen=True, eq=False)
class Saliency:
    """The largest absolute value over channels of one picture's gradient, (height, width), all finite."""

    values: Array

    @property
    def largest(self) -> float:
        """The gradient's largest absolute entry."""
        return float(self.values.max())

    @property
    def place(self) -> tuple[int, int]:
        """The row and the column of the largest entry."""
        row, column = np.unravel_index(self.values.argmax(), self.values.shape)
        return int(row), int(column)

    @cached_property
    def shades(self) -> Array:
        """Black for zero, white from the percentile on, uint8; reduced to the largest of a square of pixels."""
        step = _step(self.values.shape)
        rows, columns = (-(-size // step) * step for size in self.values.shape)
        padded = np.zeros((rows, columns))
        padded[: self.values.shape[0], : self.values.shape[1]] = self.values
        reduced = padded.reshape(rows // step, step, columns // step, step).max(axis=(1, 3))
        white = float(np.percentile(reduced, PERCENTILE)) or float(reduced.max()) or 1.0
        levels = np.rint(np.minimum(reduced / white, 1) * (SHADES - 1))
        return np.asarray(levels * (255 // (SHADES - 1)), np.uint8)

    def like(self, other: Saliency) -> bool:
        """Whether the two maps look the same, and have the same scale."""
        if self.shades.shape != other.shades.shape:
            return False
        if abs(self.largest - other.largest) > SCALE * max(self.largest, other.largest):
            return False
        return float(np.mean(np.abs(self.shades.astype(float) - other.shades))) <= UNSEEN

    def shot(self, text: str) -> Shot:
        """The map as an image."""
        return _shot(Image.fromarray(self.shades), text)


def are_pictures(shape: tuple[int, ...]) -> bool:
    """Whether an input (rows, channels, height, width) has one or three channels and more than one pixel an edge."""
    return len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) > 1


def picture(values: Array, text: str) -> Shot:
    """One row of the input, (channels, height, width), from black for its smallest number to white for its largest."""
    finite = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    scaled = np.rint((finite - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    image = Image.fromarray(scaled[0] if len(scaled) == 1 else np.ascontiguousarray(scaled.transpose(1, 2, 0)))
    return _shot(image.reduce(_step(values.shape[1:])), text)


def saliency(gradient: Array) -> Saliency | None:
    """The map of one row's gradient, (channels, height, width); None if a number is not finite."""
    values = np.abs(gradient.astype(np.float64)).max(axis=0)
    return Saliency(values) if np.isfinite(values).all() else None


def _step(shape: tuple[int, ...]) -> int:
    """By what number the edges of an image are divided."""
    return -(-max(shape) // LONGEST)


def _shot(image: Image.Image, text: str) -> Shot:
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    address = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
    return Shot(address, image.width, image.height, text)
