"""Pictures: what a decoder makes of a file, whichever decoder it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tasks.chunk import BytesLike
from tasks.image.bands import Band, rows_per_band
from tasks.image.errors import too_large
from tasks.image.header import Header


class Picture(Protocol):
    """A file whose header was read, and whose rows can be read once, downwards."""

    @property
    def header(self) -> Header:
        """What is known before any row is decoded."""
        ...

    def rows(self, y: int, count: int) -> BytesLike:
        """The next `count` rows, from `y`, decoded. TaskError `InvalidImage` if they are broken."""
        ...


def bands_of(picture: Picture) -> Iterator[Band]:
    """The whole picture by bands."""
    header = picture.header
    step = rows_per_band(header.width, header.mode)
    for y in range(0, header.height, step):
        count = min(step, header.height - y)
        yield Band(
            kind="raw",
            mode=header.mode,
            width=header.width,
            height=header.height,
            y=y,
            rows=count,
            format=header.format,
            data=picture.rows(y, count),
        )


def refuse_bomb(width: int, height: int, limit: int) -> None:
    """Nothing if the picture may be decoded.

    Raises:
        TaskError: `ImageTooLarge`, it declares more than `limit` pixels.
    """
    if width * height > limit:
        raise too_large(
            f"the picture declares {width} x {height} = {width * height} pixels, over the limit "
            f"of {limit}: PENSTOCK_IMAGE_MAX_PIXELS of the worker"
        )
