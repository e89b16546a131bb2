"""Pictures for tests: made from noise and shapes, as files, and sent through the stages."""

from __future__ import annotations

import functools
import io
import random
import subprocess
from array import array
from collections.abc import Sequence
from typing import Any

import pyvips
from PIL import Image, ImageDraw

import tasks.image  # noqa: F401  registers the tasks
from tasks.trying import run_stream

ALL = ("split", "compress", "watermark", "join")
EXIF_TEXT = "a camera"


@functools.cache
def photo(mode: str, width: int, height: int) -> Image.Image:
    """A picture with soft and hard edges in all its channels, the same at each call."""
    chance = random.Random(f"{mode} {width} {height}")
    small = (width // 16 + 2, height // 16 + 2)
    channels = [
        Image.frombytes("L", small, chance.randbytes(small[0] * small[1])).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for _ in Image.new(mode, (1, 1)).getbands()
    ]
    image = Image.merge(mode, channels) if len(channels) > 1 else channels[0]
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, size = chance.randrange(width), chance.randrange(height), chance.randrange(5, 90)
        color = tuple(chance.randrange(256) for _ in channels)
        draw.ellipse((x, y, x + size, y + size), fill=color if len(color) > 1 else color[0])
    return image


def file_of(image: Image.Image, format: str, **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def deep_samples(width: int, height: int, channels: int) -> array[int]:
    """Samples of 16 bits: a slope with noise, so that both of their bytes count."""
    chance = random.Random(f"{width} {height} {channels}")
    noise = array("H", chance.randbytes(2 * width * height * channels))
    return array("H", ((at * 7 + noise[at] % 999) % 65536 for at in range(len(noise))))


def deep_png(samples: array[int], width: int, height: int, channels: int) -> bytes:
    """A PNG of 16 bits a sample."""
    image = pyvips.Image.new_from_memory(samples.tobytes(), width, height, channels, "ushort")
    kind = "grey16" if channels < 3 else "rgb16"
    return bytes(image.copy(interpretation=kind).pngsave_buffer(bitdepth=16))


def deep_pixels(png: bytes) -> array[int]:
    """The samples of such a PNG, or of a TIFF, as libvips reads them."""
    image = pyvips.Image.new_from_buffer(png, "", fail_on="error")
    assert image.format == "ushort"
    return array("H", bytes(image.write_to_memory()))


def chain(data: bytes, input: dict[str, Any], stages: Sequence[str] = ALL, cut: int = 5000) -> Any:
    """What comes out of the stages for a file that comes in pieces of `cut` bytes.

    Returns:
        The bytes, and what each stage returned, by its name.
    """
    chunks: Sequence[bytes] = [data[at : at + cut] for at in range(0, len(data), cut)]
    results = {}
    for stage in stages:
        chunks, results[stage] = run_stream(f"image:{stage}", input, chunks)
    return b"".join(chunks), results


def pixels(data: bytes) -> Image.Image:
    """A file decoded by Pillow."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def difference(one: bytes, other: bytes) -> str:
    """ "" for equal pixels, else how they differ."""
    first, second = pixels(one), pixels(other)
    if (first.mode, first.size) != (second.mode, second.size):
        return f"{first.mode} {first.size} is not {second.mode} {second.size}"
    rows = [
        y
        for y in range(first.height)
        if first.crop((0, y, first.width, y + 1)).tobytes()
        != second.crop((0, y, first.width, y + 1)).tobytes()
    ]
    return f"{len(rows)} rows differ, the first is {rows[0]}" if rows else ""


def complaints(data: bytes) -> str:
    """What libvips says of a file when it may not overlook anything; "" is nothing."""
    try:
        pyvips.Image.new_from_buffer(data, "", fail_on="warning", access="sequential").avg()
    except pyvips.Error as error:
        return str(error)
    return ""


def djpeg(data: bytes) -> subprocess.CompletedProcess[bytes]:
    """libjpeg-turbo's own decoder, to PPM or PGM."""
    return subprocess.run(["djpeg"], input=data, capture_output=True, timeout=60, check=False)
