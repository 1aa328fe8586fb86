"""Draws small images as SVG: held-out images whose class flipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

__all__ = ["picture"]

#: Shades of grey, one path per shade.
LEVELS = 16


def picture(image: Sequence[Any], description: str) -> Markup:
    """Draw an image (height, width) or (channels, height, width), of any range, in shades of the text's colour.

    Channels are averaged. The smallest value is transparent, the largest opaque. `description` is the accessible name.
    Raises ValueError for other ranks.
    """
    values = np.asarray(image, np.float64)
    if values.ndim == 3:
        values = values.mean(axis=0)
    if values.ndim != 2:
        raise ValueError(f"an image has 2 or 3 axes, not {values.ndim}")
    low, high = float(np.min(values)), float(np.max(values))
    shades = np.zeros(values.shape, int) if high == low else np.rint((values - low) / (high - low) * LEVELS).astype(int)
    height, width = shades.shape
    parts = [
        Markup('<svg class="picture" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            width, height, description
        )
    ]
    for level in range(1, LEVELS + 1):
        squares = "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(shades == level))
        if squares:
            parts.append(Markup('<path d="{}" fill-opacity="{:g}"/>').format(squares, level / LEVELS))
    return Markup("").join([*parts, Markup("</svg>")])
