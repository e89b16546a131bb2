"""Pixels: how the rows of a raw band lie in its bytes, and as which pictures Pillow sees them.

Modes are named as Pillow does: L, LA, RGB, RGBA, CMYK (ink, 0 is none). A `;16` behind one means
16 bits for each sample, the low byte first; Pillow has no such pictures but for one channel.
"""

from __future__ import annotations

from typing import cast

from PIL import Image

from tasks.chunk import BytesLike
from tasks.image.errors import invalid_bands, unsupported

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
DEEP = ";16"


def is_deep(mode: str) -> bool:
    """True for 16 bits a sample."""
    return mode.endswith(DEEP)


def plain(mode: str) -> str:
    """The mode with 8 bits a sample."""
    return mode.removesuffix(DEEP)


def pixel_bytes(mode: str) -> int:
    """Bytes of one pixel. InvalidBands for a mode that is none."""
    if plain(mode) not in CHANNELS:
        raise invalid_bands(f"mode {mode!r} is none of {', '.join(CHANNELS)}")
    return CHANNELS[plain(mode)] * (2 if is_deep(mode) else 1)


def image_of(mode: str, width: int, rows: int, data: BytesLike) -> Image.Image:
    """A picture of 8 bits a sample, without a copy where Pillow's memory is laid out alike."""
    return Image.frombuffer(mode, (width, rows), readable(data), "raw", mode, 0, 1)


class Canvas:
    """Shows pixels as Pillow's picture, in the same memory each time.

    Pillow has RGB in four bytes a pixel, so that it must copy; a new picture for each band would
    also be zeroed first, and have passed out of the processor's cache.
    """

    def __init__(self) -> None:
        self._image = Image.new("RGB", (0, 0))

    def showing(self, mode: str, width: int, rows: int, data: BytesLike) -> Image.Image:
        """A picture of 8 bits a sample, valid until the next call."""
        if mode != "RGB":
            return image_of(mode, width, rows, data)
        if self._image.size != (width, rows):
            self._image = Image.new(mode, (width, rows))
        self._image.frombytes(readable(data))
        return self._image


def readable(data: BytesLike) -> bytes:
    """The same object: Pillow reads any of them in place, though its types say otherwise."""
    return cast(bytes, data)


def fitting_mode(mode: str, format: str) -> str:
    """The mode in which a file of `format` holds pixels of `mode`.

    JPEG has neither alpha (it is laid over white) nor 16 bits (the low ones are dropped).

    Raises:
        TaskError: `UnsupportedImage`, PNG has no CMYK.
    """
    if format == "jpeg":
        return plain(mode).removesuffix("A")
    if format == "png" and plain(mode) == "CMYK":
        raise unsupported("PNG has no CMYK: set format to jpeg or tiff")
    return mode


def fitted(mode: str, width: int, rows: int, data: BytesLike, format: str) -> BytesLike:
    """The pixels in the mode that `fitting_mode` names; the same object if there is no change."""
    wanted = fitting_mode(mode, format)
    if wanted == mode:
        return data
    if is_deep(mode):
        data = bytes(data)[1::2]
    if plain(mode) == wanted:
        return data
    image = image_of(plain(mode), width, rows, data)
    white = Image.new(wanted, image.size, "white")
    white.paste(image.convert(wanted), mask=image.getchannel("A"))
    return white.tobytes()
