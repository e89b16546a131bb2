"""image:watermark: draws on the bands that a mark meets, and leaves all others as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tasks.chunk import Chunk
from tasks.context import TaskContext
from tasks.image import jpeg_pieces, png_pieces, tiff_pieces
from tasks.image.bands import Band
from tasks.image.drawing import drawn, painted
from tasks.image.header import Header, is_header
from tasks.image.inputs import WatermarkInput
from tasks.image.marks import Mark, mark_for
from tasks.image.thumbnails import without_thumbnail
from tasks.registry import task

_TOGETHER = 128
"""Rows of JPEG that are decoded at once: each time, a row of blocks above and below is too."""


@task("image:watermark", stream=True)
def watermark(input: WatermarkInput, ctx: TaskContext) -> dict[str, Any]:
    """Draws a text or an overlay, before or after `image:compress`.

    A compressed band that is met is decoded, drawn on and encoded again as it was; all others
    pass byte for byte.

    Returns:
        How many bands were `touched`, and how many were `passed`.

    Raises:
        TaskError: `InvalidWatermark`, it does not fit, or cannot be made.
    """
    marking: Marking | None = None
    for chunk in ctx.read():
        if is_header(chunk):
            header = Header.of(chunk)
            mark = mark_for(input, header)
            marking = Marking(mark, ctx)
            if mark is not None:
                header = replace(header, exif=without_thumbnail(header.exif))
            ctx.write(header.payload(), header.headers())
        elif marking is not None:
            marking.add(chunk)
    return {"touched": marking.touched, "passed": marking.passed} if marking else {}


class Marking:
    """The bands of one picture on their way past a mark.

    Attributes:
        touched: Bands that were drawn on.
        passed: Bands that were not.
    """

    def __init__(self, mark: Mark | None, ctx: TaskContext) -> None:
        self.touched = 0
        self.passed = 0
        self._mark = mark
        self._ctx = ctx
        self._above: Band | None = None
        self._waiting: list[Band] = []

    def add(self, chunk: Chunk) -> None:
        """Writes the band; a piece of JPEG may wait for some below it, to be decoded with them."""
        band = Band.of(chunk)
        met = self._mark is not None and bool(self._mark.corners(band.y, band.end))
        if self._waiting and (not met or sum(each.rows for each in self._waiting) >= _TOGETHER):
            self._draw_waiting(below=band)
        if not met:
            self._ctx.write(chunk, chunk.headers)
            self.passed += 1
            self._above = band
        elif band.kind == "jpeg":
            self._waiting.append(band)
            if band.end == band.height:
                self._draw_waiting(below=None)
        else:
            self._write(self._drawn(band))
            self.touched += 1

    def _draw_waiting(self, below: Band | None) -> None:
        assert self._mark is not None
        bands, self._waiting = self._waiting, []
        image, top = jpeg_pieces.decode(bands, self._above, below)
        image = painted(image, self._mark, top)
        for band in jpeg_pieces.encode_again(bands, image, top):
            self._write(band)
        self.touched += len(bands)
        self._above = bands[-1]

    def _drawn(self, band: Band) -> Band:
        assert self._mark is not None
        match band.kind:
            case "png":
                return png_pieces.encode(drawn(png_pieces.decode(band), self._mark))
            case "tiff":
                return tiff_pieces.encode(drawn(tiff_pieces.decode(band), self._mark))
            case _:
                return drawn(band, self._mark)

    def _write(self, band: Band) -> None:
        self._ctx.write(band.data, band.headers())
