"""bytes:gzip and bytes:gunzip: RFC 1952, as the command gzip reads and writes it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from tasks.bytes.inputs import StageInput
from tasks.bytes.rechunker import Rechunker
from tasks.bytes.sizes import Sizes
from tasks.chunk import CHUNK_BYTES, BytesLike
from tasks.context import TaskContext
from tasks.errors import INVALID_DATA, TaskError
from tasks.registry import task

_GZIP = 16 + zlib.MAX_WBITS
_SLICE_BYTES = 16 * 1024


class GzipInput(StageInput):
    """Input of bytes:gzip.

    `level` is from 1 (fast) to 9 (small). `per_chunk` makes each chunk a gzip member of its own:
    as valid, a little larger, and stateless, so that it can have a `concurrency`.
    """

    level: int = Field(default=6, ge=1, le=9)
    per_chunk: bool = False


def _per_chunk(input: dict[str, Any]) -> bool:
    return input.get("perChunk") is True


@task("bytes:gzip", stream=True, stateless=_per_chunk)
def gzip(input: GzipInput, ctx: TaskContext) -> dict[str, int]:
    """Compresses. No time and no name is in the output: the same input gives the same bytes.

    Returns:
        `bytesIn` and `bytesOut`.
    """
    sizes = Sizes(ctx)
    if input.per_chunk:
        for chunk in sizes.read():
            sizes.write(zlib.compress(chunk, input.level, _GZIP))
    else:
        _write_one_member(input.level, sizes)
    return sizes.result()


def _write_one_member(level: int, sizes: Sizes) -> None:
    compressor, output = zlib.compressobj(level, zlib.DEFLATED, _GZIP), Rechunker(sizes.write)
    for chunk in sizes.read():
        output.add(compressor.compress(chunk))
    output.add(compressor.flush())
    output.end()


@task("bytes:gunzip", stream=True)
def gunzip(input: dict[str, Any], ctx: TaskContext) -> dict[str, int]:
    """Decompresses one gzip member or several; no bytes at all are no bytes.

    Returns:
        `bytesIn` and `bytesOut`.

    Raises:
        TaskError: `InvalidData`, the input is no gzip, is damaged, or ends early.
    """
    sizes = Sizes(ctx)
    output, members = Rechunker(sizes.write), _Members()
    try:
        for chunk in sizes.read():
            for data in members.decompress(chunk):
                output.add(data)
    except zlib.error as error:
        raise TaskError(INVALID_DATA, f"bytes:gunzip: no gzip, or damaged: {error}") from error
    members.end()
    output.end()
    return sizes.result()


class _Members:
    """The gzip members of a stream, one after the other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False
        self._ended = 0

    def decompress(self, data: BytesLike) -> Iterator[bytes]:
        """What `data` holds, at most `CHUNK_BYTES` at a time."""
        # A slice at a time, for what a member leaves is copied: they may be very small.
        for start in range(0, len(data), _SLICE_BYTES):
            rest = bytes(data[start : start + _SLICE_BYTES])
            while rest := self._before_member(rest):
                self._begun = True
                yield self._member.decompress(rest, CHUNK_BYTES)
                rest = self._member.unconsumed_tail or self._member.unused_data

    def end(self) -> None:
        """TaskError: InvalidData, a member is not whole."""
        if self._begun and not self._member.eof:
            raise TaskError(INVALID_DATA, "bytes:gunzip: the input ends inside of a gzip member")

    def _before_member(self, data: bytes) -> bytes:
        if self._member.eof:
            self._member, self._begun = zlib.decompressobj(_GZIP), False
            self._ended += 1
        # Tapes and disks fill their last block with zeros, and gzip reads past them.
        return data.lstrip(b"\0") if self._ended and not self._begun else data
