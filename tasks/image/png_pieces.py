"""PNG by pieces: each band is deflated so that it ends at a byte and refers to nothing above."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

from PIL import Image

from tasks.chunk import BytesLike
from tasks.image.bands import Band
from tasks.image.pixels import is_deep, pixel_bytes, plain
from tasks.image.png_filters import filtered
from tasks.image.samples import swapped
from tasks.image.vips import deep_png_pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ZLIB_START = b"\x78\x9c"
DEFLATE_END = b"\x03\x00"
_LEVEL = 6
_COLORS = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}


def encode(band: Band) -> Band:
    """The piece of a raw band; its mode is any but CMYK."""
    data = swapped(band.data) if is_deep(band.mode) else band.data
    lines = filtered(data, band.width, band.rows, pixel_bytes(band.mode))
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    piece = deflate.compress(lines) + deflate.flush(zlib.Z_FULL_FLUSH)
    return replace(band, kind="png", data=piece, adler=zlib.adler32(lines))


def decode(band: Band) -> Band:
    """The raw band of a piece."""
    file = (
        SIGNATURE
        + header_chunk(band.mode, band.width, band.rows)
        + png_chunk(b"IDAT", ZLIB_START, band.data, DEFLATE_END, struct.pack(">I", band.adler))
        + png_chunk(b"IEND")
    )
    if is_deep(band.mode):
        pixels = deep_png_pixels(file)
    else:
        pixels = Image.open(io.BytesIO(file), formats=["PNG"]).tobytes()
    return replace(band, kind="raw", data=pixels, adler=0)


def header_chunk(mode: str, width: int, height: int) -> bytes:
    """The IHDR chunk."""
    depth = 16 if is_deep(mode) else 8
    told = struct.pack(">IIBBBBB", width, height, depth, _COLORS[plain(mode)], 0, 0, 0)
    return png_chunk(b"IHDR", told)


def png_chunk(name: bytes, *parts: BytesLike) -> bytes:
    """A chunk of a PNG file, with its length and checksum."""
    body = b"".join((name, *parts))
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def combined_adler(first: int, second: int, second_bytes: int) -> int:
    """adler32 of two runs of bytes, of the checksum of each and the length of the second."""
    base = 65521
    low_1, high_1 = first & 0xFFFF, first >> 16
    low_2, high_2 = second & 0xFFFF, second >> 16
    low = (low_1 + low_2 - 1) % base
    high = (high_1 + high_2 + second_bytes * (low_1 - 1)) % base
    return high << 16 | low
