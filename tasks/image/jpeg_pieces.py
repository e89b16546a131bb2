"""JPEG by pieces: each band is a small JPEG of its own, and all of them together are one.

Every row of blocks is a restart interval: it can be decoded without the ones before it, and
bands may be of any height. Tables are the standard ones, so that all pieces share them.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from PIL import Image

from tasks.image.bands import JPEG_SIDE, Band
from tasks.image.errors import invalid_bands, too_large
from tasks.image.memory_file import written
from tasks.image.pixels import Canvas

_SOS, _EOI = 0xDA, b"\xff\xd9"
_SOF = (0xC0, 0xC1)
_APP0 = 0xE0
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_RESTARTS = tuple(bytes((0xFF, 0xD0 + number)) for number in range(8))
_HEIGHT_AT = 5


@dataclass(frozen=True, slots=True)
class JpegParts:
    """A piece, taken apart.

    Attributes:
        head: Its segments up to and with the start of scan, without JFIF's.
        height_at: Where in `head` its height is told, in two bytes.
        entropy: What follows, up to the end of the image.
    """

    head: bytes
    height_at: int
    entropy: bytes

    def with_height(self, rows: int) -> bytes:
        """`head` for a picture of so many rows."""
        at = self.height_at
        return self.head[:at] + struct.pack(">H", rows) + self.head[at + 2 :]


def block_rows(band: Band) -> int:
    """The height in rows of one row of blocks of its pieces: 16 if colours are halved, else 8."""
    return 16 if band.subsampling == "4:2:0" and band.mode == "RGB" else 8


def needs_neighbours(band: Band) -> bool:
    """True if the colours of its first and last rows depend on the rows beyond."""
    return block_rows(band) == 16


def encode(band: Band, quality: int, subsampling: str, canvas: Canvas) -> Band:
    """The piece of a raw band; its mode must be L, RGB or CMYK. `canvas`: what to encode it from.

    Raises:
        TaskError: `ImageTooLarge`, no JPEG can be as wide or high as the picture.
    """
    if max(band.width, band.height) > JPEG_SIDE:
        raise too_large(
            f"a JPEG has at most {JPEG_SIDE} pixels a side, the picture is {band.width} x "
            f"{band.height}: set format to png or tiff, or scale it down"
        )
    image = canvas.showing(band.mode, band.width, band.rows, band.data)
    return _piece(band, image, quality, subsampling)


def encode_again(bands: Sequence[Band], image: Image.Image, top: int) -> Iterator[Band]:
    """The same pieces with other pixels: those of `image`, from the picture's row `top` on."""
    for band in bands:
        y = band.y - top
        part = image.crop((0, y, band.width, y + band.rows))
        yield _piece(band, part, band.quality, band.subsampling)


def decode(
    bands: Sequence[Band], before: Band | None, after: Band | None
) -> tuple[Image.Image, int]:
    """The pixels of pieces that follow each other, as they come out of the whole file.

    Rows above and below may come along, whose colours are not right. The second of the answer is
    the picture's row that the first of these pixels belongs to.

    Args:
        bands: The pieces.
        before: The piece above them, None at the top; needed where `needs_neighbours`.
        after: The piece below them, None at the bottom.
    """
    first = parts_of(bytes(bands[0].data))
    pieces = [first.entropy, *(parts_of(bytes(band.data)).entropy for band in bands[1:])]
    rows = sum(band.rows for band in bands)
    above = below = 0
    if before is not None and needs_neighbours(before):
        above = block_rows(before)
        pieces.insert(0, _rows_of_blocks(before)[-1])
    if after is not None and needs_neighbours(after):
        below = min(block_rows(after), after.rows)
        pieces.append(_rows_of_blocks(after)[0])
    file = b"\xff\xd8" + first.with_height(above + rows + below) + joined(pieces) + _EOI
    image = Image.open(io.BytesIO(file), formats=["JPEG"])
    image.load()
    return image, bands[0].y - above


def _piece(band: Band, image: Image.Image, quality: int, subsampling: str) -> Band:
    options = {"subsampling": subsampling} if band.mode == "RGB" else {}
    data = written(
        lambda file: image.save(file, "JPEG", quality=quality, restart_marker_rows=1, **options)
    )
    return replace(band, kind="jpeg", data=data, quality=quality, subsampling=subsampling)


def parts_of(data: bytes) -> JpegParts:
    """Takes a piece apart. InvalidBands if it is no JPEG that `encode` wrote."""
    kept: list[bytes] = []
    height_at = at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at : at + 2 + length]
        at += 2 + length
        if marker in _SOF:
            height_at = sum(map(len, kept)) + _HEIGHT_AT
        if marker != _APP0:
            kept.append(segment)
        if marker == _SOS and data.endswith(_EOI):
            return JpegParts(b"".join(kept), height_at, data[at:-2])
    raise invalid_bands("a piece of JPEG is broken: only image:compress may write them")


def joined(pieces: list[bytes]) -> bytes:
    """Entropy data of pieces that follow each other at the top of a picture."""
    found: list[bytes] = []
    first = 0
    for piece in pieces:
        found.append(continued(piece, first))
        first += len(_RESTART.findall(piece)) + 1
    return b"".join(found)


def continued(entropy: bytes, first: int) -> bytes:
    """A piece's entropy data where its first row of blocks is number `first` of the picture.

    Restart markers count from 0 to 7 all through a picture, from 0 in each piece.
    """
    before = _RESTARTS[(first - 1) % 8] if first else b""
    if first % 8 == 0:
        return before + entropy
    numbers = count(first)
    return before + _RESTART.sub(lambda _: _RESTARTS[next(numbers) % 8], entropy)


def _rows_of_blocks(band: Band) -> list[bytes]:
    return _RESTART.split(parts_of(bytes(band.data)).entropy)
