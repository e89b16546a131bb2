"""Photos: large pictures with as much detail as a camera's, made once and kept for later runs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pyvips

WIDTH, HEIGHT = 12_000, 9_000
"""108 megapixels."""
QUALITY = 90
"""Makes about two bits a pixel of what is drawn here."""
NOISE = ((256, 35.0), (64, 22.0), (16, 12.0), (4, 6.0), (1, 3.5))
"""Soft shapes down to the noise of a sensor: the size in pixels of a kind of detail, its strength.
"""


def photo(width: int = WIDTH, height: int = HEIGHT) -> Path:
    """A JPEG of that size. A taller one than wide is made of parts that lie below each other."""
    path = Path(tempfile.gettempdir()) / f"penstock-photo-{width}x{height}.jpg"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.jpg")
        _picture(width, height).jpegsave(str(part), Q=QUALITY)
        part.rename(path)  # another run may be making it, too
    return path


def _picture(width: int, height: int) -> Any:
    if height <= width:
        return _drawn(width, height)
    count = -(-height * 4 // (width * 3))
    parts = [
        pyvips.Image.new_from_file(str(photo(width, height // count)), access="sequential")
        for _ in range(count)
    ]
    return pyvips.Image.arrayjoin(parts, across=1)


def _drawn(width: int, height: int) -> Any:
    light = _noise(width, height, NOISE, seed=1) + 118
    red, blue = (_noise(width, height, ((128, 18.0),), seed) for seed in (2, 3))
    picture = (light + red).bandjoin([light - red * 0.4 - blue * 0.3, light + blue])
    return picture.cast("uchar").copy(interpretation="srgb")


def _noise(width: int, height: int, kinds: tuple[tuple[int, float], ...], seed: int) -> Any:
    return pyvips.Image.sum([_grain(width, height, *kind, seed) for kind in kinds])


def _grain(width: int, height: int, size: int, strength: float, seed: int) -> Any:
    columns, rows = width // size + 2, height // size + 2
    noise = pyvips.Image.gaussnoise(columns, rows, mean=0, sigma=strength, seed=1000 * seed + size)
    return noise.resize(size, kernel="cubic").crop(0, 0, width, height)
