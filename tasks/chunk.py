"""The chunk: a piece of a stream's bytes, as a stream task reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

CHUNK_BYTES = 220 * 1024
"""What the shipped tasks write at a time: it fills an allocator's class of 224 KiB, headers too."""

BytesLike: TypeAlias = bytes | bytearray | memoryview
"""What can be written to a stream."""


class Chunk(bytes):
    """Bytes of a stream with what came along: equal to, and usable as, any other bytes.

    Attributes:
        seq: Its place in the stream, from 1; 0 when no stream has carried it yet.
        headers: What its writer said of it; {} for plain bytes.
    """

    seq: int
    headers: dict[str, str]

    def __new__(
        cls, data: BytesLike = b"", seq: int = 0, headers: Mapping[str, str] | None = None
    ) -> Chunk:
        """Copies `data` once."""
        chunk = super().__new__(cls, data)
        chunk.seq = seq
        chunk.headers = dict(headers or {})
        return chunk
