"""The feed: a stream's chunks as the bytes of one file, read once from front to back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tasks.chunk import BytesLike
from tasks.image.errors import too_large

_COPY_BYTES = 1024 * 1024


class Feed:
    """Bytes on their way; holds one chunk.

    Attributes:
        bytes_read: How many were handed out.
    """

    def __init__(self, chunks: Iterator[BytesLike]) -> None:
        self.bytes_read = 0
        self._chunks = chunks
        self._here = memoryview(b"")

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end; they stay to be read. Blocking."""
        while len(self._here) < size and (chunk := next(self._chunks, None)) is not None:
            self._here = memoryview(bytes(self._here) + bytes(chunk))
        return bytes(self._here[:size])

    def read(self, size: int) -> memoryview:
        """Up to `size` bytes; none only at the end. Blocking."""
        while not self._here and (chunk := next(self._chunks, None)) is not None:
            self._here = memoryview(chunk)
        found, self._here = self._here[:size], self._here[size:]
        self.bytes_read += len(found)
        return found

    def drain(self) -> None:
        """Reads what is left for nobody: whoever writes must not wait for a reader."""
        while self.read(_COPY_BYTES):
            pass

    @contextmanager
    def spooled(self, limit: int) -> Iterator[IO[bytes]]:
        """All of it as a file, at its start; its space is free again at the end of the block.

        Raises:
            TaskError: `ImageTooLarge`, more than `limit` bytes come.
        """
        with tempfile.TemporaryFile(prefix="penstock-image-") as file:
            while part := self.read(_COPY_BYTES):
                file.write(part)
                if self.bytes_read > limit:
                    raise too_large(f"the file is larger than {limit} bytes")
            file.seek(0)
            yield file
