"""Scaling: a picture made smaller while its bands come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from PIL import Image

from tasks.chunk import Chunk
from tasks.image.bands import Band, rows_per_band
from tasks.image.errors import invalid_bands
from tasks.image.header import Header, is_header
from tasks.image.pixels import CHANNELS, image_of, is_deep, pixel_bytes, plain
from tasks.image.samples import planes_of, samples_of
from tasks.image.thumbnails import without_thumbnail

_FILTER = Image.Resampling.LANCZOS
_REACH = 3
"""How far the filter looks to each side, in rows of the smaller picture."""


def scaled(chunks: Iterable[Chunk], scale: float) -> Iterator[Chunk]:
    """The header and the raw bands of a picture whose sides are multiplied by `scale`.

    It is as if the whole picture were scaled: an output row waits for all the rows it is made of.

    Raises:
        TaskError: `InvalidBands`, the bands are compressed.
    """
    scaling: Scaling | None = None
    for chunk in chunks:
        if is_header(chunk):
            scaling = Scaling(Header.of(chunk), scale)
            yield Chunk(scaling.header.payload(), 1, scaling.header.headers())
        elif scaling is not None:
            for number, band in enumerate(scaling.add(Band.of(chunk)), 2):
                yield Chunk(band.data, number, band.headers())


class Scaling:
    """One picture on its way to a smaller one; holds the rows that are needed again.

    Attributes:
        header: Of the smaller picture.
    """

    def __init__(self, header: Header, scale: float) -> None:
        width, height = (max(1, round(side * scale)) for side in (header.width, header.height))
        exif = without_thumbnail(header.exif)
        self.header = replace(header, width=width, height=height, exif=exif)
        self._from = header
        self._ratio = header.height / height
        self._row = header.width * pixel_bytes(header.mode)
        self._step = rows_per_band(width, header.mode)
        self._rows = b""
        self._top = 0
        self._done = 0

    def add(self, band: Band) -> Iterator[Band]:
        """Takes the next band; the bands that can now be made."""
        if band.kind != "raw":
            raise invalid_bands("what comes in is compressed already: use image:compress once")
        self._rows += bytes(band.data)
        while self._done < self.header.height:
            end = min(self._done + self._step, self.header.height)
            if self._needed(end)[1] > band.end:
                return
            yield self._made(end, band.format)

    def _made(self, end: int, format: str) -> Band:
        y, header = self._done, self.header
        low, high = self._needed(end)
        start, stop = ((at - self._top) * self._row for at in (low, high))
        rows = memoryview(self._rows)[start:stop]
        box = (0.0, y * self._ratio - low, float(self._from.width), end * self._ratio - low)
        data = self._resized(rows, high - low, end - y, box)
        self._done = end
        self._forget()
        return Band("raw", header.mode, header.width, header.height, y, end - y, format, data)

    def _needed(self, end: int) -> tuple[int, int]:
        """The rows of the larger picture that those up to `end` are made of."""
        reach = math.ceil(_REACH * max(self._ratio, 1)) + 1
        low = math.floor(self._done * self._ratio) - reach
        high = math.ceil(end * self._ratio) + reach
        return max(low, 0), min(high, self._from.height)

    def _forget(self) -> None:
        low = self._needed(self._done)[0]
        self._rows = self._rows[(low - self._top) * self._row :]
        self._top = low

    def _resized(
        self, data: memoryview, rows: int, count: int, box: tuple[float, float, float, float]
    ) -> bytes:
        mode, width = self._from.mode, self._from.width
        size = (self.header.width, count)
        if not is_deep(mode):
            return image_of(mode, width, rows, data).resize(size, _FILTER, box).tobytes()
        planes = planes_of(data, width, rows, CHANNELS[plain(mode)])
        return samples_of([plane.resize(size, _FILTER, box) for plane in planes])
