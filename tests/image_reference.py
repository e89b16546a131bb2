"""The reference of the image stream: the same picture made of whole pictures, by Pillow alone.

Encode the whole picture; decode all of that, draw on it, encode all of it again; then take the
rows of the second file where the mark met a band, and those of the first file elsewhere.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from PIL import Image

from tasks.image.bands import rows_per_band
from tasks.image.header import Header
from tasks.image.inputs import WatermarkInput
from tasks.image.marks import mark_for
from tests.image_samples import pixels

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def marked(image: Image.Image, input: dict[str, Any], orientation: int = 1) -> Image.Image:
    """The whole picture, drawn on."""
    header = Header(image.width, image.height, image.mode, "jpeg", orientation)
    mark = mark_for(WatermarkInput.model_validate(input), header)
    image = image.copy()
    if mark is None:
        return image
    for corner in mark.corners(0, image.height):
        if image.mode == "RGBA":
            layer = Image.new("RGBA", image.size)
            layer.paste(mark.image, corner)
            image = Image.alpha_composite(image, layer)
        else:
            ink = mark.image.convert("RGB").convert(image.mode)
            image.paste(ink, corner, mark.image.getchannel("A"))
    return image


def met_bands(image: Image.Image, input: dict[str, Any]) -> set[int]:
    """The bands, by number, on which something is drawn."""
    header = Header(image.width, image.height, image.mode, "jpeg")
    mark = mark_for(WatermarkInput.model_validate(input), header)
    step = rows_per_band(image.width, image.mode)
    return {
        y // step
        for y in range(0, image.height, step)
        if mark is not None and mark.corners(y, min(y + step, image.height))
    }


def reference_jpeg(image: Image.Image, input: dict[str, Any]) -> bytes:
    """The file that compress, then watermark, must give: equal in each pixel."""
    first = _encoded(image, input)
    second = _encoded(marked(pixels(first), input), input)
    met = met_bands(image, input)
    head, rows_1 = _by_bands(first)
    _, rows_2 = _by_bands(second)
    rows = [(rows_2 if number in met else rows_1)[number] for number in range(len(rows_1))]
    return head + _counted(rows) + b"\xff\xd9"


def _encoded(image: Image.Image, input: dict[str, Any]) -> bytes:
    subsampling = input.get("subsampling", "4:2:0")
    halved = image.mode == "RGB" and subsampling == "4:2:0"
    options = {"subsampling": subsampling} if image.mode == "RGB" else {}
    restart = rows_per_band(image.width, image.mode) // (16 if halved else 8)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=input["quality"], restart_marker_rows=restart, **options)
    return file.getvalue()


def _by_bands(file: bytes) -> tuple[bytes, Sequence[bytes]]:
    start = file.index(b"\xff\xda")
    start += 2 + int.from_bytes(file[start + 2 : start + 4], "big")
    return file[:start], _RESTART.split(file[start:-2])


def _counted(rows: Sequence[bytes]) -> bytes:
    marks = (bytes((0xFF, 0xD0 + number % 8)) for number in range(len(rows) - 1))
    return b"".join(part for pair in zip(rows, marks, strict=False) for part in pair) + rows[-1]
