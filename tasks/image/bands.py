"""Bands: some whole rows of a picture, as a chunk carries them, raw or as a piece of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

from tasks.chunk import BytesLike, Chunk
from tasks.image.errors import invalid_bands, too_large
from tasks.image.header import KIND
from tasks.image.pixels import pixel_bytes

BAND_BYTES = 1024 * 1024
"""Raw bytes of a band, where its rows allow: a quarter of an edge's window."""

BAND_STEP = 16
"""Bands begin at multiples of it: the most rows that a JPEG's blocks are high."""

MAX_ROWS = 4096
"""However narrow a picture is: one worker should not get all of it."""

JPEG_SIDE = 65500
"""The most pixels a side that libjpeg encodes and decodes."""

MAX_ROW_BYTES = 64 * 1024 * 1024

Kind: TypeAlias = Literal["raw", "jpeg", "png", "tiff"]
_KINDS = ("raw", "jpeg", "png", "tiff")


@dataclass(frozen=True, slots=True)
class Band:
    """Some whole rows; with what a stage must know to work on them alone.

    Attributes:
        kind: `raw`: pixels, row by row. Else a piece of a file of that format: for JPEG a
            small file of its own, for PNG a deflate piece that ends at a byte, for TIFF pixels.
        mode: How its pixels lie, or lay before they were encoded, see `tasks.image.pixels`.
        width: Of the picture, and so of the band.
        height: Of the whole picture.
        y: Its first row.
        rows: How many there are.
        format: The file the picture is to become: jpeg, png or tiff.
        quality: Of a JPEG piece, 1 to 95.
        subsampling: Of a JPEG piece: `4:4:4`, `4:2:2` or `4:2:0`.
        adler: Of a PNG piece: the checksum of what was deflated.
    """

    kind: Kind
    mode: str
    width: int
    height: int
    y: int
    rows: int
    format: str
    data: BytesLike = field(repr=False)
    quality: int = 0
    subsampling: str = ""
    adler: int = 0

    @property
    def end(self) -> int:
        """The row after its last one."""
        return self.y + self.rows

    def headers(self) -> dict[str, str]:
        """The headers of its chunk."""
        told = {KIND: self.kind, "mode": self.mode, "format": self.format}
        told |= {name: str(getattr(self, name)) for name in _NUMBERS}
        return told | ({"subsampling": self.subsampling} if self.subsampling else {})

    @classmethod
    def of(cls, chunk: Chunk) -> Band:
        """The band that the chunk carries, sharing its bytes.

        Raises:
            TaskError: `InvalidBands`, it carries something else.
        """
        told = chunk.headers
        if told.get(KIND) not in _KINDS:
            raise invalid_bands("no bands come in: put image:split in front of this stage")
        return cls(
            kind=cast(Kind, told[KIND]),
            mode=told["mode"],
            format=told["format"],
            data=chunk,
            subsampling=told.get("subsampling", ""),
            **{name: int(told[name]) for name in _NUMBERS},
        )


_NUMBERS = ("width", "height", "y", "rows", "quality", "adler")


def rows_per_band(width: int, mode: str) -> int:
    """How many rows make a band, but for the last one.

    Raises:
        TaskError: `ImageTooLarge`, not even one row is of a size to be sent.
    """
    row = width * pixel_bytes(mode)
    if row > MAX_ROW_BYTES:
        raise too_large(f"a row of {row} bytes is more than can be sent at a time: {MAX_ROW_BYTES}")
    rows = min(BAND_BYTES // row, MAX_ROWS)
    # No JPEG can be made of a wider one, so that its bands may be as low as they like.
    return max(1, rows) if width > JPEG_SIDE else max(BAND_STEP, rows - rows % BAND_STEP)
