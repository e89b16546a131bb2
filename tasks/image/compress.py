"""image:compress: bands of raw pixels become pieces of the file that is to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tasks.context import TaskContext
from tasks.image import jpeg_pieces, png_pieces, tiff_pieces
from tasks.image.bands import Band
from tasks.image.errors import invalid_bands
from tasks.image.header import Header, is_header
from tasks.image.inputs import CompressInput
from tasks.image.pixels import Canvas, fitted, fitting_mode
from tasks.image.scaling import scaled
from tasks.registry import task


def _is_stateless(input: dict[str, Any]) -> bool:
    # A scaled row is made of several, some of them in the bands above and below.
    return input.get("scale") in (None, "", 1, "1", "1.0")


@task("image:compress", stream=True, stateless=_is_stateless)
def compress(input: CompressInput, ctx: TaskContext) -> None:
    """Encodes each band once, as a piece that `image:join` puts into a file with the others.

    Raises:
        TaskError: `UnsupportedImage`, the format cannot hold such pixels; `ImageTooLarge`, it
            cannot be so wide or high.
    """
    canvas = Canvas()
    chunks = ctx.read() if input.scale == 1 else scaled(ctx.read(), input.scale)
    for chunk in chunks:
        if is_header(chunk):
            header = _header(Header.of(chunk), input)
            ctx.write(header.payload(), header.headers())
        else:
            piece = _piece(Band.of(chunk), input, canvas)
            ctx.write(piece.data, piece.headers())


def _header(header: Header, input: CompressInput) -> Header:
    format = input.format or header.format
    return replace(header, format=format, mode=fitting_mode(header.mode, format))


def _piece(band: Band, input: CompressInput, canvas: Canvas) -> Band:
    if band.kind != "raw":
        raise invalid_bands("what comes in is compressed already: use image:compress once")
    format = input.format or band.format
    data = fitted(band.mode, band.width, band.rows, band.data, format)
    band = replace(band, mode=fitting_mode(band.mode, format), format=format, data=data)
    match format:
        case "jpeg":
            return jpeg_pieces.encode(band, input.quality, input.subsampling, canvas)
        case "png":
            return png_pieces.encode(band)
        case _:
            return tiff_pieces.encode(band)
