"""bytes:zstd and bytes:unzstd: RFC 8878, as the command zstd reads and writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from tasks.bytes.inputs import StageInput
from tasks.bytes.rechunker import Rechunker
from tasks.bytes.sizes import Sizes
from tasks.chunk import BytesLike
from tasks.context import TaskContext
from tasks.errors import INVALID_DATA, TaskError
from tasks.extras import load_extra
from tasks.registry import task

MAX_WINDOW_BYTES = 128 * 1024 * 1024
"""The most memory that a frame may ask for; `zstd --ultra -22` and `--long` stay within it."""

# What goes in at once: four bytes can stand for 128 KiB, so this is at most 16 MiB of output.
_SLICE_BYTES = 512


class ZstdInput(StageInput):
    """Input of bytes:zstd.

    `level` is from 1 (fast) to 19 (small). `per_chunk` makes each chunk a frame of its own: as
    valid, a little larger, and stateless, so that it can have a `concurrency`.
    """

    level: int = Field(default=3, ge=1, le=19)
    per_chunk: bool = False


def _per_chunk(input: dict[str, Any]) -> bool:
    return input.get("perChunk") is True


@task("bytes:zstd", stream=True, stateless=_per_chunk)
def zstd(input: ZstdInput, ctx: TaskContext) -> dict[str, int]:
    """Compresses; each frame ends with a checksum of what it holds.

    Returns:
        `bytesIn` and `bytesOut`.

    Raises:
        TaskError: `MissingExtra`.
    """
    sizes = Sizes(ctx)
    compressor = load_extra("zstandard", "zstd", "bytes:zstd").ZstdCompressor(
        level=input.level, write_checksum=True
    )
    if input.per_chunk:
        for chunk in sizes.read():
            sizes.write(compressor.compress(chunk))
    else:
        _write_one_frame(compressor.compressobj(), sizes)
    return sizes.result()


def _write_one_frame(frame: Any, sizes: Sizes) -> None:
    output = Rechunker(sizes.write)
    for chunk in sizes.read():
        output.add(frame.compress(chunk))
    output.add(frame.flush())
    output.end()


@task("bytes:unzstd", stream=True)
def unzstd(input: dict[str, Any], ctx: TaskContext) -> dict[str, int]:
    """Decompresses one zstd frame or several; no bytes at all are no bytes.

    Returns:
        `bytesIn` and `bytesOut`.

    Raises:
        TaskError: `InvalidData`, the input is no zstd, is damaged, ends early, or asks for more
            than `MAX_WINDOW_BYTES`; `MissingExtra`.
    """
    sizes, library = Sizes(ctx), load_extra("zstandard", "zstd", "bytes:unzstd")
    output, frames = Rechunker(sizes.write), _Frames(library)
    try:
        for chunk in sizes.read():
            for data in frames.decompress(chunk):
                output.add(data)
    except library.ZstdError as error:
        raise TaskError(INVALID_DATA, f"bytes:unzstd: no zstd, or damaged: {error}") from error
    frames.end()
    output.end()
    return sizes.result()


class _Frames:
    """The zstd frames of a stream, one after the other."""

    def __init__(self, library: Any) -> None:
        self._decompressor = library.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        self._frame: Any = None

    def decompress(self, data: BytesLike) -> Iterator[bytes]:
        """What `data` holds, a bounded piece at a time."""
        view = memoryview(data)
        for start in range(0, len(view), _SLICE_BYTES):
            rest: BytesLike = view[start : start + _SLICE_BYTES]
            while rest:
                if self._frame is None or self._frame.eof:
                    self._frame = self._decompressor.decompressobj()
                yield self._frame.decompress(rest)
                rest = self._frame.unused_data

    def end(self) -> None:
        """TaskError: InvalidData, a frame is not whole."""
        if self._frame is not None and not self._frame.eof:
            raise TaskError(INVALID_DATA, "bytes:unzstd: the input ends inside of a zstd frame")
