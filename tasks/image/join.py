"""image:join: pieces become one file, written as they come."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Protocol

from tasks.chunk import CHUNK_BYTES, Chunk
from tasks.context import TaskContext
from tasks.image.bands import Band
from tasks.image.errors import invalid_bands
from tasks.image.header import Header
from tasks.image.jpeg_file import JpegFile
from tasks.image.png_file import PngFile
from tasks.image.tiff_file import TiffFile
from tasks.registry import task


class PiecedFile(Protocol):
    """A file that is written from front to back, a piece at a time."""

    def __init__(self, header: Header, log: logging.LoggerAdapter[Any]) -> None:
        """Takes what is known in front."""
        ...

    def add(self, piece: Band) -> bytes:
        """The bytes that the next piece makes."""
        ...

    def end(self) -> bytes:
        """The last bytes."""
        ...


_FILES: dict[str, type[PiecedFile]] = {"jpeg": JpegFile, "png": PngFile, "tiff": TiffFile}


@task("image:join", stream=True)
def join(input: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Writes the file that the pieces of `image:compress` are of.

    Returns:
        `format`, `width`, `height`, and its size in `bytes`.

    Raises:
        TaskError: `InvalidBands`, rows are missing, or are not compressed; `ImageTooLarge`, the
            format has no such size.
    """
    chunks = ctx.read()
    header = _first(chunks)
    file = _FILES[header.format](header, ctx.log)
    size = 0
    for data in _gathered(_pieces(file, chunks, header)):
        size += len(data)
        ctx.write(data)
    return {"format": header.format, "width": header.width, "height": header.height, "bytes": size}


def _first(chunks: Iterator[Chunk]) -> Header:
    chunk = next(chunks, None)
    if chunk is None:
        raise invalid_bands("no picture comes in: put image:split in front of this stage")
    return Header.of(chunk)


def _pieces(file: PiecedFile, chunks: Iterator[Chunk], header: Header) -> Iterator[bytes]:
    for piece in _in_order(chunks, header):
        yield file.add(piece)
    yield file.end()


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The first piece at once; then several small ones together, each chunk costs its way."""
    yield next(pieces)
    held: list[bytes] = []
    for piece in pieces:
        held.append(piece)
        if sum(map(len, held)) >= CHUNK_BYTES // 2:
            yield b"".join(held)
            held.clear()
    if rest := b"".join(held):
        yield rest


def _in_order(chunks: Iterator[Chunk], header: Header) -> Iterator[Band]:
    """The bands, of which each begins where the last one ended."""
    y = 0
    for piece in map(Band.of, chunks):
        if piece.kind == "raw":
            raise invalid_bands("the bands are not compressed: put image:compress in front")
        if piece.y != y or piece.kind != header.format:
            raise invalid_bands(f"{piece.kind} rows from {piece.y} came where row {y} was due")
        y = piece.end
        yield piece
    if y != header.height:
        raise invalid_bands(f"the picture ended at row {y} of {header.height}")
