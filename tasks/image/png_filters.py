"""PNG's filters: a band's rows as differences, which deflate to less.

A row may refer to the row above, but for the first one of a band: it must stand alone.
"""

from __future__ import annotations

from PIL import Image, ImageChops

from tasks.chunk import BytesLike
from tasks.image.pixels import readable

_NONE, _SUB, _UP, _AVERAGE = range(4)


def filtered(data: BytesLike, width: int, rows: int, pixel_bytes: int) -> bytes:
    """The rows with the number of its filter in front of each.

    One filter serves the whole band: the one whose differences are the smallest in sum, as PNG's
    authors advise for a row. Bytes are handled as grey pixels, so that C does it.
    """
    size = (width * pixel_bytes, rows)
    image = Image.frombuffer("L", size, readable(data), "raw", "L", 0, 1)
    left = _shifted(image, pixel_bytes, 0)
    above = _shifted(image, 0, 1)
    found = {
        _NONE: image,
        _SUB: ImageChops.subtract_modulo(image, left),
        _UP: ImageChops.subtract_modulo(image, above),
        _AVERAGE: ImageChops.subtract_modulo(image, ImageChops.add(left, above, scale=2)),
    }
    best = min(found, key=lambda number: _weight(found[number]))
    lines = Image.new("L", (size[0] + 1, rows), best)
    lines.paste(found[best], (1, 0))
    if best in (_UP, _AVERAGE):
        lines.paste(_SUB, (0, 0, 1, 1))
        lines.paste(found[_SUB].crop((0, 0, size[0], 1)), (1, 0))
    return lines.tobytes()


def _shifted(image: Image.Image, right: int, down: int) -> Image.Image:
    moved = Image.new("L", image.size)
    moved.paste(image, (right, down))
    return moved


def _weight(image: Image.Image) -> int:
    return sum(times * min(byte, 256 - byte) for byte, times in enumerate(image.histogram()))
