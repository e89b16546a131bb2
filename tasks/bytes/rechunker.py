"""The rechunker: writes bytes of any length as chunks of one length."""

from __future__ import annotations

from collections.abc import Callable

from tasks.chunk import CHUNK_BYTES, BytesLike


class Rechunker:
    """Gathers bytes and writes them in chunks of `chunk_bytes`; only the last one is shorter.

    So what is written depends on the bytes alone and not on how they came, which is what a task
    needs that may be run again.

    Args:
        write: Takes a chunk, such as `ctx.write`.
        chunk_bytes: Length of a chunk.
    """

    def __init__(self, write: Callable[[bytes], object], chunk_bytes: int = CHUNK_BYTES) -> None:
        self._write = write
        self._chunk_bytes = chunk_bytes
        self._kept = bytearray()

    def add(self, data: BytesLike) -> None:
        """Takes bytes, and writes the chunks that they fill."""
        rest = memoryview(data)
        if self._kept:
            missing = self._chunk_bytes - len(self._kept)
            self._kept += rest[:missing]
            rest = rest[missing:]
            if len(self._kept) < self._chunk_bytes:
                return
            self.end()
        # What fills a chunk by itself is copied once.
        while len(rest) >= self._chunk_bytes:
            self._write(bytes(rest[: self._chunk_bytes]))
            rest = rest[self._chunk_bytes :]
        self._kept += rest

    def end(self) -> None:
        """Writes what is left, if there is anything."""
        if self._kept:
            full, self._kept = bytes(self._kept), bytearray()
            self._write(full)
