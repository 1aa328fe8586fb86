"""Draws the photograph in the README's picture of saliency maps: `uv run python -m tests.browser.photo photo.png`."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE, HORIZON = 640, 352
FUR, DARK, MUZZLE = (196, 148, 84), (150, 105, 55), (215, 175, 115)


def main() -> int:
    """Write the picture to the path in the command line."""
    random = np.random.default_rng(3)
    image = Image.fromarray(_ground(random))
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 60, 150, 150), fill=(255, 244, 200))
    for left, height in ((20, 170), (110, 120), (470, 150), (560, 190)):
        draw.polygon([(left, HORIZON), (left + 45, HORIZON - height), (left + 90, HORIZON)], fill=(35, 80, 50))
        draw.rectangle((left + 39, HORIZON, left + 51, HORIZON + 20), fill=(80, 55, 35))
    _dog(draw)
    draw.ellipse((80, 500, 160, 580), fill=(200, 40, 40))
    draw.chord((80, 500, 160, 580), 200, 20, fill=(240, 240, 240))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(1.6)), np.float64)
    grain = random.normal(0, 7, soft.shape) + random.normal(0, 4, (SIZE, SIZE, 1))
    Image.fromarray(np.uint8(np.clip(soft + grain, 0, 255))).save(sys.argv[1])
    return 0


def _ground(random: np.random.Generator) -> np.ndarray:
    """Sky over a meadow, (height, width, 3), with coarse grain, stronger in the meadow."""
    y = np.linspace(0, 1, SIZE)[:, None, None]
    sky = np.array([110, 160, 220]) * (1 - y) + np.array([225, 235, 240]) * y
    meadow = np.array([95, 140, 60]) * (1 - y) + np.array([50, 95, 35]) * y
    coarse = Image.fromarray(np.uint8(255 * random.random((SIZE // 4, SIZE // 4))))
    grain = np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float64)[..., None] - 128
    far = y < HORIZON / SIZE
    return np.asarray(np.clip(np.where(far, sky + 0.05 * grain, meadow + 0.25 * grain), 0, 255), np.uint8)


def _dog(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((205, 330, 455, 490), fill=FUR)
    for left, colour in ((235, FUR), (275, DARK), (375, FUR), (415, DARK)):
        draw.rounded_rectangle((left, 440, left + 28, 560), 12, fill=colour)
    draw.line([(215, 380), (160, 320), (150, 280)], fill=FUR, width=22, joint="curve")
    draw.ellipse((390, 230, 530, 370), fill=FUR)
    draw.ellipse((385, 240, 430, 350), fill=DARK)
    draw.ellipse((480, 290, 570, 350), fill=MUZZLE)
    draw.ellipse((548, 296, 574, 318), fill=(30, 25, 25))
    draw.ellipse((465, 265, 483, 283), fill=(25, 20, 20))
    draw.ellipse((470, 268, 475, 273), fill=(240, 240, 240))


if __name__ == "__main__":
    sys.exit(main())
