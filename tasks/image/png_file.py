"""A PNG file out of pieces: a chunk of data for each, all of them one deflate stream."""

from __future__ import annotations

import logging
import struct
import zlib
from typing import Any

from tasks.image.bands import Band
from tasks.image.header import Header
from tasks.image.pixels import pixel_bytes
from tasks.image.png_pieces import (
    DEFLATE_END,
    SIGNATURE,
    ZLIB_START,
    combined_adler,
    header_chunk,
    png_chunk,
)

_INCHES_PER_METRE = 1 / 0.0254
_PER_METRE = 1


class PngFile:
    """Writes one PNG.

    Args:
        header: Of the picture.
        log: Is told what the file cannot hold: PNG holds all there is.
    """

    def __init__(self, header: Header, log: logging.LoggerAdapter[Any]) -> None:
        self._header = header
        self._adler = 1

    def add(self, piece: Band) -> bytes:
        """The bytes of the file that the next piece makes, the header in front of the first."""
        deflated_bytes = piece.rows * (1 + piece.width * pixel_bytes(piece.mode))
        self._adler = combined_adler(self._adler, piece.adler, deflated_bytes)
        if piece.y:
            return png_chunk(b"IDAT", piece.data)
        return self._start() + png_chunk(b"IDAT", ZLIB_START, piece.data)

    def end(self) -> bytes:
        """The last bytes."""
        checksum = struct.pack(">I", self._adler)
        return png_chunk(b"IDAT", DEFLATE_END, checksum) + png_chunk(b"IEND")

    def _start(self) -> bytes:
        header = self._header
        found = SIGNATURE + header_chunk(header.mode, header.width, header.height)
        if header.icc:
            found += png_chunk(b"iCCP", b"ICC Profile\x00\x00", zlib.compress(header.icc))
        if header.dpi:
            per_metre = (round(res * _INCHES_PER_METRE) for res in header.dpi)
            found += png_chunk(b"pHYs", struct.pack(">IIB", *per_metre, _PER_METRE))
        return found + (png_chunk(b"eXIf", header.exif) if header.exif else b"")
