"""The demo's photo: made up, large, and as hard to compress as a real one."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 6000, 4000
SEED = 7
DOTS = 150
GRAIN = 14
"""Spread of the noise that sensors add, in levels of 256."""


def make_photo(path: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Writes a JPEG with soft shapes, a sky and grain, the same every time but for the grain."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    clouds = Image.merge("RGB", [Image.effect_noise((width // 40, height // 40), 90)] * 3)
    clouds = clouds.filter(ImageFilter.GaussianBlur(2)).resize((width, height))
    picture = Image.blend(picture, clouds, 0.35)
    draw, chance = ImageDraw.Draw(picture), random.Random(SEED)
    for _ in range(DOTS):
        size = chance.randrange(width // 100, width // 8)
        left, top = chance.randrange(-size, width), chance.randrange(-size, height)
        color = tuple(chance.randrange(40, 240) for _ in range(3))
        draw.ellipse((left, top, left + size, top + size), fill=color)
    grain = Image.merge("RGB", [Image.effect_noise((width, height), GRAIN * 8)] * 3)
    picture = Image.blend(picture, grain, 0.12)
    picture.save(path, "JPEG", quality=92, dpi=(300, 300))
