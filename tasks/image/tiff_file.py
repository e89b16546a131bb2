"""A TIFF file out of pieces: all that tells of it in front, then the strips as they come."""

from __future__ import annotations

import io
import logging
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tasks.image.bands import Band
from tasks.image.errors import too_large
from tasks.image.header import Header
from tasks.image.metadata import ORIENTATION, exif_tags
from tasks.image.pixels import CHANNELS, is_deep, pixel_bytes, plain

_STRIP_BYTES = 256 * 1024
_MOST_BYTES = 2**32 - 2**24
"""Offsets have 32 bits; the rest is for what is in front of the strips."""

_PHOTOMETRIC = {"L": 1, "LA": 1, "RGB": 2, "RGBA": 2, "CMYK": 5}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLORS = 256, 257, 258, 259, 262
_OFFSETS, _CHANNELS, _ROWS_PER_STRIP, _COUNTS = 273, 277, 278, 279
_ACROSS, _DOWN, _PLANES, _UNIT, _EXTRA, _ICC = 282, 283, 284, 296, 338, 34675
_UNCOMPRESSED, _TOGETHER, _INCH, _ALPHA = 1, 1, 2, 2
_LONG = 4


class TiffFile:
    """Writes one TIFF.

    Args:
        header: Of the picture.
        log: Is told what the file cannot hold.

    Raises:
        TaskError: `ImageTooLarge`, its pixels have more bytes than a TIFF can.
    """

    def __init__(self, header: Header, log: logging.LoggerAdapter[Any]) -> None:
        size = header.width * header.height * pixel_bytes(header.mode)
        if size > _MOST_BYTES:
            raise too_large(
                f"the pixels are {size} bytes, TIFF holds {_MOST_BYTES}: set format to png or jpeg"
            )
        self._start = _in_front(header, log)

    def add(self, piece: Band) -> bytes:
        """The bytes of the file that the next piece makes, the header in front of the first."""
        return bytes(piece.data) if piece.y else self._start + piece.data

    def end(self) -> bytes:
        """The last bytes: there are none."""
        return b""


def _in_front(header: Header, log: logging.LoggerAdapter[Any]) -> bytes:
    row = header.width * pixel_bytes(header.mode)
    rows = max(1, min(_STRIP_BYTES // row, header.height))
    strips = range(0, header.height, rows)
    directory = ImageFileDirectory_v2(prefix=b"II")
    for tag, value in (exif_tags(header.exif, log) | _described(header)).items():
        directory[tag] = value
    for tag, numbers in (
        # Pillow adds where the strips begin: right after what it saves here.
        (_OFFSETS, tuple(y * row for y in strips)),
        (_COUNTS, tuple(min(rows, header.height - y) * row for y in strips)),
        (_ROWS_PER_STRIP, rows),
    ):
        directory.tagtype[tag] = _LONG
        directory[tag] = numbers
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue()


def _described(header: Header) -> dict[int, Any]:
    channels = CHANNELS[plain(header.mode)]
    found: dict[int, Any] = {
        _WIDTH: header.width,
        _HEIGHT: header.height,
        _BITS: (16 if is_deep(header.mode) else 8,) * channels,
        _COMPRESSION: _UNCOMPRESSED,
        _COLORS: _PHOTOMETRIC[plain(header.mode)],
        _CHANNELS: channels,
        _PLANES: _TOGETHER,
        ORIENTATION: header.orientation,
    }
    if plain(header.mode).endswith("A"):
        found[_EXTRA] = _ALPHA
    if header.dpi:
        found |= {_ACROSS: header.dpi[0], _DOWN: header.dpi[1], _UNIT: _INCH}
    return found | ({_ICC: header.icc} if header.icc else {})
