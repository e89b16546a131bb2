"""Whole images: what a plain program does instead, in a process of its own.

`python -m tests.bench.whole_image pillow|vips FILE` decodes the file, draws a text at the bottom
right, encodes it once, and prints how long that took and how much memory, as JSON.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pyvips
from PIL import Image, ImageDraw, ImageFont

from tests.bench.memory import peak_mb

TEXT = "Penstock 2026"
QUALITY = 75
OPACITY = 0.5
TIMEOUT_S = 120.0
FONT_SHARE, MARGIN_SHARE = 20, 50
"""A letter is so many times smaller than the picture's shorter side, the margin so many times."""


def run_whole(library: str, path: Path) -> dict[str, float]:
    """`total_s` and `peak_mb` of a program that uses that library. Imports are not counted."""
    command = [sys.executable, "-m", "tests.bench.whole_image", library, str(path)]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _pillow(path: str) -> bytes:
    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(path)
    image.load()
    shorter = min(image.size)
    font = ImageFont.load_default(shorter // FONT_SHARE)
    left, top, right, bottom = font.getbbox(TEXT)
    size = round(right - left), round(bottom - top)
    alpha = Image.new("L", size)
    ImageDraw.Draw(alpha).text((-left, -top), TEXT, fill=round(255 * OPACITY), font=font)
    margin = shorter // MARGIN_SHARE
    corner = image.width - size[0] - margin, image.height - size[1] - margin
    image.paste((255, 255, 255), corner, alpha)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _vips(path: str) -> bytes:
    image = pyvips.Image.new_from_file(path, access="sequential")
    shorter = min(image.width, image.height)
    text = pyvips.Image.text(TEXT, font=f"sans {shorter // FONT_SHARE}", dpi=72)
    margin = shorter // MARGIN_SHARE
    corner = image.width - text.width - margin, image.height - text.height - margin
    alpha = (text * OPACITY).cast("uchar").embed(*corner, image.width, image.height)
    # The quicker of its two ways: `composite` took the same time or a little more.
    marked = alpha.ifthenelse([255, 255, 255], image, blend=True)
    encoded: bytes = marked.jpegsave_buffer(Q=QUALITY)
    return encoded


def _main(library: str, path: str) -> None:
    begun = time.perf_counter()
    encoded = {"pillow": _pillow, "vips": _vips}[library](path)
    took_s = time.perf_counter() - begun
    print(json.dumps({"total_s": took_s, "peak_mb": peak_mb("self"), "bytes": len(encoded)}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
